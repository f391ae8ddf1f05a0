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
Class-activation maps: where, and whether, an image shows what a word means.

EfficientNet-Lite2's classifier is applied to every cell of a pyramid of the image (Zhou et al.,
"Learning Deep Features for Discriminative Localization", CVPR 2016, equation 2) and to means
over windows of cells: single cells are noisy, and the network was trained on means.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from fast_sam2_ros.grounding.vocabulary import Meaning
from fast_sam2_ros.grounding.words import WordHead
from fast_sam2_ros.sam2.efficientnet_lite import EfficientNetLite, normalise
import numpy as np
import torch
from torch import nn, Tensor
from torch.nn import functional

SCALES = (288, 448, 672)  # square root of the area of each level, pixels
WINDOWS = (1, 3, 5)  # cells
MIDDLE_WINDOW = 3
STRIDE = 32
LEAST_SIDE = 64
LEAST_PROBABILITY = 1e-5

# How a word's presence relates to what its classes reach on images that do not show it. Chosen on
# the training photographs of coco128, none of them held out; what comes of it on others is in
# benchmarks/results/grounding.json (evaluation/grounding.py).
BACKGROUND_SHARE = 0.75
CLASS_THRESHOLD = 1.0
LIKENESS_DOUBT = 1.0  # how much higher it is for classes that only resemble the thing


@dataclass(frozen=True, eq=False)
class Response:
    """
    How an image answers to a word.

    margin: the word's presence (the mean over scales and windows of the logit of its highest
        probability in the image) above the value from which on it counts as found.
    activation: (h, w) float32 in [0, 1], the geometric mean over scales and windows.
    peaks: (h, w) float32 in [0, 1], the mean of the middle window: flatter, best at the target.
    """

    margin: float
    activation: np.ndarray
    peaks: np.ndarray


class Scores:
    """What the classifier and the trained words say of every cell of a pyramid."""

    def __init__(self, classifier: nn.Linear, words: WordHead, embeddings: list[Tensor]) -> None:
        """Score embeddings, (1280, h, w) for each scale, on the device of the weights."""
        self._words = words
        classes = [_linear(level, classifier.weight, classifier.bias) for level in embeddings]
        learned = [_linear(level, words.weight, words.bias)
                   for level in embeddings if words.names]
        self._classes = [_windowed(level, w).softmax(0) for level in classes for w in WINDOWS]
        self._learned = [_windowed(level, w).sigmoid() for level in learned for w in WINDOWS]

    def class_maps(self, classes: tuple[int, ...]) -> list[Tensor]:
        """Return the probability of any of the classes for every scale and window, (h, w) each."""
        return [level[list(classes)].sum(0) for level in self._classes]

    def learned_maps(self, word: str) -> list[Tensor]:
        """Return the probability of a trained word, for every scale and window: (h, w) each."""
        index = self._words.names.index(word)
        return [level[index] for level in self._learned]

    def class_peaks(self) -> Tensor:
        """Return the mean over scales and windows of each class's highest probability, (1000,)."""
        return torch.stack([level.flatten(1).amax(1) for level in self._classes]).mean(0).cpu()

    def respond(self, meaning: Meaning, grid: tuple[int, int]) -> Response:
        """Return how the image answers to an understood word, with maps of size `grid`."""
        answers = []
        if meaning.classes:
            maps = self.class_maps(meaning.classes)
            background = self._words.background[list(meaning.classes)].exp().sum().log()
            least = BACKGROUND_SHARE * float(background) + CLASS_THRESHOLD
            least += LIKENESS_DOUBT if meaning.lookalike else 0.0
            answers.append(Response(presence(maps) - least, *_combined(maps, grid)))
        for word in meaning.learned:
            maps = self.learned_maps(word)
            least = float(self._words.threshold[self._words.names.index(word)])
            answers.append(Response(presence(maps) - least, *_combined(maps, grid)))
        return Response(
            max(answer.margin for answer in answers),
            np.max([answer.activation for answer in answers], axis=0),
            np.max([answer.peaks for answer in answers], axis=0),
        )


class View:
    """
    What the network sees in one image, ready to be asked for any word.

    fine, medium: the features at strides 8 and 16 of the largest level, (c, h, w) on the CPU.
    pixels: that level, (H, W, 3) uint8 RGB.  grid: height and width of `fine`.
    """

    @torch.inference_mode()
    def __init__(
        self, network: EfficientNetLite, words: WordHead, image: np.ndarray,
        scales: tuple[int, ...] = SCALES,
    ) -> None:
        """
        Run the network on an RGB image, (H, W, 3) uint8, at one or more scales.

        The weights lie on the same device. Presence is calibrated for `SCALES` only.
        """
        embeddings = []
        for scale in scales:
            self.pixels = resized(image, scale)
            batch = torch.from_numpy(self.pixels).to(words.weight.device).permute(2, 0, 1)[None]
            maps = network(normalise(batch).contiguous(memory_format=torch.channels_last))
            embeddings.append(network.embed(maps[3])[0])
        self.fine, self.medium = maps[1][0].cpu(), maps[2][0].cpu()
        self.grid: tuple[int, int] = tuple(self.fine.shape[-2:])
        self._scores = Scores(network.classifier, words, embeddings)

    @torch.inference_mode()
    def respond(self, meaning: Meaning) -> Response:
        """Return how the image answers to a word that the vocabulary understood."""
        return self._scores.respond(meaning, self.grid)


def presence(maps: list[Tensor]) -> float:
    """Return the mean logit of the highest probability of each map."""
    return float(torch.stack([_logit(level.max()) for level in maps]).mean())


def resized(image: np.ndarray, scale: int) -> np.ndarray:
    """Resize (H, W, 3) to about `scale` squared pixels, sides multiples of 32, aspect kept."""
    height, width = image.shape[:2]
    factor = scale / np.sqrt(height * width)
    size = [
        max(LEAST_SIDE, round(side * factor / STRIDE) * STRIDE) for side in (width, height)
    ]
    shrinks = size[0] < width
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _linear(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Apply (n, c) weights and (n,) biases to every cell of (c, h, w): (n, h, w)."""
    scores = weight @ features.flatten(1) + bias[:, None]
    return scores.unflatten(1, features.shape[1:])


def _windowed(logits: Tensor, window: int) -> Tensor:
    """Return the mean of (n, h, w) over a window around each cell, clipped at the border."""
    return functional.avg_pool2d(
        logits[None], window, 1, window // 2, count_include_pad=False
    )[0]


def _logit(probability: Tensor) -> Tensor:
    return torch.logit(probability.clamp(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY))


def _combined(maps: list[Tensor], grid: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the geometric mean (of odds) of all maps and the mean of the middle windows'."""
    size = grid[::-1]
    grids = [cv2.resize(level.cpu().numpy(), size, interpolation=cv2.INTER_LINEAR)
             for level in maps]
    logits = _logit(torch.from_numpy(np.stack(grids))).mean(0)
    middle = grids[WINDOWS.index(MIDDLE_WINDOW)::len(WINDOWS)]
    return logits.sigmoid().numpy(), np.mean(middle, axis=0)
