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
"""The strip at the bottom of a picture: what the tracker says, and where the time went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
from fast_sam2_ros.drawing.lettering import fit, width_of, write
from fast_sam2_ros.drawing.palette import (
    ALARMS, Colour, colour_of, DIM, INK, PAPER, STAGE_COLOURS, STATE_COLOURS)
import numpy as np

if TYPE_CHECKING:
    from fast_sam2_ros.drawing.caption import Caption, Named
    from fast_sam2_ros.latency import Latency

GAP = '   '
STAGES = ('encode', 'route', 'attend', 'decode', 'remember')


def draw_strip(picture: np.ndarray, top: int, text: Caption, size: int, lines: int) -> None:
    """
    Draw one or two `lines` over a picture's rows from `top` on, in letters of `size` pixels.

    The first has the state, the goals and figures, the second what took how long, or why there is
    nothing to see. Where there is little room, figures give way to the goals.
    """
    width, line, pad = picture.shape[1], round(1.6 * size), round(0.7 * size)
    strip = picture[top:]
    strip[:] = cv2.addWeighted(strip, 0.2, np.full_like(strip, PAPER), 0.8, 0)
    colour = STATE_COLOURS.get(text.state, INK)
    if text.state in ALARMS:
        cv2.rectangle(strip, (0, 0), (width, max(1, size // 6)), colour, -1)
    y = top + round(1.3 * size)
    x = _sign(picture, text.state, pad, y, size, colour)
    x = write(picture, text.state.upper(), x, y, size, colour, bold=True) + size
    room = width - pad - x
    figures = _figures(text)
    goals = _goals(text)
    wanted = sum(width_of(name, size) + (3 * size if target else size) for name, target in goals)
    while figures and min(wanted, 0.7 * room) + width_of(GAP.join(figures), size) > room:
        figures.pop()
    end = width - pad - width_of(GAP.join(figures), size)
    write(picture, GAP.join(figures), end, y, size, DIM)
    _write_goals(picture, goals, x, y, end - (size if figures else 0), size)
    if lines == 1:
        return
    y += line
    if text.latency is None or text.state in ALARMS:
        write(picture, fit(text.message, width - 2 * pad, size), pad, y, size, INK)
    else:
        _latency_bar(picture, text.latency, pad, y, size)


def _figures(text: Caption) -> list[str]:
    """Return the figures of the strip, the more important ones first."""
    figures = []
    if text.latency is not None:
        figures += [f'{text.tokens_retained}/{text.tokens_total} tokens']
    if text.fps is not None:
        figures += [f'{text.fps:.1f} frames/s']
    if text.latency is not None:
        figures += [f'score {text.score:+.1f}']
    return figures


def _sign(picture: np.ndarray, state: str, x: int, y: int, size: int, colour: Colour) -> int:
    """
    Draw a state's sign, which needs no colour: a dot, a lens, a cross, a line; return its end.

    These are tracking, searching, lost and idle.
    """
    radius, middle = round(0.36 * size), y - round(0.36 * size)
    stroke, x = max(2, size // 6), x + radius
    if state == 'tracking':
        cv2.circle(picture, (x, middle), radius, colour, -1, cv2.LINE_AA)
    elif state == 'searching':
        cv2.circle(picture, (x - radius // 4, middle - radius // 4), round(0.7 * radius), colour,
                   stroke, cv2.LINE_AA)
        cv2.line(picture, (x + radius // 3, middle + radius // 3), (x + radius, middle + radius),
                 colour, stroke, cv2.LINE_AA)
    elif state == 'lost':
        for rise in (-radius, radius):
            cv2.line(picture, (x - radius, middle - rise), (x + radius, middle + rise), colour,
                     stroke, cv2.LINE_AA)
    else:
        cv2.line(picture, (x - radius, middle), (x + radius, middle), colour, stroke, cv2.LINE_AA)
    return x + radius + size // 2


def _goals(text: Caption) -> list[tuple[str, Named | None]]:
    """Return what is to be tracked; several with what their signs are to show."""
    if len(text.targets) < 2:
        return [(text.target_text or text.label, None)]
    return [(f'{each.text or "target"} ({each.state})' if each.state in ALARMS
             else each.text or 'target', each) for each in text.targets]


def _write_goals(picture: np.ndarray, goals: list[tuple[str, Named | None]], x: int, y: int,
                 end: int, size: int) -> None:
    """Write the goals up to x = end, several with their signs in the targets' colours."""
    for name, target in goals:
        name = fit(name, end - x - (2 * size if target else 0), size)
        if not name:
            return
        if target:
            x = _sign(picture, target.state, x, y, size, colour_of(target.id))
        x = write(picture, name, x, y, size, INK) + size


def _latency_bar(picture: np.ndarray, latency: Latency, x: int, y: int, size: int) -> None:
    """
    Draw the stages' shares of a step as one bar, and their names with their colours.

    What is not of a stage, such as a search, comes last, and is named first where it is much.
    """
    gap, high, bar = round(0.65 * size), round(0.72 * size), 7 * size
    x = write(picture, f'{latency.total:.0f} ms', x, y, size, INK) + gap
    parts = [(stage, getattr(latency, stage), colour)
             for stage, colour in zip(STAGES, STAGE_COLOURS)]
    other = max(0.0, latency.total - sum(value for _, value, _ in parts))
    left = float(x)
    for _, value, colour in [*parts, ('', other, DIM)]:
        right = left + bar * value / max(latency.total, 1e-6)
        cv2.rectangle(picture, (round(left), y - high), (round(right), y), colour, -1)
        left = right
    x += bar + gap
    if other > 0.2 * latency.total:
        parts.insert(0, ('other', other, DIM))
    for name, value, colour in parts:
        entry = f'{name} {value:.0f}'
        if x + high + gap + width_of(entry, size) > picture.shape[1]:
            return
        cv2.rectangle(picture, (x, y - high), (x + high, y), colour, -1)
        x = write(picture, entry, x + high + size // 4, y, size, DIM) + gap
