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
How often a describer puts a target in the right words, and whether they find it again.

`python -m fast_sam2_ros.evaluation.describing --davis DIR --photos DIR --stamps DIR --json OUT`
shows it the targets on the first frames of DAVIS, the outlined objects on photographs of COCO
and cut-outs pasted on such photographs, the last two from what no training sees. A word is right
where it says the same as the true one, or a kind or a class of it ("car" and "jeep" are right for
each other). Then the embedded grounder searches the picture for the description.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
import json
from pathlib import Path
import time
from typing import Any

import cv2
from fast_sam2_ros.evaluation.davis import load_davis, read_expressions
from fast_sam2_ros.evaluation.environment import environment
from fast_sam2_ros.evaluation.metrics import jaccard
from fast_sam2_ros.evaluation.rows import write_json
from fast_sam2_ros.grounding.describe import Describer, load_describer
from fast_sam2_ros.grounding.embedded import EmbeddedGrounder
from fast_sam2_ros.grounding.result import Grounding
from fast_sam2_ros.grounding.vocabulary import Meaning, Vocabulary
from fast_sam2_ros.training.clips import (
    Cutout, load_stamps, load_yolo_photos, Photo, PHOTOS_HELD_OUT, split, STAMPS_HELD_OUT)
import numpy as np
from tqdm import tqdm

LEAST_AREA = 0.02  # of a photograph: smaller objects are not asked about
SCENE_SIZE = (640, 480)  # width and height of the photographs that stamps are pasted on
STAMP_SIDE = 200  # pixels, of a stamp's longer side on it
FOUND = 0.3  # IoU with the target from which on the grounder has found it again
# Kinds of the things that no class of ImageNet depicts.
KINDS = {
    'rhinoceros': 'mammal', 'giraffe': 'mammal', 'donkey': 'mammal', 'dolphin': 'mammal',
    'deer': 'mammal', 'suitcase': 'bag', 'skateboard': 'toy'}


@dataclass(frozen=True, eq=False)
class Target:
    """An RGB picture, (H, W, 3) uint8, a target in it, (H, W) bool, and what it truly is."""

    source: str
    picture: str
    image: np.ndarray
    mask: np.ndarray
    truth: str


@dataclass(frozen=True)
class Answer:
    """
    What was said of one target.

    right: whether the word fits; None where nothing was said.
    overlap: the IoU of the target with what the grounder finds for the description; None where
        nothing was said, 0 where it finds nothing.
    """

    source: str
    picture: str
    truth: str
    said: str
    right: bool | None
    overlap: float | None
    milliseconds: float


def davis_targets(root: Path) -> Iterator[Target]:
    """Yield the first frame of every sequence, with the words of expressions.csv."""
    expressions = read_expressions(root / 'expressions.csv')
    for sequence in load_davis(root):
        image = next(sequence.images())
        yield Target('davis', sequence.name, image, sequence.truth(0), expressions[sequence.name])


def photo_targets(photos: list[Photo]) -> Iterator[Target]:
    """Yield every outlined object that covers enough of its photograph."""
    for number, photo in enumerate(photos):
        for mask, name in zip(photo.masks, photo.names):
            if mask.mean() >= LEAST_AREA:
                yield Target('photos', f'photo {number}', photo.image, mask, name)


