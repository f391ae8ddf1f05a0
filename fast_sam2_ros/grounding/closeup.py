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
"""The part of an image that shows one target, for networks that look at whole pictures."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from fast_sam2_ros.errors import InputError
import numpy as np

GREY = 127.0
LEAST_SIDE = 64.0  # pixels
EDGE_SHARE = 0.01  # of the longer side: how wide the step from target to background is


@dataclass(frozen=True, eq=False)
class Closeup:
    """A part of an RGB image, (h, w, 3) uint8, and the target in it, (h, w) bool."""

    image: np.ndarray
    mask: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray, mask: np.ndarray, margin: float) -> Closeup:
        """
        Cut a square about the target out of an image, as far as that goes.

        mask: (H, W) bool with true pixels.  margin: the square's side over the longer side of the
        target's box. Raises InputError where the mask is empty or of another size.
        """
        if mask.shape != image.shape[:2]:
            raise InputError(f'a mask of {mask.shape} does not fit an image of {image.shape[:2]}')
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not rows.size:
            raise InputError('an empty mask shows no target')
        window = []
        side = max(margin * (max(np.ptp(rows), np.ptp(columns)) + 1), LEAST_SIDE)
        for line, length in zip((rows, columns), mask.shape):
            middle = (line[0] + line[-1] + 1) / 2
            window.append(slice(max(0, round(middle - side / 2)),
                                min(length, round(middle + side / 2))))
        part = tuple(window)
        return cls(np.ascontiguousarray(image[part]), np.ascontiguousarray(mask[part]))

    def dimmed(self, share: float) -> np.ndarray:
        """Return the picture with `share` of its contrast outside the target, (h, w, 3) uint8."""
        inside = self.mask.astype(np.float32)
        soft = cv2.GaussianBlur(inside, (0, 0), max(1.0, EDGE_SHARE * max(inside.shape)))
        weight = np.maximum(inside, soft)[..., None]
        weight = weight + (1 - weight) * share
        return np.round(GREY + weight * (self.image - GREY)).astype(np.uint8)

    def square(self, picture: np.ndarray) -> np.ndarray:
        """Return a picture of this size with grey beside it, as wide as high."""
        height, width = picture.shape[:2]
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        return cv2.copyMakeBorder(
            picture, top, side - height - top, left, side - width - left, cv2.BORDER_CONSTANT,
            value=(GREY, GREY, GREY))
