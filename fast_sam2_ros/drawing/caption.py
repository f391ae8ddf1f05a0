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

    id: int  # noqa: A003
    text: str
    state: str


@dataclass(frozen=True)
class Caption:
    """
    What is written on a frame.

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
