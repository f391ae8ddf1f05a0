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
"""What a session says of a frame. Masks are drawn when they are first asked for."""

from __future__ import annotations

from dataclasses import dataclass
import enum
from functools import cached_property

import cv2
from fast_sam2_ros.latency import Latency
from fast_sam2_ros.results import StepResult
import numpy as np

NO_LATENCY = Latency(encode=0.0, route=0.0, attend=0.0, decode=0.0, remember=0.0, total=0.0)


class TargetState(enum.Enum):
    """Where a target is in its life."""

    IDLE = 'idle'  # no target was given
    SEARCHING = 'searching'  # a target was named and not found yet
    TRACKING = 'tracking'
    LOST = 'lost'  # it was tracked, and is out of view or hidden


@dataclass(frozen=True, eq=False)
class TargetReport:
    """
    What one frame gave for one target.

    id: from 1 on, the same for the target's life.
    text: the words that name it, empty where it was pointed at and not described.
    label: what the grounder, or the describer, called it.
    score: the object score's logit; 0 where the tracker did not run.
    message: why the state is what it is, for a person.
    bank_bytes: of its own memory.
    step: the tracker's own result, None where it did not run.
    size: (H, W) of the frame.
    in_view: whether it is tracked and was seen on this frame.
    """

    id: int  # noqa: A003
    text: str
    label: str
    state: TargetState
    score: float
    message: str
    tokens_retained: int
    bank_bytes: int
    step: StepResult | None
    size: tuple[int, int]
    in_view: bool

    @cached_property
    def mask(self) -> np.ndarray:
        """Return the mask, (H, W) uint8 of 0 and 1; all zero where the target is not in view."""
        return self.step.mask(*self.size) if self.in_view else np.zeros(self.size, np.uint8)


@dataclass(frozen=True, eq=False)
class Report:
    """
    What one frame gave.

    state: tracking where any target is tracked, else lost, searching or idle, in this order.
    target_text: the words of all targets, with '; ' between them.
    score, message, tokens_retained, step, label: those of the first target that is tracked, else
        of the first target (`TargetReport`). The message also names the targets that were refused.
    tokens_total: of a frame.
    bank_bytes: of all targets.
    latency: of this frame in ms; its total holds the time of the grounder and of the describer
        where these ran.
    grounded: whether the grounder ran on this frame.
    size: (H, W) of the frame.
    keep_ratio: the share of the tokens that this frame was allowed to keep.
    targets: one report for each, in order of their ids.
    """

    state: TargetState
    target_text: str
    score: float
    message: str
    tokens_retained: int
    tokens_total: int
    bank_bytes: int
    latency: Latency
    step: StepResult | None
    label: str
    grounded: bool
    size: tuple[int, int]
    keep_ratio: float
    targets: tuple[TargetReport, ...]

    @cached_property
    def _shown(self) -> list[TargetReport]:
        """Return the targets in view, those of a lower score first."""
        return sorted((each for each in self.targets if each.in_view), key=lambda each: each.score)

    @property
    def in_view(self) -> bool:
        """Return whether any target is in view; else the mask is all zero."""
        return bool(self._shown)

    @cached_property
    def mask(self) -> np.ndarray:
        """Return the mask of all targets, (H, W) uint8 of 0 and 1."""
        if len(self._shown) == 1:
            return self._shown[0].mask
        mask = np.zeros(self.size, np.uint8)
        for target in self._shown:
            np.bitwise_or(mask, target.mask, out=mask)
        return mask

    def labels(self) -> np.ndarray:
        """
        Return the id of the target that each pixel shows, (H, W) uint8, 0 for none of them.

        A pixel in several masks goes to the target with the highest score.
        """
        if len(self._shown) == 1:
            mask, number = self._shown[0].mask, self._shown[0].id
            return mask if number == 1 else mask * np.uint8(number)
        labels = np.zeros(self.size, np.uint8)
        for target in self._shown:
            cv2.copyTo(np.full(self.size, target.id, np.uint8), target.mask, labels)
        return labels

    def confidence(self) -> np.ndarray:
        """Return each pixel's probability of being on a target, (H, W) float32, 0 out of view."""
        if not self._shown:
            return np.zeros(self.size, np.float32)
        return np.maximum.reduce([target.step.confidence(*self.size) for target in self._shown])

    @property
    def kept(self) -> np.ndarray | None:
        """Return the tokens (h, w) bool that any target kept; None where no tracker ran."""
        kept = [target.step.kept for target in self.targets if target.step is not None]
        return np.logical_or.reduce(kept) if kept else None
