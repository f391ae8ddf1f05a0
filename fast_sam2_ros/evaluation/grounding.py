# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How often the embedded grounder finds what is there, and "finds" what is not.

`python -m fast_sam2_ros.evaluation.grounding --davis DIR --coco DIR --json OUT` looks at the
demo's scene, at sequences of DAVIS and at outlined photographs of COCO: what is shown must be
found, its mask and box are compared with the truth, and names of things that are not shown must
be answered with "not found". Without --model the mask comes from the grounder alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
import json
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from fast_sam2_ros.demo.scene import Scene
from fast_sam2_ros.evaluation.davis import load_davis, read_expressions
from fast_sam2_ros.evaluation.metrics import jaccard
from fast_sam2_ros.evaluation.rows import environment
from fast_sam2_ros.grounding.embedded import EmbeddedGrounder
from fast_sam2_ros.grounding.refine import bounding_box
from fast_sam2_ros.grounding.result import Grounding, NotFound
from fast_sam2_ros.grounding.vocabulary import Meaning
from fast_sam2_ros.training.words import COCO_NAMES, load_outlined

# In none of the pictures of the scene and of DAVIS.
ABSENT = (
    'zebra|pizza|piano|laptop|umbrella|penguin|butterfly|teapot|castle|guitar|'
    'banana|scissors|submarine|spider|sandwich|bed|lobster|tank|keyboard|snake|strawberry'
).split('|')
LEAST_AREA = 0.02  # of a photograph: a smaller thing is neither expected nor forbidden
SCENE_STEP = 0.6  # seconds between the frames of the demo's scene that are looked at
SCENE_TEXTS = {'cat': 'cat', 'cup and saucer': 'cup', 'motorcycle': 'motorcycle'}


@dataclass(frozen=True, eq=False)
class Question:
    """A picture (H, W, 3) uint8 RGB, what it shows with (H, W) masks, and names of what not."""

    picture: str
    image: np.ndarray
    present: dict[str, list[np.ndarray]]
    absent: list[str]


@dataclass
class Tally:
    """The answers over one source of pictures; the overlaps are those of what was found."""

    source: str
    present: int = 0
    found: int = 0
    absent: int = 0
    false: int = 0
    mask_overlaps: list[float] = field(default_factory=list)
    box_overlaps: list[float] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """Return the tally as plain numbers."""
        return {
            'source': self.source, 'present': self.present, 'absent': self.absent,
            'found_rate': self.found / max(self.present, 1),
            'false_rate': self.false / max(self.absent, 1),
            'mask_iou': float(np.mean(self.mask_overlaps)) if self.mask_overlaps else None,
            'box_iou': float(np.mean(self.box_overlaps)) if self.box_overlaps else None,
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


def scene_questions() -> Iterator[Question]:
    """Yield frames of the demo's scene on which the thing is in full view, or out of view."""
    scene = Scene(rate=1 / SCENE_STEP)
    for index in range(len(scene)):
        image, truth = scene.frame(index)
        least = LEAST_AREA * image.shape[0] * image.shape[1]
        present = {SCENE_TEXTS[name]: [mask > 0] for name, mask in truth.items()
                   if mask.sum() > least}
        yield Question(f'scene {index}', image, present, ABSENT)


def davis_questions(root: Path, step: int) -> Iterator[Question]:
    """Yield every `step`th frame of each sequence, with the words of its expressions.csv."""
    expressions = read_expressions(root / 'expressions.csv')
    for sequence in load_davis(root):
        for index, image in enumerate(sequence.images()):
            if index % step == 0:
                truth = {expressions[sequence.name]: [sequence.truth(index)]}
                yield Question(f'{sequence.name} {index}', image, truth, ABSENT)


def coco_questions(root: Path) -> Iterator[Question]:
    """Yield outlined photographs; every class of COCO that is not outlined is absent."""
    for photo in load_outlined(root):
        present, seen = {}, set()
        for name, _ in photo.objects:
            if name in seen:
                continue
            seen.add(name)
            if photo.union(name).mean() >= LEAST_AREA:
                present[name] = [mask for other, mask in photo.objects if other == name]
        yield Question(photo.name, photo.image, present,
                       [name for name in COCO_NAMES if name not in seen])


def ask(
    grounder: EmbeddedGrounder, source: str, questions: Iterator[Question]
) -> tuple[Tally, list[Answer]]:
    """Put the questions; names that the grounder does not know are left out."""
    tally, answers = Tally(source), []
    for question in tqdm(questions, source, unit='picture'):
        view = grounder.look(question.image)
        for text in question.absent:
            meaning = grounder.vocabulary.understand(text)
            if isinstance(meaning, Meaning):
                tally.absent += 1
                tally.false += view.respond(meaning).margin >= 0
        for text, masks in question.present.items():
            meaning = grounder.vocabulary.understand(text)
            if isinstance(meaning, NotFound):
                continue
            tally.present += 1
            found = grounder.ground(question.image, text)
            overlap, box_overlap = 0.0, 0.0
            if isinstance(found, Grounding) and found.mask is not None:
                tally.found += 1
                overlap = max(jaccard(found.mask, mask) for mask in masks)
                box_overlap = max(box_iou(found.box, bounding_box(mask)) for mask in masks)
                tally.mask_overlaps.append(overlap)
                tally.box_overlaps.append(box_overlap)
            answers.append(Answer(source, question.picture, text,
                                  view.respond(meaning).margin, overlap, box_overlap))
    return tally, answers


def box_iou(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """Return the intersection over union of two boxes, (x0, y0, x1, y1) each."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return shared / (sum(areas) - shared)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this evaluation."""
    parser.add_argument('--davis', type=Path, help='folder of DAVIS with an expressions.csv')
    parser.add_argument('--davis-step', type=int, default=20, help='look at every so many frames')
    parser.add_argument('--coco', type=Path, help='folder of COCO photographs in YOLO segments')
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
    sources = {'scene': scene_questions()}
    if args.davis:
        sources['davis'] = davis_questions(args.davis, args.davis_step)
    if args.coco:
        sources['coco'] = coco_questions(args.coco)
    rows, answers = [], []
    for source, questions in sources.items():
        tally, given = ask(grounder, source, questions)
        rows.append(tally.row())
        answers += given
        print(json.dumps(rows[-1]))
    if args.json:
        result = {'environment': environment('cpu'), 'rows': rows,
                  'answers': [asdict(answer) for answer in answers]}
        args.json.write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')
    return 0


if __name__ == '__main__':
    argument_parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(argument_parser)
    raise SystemExit(main(argument_parser.parse_args()))
