# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures for people: the masks on the image, what the tracker says, and where the time went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from fast_sam2_ros.reports import Report
    from fast_sam2_ros.latency import Latency

FONT = cv2.FONT_HERSHEY_SIMPLEX
# RGB, as all colours here. One for each target, told apart by colour-blind people as well: those
# of M. Okabe and K. Ito, Color Universal Design (2008), with white for their black.
COLOURS = ((86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (204, 121, 167),
           (213, 94, 0), (0, 114, 178), (255, 255, 255))
INK, PAPER = (255, 255, 255), (22, 24, 29)
DIM = (150, 156, 168)
STATE_COLOURS = {'idle': (150, 156, 168), 'searching': (255, 184, 0), 'tracking': (60, 210, 120),
                 'lost': (255, 84, 84)}
STAGES = ('encode', 'route', 'attend', 'decode', 'remember')
STAGE_COLOURS = ((88, 130, 255), (255, 184, 0), (255, 100, 160), (60, 210, 120), (160, 120, 255))


@dataclass(frozen=True)
class Caption:
    """What is written on a frame.

    latency: None where the tracker did not run; fps, iou: None where not known.
    names: the targets' ids and words; empty for one target that needs no id.
    """

    state: str
    target_text: str = ''
    label: str = ''
    score: float = 0.0
    message: str = ''
    tokens_retained: int = 0
    tokens_total: int = 0
    latency: Latency | None = None
    fps: float | None = None
    iou: float | None = None
    names: tuple[tuple[int, str], ...] = ()


def colour_of(target: int) -> tuple[int, int, int]:
    """Return the colour of the target of an id, from 1 on."""
    return COLOURS[(target - 1) % len(COLOURS)]


def caption(report: Report, fps: float | None = None, iou: float | None = None) -> Caption:
    """Write a caption for a session's report."""
    return Caption(state=report.state.value, target_text=report.target_text, label=report.label,
                   score=report.score, message=report.message,
                   tokens_retained=report.tokens_retained, tokens_total=report.tokens_total,
                   latency=None if report.step is None else report.latency, fps=fps, iou=iou,
                   names=tuple((each.id, each.text or each.label) for each in report.targets))


def draw(image: np.ndarray, mask: np.ndarray, text: Caption,
         kept: np.ndarray | None = None, truth: np.ndarray | None = None) -> np.ndarray:
    """Draw the targets' masks, their labels and a strip of figures on a copy of an image.

    image: (H, W, 3) uint8 RGB; mask: (H, W), the id of the target on each pixel (any number where
    the caption has no names), 0 beside them; truth: (H, W), not zero on the target, drawn as a
    thin white line; kept: (h, w) bool, the retained tokens, whose cells stay bright while the
    others are dimmed, or None. Return (H, W, 3) uint8 RGB.
    """
    picture = image.copy()
    if kept is not None:
        _dim_tokens(picture, kept)
    shown = _masks(mask, text)
    for target, (_, area) in shown.items():
        _tint(picture, area, colour_of(target))
    if truth is not None:
        outline, _ = cv2.findContours(truth.astype(np.uint8), cv2.RETR_EXTERNAL,
                                      cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outline, -1, INK, 1, cv2.LINE_AA)
    scale = max(0.7, picture.shape[1] / 800)
    for target, (name, area) in shown.items():
        _label_chip(picture, area, name, colour_of(target), scale)
    _strip(picture, text, scale)
    return picture


def _masks(mask: np.ndarray, text: Caption) -> dict[int, tuple[str, np.ndarray]]:
    """Return name and mask, (H, W) uint8 of 0 and 1, of the targets that are seen, by id."""
    iou = '' if text.iou is None else f'  IoU {text.iou:.2f}'
    if text.names:
        areas = {target: (name, mask == target) for target, name in text.names}
    else:
        areas = {1: (text.target_text or text.label, mask != 0)}
    return {target: ((name or 'target') + iou, area.astype(np.uint8))
            for target, (name, area) in areas.items() if area.any()}


def _tint(picture: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int]) -> None:
    inside = mask.astype(bool)
    picture[inside] = (0.62 * picture[inside] + 0.38 * np.array(colour)).astype(np.uint8)
    outline, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    width = max(1, round(picture.shape[1] / 420))
    cv2.drawContours(picture, outline, -1, PAPER, width + 2, cv2.LINE_AA)
    cv2.drawContours(picture, outline, -1, colour, width, cv2.LINE_AA)


def _dim_tokens(picture: np.ndarray, kept: np.ndarray) -> None:
    height, width = picture.shape[:2]
    dropped = cv2.resize((~kept).astype(np.uint8), (width, height),
                         interpolation=cv2.INTER_NEAREST).astype(bool)
    grey = picture[dropped].mean(axis=1, keepdims=True)
    picture[dropped] = (0.30 * picture[dropped] + 0.35 * grey).astype(np.uint8)


