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
How often the embedded grounder finds what is there, and "finds" what is not.

`python -m fast_sam2_ros.evaluation.grounding --davis DIR --coco DIR --clips DIR --model embedded
--json OUT` looks at the demo's scene, at videos in the layout of DAVIS and at outlined photographs
of COCO that no training used. What is shown must be found at the right place; names of things
that are not shown must be answered with "not found". Videos are asked once a second, as a session
asks, and such an answer counts for a clip only if none of its frames is taken for the thing.
Without --model the mask comes from the grounder alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
import statistics
import time
from typing import Any

import cv2
from fast_sam2_ros.demo.scene import Scene
from fast_sam2_ros.evaluation.cast import WORDS
from fast_sam2_ros.evaluation.davis import load_davis, read_expressions
from fast_sam2_ros.evaluation.environment import environment
from fast_sam2_ros.evaluation.metrics import jaccard
from fast_sam2_ros.evaluation.rows import write_json
from fast_sam2_ros.grounding.embedded import EmbeddedGrounder
from fast_sam2_ros.grounding.refine import bounding_box
from fast_sam2_ros.grounding.result import Grounding, NotFound
from fast_sam2_ros.grounding.vocabulary import Meaning, Vocabulary
from fast_sam2_ros.training.clips import COCO_NAMES, PHOTOS_HELD_OUT, split
from fast_sam2_ros.training.words import load_outlined, OutlinedPhoto
import numpy as np
from tqdm import tqdm

# In none of the pictures of the scene and of DAVIS.
ABSENT = (
    'zebra|pizza|piano|laptop|umbrella|penguin|butterfly|teapot|castle|guitar|'
    'banana|scissors|submarine|spider|sandwich|bed|lobster|tank|keyboard|snake|strawberry'
).split('|')
LEAST_AREA = 0.02  # of a photograph: a smaller thing is neither expected nor forbidden
LOOK_PERIOD = 1.0  # seconds between two looks at a video, as `Session.reground_period`
RIGHT_OVERLAP = 0.5  # IoU of mask and truth above which the target is drawn where it is
SCENE_TEXTS = {'cat': 'cat', 'cup and saucer': 'cup', 'motorcycle': 'motorcycle'}


@dataclass(frozen=True, eq=False)
class Question:
    """
    A picture and what may be asked about it.

    clip: the video it is from, or its own name.  image: (H, W, 3) uint8 RGB.  present: what it
    shows, with (H, W) bool masks.  absent: names of what it does not show.
    """

    clip: str
    picture: str
    image: np.ndarray
    present: dict[str, list[np.ndarray]]
    absent: list[str]


@dataclass
class Tally:
    """
    The answers over one source of pictures; the overlaps are those of what was found.

    clips: for each clip and absent word whether no picture of the clip was taken for it.
    """

    source: str
    present: int = 0
    absent: int = 0
    false: int = 0
    centred: int = 0
    clips: dict[tuple[str, str], bool] = field(default_factory=dict)
    mask_overlaps: list[float] = field(default_factory=list)
    box_overlaps: list[float] = field(default_factory=list)
    look_ms: list[float] = field(default_factory=list)
    ground_ms: list[float] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """Return the tally as plain numbers: shares in [0, 1], medians in milliseconds."""
        right = sum(overlap > RIGHT_OVERLAP for overlap in self.mask_overlaps)
        return {
            'source': self.source, 'present': self.present, 'absent': self.absent,
            'found_rate': _share(len(self.mask_overlaps), self.present),
            'right_place_rate': _share(right, self.present),
            'centre_in_target_rate': _share(self.centred, self.present),
            'mask_iou': float(np.mean(self.mask_overlaps)) if self.mask_overlaps else None,
            'box_iou': float(np.mean(self.box_overlaps)) if self.box_overlaps else None,
            'false_rate': _share(self.false, self.absent),
            'absent_clips': len(self.clips),
            'not_found_rate': _share(sum(self.clips.values()), len(self.clips)),
            'look_ms': statistics.median(self.look_ms) if self.look_ms else None,
            'ground_ms': statistics.median(self.ground_ms) if self.ground_ms else None,
        }


