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
From a coarse activation map to a mask that follows the edges of the image.

Two steps, neither trained: ridge regression of the map on the image's own features, which spreads
it over all that looks alike, and GrabCut (Rother et al., SIGGRAPH 2004) on the colours.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from fast_sam2_ros.grounding.activation import View
import numpy as np

RANGE = 0.5  # of the peak, above the floor: what maps to 1
RIDGE = 0.01
FINE_WEIGHT = 0.7  # of the stride-8 features beside those of stride 16
CERTAIN = 0.85
GRABCUT_ROUNDS = 3


@dataclass(frozen=True)
class Tightness:
    """
    How closely a mask keeps to the activation.

    region: share of the peak that bounds the region of one target in the activation map.
    floor: share of the peak that maps to 0.
    reach: how far beyond its region a target extends, in square roots of the region's area.
    background, probable: likelihoods below which the background is sure, and above which the
        target is probable.
    """

    region: float
    floor: float
    reach: float
    background: float
    probable: float


# A part of the target stands for all of it (a cat's face), or more than it is activated (the lake
# around a boat). One setting for both does not exist.
TIGHT = Tightness(region=0.4, floor=0.3, reach=0.5, background=0.2, probable=0.4)
LOOSE = Tightness(region=0.25, floor=0.05, reach=0.75, background=0.05, probable=0.25)


class Refiner:
    """Draws masks in one image, for one activation map."""

    def __init__(self, view: View, activation: np.ndarray, tightness: Tightness) -> None:
        """Spread the activation, (h, w) in [0, 1] on the grid of `view`, over what looks alike."""
        self._view = view
        self.tightness = tightness
        self._share = activation / max(float(activation.max()), 1e-6)
        self._target = np.clip((self._share - tightness.floor) / RANGE, 0, 1)
        self._spread = _ridge(_features(view), self._target.ravel()).reshape(view.grid)

    def region(self, peak: tuple[int, int]) -> np.ndarray:
        """Return the part of the activation map around a peak, (h, w) bool."""
        least = self.tightness.region * min(1.0, float(self._share[peak]))
        return component(self._share >= max(least, 1e-6), peak)

    def mask(self, peak: tuple[int, int]) -> np.ndarray:
        """Return the target around a peak (row, column of the grid): bool at twice the grid."""
        region = self.region(peak)
        level = max(float(self._target[region].mean()), 1e-3)
        distance = cv2.distanceTransform((~region).astype(np.uint8), cv2.DIST_L2, 3)
        near = np.exp(-distance / (self.tightness.reach * np.sqrt(region.sum()) + 2))
        height, width = (2 * side for side in self._view.grid)
        likely = cv2.resize(
            (np.clip(self._spread / level, 0, 1) * near).astype(np.float32), (width, height)
        )
        rough = cv2.resize(region.astype(np.uint8), (width, height)) > 0
        centre = (2 * peak[0], 2 * peak[1])
        cut = _grab_cut(
            cv2.resize(self._view.pixels, (width, height)), likely, self.tightness)
        cut = cv2.morphologyEx(cut.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3))) > 0
        return component(cut, centre) if cut[centre] else rough


def component(mask: np.ndarray, seed: tuple[int, int]) -> np.ndarray:
    """Return the connected part of `mask`, (h, w) bool, that holds `seed`; empty if it is off."""
    _, labels = cv2.connectedComponents(mask.astype(np.uint8))
    return (labels == labels[seed]) & mask[seed]


def bounding_box(mask: np.ndarray) -> tuple[float, float, float, float]:
    """Return (x0, y0, x1, y1) around the true pixels of a mask that has some; x1, y1 exclusive."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _features(view: View) -> np.ndarray:
    """Return the features of every cell at stride 8: (h * w, 152), each kind of unit energy."""
    height, width = view.grid
    medium = cv2.resize(view.medium.permute(1, 2, 0).numpy(), (width, height))
    fine = view.fine.permute(1, 2, 0).numpy()
    return np.concatenate(
        [_unit(medium.reshape(height * width, -1)),
         FINE_WEIGHT * _unit(fine.reshape(height * width, -1))],
        axis=1,
    )


def _unit(features: np.ndarray) -> np.ndarray:
    centred = features - features.mean(0)
    return centred / max(float(np.sqrt((centred**2).sum(1).mean())), 1e-6)


def _ridge(features: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return what ridge regression of (n,) on (n, c), centred, predicts for the same rows."""
    count, channels = features.shape
    gram = features.T @ features / count + RIDGE * np.eye(channels, dtype=features.dtype)
    mean = target.mean()
    return features @ np.linalg.solve(gram, features.T @ (target - mean) / count) + mean


def _grab_cut(pixels: np.ndarray, likely: np.ndarray, tightness: Tightness) -> np.ndarray:
    """Cut out what the map, (h, w) in [0, 1], calls likely, along the edges of (h, w, 3)."""
    trimap = np.full(likely.shape, cv2.GC_PR_BGD, np.uint8)
    wanted = likely > tightness.probable
    trimap[wanted] = cv2.GC_PR_FGD
    trimap[likely > CERTAIN] = cv2.GC_FGD
    trimap[likely < tightness.background] = cv2.GC_BGD
    if not wanted.any() or wanted.all():
        return wanted
    cv2.setRNGSeed(0)
    cv2.grabCut(
        np.ascontiguousarray(pixels), trimap, None, np.zeros((1, 65)), np.zeros((1, 65)),
        GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK,
    )
    return (trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)