def stamp_targets(stamps: list[Cutout], photos: list[Photo]) -> Iterator[Target]:
    """Yield every stamp whose name is known, pasted on a photograph at a place by chance."""
    rng = np.random.default_rng(0)
    vocabulary = Vocabulary()
    for stamp in stamps:
        meaning = vocabulary.understand(stamp.name)
        scene = cv2.resize(photos[rng.integers(len(photos))].image, SCENE_SIZE)
        scale = min(1.0, STAMP_SIDE / max(stamp.mask.shape))
        pixels = cv2.resize(stamp.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        cover = cv2.resize(stamp.mask.astype(np.float32), pixels.shape[1::-1])[..., None]
        height, width = cover.shape[:2]
        y = rng.integers(scene.shape[0] - height + 1)
        x = rng.integers(scene.shape[1] - width + 1)
        place = np.s_[y:y + height, x:x + width]
        scene[place] = np.round(cover * pixels + (1 - cover) * scene[place])
        mask = np.zeros(scene.shape[:2], bool)
        mask[place] = cover[..., 0] > 0.5
        if isinstance(meaning, Meaning) and not meaning.lookalike:
            yield Target('stamps', stamp.name, scene, mask, stamp.name)


class Judge:
    """Compares words by what the embedded vocabulary says they mean."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Judge by the meanings of `vocabulary`."""
        self._vocabulary = vocabulary

    def fits(self, said: str, truth: str) -> bool | None:
        """
        Return whether one of two texts names the same as the other, a kind or a class of it.

        None where the vocabulary does not know the true word, so that nothing can be said.
        """
        true, spoken = (self._vocabulary.understand(text) for text in (truth, said))
        if not isinstance(true, Meaning):
            return None
        if not isinstance(spoken, Meaning):
            return False
        if true.word == spoken.word:
            return True
        for thing, kind in KINDS.items():
            alike = self._vocabulary.understand(thing)
            if true.lookalike and isinstance(alike, Meaning) and alike.classes == true.classes:
                return self._depicts(kind) <= _all(spoken)
        return _all(true) <= _all(spoken) or _all(spoken) <= _all(true)

    def _depicts(self, word: str) -> set[int | str]:
        meaning = self._vocabulary.understand(word)
        assert isinstance(meaning, Meaning)
        return _all(meaning)


def _all(meaning: Meaning) -> set[int | str]:
    """Return the classes and the trained words of a meaning."""
    return {*meaning.classes, *meaning.learned}


def ask(
    describer: Describer, grounder: EmbeddedGrounder, targets: Iterator[Target]
) -> list[Answer]:
    """Have every target described whose true word is known, and search for it by these words."""
    judge, answers = Judge(grounder.vocabulary), []
    for target in tqdm(targets, 'describe', unit='target', disable=None):
        if judge.fits(target.truth, target.truth) is None:
            continue
        began = time.perf_counter()
        said = describer.describe(target.image, target.mask)
        spent = (time.perf_counter() - began) * 1e3
        right, overlap = None, None
        if said:
            right = judge.fits(said, target.truth)
            found = grounder.ground(target.image, said)
            shown = found.mask if isinstance(found, Grounding) else None
            overlap = 0.0 if shown is None else jaccard(shown, target.mask)
        answers.append(Answer(target.source, target.picture, target.truth, said, right, overlap,
                              spent))
    return answers


def summarise(source: str, answers: list[Answer]) -> dict[str, Any]:
    """Return the shares of right, wrong and no words of a source, and how often they find it."""
    said = [answer for answer in answers if answer.said]
    return {
        'source': source, 'targets': len(answers),
        'right': sum(bool(answer.right) for answer in said) / max(len(answers), 1),
        'wrong': sum(not answer.right for answer in said) / max(len(answers), 1),
        'none': 1 - len(said) / max(len(answers), 1),
        'found_again': sum(answer.overlap >= FOUND for answer in said) / max(len(said), 1),
        'median_ms': float(np.median([answer.milliseconds for answer in answers] or [0.0])),
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this evaluation."""
    parser.add_argument('--davis', type=Path, help='folder of DAVIS with an expressions.csv')
    parser.add_argument('--photos', type=Path, help='folder of COCO photographs in YOLO segments')
    parser.add_argument('--stamps', type=Path, help='folder of cut-outs; needs --photos')
    parser.add_argument('--describer', default='embedded', help='(default: %(default)s)')
    parser.add_argument('--json', type=Path, help='write the figures there')


def main(args: argparse.Namespace) -> int:
    """Evaluate a describer and print one line a source."""
    sources: dict[str, Iterator[Target]] = {}
    if args.davis:
        sources['davis'] = davis_targets(args.davis)
    if args.photos:
        _, photos = split(load_yolo_photos(args.photos), PHOTOS_HELD_OUT)
        sources['photos'] = photo_targets(photos)
        if args.stamps:
            _, stamps = split(load_stamps(args.stamps), STAMPS_HELD_OUT)
            sources['stamps'] = stamp_targets(stamps, photos)
    describer, grounder = load_describer(args.describer), EmbeddedGrounder(None)
    rows, answers = [], []
    for source, targets in sources.items():
        given = ask(describer, grounder, targets)
        rows.append(summarise(source, given) | {'describer': describer.name})
        answers += given
        print(json.dumps(rows[-1]))
    if args.json:
        result = {'environment': environment('cpu'), 'rows': rows,
                  'answers': [asdict(answer) for answer in answers]}
        write_json(result, args.json)
    return 0


if __name__ == '__main__':
    argument_parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(argument_parser)
    raise SystemExit(main(argument_parser.parse_args()))
