# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The grounder that needs no download: activation maps of an ImageNet classifier, made masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from fast_sam2_ros.grounding.activation import View
from fast_sam2_ros.grounding.colours import colour_share
from fast_sam2_ros.grounding.refine import bounding_box, Refiner
from fast_sam2_ros.grounding.result import Grounding, NotFound
from fast_sam2_ros.grounding.vocabulary import Meaning, Vocabulary
from fast_sam2_ros.grounding.words import WordHead
from fast_sam2_ros.sam2.efficientnet_lite import EfficientNetLite0
from fast_sam2_ros.sam2.parts import check_frame
from fast_sam2_ros.tracker import Prompt

if TYPE_CHECKING:
    from fast_sam2_ros.tracker import Tracker

MAX_CANDIDATES = 4
CANDIDATE_SHARE = 0.2  # of the highest peak: a rival is at least this high
COLOUR_SHARE = 0.12  # of a target's pixels: from here on it may be called by that colour
LEAST_AGREEMENT = 0.5  # IoU of the decoder's mask and the map's, below which the map's is taken
MENDING_ROUNDS = 2
OUTSIDE_RELEVANCE = 0.3  # of the activation, outside the mask
INSIDE_RELEVANCE = 0.6  # inside the mask where nothing is activated


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A place where the target may be: its activation, its mask (H, W) bool, its highest point."""

    strength: float
    mask: np.ndarray
    point: tuple[float, float]


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
        self._network = EfficientNetLite0.pretrained().to(device)
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
        refiner = Refiner(view, response.activation)
        candidate = self._choose(image, meaning, refiner, response.peaks)
        if isinstance(candidate, NotFound):
            return candidate
        prompt, mask = self._draw(image, candidate)
        label = f'{meaning.label} (by likeness)' if meaning.lookalike else meaning.label
        return Grounding(
            label, float(score), bounding_box(mask), mask,
            _relevance(response.activation, mask), prompt,
        )

    def look(self, image: np.ndarray) -> View:
        """Return what the network sees in an RGB image, (H, W, 3) uint8."""
        return View(self._network, self._words, image)

    def _choose(
        self, image: np.ndarray, meaning: Meaning, refiner: Refiner, peaks: np.ndarray
    ) -> _Candidate | NotFound:
        """Return the strongest candidate, or the one that shows most of the colour asked for."""
        if meaning.colour is None:
            return next(_candidates(image, refiner, peaks))
        best, best_strength = None, 0.0
        for candidate in _candidates(image, refiner, peaks):
            share = colour_share(image, candidate.mask, meaning.colour)
            if share >= COLOUR_SHARE and share * candidate.strength > best_strength:
                best, best_strength = candidate, share * candidate.strength
        if best is None:
            return NotFound(f'a {meaning.word} is in view, but none that looks {meaning.colour}')
        return best

    def _draw(self, image: np.ndarray, candidate: _Candidate) -> tuple[Prompt, np.ndarray]:
        """Return the prompt for the tracker and the mask that it gives: the decoder's or ours."""
        own = Prompt(mask=candidate.mask)
        if self._tracker is None:
            return own, candidate.mask
        if not self._tracker.takes_points:
            mask = self._mended(image, candidate.mask)
            return Prompt(mask=mask), mask
        best, best_mask, best_agreement = own, candidate.mask, LEAST_AGREEMENT
        prompts = (
            Prompt(box=bounding_box(candidate.mask)),
            Prompt(points=np.array([candidate.point])),
        )
        for prompt in prompts:
            mask = self._segment(image, prompt)
            agreement = _overlap(mask, candidate.mask)
            if agreement > best_agreement:
                best, best_mask, best_agreement = prompt, mask, agreement
        return best, best_mask

    def _mended(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Let the tracker mend a mask, as long as the answer is still about the same place."""
        for _ in range(MENDING_ROUNDS):
            mended = self._segment(image, Prompt(mask=mask, rough=True))
            if _overlap(mended, mask) < LEAST_AGREEMENT:
                break
            mask = mended
        return mask

    def _segment(self, image: np.ndarray, prompt: Prompt) -> np.ndarray:
        """Return the tracker's mask, (H, W) bool, empty where it sees no target."""
        result = self._tracker.segment(image, prompt)
        return (result.mask(*image.shape[:2]) > 0) & (result.score > 0)


def _candidates(image: np.ndarray, refiner: Refiner, peaks: np.ndarray):
    """Yield candidates, strongest first; a drawn one takes its surroundings out of the map."""
    height, width = image.shape[:2]
    remaining = peaks.copy()
    highest = float(peaks.max())
    for _ in range(MAX_CANDIDATES):
        peak = tuple(int(i) for i in np.unravel_index(remaining.argmax(), remaining.shape))
        strength = float(remaining[peak])
        if strength < CANDIDATE_SHARE * highest:
            return
        small = refiner.mask(peak)
        mask = cv2.resize(small.astype(np.float32), (width, height)) > 0.5
        if not mask.any():
            mask = cv2.resize(small.astype(np.uint8), (width, height),
                              interpolation=cv2.INTER_NEAREST) > 0
        point = ((peak[1] + 0.5) * width / peaks.shape[1], (peak[0] + 0.5) * height / peaks.shape[0])
        yield _Candidate(strength, mask, point)
        taken = cv2.resize(small.astype(np.uint8), peaks.shape[::-1]) > 0
        remaining[taken | refiner.region(peak)] = 0


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
    return (inside * raised + (1 - inside) * OUTSIDE_RELEVANCE * share).astype(np.float32)
