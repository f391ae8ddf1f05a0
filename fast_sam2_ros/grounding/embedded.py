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
"""The grounder that needs no download: activation maps of an ImageNet classifier, made masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
from fast_sam2_ros.grounding.activation import Response, View
from fast_sam2_ros.grounding.colours import colour_share
from fast_sam2_ros.grounding.refine import bounding_box, LOOSE, Refiner, TIGHT
from fast_sam2_ros.grounding.result import Grounding, NotFound
from fast_sam2_ros.grounding.vocabulary import Meaning, Vocabulary
from fast_sam2_ros.grounding.words import WordHead
from fast_sam2_ros.prompt import Prompt
from fast_sam2_ros.sam2.efficientnet_lite import EfficientNetLite2
from fast_sam2_ros.sam2.parts import check_frame
import numpy as np
import torch

if TYPE_CHECKING:
    from fast_sam2_ros.tracker import Tracker

MAX_PLACES = 4
PLACE_SHARE = 0.2  # of the highest peak: another place of the same word is at least this high
RIVAL_SHARE = 0.7  # of the highest peak: among those, the one with most activation is taken
ZOOM_SHARE = 0.48  # of the picture's area: a larger window is not worth a closer look
CLOSER_LOOKS = 2
ZOOM_SCALES = (224, 352)  # as activation.SCALES, for the window of a small target
ZOOM_MARGIN = 1.6  # window's side over the longer side of the region in the first map
LEAST_WINDOW = 96.0  # pixels
COLOUR_SHARE = 0.12  # of a target's pixels: from here on it may be called by that colour
LEAST_AGREEMENT = 0.5  # IoU of the decoder's mask and the map's, below which the map's is taken
MENDING_ROUNDS = 6
MENDED = 0.99  # IoU of two rounds, from which on another one changes nothing
OUTSIDE_RELEVANCE = 0.3  # of the activation, outside the mask
INSIDE_RELEVANCE = 0.6  # inside the mask where nothing is activated


@dataclass(frozen=True)
class _Place:
    """Where the target may be: a peak (row, column), its height, all activation around it."""

    peak: tuple[int, int]
    strength: float
    mass: float


@dataclass(frozen=True, eq=False)
class _Drawn:
    """A prompt, the mask (H, W) bool that the decoder gives for it, and what it thinks of that."""

    prompt: Prompt
    mask: np.ndarray
    iou: float


class EmbeddedGrounder:
    """Finds about a thousand nouns, their parents and synonyms, with colours; "not found" else."""

    name = 'embedded'

    def __init__(self, tracker: Tracker | None, device: str = 'cpu') -> None:
        """
        Load the ImageNet network and the words trained here.

        tracker: its decoder draws the mask; without one the mask comes from the map alone.
        Raises CheckpointError where weights are missing.
        """
        self._tracker = tracker
        self._network = EfficientNetLite2.pretrained().to(device)
        words = WordHead.load()
        self._words = WordHead(
            words.names,
            *(value.to(device)
              for value in (words.weight, words.bias, words.threshold, words.background)),
        )
        self.vocabulary = Vocabulary(words.names)

    def knows(self, text: str) -> bool:
        """Return whether the target that `text` names is in the vocabulary."""
        return self.vocabulary.knows(text)

    @torch.inference_mode()
    def ground(self, image: np.ndarray, text: str) -> Grounding | NotFound:
        """
        Find the target that `text` names in an RGB image, (H, W, 3) uint8.

        Raises InputError where the image is of another kind. The mask is the target's; the
        relevance lies on the network's grid of stride 8, about 84 cells in each direction.
        """
        check_frame(image)
        meaning = self.vocabulary.understand(text)
        if isinstance(meaning, NotFound):
            return meaning
        view = self.look(image)
        response = view.respond(meaning)
        score = 1 / (1 + np.exp(-response.margin))
        if response.margin < 0:
            return NotFound(
                f'no {meaning.word} in view (score {score:.2f}, at least 0.50 is needed)'
            )
        refiner = Refiner(view, response.activation, TIGHT)
        peak = self._choose(image, meaning, refiner, response)
        if isinstance(peak, NotFound):
            return peak
        prompt, mask = self._draw(image, [
            self._outline(image, meaning, each, peak)
            for each in (refiner, Refiner(view, response.activation, LOOSE))])
        label = f'{meaning.label} (by likeness)' if meaning.lookalike else meaning.label
        return Grounding(
            label, float(score), bounding_box(mask), mask,
            _relevance(response.activation, mask), prompt,
        )

    def look(self, image: np.ndarray) -> View:
        """Return what the network sees in an RGB image, (H, W, 3) uint8."""
        return View(self._network, self._words, image)

    def _choose(
        self, image: np.ndarray, meaning: Meaning, refiner: Refiner, response: Response
    ) -> tuple[int, int] | NotFound:
        """Return the peak of the most prominent place, or of the one that shows the colour."""
        places = _places(refiner, response)
        if meaning.colour is None:
            rivals = [p for p in places if p.strength >= RIVAL_SHARE * places[0].strength]
            return max(rivals, key=lambda place: place.mass).peak
        best, best_strength = None, 0.0
        for place in places:
            mask = self._outline(image, meaning, refiner, place.peak)
            share = colour_share(image, mask, meaning.colour)
            if share >= COLOUR_SHARE and share * place.strength > best_strength:
                best, best_strength = place.peak, share * place.strength
        if best is None:
            return NotFound(f'a {meaning.word} is in view, but none that looks {meaning.colour}')
        return best

    def _outline(
        self, image: np.ndarray, meaning: Meaning, refiner: Refiner, peak: tuple[int, int]
    ) -> np.ndarray:
        """Return the mask around a peak of the map, (H, W) bool; look closer where it is small."""
        height, width = image.shape[:2]
        x0, y0, x1, y1 = 0, 0, width, height
        for _ in range(CLOSER_LOOKS):
            region = cv2.resize(refiner.region(peak).astype(np.uint8), (x1 - x0, y1 - y0),
                                interpolation=cv2.INTER_NEAREST)
            left, top, right, bottom = window_around(
                np.array(bounding_box(region > 0)), (y1 - y0, x1 - x0))
            if (right - left) * (bottom - top) > ZOOM_SHARE * region.size:
                break
            x0, y0, x1, y1 = x0 + left, y0 + top, x0 + right, y0 + bottom
            part = np.ascontiguousarray(image[y0:y1, x0:x1])
            view = View(self._network, self._words, part, ZOOM_SCALES)
            response = view.respond(meaning)
            near = cv2.resize(region[top:bottom, left:right], view.grid[::-1],
                              interpolation=cv2.INTER_NEAREST)
            refiner = Refiner(view, response.activation, refiner.tightness)
            peak = highest(response.peaks * near)
        mask = np.zeros((height, width), bool)
        mask[y0:y1, x0:x1] = full_size(refiner.mask(peak), (y1 - y0, x1 - x0))
        return mask

    def _draw(
        self, image: np.ndarray, outlines: list[np.ndarray]
    ) -> tuple[Prompt, np.ndarray]:
        """
        Return the prompt for the tracker and the mask that it gives: the decoder's or ours.

        Of several outlines, (H, W) bool, the one is taken whose mask the decoder thinks best
        (`StepResult.iou`); without a tracker the first.
        """
        if self._tracker is None:
            return Prompt(mask=outlines[0]), outlines[0]
        draw = self._boxed if self._tracker.takes_points else self._mended
        best = max((draw(image, outline) for outline in outlines), key=lambda drawn: drawn.iou)
        return best.prompt, best.mask

    def _boxed(self, image: np.ndarray, outline: np.ndarray) -> _Drawn:
        """Let the decoder draw what is in an outline's box, if that is about the same."""
        prompt = Prompt(box=bounding_box(outline))
        drawn = self._segment(image, prompt)
        if _overlap(drawn.mask, outline) < LEAST_AGREEMENT:
            return _Drawn(Prompt(mask=outline), outline, 0.0)
        return drawn

    def _mended(self, image: np.ndarray, outline: np.ndarray) -> _Drawn:
        """Let the tracker mend an outline, as long as the answer is still about the same place."""
        best = _Drawn(Prompt(mask=outline), outline, 0.0)
        for _ in range(MENDING_ROUNDS):
            mended = self._segment(image, Prompt(mask=best.mask, rough=True))
            agreement = _overlap(mended.mask, best.mask)
            if agreement < LEAST_AGREEMENT:
                break
            best = _Drawn(Prompt(mask=mended.mask), mended.mask, mended.iou)
            if agreement >= MENDED:
                break
        return best

    def _segment(self, image: np.ndarray, prompt: Prompt) -> _Drawn:
        """Return what the tracker draws, an empty mask where it sees no target."""
        result = self._tracker.segment(image, prompt)
        mask = (result.mask(*image.shape[:2]) > 0) & (result.score > 0)
        return _Drawn(prompt, mask, result.iou)


