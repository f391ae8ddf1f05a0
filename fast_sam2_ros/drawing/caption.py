# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is written on a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fast_sam2_ros.latency import Latency
    from fast_sam2_ros.reports import Report


@dataclass(frozen=True)
class Named:
    """A target in the caption: its id on the mask, its words, its state."""

    id: int
    text: str
    state: str


@dataclass(frozen=True)
class Caption:
    """What is written on a frame.

    latency: None where the tracker did not run; fps, iou: None where not known.
    targets: empty for one target that needs no id.
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
    targets: tuple[Named, ...] = ()


def caption(report: Report, fps: float | None = None, iou: float | None = None) -> Caption:
    """Write a caption for a session's report."""
    return Caption(state=report.state.value, target_text=report.target_text, label=report.label,
                   score=report.score, message=report.message,
                   tokens_retained=report.tokens_retained, tokens_total=report.tokens_total,
                   latency=None if report.step is None else report.latency, fps=fps, iou=iou,
                   targets=tuple(Named(each.id, each.text or each.label, each.state.value)
                                 for each in report.targets))
