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
How well a mask fits the truth: region similarity J and contour accuracy F.

Both, and what is said of them over a video (mean, recall and decay), as Perazzi et al., "A
Benchmark Dataset and Evaluation Methodology for Video Object Segmentation", CVPR 2016, section 4,
define them and the DAVIS benchmark (davis2017-evaluation) computes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

import cv2
import numpy as np

BOUND = 0.008  # of the image's diagonal: how far a matching contour may be
GOOD = 0.5  # a frame above this counts for the recall
QUARTERS = 4


@dataclass(frozen=True)
class OverTime:
    """
    What J or F was over the frames of a video.

    mean: over the frames, in [0, 1]; recall: the share of frames above 0.5; decay: how much the
    first quarter of the frames is better than the last, in [-1, 1].
    """

    mean: float
    recall: float
    decay: float


def over_time(values: Sequence[float]) -> OverTime:
    """
    Return the mean, the recall and the decay of J or F, one value a frame, one at least.

    The quarters meet at the frames nearest to 1/4, 1/2 and 3/4 of the way (the later one of two
    as near), and a frame at which two meet is in both, as the benchmark has it.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f'one value a frame is needed, not an array of {values.shape}')
    last = len(values) - 1
    meets = [(2 * quarter * last + QUARTERS) // (2 * QUARTERS) for quarter in range(QUARTERS + 1)]
    first_quarter, last_quarter = values[:meets[1] + 1], values[meets[-2]:]
    return OverTime(
        mean=float(values.mean()), recall=float(np.mean(values > GOOD)),
        decay=float(first_quarter.mean() - last_quarter.mean()))


def _check(mask: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if mask.ndim != 2 or mask.shape != truth.shape:
        raise ValueError(f'masks must be (H, W) of one size, not {mask.shape} and {truth.shape}')
    return mask.astype(bool), truth.astype(bool)


def jaccard(mask: np.ndarray, truth: np.ndarray) -> float:
    """Return J, the intersection over union of two masks (H, W); 1 where both are empty."""
    mask, truth = _check(mask, truth)
    union = np.count_nonzero(mask | truth)
    return np.count_nonzero(mask & truth) / union if union else 1.0


def contour(mask: np.ndarray) -> np.ndarray:
    """
    Return the contour of a mask (H, W), one pixel wide, as (H, W) bool.

    A pixel is on it when it differs from its right, lower or lower right neighbour. There is
    nothing to differ from outside the image.
    """
    grown = np.pad(mask.astype(bool), ((0, 1), (0, 1)), mode='edge')
    here = grown[:-1, :-1]
    return (here ^ grown[:-1, 1:]) | (here ^ grown[1:, :-1]) | (here ^ grown[1:, 1:])


def boundary_f(mask: np.ndarray, truth: np.ndarray, bound: float = BOUND) -> float:
    """
    Return F, the harmonic mean of precision and recall of the contour of a mask (H, W).

    A contour pixel matches when the other contour has one within `bound` times the diagonal,
    rounded up to pixels. 1 where neither mask has a contour, 0 where only one has.
    """
    mask, truth = _check(mask, truth)
    radius = math.ceil(bound * math.hypot(*mask.shape))
    ours, theirs = contour(mask), contour(truth)
    if not ours.any() or not theirs.any():
        return float(ours.any() == theirs.any())
    y, x = np.ogrid[-radius:radius + 1, -radius:radius + 1]
    disk = (x * x + y * y <= radius * radius).astype(np.uint8)
    near_ours = cv2.dilate(ours.astype(np.uint8), disk).astype(bool)
    near_theirs = cv2.dilate(theirs.astype(np.uint8), disk).astype(bool)
    precision = np.count_nonzero(ours & near_theirs) / np.count_nonzero(ours)
    recall = np.count_nonzero(theirs & near_ours) / np.count_nonzero(theirs)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
