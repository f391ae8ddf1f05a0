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
"""Colour words: which pixels of an image a word such as "brown" may mean."""

from __future__ import annotations

import cv2
import numpy as np

# Hue windows in degrees, with the least chroma and the range of lightness in CIE LCh(ab);
# neighbours overlap, since people draw these borders differently.
COLOURS: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    'red': ((350, 45), (22, 200), (12, 75)),
    'orange': ((38, 75), (28, 200), (38, 90)),
    'brown': ((20, 95), (5, 55), (8, 62)),
    'yellow': ((72, 112), (25, 200), (45, 100)),
    'green': ((105, 180), (10, 200), (10, 95)),
    'cyan': ((175, 235), (10, 200), (30, 98)),
    'blue': ((225, 305), (10, 200), (8, 90)),
    'purple': ((295, 340), (12, 200), (8, 75)),
    'pink': ((325, 45), (8, 80), (48, 95)),
    'black': ((0, 360), (0, 14), (0, 32)),
    'white': ((0, 360), (0, 14), (72, 100)),
    'grey': ((0, 360), (0, 12), (22, 80)),
}
SYNONYMS = {
    'gray': 'grey', 'violet': 'purple', 'turquoise': 'cyan', 'teal': 'cyan', 'magenta': 'pink',
    'silver': 'grey', 'golden': 'yellow', 'tan': 'brown', 'beige': 'brown', 'reddish': 'red',
    'brownish': 'brown', 'crimson': 'red', 'scarlet': 'red', 'navy': 'blue',
}


def colour_named(word: str) -> str | None:
    """Return the colour, a key of `COLOURS`, that `word` means, or None."""
    return word if word in COLOURS else SYNONYMS.get(word)


def colour_mask(image: np.ndarray, colour: str) -> np.ndarray:
    """Return which pixels of an RGB image, (H, W, 3) uint8, may be called `colour`, (H, W)."""
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lightness, chroma = lab[..., 0], np.hypot(lab[..., 1], lab[..., 2])
    hue = np.degrees(np.arctan2(lab[..., 2], lab[..., 1])) % 360
    (first, last), (low, high), (dark, bright) = COLOURS[colour]
    in_hue = (hue >= first) & (hue <= last) if first <= last else (hue >= first) | (hue <= last)
    return (
        in_hue & (chroma >= low) & (chroma <= high) & (lightness >= dark) & (lightness <= bright)
    )


def colour_share(image: np.ndarray, mask: np.ndarray, colour: str) -> float:
    """Return the share in [0, 1] of the pixels under `mask`, (H, W) bool, that are `colour`."""
    return float(colour_mask(image, colour)[mask].mean()) if mask.any() else 0.0
