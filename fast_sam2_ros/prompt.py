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
"""What points at a target on a frame: a box, points or a mask."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from fast_sam2_ros.errors import InputError
import numpy as np

DISC_SHARE = 0.06  # radius of the disc that stands for a point, of the frame's shorter side


@dataclass(frozen=True, eq=False)
class Prompt:
    """
    Where the target is on a frame: exactly one of `box`, `points` and `mask`.

    `box` is (x0, y0, x1, y1) in pixels of the frame, and is clipped to it; `points` (n, 2) are x
    and y in pixels, with `labels` (n,), 1 on the target and 0 beside it (all 1 if left out);
    `mask` (H, W) is true on the target. Raises InputError where they are malformed.
    """

    box: tuple[float, float, float, float] | None = None
    points: np.ndarray | None = None
    labels: np.ndarray | None = None
    mask: np.ndarray | None = None
    rough: bool = False

    def __post_init__(self) -> None:
        """Check what can be checked without the frame."""
        given = [self.box is not None, self.points is not None, self.mask is not None]
        if sum(given) != 1:
            raise InputError('a prompt is exactly one of a box, points and a mask')
        if self.labels is not None and self.points is None:
            raise InputError('labels belong to points, and there are none')
        if self.rough and self.mask is None:
            raise InputError('only a mask can be rough')
        if self.box is not None:
            self._check_box()
        elif self.points is not None:
            self._check_points()
        elif np.ndim(self.mask) != 2 or not np.any(self.mask):
            raise InputError('a mask prompt must be (height, width) with at least one true pixel')

    def check_against(self, height: int, width: int) -> None:
        """Raise InputError unless the prompt lies on a frame of `height` x `width` pixels."""
        size = f'the {width} x {height} frame'
        if self.box is not None:
            x0, y0, x1, y1 = self.box
            if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
                raise InputError(f'the box {self.box} lies outside {size}')
        elif self.points is not None:
            points = np.asarray(self.points)
            if (points < 0).any() or (points > (width, height)).any():
                raise InputError(f'a point lies outside {size}: {points.tolist()}')
        elif self.mask.shape != (height, width):
            raise InputError(
                f'the mask is {self.mask.shape[1]} x {self.mask.shape[0]} pixels, not like {size}')

    def as_mask(self, height: int, width: int) -> np.ndarray:
        """
        Return the prompt as a (height, width) uint8 mask of zeros and ones.

        A box becomes the ellipse inside it, a point on the target a disc, and a point beside it
        takes a disc away.
        """
        if self.mask is not None:
            return (self.mask != 0).astype(np.uint8)
        mask = np.zeros((height, width), np.uint8)
        if self.box is not None:
            x0, y0, x1, y1 = self.box
            centre, axes = ((x0 + x1) / 2, (y0 + y1) / 2), (max(x1 - x0, 1), max(y1 - y0, 1))
            return cv2.ellipse(mask, (centre, axes, 0), 1, cv2.FILLED)
        labels = np.ones(len(self.points)) if self.labels is None else np.asarray(self.labels)
        radius = max(round(DISC_SHARE * min(height, width)), 1)
        for label in (1, 0):
            for x, y in np.asarray(self.points)[labels == label]:
                cv2.circle(mask, (round(float(x)), round(float(y))), radius, label, cv2.FILLED)
        return mask

    def _check_box(self) -> None:
        box = np.asarray(self.box, dtype=np.float64)
        if box.shape != (4,) or not np.isfinite(box).all():
            raise InputError(f'a box is four finite numbers (x0, y0, x1, y1), not {self.box}')
        if box[0] >= box[2] or box[1] >= box[3]:
            raise InputError(f'the box {self.box} is empty: x0 < x1 and y0 < y1 are needed')

    def _check_points(self) -> None:
        points = np.asarray(self.points, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
            raise InputError(f'points must be (n, 2) with n at least 1, not {points.shape}')
        if not np.isfinite(points).all():
            raise InputError(f'points must be finite, not {points.tolist()}')
        if self.labels is None:
            return
        labels = np.asarray(self.labels)
        if labels.shape != (len(points),) or not np.isin(labels, (0, 1)).all():
            raise InputError('labels must be 0 (beside the target) or 1 (on it), one for a point')
        if not labels.any():
            raise InputError('at least one point must lie on the target (label 1)')