def _text_size(text: str, scale: float) -> tuple[int, int]:
    (width, height), _ = cv2.getTextSize(text, FONT, scale, 1)
    return width, height


def _write(picture: np.ndarray, text: str, x: int, y: int, scale: float,
           colour: tuple[int, int, int]) -> int:
    """Write text with its base line at y; return the x behind it."""
    cv2.putText(picture, text, (x, y), FONT, scale, colour, 1, cv2.LINE_AA)
    return x + _text_size(text, scale)[0]


def _shade(picture: np.ndarray, left: int, top: int, right: int, bottom: int,
           strength: float) -> None:
    area = picture[max(top, 0):bottom, max(left, 0):right]
    area[:] = ((1 - strength) * area + strength * np.array(PAPER)).astype(np.uint8)


def _label_chip(picture: np.ndarray, mask: np.ndarray, label: str,
                colour: tuple[int, int, int], scale: float) -> None:
    """Put the target's name on the top edge of its largest part, kept inside the picture."""
    size = 0.55 * scale
    width, height = _text_size(label, size)
    pad = round(6 * scale)
    _, _, parts, _ = cv2.connectedComponentsWithStats(mask)
    left, upper = max(parts[1:], key=lambda part: part[cv2.CC_STAT_AREA])[:2]
    x = int(np.clip(left, 0, max(0, picture.shape[1] - width - 2 * pad)))
    y = int(np.clip(upper - height - 3 * pad, 0, picture.shape[0]))
    cv2.rectangle(picture, (x, y), (x + width + 2 * pad, y + height + 2 * pad), colour, -1)
    _write(picture, label, x + pad, y + height + pad, size, PAPER)


def _strip(picture: np.ndarray, text: Caption, scale: float) -> None:
    """Draw the figures along the bottom: state, goal, tokens, frames a second, latency."""
    height, width = picture.shape[:2]
    size, line = 0.5 * scale, round(22 * scale)
    top = height - 2 * line - round(6 * scale)
    _shade(picture, 0, top, width, height, 0.78)
    x, y = round(10 * scale), top + round(17 * scale)
    colour = STATE_COLOURS.get(text.state, INK)
    cv2.circle(picture, (x + round(4 * scale), y - round(5 * scale)), round(5 * scale), colour, -1,
               cv2.LINE_AA)
    x = _write(picture, text.state, x + round(16 * scale), y, size, colour)
    if text.target_text:
        x = _write(picture, f'"{text.target_text}"', x + round(12 * scale), y, size, INK)
    figures = []
    if text.latency is not None:
        figures += [f'score {text.score:+.1f}',
                    f'{text.tokens_retained}/{text.tokens_total} tokens']
    if text.fps is not None:
        figures.append(f'{text.fps:.1f} frames/s')
    right = '   '.join(figures)
    right_x = width - round(10 * scale) - _text_size(right, size)[0]
    _write(picture, right, right_x, y, size, DIM)
    y += line
    if text.latency is None:
        message = _fit(text.message, width - round(20 * scale), size)
        _write(picture, message, round(10 * scale), y, size, DIM)
    else:
        _latency_bar(picture, text.latency, round(10 * scale), y, size, scale)


def _fit(text: str, width: int, size: float) -> str:
    """Shorten a text until it fits into `width` pixels."""
    if _text_size(text, size)[0] <= width:
        return text
    while text and _text_size(text + '...', size)[0] > width:
        text = text[:-1]
    return text + '...'


def _latency_bar(picture: np.ndarray, latency: Latency, x: int, y: int, size: float,
                 scale: float) -> None:
    """Draw the stages' shares of a step as one bar, the names in their colours beside it."""
    total = f'{latency.total:.0f} ms'
    x = _write(picture, total, x, y, size, INK) + round(10 * scale)
    stages = [getattr(latency, stage) for stage in STAGES]
    bar = round(150 * scale)
    left = float(x)
    for value, colour in zip(stages, STAGE_COLOURS):
        right = left + bar * value / max(sum(stages), 1e-6)
        cv2.rectangle(picture, (round(left), y - round(10 * scale)), (round(right), y), colour, -1)
        left = right
    x += bar + round(10 * scale)
    for stage, value, colour in zip(STAGES, stages, STAGE_COLOURS):
        entry = f'{stage} {value:.0f}'
        if x + _text_size(entry, size * 0.9)[0] > picture.shape[1]:
            return
        x = _write(picture, entry, x, y, size * 0.9, colour) + round(9 * scale)


def contact_sheet(pictures: list[np.ndarray], columns: int = 4, width: int = 480,
                  title: str = '') -> np.ndarray:
    """Lay pictures (H, W, 3) uint8 RGB out row by row, each scaled to `width` pixels.

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
        _write(sheet, title, gap + 4, 26, 0.6, INK)
    for place, cell in enumerate(cells):
        top = head + gap + place // columns * (height + gap)
        left = gap + place % columns * (width + gap)
        sheet[top:top + cell.shape[0], left:left + width] = cell
    return sheet