def _places(refiner: Refiner, response: Response) -> list[_Place]:
    """Return the peaks of a response, highest first, each outside the regions of those before."""
    places: list[_Place] = []
    remaining = response.peaks.copy()
    for _ in range(MAX_PLACES):
        peak = highest(remaining)
        strength = float(remaining[peak])
        if places and strength < PLACE_SHARE * places[0].strength:
            break
        region = refiner.region(peak)
        places.append(_Place(peak, strength, float(response.activation[region].sum())))
        remaining[region] = 0
    return places


def highest(values: np.ndarray) -> tuple[int, int]:
    """Return the row and column of the greatest value of a map."""
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    return int(row), int(column)


def window_around(box: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return a square window (x0, y0, x1, y1) about a box of pixels, cut at (height, width)."""
    side = max(ZOOM_MARGIN * float(max(box[2] - box[0], box[3] - box[1])), LEAST_WINDOW)
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    x0, y0 = max(0, round(x - side / 2)), max(0, round(y - side / 2))
    return x0, y0, min(size[1], round(x + side / 2)), min(size[0], round(y + side / 2))


def full_size(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a mask, (h, w) bool with true pixels, at (height, width), never empty."""
    height, width = size
    smooth = cv2.resize(mask.astype(np.float32), (width, height)) > 0.5
    if smooth.any():
        return smooth
    return cv2.resize(
        mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Return the intersection over union of two masks, (H, W) bool."""
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 0.0


def _relevance(activation: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the activation, (h, w) in [0, 1], raised inside the mask and lowered outside."""
    height, width = activation.shape
    inside = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    share = activation / max(float(activation.max()), 1e-6)
    raised = INSIDE_RELEVANCE + (1 - INSIDE_RELEVANCE) * share
    relevance = inside * raised + (1 - inside) * OUTSIDE_RELEVANCE * share
    return relevance.clip(0, 1).astype(np.float32)
