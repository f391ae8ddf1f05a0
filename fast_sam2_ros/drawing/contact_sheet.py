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
"""Several pictures on one sheet."""

from __future__ import annotations

import cv2
from fast_sam2_ros.drawing.lettering import write
from fast_sam2_ros.drawing.palette import INK, PAPER
import numpy as np


def contact_sheet(pictures: list[np.ndarray], columns: int = 4, width: int = 480,
                  title: str = '') -> np.ndarray:
    """
    Lay pictures (H, W, 3) uint8 RGB out row by row, each scaled to `width` pixels.

    Return (H', W', 3) uint8 RGB with a margin and, where given, a title line.
    """
    gap = 8
    cells = [cv2.resize(p, (width, round(p.shape[0] * width / p.shape[1])),
                        interpolation=cv2.INTER_AREA) for p in pictures]
    height = max(cell.shape[0] for cell in cells)
    columns = min(columns, len(cells))
    rows = -(-len(cells) // columns)
    head = 34 if title else 0
    sheet = np.empty((head + gap + rows * (height + gap), gap + columns * (width + gap), 3),
                     dtype=np.uint8)
    sheet[:] = PAPER
    if title:
        write(sheet, title, gap + 4, 26, 17, INK, bold=True)
    for place, cell in enumerate(cells):
        top = head + gap + place // columns * (height + gap)
        left = gap + place % columns * (width + gap)
        sheet[top:top + cell.shape[0], left:left + width] = cell
    return sheet
