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
"""What a step answers: on the device, and as the host gets it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from fast_sam2_ros.latency import Latency
from fast_sam2_ros.region import Extent
from fast_sam2_ros.sam2.parts import Decoded
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, eq=False)
class StepResult:
    """
    A frame's answer.

    `logits` (4h, 4w) float32 on the model's device is the mask at a quarter of the input's
    resolution; `score` the logit of the target being in view, `iou` the predicted overlap with
    the truth. `retained` (K,) are the tokens that took part in memory attention, None for all; a
    prompted frame looks at no memory, and all of its tokens count as retained. `bank_bytes` is the
    size of the memory bank. `likeness`, in [-1, 1], is how much what the mask shows looks like the
    target (`Looks.likeness`); 1 where there is no target to compare with. `grid` is that of the
    tokens.
    """

    logits: Tensor
    score: float
    iou: float
    tokens_retained: int
    tokens_total: int
    bank_bytes: int
    latency: Latency
    grid: tuple[int, int]
    retained: Tensor | None = None
    likeness: float = 1.0

    @cached_property
    def kept(self) -> np.ndarray:
        """Which tokens took part in memory attention, (h, w) bool."""
        kept = np.full(self.grid, self.retained is None)
        if self.retained is not None:
            kept.flat[self.retained.cpu().numpy()] = True
        return kept

    def mask(self, height: int, width: int) -> np.ndarray:
        """Return the mask at a frame's size, (height, width) uint8, 1 on the target."""
        return (self._resized(height, width) > 0).to(torch.uint8).cpu().numpy()

    def confidence(self, height: int, width: int) -> np.ndarray:
        """Return each pixel's probability of being the target, (height, width) float32."""
        return self._resized(height, width).sigmoid().cpu().numpy()

    def _resized(self, height: int, width: int) -> Tensor:
        return functional.interpolate(
            self.logits[None, None], size=(height, width), mode='bilinear',
            align_corners=False)[0, 0]


@dataclass(frozen=True)
class Answer:
    """
    What a step says of one target, still on the device.

    `decoded` on the whole frame, `retained` (K,) places of the tokens that took part, None for
    all, `likeness` (), `seed` (h, w), 1 on the tokens that the target covers.
    """

    decoded: Decoded
    retained: Tensor | None
    likeness: Tensor
    seed: Tensor


def fetch(
    answers: list[Answer], extents: bool
) -> tuple[list[list[float]], list[Extent | None]]:
    """
    Get the figures of several answers to the host, in one transfer.

    Returns score, iou and likeness of each, and where they are if `extents` are wanted, None for
    a target that is not seen.
    """
    figures = torch.stack([
        torch.stack([answer.decoded.score, answer.decoded.iou, answer.likeness])
        for answer in answers])
    if not extents:
        return figures.tolist(), []
    edges = torch.stack([_edges(answer.seed) for answer in answers])
    rows = torch.cat([figures, edges], dim=1).tolist()
    seen = [row[0] > 0 and row[3] <= row[5] for row in rows]
    return ([row[:3] for row in rows],
            [Extent(*map(int, row[3:])) if there else None for row, there in zip(rows, seen)])


def _edges(seed: Tensor) -> Tensor:
    """Return the first row, first column, last row and last column of ones in (h, w), (4,)."""
    ends = []
    for axis in (1, 0):
        used = seed.amax(axis) > 0
        place = torch.arange(len(used), device=seed.device, dtype=seed.dtype)
        ends.append((torch.where(used, place, len(used)).amin(),
                     torch.where(used, place, -1).amax()))
    (top, bottom), (left, right) = ends
    return torch.stack([top, left, bottom, right])
