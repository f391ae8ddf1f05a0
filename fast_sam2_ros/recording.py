# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What happened frame by frame: track.json."""

from __future__ import annotations

from dataclasses import asdict, dataclass
import json
from pathlib import Path

import numpy as np

from fast_sam2_ros.files import write_whole
from fast_sam2_ros.reports import Report, TargetReport
from fast_sam2_ros.latency import Latency


@dataclass(frozen=True)
class TargetRecord:
    """One target on a frame; `bank_bytes` is the size of its own memory."""

    id: int
    text: str
    label: str
    state: str
    score: float
    tokens_retained: int
    bank_bytes: int


@dataclass(frozen=True)
class FrameRecord:
    """One frame; the fields are those of track.json (DESIGN, section 7).

    stamp in seconds, latency_ms by stage, iou in [0, 1] or None where no truth is known. What is
    said of all targets at once is what `Report` says.
    """

    index: int
    stamp: float
    state: str
    target_text: str
    score: float
    tokens_retained: int
    tokens_total: int
    bank_bytes: int
    latency_ms: Latency
    iou: float | None
    targets: tuple[TargetRecord, ...] = ()


def record(index: int, stamp: float, report: Report, iou: float | None = None) -> FrameRecord:
    """Record a session's report."""
    return FrameRecord(index, stamp, report.state.value, report.target_text, report.score,
                       report.tokens_retained, report.tokens_total, report.bank_bytes,
                       report.latency, iou, tuple(map(_record_target, report.targets)))


def _record_target(target: TargetReport) -> TargetRecord:
    return TargetRecord(target.id, target.text, target.label, target.state.value, target.score,
                        target.tokens_retained, target.bank_bytes)


@dataclass(frozen=True)
class Summary:
    """The end of track.json; `fps` counts frames per second spent on them, grounding included."""

    frames: int
    mean_iou: float | None
    fps: float
    model: str
    device: str
    keep_ratio: float


def summarise(frames: list[FrameRecord], fps: float, model: str, device: str,
              keep_ratio: float) -> Summary:
    """Sum frames up; the mean IoU is over the frames with a truth, None without any."""
    known = [frame.iou for frame in frames if frame.iou is not None]
    return Summary(len(frames), float(np.mean(known)) if known else None, fps, model, device,
                   keep_ratio)


def write_track(path: Path, frames: list[FrameRecord], summary: Summary) -> None:
    """Write track.json, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({'frames': [asdict(frame) for frame in frames], 'summary': asdict(summary)},
                      indent=1, allow_nan=False)
    write_whole(path, text + '\n')
