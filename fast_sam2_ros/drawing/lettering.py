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
Words on pictures, in any script that there is a font for.

OpenCV 5 carries fonts for Latin, Cyrillic, Greek, Hebrew, Arabic, Chinese, Japanese and Korean.
OpenCV 4 draws ASCII alone; other letters are then spelled without their marks or as numbers.
"""

from __future__ import annotations

from functools import lru_cache
import unicodedata

import cv2
from fast_sam2_ros.drawing.palette import Colour
import numpy as np

LONGEST = 200
"""So many letters of a text are looked at; a goal may have 100,000."""
HERSHEY = cv2.FONT_HERSHEY_SIMPLEX
HERSHEY_PIXELS = 29.0
"""Height of a line of OpenCV 4's font at its scale 1."""
REGULAR, BOLD = 400, 600


@lru_cache(maxsize=256)
def printable(text: str) -> str:
    """Return the text on one line, and what the font has no letter for by name or number."""
    return ''.join(map(_drawn, text[:LONGEST]))


def _drawn(letter: str) -> str:
    kind = unicodedata.category(letter)
    if kind.startswith('Z') or letter in '\t\n\r':
        return ' '
    if kind[0] == 'C' or kind == 'Mn' and ord(letter) >= 0xfe00:  # joiners, variation selectors
        return ''
    if ord(letter) > 0xffff:  # emoji and rare signs
        return f':{unicodedata.name(letter, hex(ord(letter))).lower()}:'
    if _face() is not None or letter.isascii():
        return letter
    plain = unicodedata.normalize('NFKD', letter).encode('ascii', 'ignore').decode()
    return plain or f'<{ord(letter):x}>'


@lru_cache(maxsize=1)
def _face() -> cv2.FontFace | None:
    return cv2.FontFace('sans') if hasattr(cv2, 'FontFace') else None


@lru_cache(maxsize=1024)
def width_of(text: str, size: int, bold: bool = False) -> int:
    """Return how many pixels wide a text is in letters of `size` pixels."""
    text, face = printable(text), _face()
    if face is None:
        return cv2.getTextSize(text, HERSHEY, size / HERSHEY_PIXELS, 1 + bold)[0][0]
    return cv2.getTextSize((0, 0), text, (0, 0), face, size, BOLD if bold else REGULAR)[2]


def write(picture: np.ndarray, text: str, x: int, y: int, size: int, colour: Colour,
          bold: bool = False) -> int:
    """
    Write on (H, W, 3) uint8 with the base line at y, in colours of the picture's order.

    Return the x behind the text.
    """
    drawn, face = printable(text), _face()
    if face is None:
        cv2.putText(picture, drawn, (x, y), HERSHEY, size / HERSHEY_PIXELS, colour, 1 + bold,
                    cv2.LINE_AA)
    else:
        cv2.putText(picture, drawn, (x, y), colour, face, size, BOLD if bold else REGULAR)
    return x + width_of(text, size, bold)


@lru_cache(maxsize=256)
def fit(text: str, width: int, size: int, bold: bool = False) -> str:
    """Shorten a text until it fits into `width` pixels; empty where nothing does."""
    text = printable(text)
    if width_of(text, size, bold) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if width_of(text[:middle] + '...', size, bold) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + '...' if low else ''
