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
"""What happened frame by frame: track.json."""

from __future__ import annotations

from dataclasses import asdict, dataclass
import json
from pathlib import Path

from fast_sam2_ros.files import write_whole
from fast_sam2_ros.latency import Latency
from fast_sam2_ros.reports import Report, TargetReport
import numpy as np


@dataclass(frozen=True)
class TargetRecord:
    """One target on a frame; `bank_bytes` is the size of its own memory."""

    id: int  # noqa: A003
    text: str
    label: str
    state: str
    score: float
    tokens_retained: int
    bank_bytes: int


@dataclass(frozen=True)
class FrameRecord:
    """
    One frame; the fields are those of track.json (DESIGN, section 7).

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
