# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""
Validation clips rendered from real pictures that no training saw.

`python -m fast_sam2_ros.evaluation.rendered --set text|lost --photos COCO --stamps STAMPS
--backgrounds WALLPAPERS --out DIR` writes a folder in the layout of DAVIS with expressions.csv,
so that `fast-sam2 evaluate DIR --prompt text` runs on it, and stories.json, which says what
happens. A moving camera looks at a photograph; one thing is named, others pass.

- `text`: the target is in view from the first frame on.
- `lost`: it leaves the view and returns; or something hides it and goes away again; or it returns
  and finds a look-alike, whose masks are in Lookalikes/.

The same pictures and the same seed give the same clips.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
import json
from pathlib import Path

import cv2
from fast_sam2_ros.errors import InputError
from fast_sam2_ros.evaluation.cast import Material, Names
from fast_sam2_ros.evaluation.davis import FRAMES_PER_SECOND, RESOLUTION
from fast_sam2_ros.evaluation.stories import Clip, Director, IN_VIEW, LOST
import numpy as np
from tqdm import tqdm

LENGTHS = {'text': 30, 'lost': 90}  # frames
KINDS = {'text': (IN_VIEW,), 'lost': LOST}
STORIES = 'stories.json'
LOOKALIKES = 'Lookalikes'
JPEG = (cv2.IMWRITE_JPEG_QUALITY, 92)


@dataclass(frozen=True)
class Story:
    """
    What happens in a clip.

    away: [begin, end) frames, from the first without the target until a quarter of it is back;
    None where it never leaves.  lookalike: whether there are masks of one in `LOOKALIKES`.
    """

    kind: str
    text: str
    away: tuple[int, int] | None
    lookalike: bool
    fps: float = FRAMES_PER_SECOND


def read_stories(root: Path) -> dict[str, Story]:
    """Read what happens in each clip of a rendered set, by the clips' names."""
    path = root / STORIES
    if not path.is_file():
        raise InputError(f'{path} is missing: render the set again')
    found = json.loads(path.read_text(encoding='utf-8'))
    return {name: Story(**{**story, 'away': story['away'] and tuple(story['away'])})
            for name, story in found.items()}


def lookalike_masks(root: Path, name: str) -> list[Path]:
    """Return the files of a look-alike's masks, one a frame, in order."""
    return sorted((root / LOOKALIKES / RESOLUTION / name).glob('*.png'))


def write_clip(root: Path, name: str, clip: Clip) -> Story:
    """Write a clip's frames and masks, and return its story."""
    _write(root / 'JPEGImages' / RESOLUTION / name, '.jpg', clip.frames[..., ::-1])
    _write(root / 'Annotations' / RESOLUTION / name, '.png', clip.truth * np.uint8(255))
    if clip.lookalike is not None:
        _write(root / LOOKALIKES / RESOLUTION / name, '.png', clip.lookalike * np.uint8(255))
    return Story(clip.kind, clip.text, clip.away, clip.lookalike is not None)


def _write(folder: Path, suffix: str, images: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(images):
        path = folder / f'{index:05d}{suffix}'
        if not cv2.imwrite(str(path), image, JPEG if suffix == '.jpg' else ()):
            raise InputError(f'{path} cannot be written')


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the options of this command, from the command line where `words` is None."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--set', choices=tuple(KINDS), required=True, help='which clips to render')
    parser.add_argument('--photos', type=Path, required=True, metavar='DIR',
                        help='outlined photographs of COCO: images/**/*.jpg and labels/**/*.txt')
    parser.add_argument('--stamps', type=Path, required=True, metavar='DIR',
                        help="the stamps of Debian's tuxpaint-stamps-default")
    parser.add_argument('--backgrounds', type=Path, required=True, metavar='DIR',
                        help="usr/share/wallpapers of Debian's plasma-workspace-wallpapers")
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='a new folder')
    parser.add_argument('--clips', type=int, default=24, help='how many (default: %(default)s)')
    parser.add_argument('--frames', type=int,
                        help='of a clip (default: 30 of the set text, 90 of the set lost)')
    parser.add_argument('--seed', type=int, default=0, help='(default: %(default)s)')
    return parser.parse_args(words)


def main(arguments: argparse.Namespace) -> int:
    """Render a set."""
    if arguments.out.exists() and any(arguments.out.iterdir()):
        raise InputError(f'{arguments.out} is not empty: name a new folder with --out')
    material = Material.load(arguments.photos, arguments.stamps, arguments.backgrounds)
    director = Director(
        material, Names(), arguments.frames or LENGTHS[arguments.set], arguments.seed)
    kinds = KINDS[arguments.set]
    stories: dict[str, Story] = {}
    with tqdm(total=arguments.clips, unit='clip', desc=arguments.set, disable=None) as bar:
        for number, kind in enumerate(kinds):
            share = len(range(number, arguments.clips, len(kinds)))
            for clip in director.clips(kind, share):
                name = f'{len(stories):02d}_{clip.text.replace(" ", "_")}'
                stories[name] = write_clip(arguments.out, name, clip)
                bar.update()
    lines = ['video_id;instance_id;ref_exp', *(f'{n};1;{s.text}' for n, s in stories.items())]
    (arguments.out / 'expressions.csv').write_text('\n'.join(lines) + '\n', encoding='utf-8')
    (arguments.out / STORIES).write_text(
        json.dumps({name: asdict(story) for name, story in stories.items()}, indent=1) + '\n',
        encoding='utf-8')
    return 0


if __name__ == '__main__':
    raise SystemExit(main(parse()))
