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
"""Pictures for people: the masks on the image, their names, and a strip of figures below."""

from __future__ import annotations

import cv2
from fast_sam2_ros.drawing.caption import Caption
from fast_sam2_ros.drawing.lettering import fit, width_of, write
from fast_sam2_ros.drawing.palette import ALARMS, Colour, colour_of, INK, PAPER, STATE_COLOURS
from fast_sam2_ros.drawing.strip import draw_strip
import numpy as np

TINT = 0.36
"""Share of its colour on a target's pixels."""
SPECK = 4e-4
"""Share of the picture that a part or a hole of a mask must have for an outline."""


def draw(image: np.ndarray, mask: np.ndarray, text: Caption,
         kept: np.ndarray | None = None, truth: np.ndarray | None = None) -> np.ndarray:
    """
    Draw the targets' masks, their labels and a strip of figures on a copy of an image.

    image: (H, W, 3) uint8 RGB; mask: (H, W), the id of the target on each pixel (any number where
    the caption has no targets), 0 beside them; truth: (H, W), not zero on the target, drawn as a
    thin white line; kept: (h, w) bool, the retained tokens, drawn as a faint grid, while the
    others' cells are dimmed, or None. While a target is searched for or lost the picture has a
    frame in the colour of that state. Words are left out where the picture is too small for them.
    Return (H, W, 3) uint8 RGB.
    """
    picture = image.copy()
    height, width = picture.shape[:2]
    size = int(np.clip(round(14 * min(width / 640, height / 480)), 11, 64))
    if kept is not None:
        _token_grid(picture, kept)
    shown = _masks(mask, text)
    tops = {target: _paint(picture, area, colour_of(target))
            for target, (_, area) in shown.items()}
    if truth is not None:
        outline, _ = cv2.findContours(truth.astype(np.uint8), cv2.RETR_EXTERNAL,
                                      cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outline, -1, INK, max(1, size // 14), cv2.LINE_AA)
    line = round(1.6 * size)
    lines = 0 if min(width, 2 * height) < 8 * line else 2 if height >= 16 * line else 1
    bottom = height - lines * line - (size // 3 if lines else 0)
    if lines:
        _label_chips(picture[:bottom], {each: name for each, (name, _) in shown.items()}, tops,
                     size)
        draw_strip(picture, bottom, text, size, lines)
    if text.state in ALARMS:
        edge = max(1, min(height, width) // 120)
        cv2.rectangle(picture, (0, 0), (width - 1, height - 1), STATE_COLOURS[text.state],
                      2 * edge - 1)  # half of it is outside
    return picture


def _masks(mask: np.ndarray, text: Caption) -> dict[int, tuple[str, np.ndarray]]:
    """Return name and mask, (H, W) uint8 of 0 and 1, of the targets that are seen, by id."""
    iou = '' if text.iou is None else f'  IoU {text.iou:.2f}'
    if text.targets:
        areas = {each.id: (each.text, mask == each.id) for each in text.targets}
    else:
        areas = {1: (text.target_text or text.label, mask != 0)}
    return {target: ((name or 'target') + iou, area.astype(np.uint8))
            for target, (name, area) in areas.items() if area.any()}


def _paint(picture: np.ndarray, mask: np.ndarray, colour: Colour) -> tuple[int, int]:
    """
    Tint the mask, (H, W) uint8 of 0 and 1, and draw its edges but those of specks.

    Return x and y of the highest point of its largest part.
    """
    left, top, width, height = cv2.boundingRect(mask)
    inside = np.s_[top:top + height, left:left + width]
    tint = cv2.convertScaleAbs(picture[inside], alpha=1 - TINT)
    tint = cv2.add(tint, (*(TINT * channel for channel in colour), 0))
    picture[inside] = cv2.copyTo(tint, mask[inside], picture[inside])
    edges, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    largest = max(edges, key=cv2.contourArea)
    outline = [largest, *(edge for edge in edges if cv2.contourArea(edge) > SPECK * mask.size)]
    edge = max(1, min(picture.shape[1] // 320, picture.shape[0] // 240))
    if min(picture.shape[:2]) >= 100:
        cv2.drawContours(picture, outline, -1, PAPER, edge + 2, cv2.LINE_AA)
    cv2.drawContours(picture, outline, -1, colour, edge, cv2.LINE_AA)
    x, y = largest[largest[:, 0, 1].argmin(), 0]
    return int(x), int(y)


def _token_grid(picture: np.ndarray, kept: np.ndarray) -> None:
    """Dim the cells of dropped tokens, and draw thin lines around those of kept ones."""
    height, width = picture.shape[:2]
    cells = cv2.resize(kept.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    rows = (np.arange(1, kept.shape[0]) * height / kept.shape[0]).astype(int)
    columns = (np.arange(1, kept.shape[1]) * width / kept.shape[1]).astype(int)
    lines = np.zeros_like(cells)
    lines[rows] = cells[rows] | cells[rows - 1]
    lines[:, columns] |= cells[:, columns] | cells[:, columns - 1]
    lit = cv2.convertScaleAbs(picture, alpha=0.75, beta=63)
    cv2.copyTo(cv2.convertScaleAbs(picture, alpha=0.5, beta=12), 1 - cells, picture)
    cv2.copyTo(lit, lines, picture)


def _box(picture: np.ndarray, x: int, y: int, width: int, height: int, colour: Colour) -> None:
    """Fill a rectangle with round corners."""
    radius = max(1, height // 4)
    left, right, top, bottom = x + radius, x + width - radius, y + radius, y + height - radius
    cv2.rectangle(picture, (left, y), (right, y + height), colour, -1)
    cv2.rectangle(picture, (x, top), (x + width, bottom), colour, -1)
    for corner in ((left, top), (right, top), (left, bottom), (right, bottom)):
        cv2.circle(picture, corner, radius, colour, -1, cv2.LINE_AA)


def _label_chips(picture: np.ndarray, names: dict[int, str], tops: dict[int, tuple[int, int]],
                 size: int) -> None:
    """Put the targets' names above their highest points, inside the picture, none on another."""
    pad, height = size // 2, round(1.6 * size)
    taken: list[tuple[int, int, int]] = []  # y, left, right
    for target, name in names.items():
        name = fit(name, picture.shape[1] - 2 * pad - 4, size, bold=True)
        width = width_of(name, size, bold=True) + 2 * pad
        left, top = tops[target]
        x = int(np.clip(left - width // 2, 2, max(2, picture.shape[1] - width - 3)))
        y = int(np.clip(top - height - pad, 2, max(2, picture.shape[0] - height - 3)))
        for row, other, end in sorted(taken):
            if abs(row - y) <= height and x <= end and other <= x + width:
                y = row + height + 2
        taken.append((y, x, x + width))
        colour = colour_of(target)
        _box(picture, x, y, width, height, colour)
        ink = PAPER if np.dot(colour, (0.299, 0.587, 0.114)) > 110 else INK
        write(picture, name, x + pad, y + round(1.15 * size), size, ink, bold=True)