@dataclass(frozen=True)
class Answer:
    """One answer to a name of something that is there; overlaps are 0 where it was not found."""

    source: str
    picture: str
    text: str
    margin: float
    mask_iou: float
    box_iou: float


@dataclass(frozen=True)
class FalseFind:
    """A name of something that is not there, and by how much the picture was taken for it."""

    source: str
    picture: str
    text: str
    margin: float


def scene_questions() -> Iterator[Question]:
    """Yield frames of the demo's scene on which the thing is in full view, or out of view."""
    scene = Scene(rate=1 / LOOK_PERIOD)
    for index in range(len(scene)):
        image, truth = scene.frame(index)
        least = LEAST_AREA * image.shape[0] * image.shape[1]
        present = {SCENE_TEXTS[name]: [mask > 0] for name, mask in truth.items()
                   if mask.sum() > least}
        yield Question('scene', f'scene {index}', image, present, list(ABSENT))


def video_questions(root: Path, shown: Iterable[str] = ()) -> Iterator[Question]:
    """
    Yield a frame a second of each sequence, with the words of its expressions.csv.

    `shown` are further things that may be in view: not absent, as little as what is expressed.
    """
    expressions = read_expressions(root / 'expressions.csv')
    absent = _apart(ABSENT, [*shown, *expressions.values()])
    for sequence in load_davis(root):
        step = round(sequence.rate * LOOK_PERIOD)
        for index, image in enumerate(sequence.images()):
            if index % step == 0:
                truth = sequence.truth(index)
                present = {expressions[sequence.name]: [truth]} if truth.any() else {}
                yield Question(sequence.name, f'{sequence.name} {index}', image, present, absent)


def photo_questions(photos: list[OutlinedPhoto]) -> Iterator[Question]:
    """Yield outlined photographs; every class of COCO that is not outlined is absent."""
    for photo in photos:
        present, seen = {}, set()
        for name, _ in photo.objects:
            if name in seen:
                continue
            seen.add(name)
            if photo.union(name).mean() >= LEAST_AREA:
                present[name] = [mask for other, mask in photo.objects if other == name]
        yield Question(photo.name, photo.name, photo.image, present,
                       [name for name in COCO_NAMES if name not in seen])


def ask(
    grounder: EmbeddedGrounder, source: str, questions: Iterator[Question]
) -> tuple[Tally, list[Answer], list[FalseFind]]:
    """Put the questions; names that the grounder does not know are left out."""
    tally, answers, false = Tally(source), [], []
    for question in tqdm(questions, source, unit='picture'):
        begin = time.perf_counter()
        view = grounder.look(question.image)
        tally.look_ms.append((time.perf_counter() - begin) * 1e3)
        for text in question.absent:
            meaning = grounder.vocabulary.understand(text)
            if not isinstance(meaning, Meaning):
                continue
            margin = view.respond(meaning).margin
            pair = question.clip, text
            tally.absent += 1
            tally.clips[pair] = tally.clips.get(pair, True) and margin < 0
            if margin >= 0:
                tally.false += 1
                false.append(FalseFind(source, question.picture, text, margin))
        for text, masks in question.present.items():
            meaning = grounder.vocabulary.understand(text)
            if isinstance(meaning, NotFound):
                continue
            tally.present += 1
            begin = time.perf_counter()
            found = grounder.ground(question.image, text)
            tally.ground_ms.append((time.perf_counter() - begin) * 1e3)
            overlap, box_overlap = 0.0, 0.0
            if isinstance(found, Grounding) and found.mask is not None:
                overlap = max(jaccard(found.mask, mask) for mask in masks)
                box_overlap = max(box_iou(found.box, bounding_box(mask)) for mask in masks)
                tally.mask_overlaps.append(overlap)
                tally.box_overlaps.append(box_overlap)
                tally.centred += any(mask[innermost(found.mask)] for mask in masks)
            answers.append(Answer(source, question.picture, text,
                                  view.respond(meaning).margin, overlap, box_overlap))
    return tally, answers, false


def innermost(mask: np.ndarray) -> tuple[int, int]:
    """Return the row and column of the pixel of a mask, (H, W) bool, farthest from its edge."""
    framed = np.pad(mask.astype(np.uint8), 1)
    distance = cv2.distanceTransform(framed, cv2.DIST_L2, 3)[1:-1, 1:-1]
    row, column = np.unravel_index(int(distance.argmax()), mask.shape)
    return int(row), int(column)


def _apart(words: Iterable[str], shown: Iterable[str]) -> list[str]:
    """Return the words that have no class in common with anything shown."""
    vocabulary = Vocabulary()

    def senses(word: str) -> set[int]:
        meaning = vocabulary.understand(word)
        return set(meaning.classes) if isinstance(meaning, Meaning) else set()

    taken = set().union(*(senses(word) for word in shown))
    return [word for word in words if not senses(word) & taken]


def _share(count: int, total: int) -> float | None:
    return count / total if total else None


def box_iou(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """Return the intersection over union of two boxes, (x0, y0, x1, y1) each."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return shared / (sum(areas) - shared)


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a Markdown table."""
    columns = {
        'source': 'source', 'present': 'asked for what is there', 'found_rate': 'found',
        'right_place_rate': f'IoU above {RIGHT_OVERLAP}', 'centre_in_target_rate': 'centre on it',
        'mask_iou': 'mask IoU of the found', 'absent_clips': 'clips x absent words',
        'not_found_rate': '"not found" right', 'ground_ms': 'ms',
    }
    lines = [' | '.join(columns.values()), ' | '.join('---' for _ in columns)]
    lines += [' | '.join(_cell(row[key]) for key in columns) for row in rows]
    return '\n'.join(f'| {line} |' for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return ''
    if isinstance(value, float):
        return f'{value:.3f}' if value <= 1 else f'{value:.0f}'
    return str(value)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this evaluation."""
    parser.add_argument('--davis', type=Path, help='folder of DAVIS with an expressions.csv')
    parser.add_argument('--coco', type=Path, help='folder of COCO photographs in YOLO segments')
    parser.add_argument('--clips', type=Path,
                        help='folder that evaluation.rendered made of held-out pictures of --coco')
    parser.add_argument('--model', help="whose decoder draws the masks, for example 'embedded'")
    parser.add_argument('--json', type=Path, help='write the figures there')


def main(args: argparse.Namespace) -> int:
    """Evaluate the embedded grounder and print one line a source."""
    tracker = None
    if args.model:
        from fast_sam2_ros.sam2.checkpoint import load_model
        from fast_sam2_ros.tracker import Tracker

        tracker = Tracker(load_model(args.model))
    grounder = EmbeddedGrounder(tracker)
    photos = split(load_outlined(args.coco), PHOTOS_HELD_OUT)[1] if args.coco else []
    sources = {'scene': scene_questions()}
    if args.davis:
        sources['davis'] = video_questions(args.davis)
    if photos:
        sources['held-out photographs'] = photo_questions(photos)
    if args.clips:
        shown = {name for photo in photos for name, _ in photo.objects}
        sources['rendered clips'] = video_questions(args.clips, {*shown, *WORDS.values()})
    rows, answers, false_finds = [], [], []
    for source, questions in sources.items():
        tally, given, false = ask(grounder, source, questions)
        rows.append(tally.row())
        answers += given
        false_finds += false
    print(table(rows))
    if args.json:
        result = {'environment': environment('cpu'), 'model': args.model, 'rows': rows,
                  'answers': [asdict(answer) for answer in answers],
                  'false_finds': [asdict(find) for find in false_finds]}
        write_json(result, args.json)
    return 0


if __name__ == '__main__':
    argument_parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(argument_parser)
    raise SystemExit(main(argument_parser.parse_args()))
