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
A report as a TrackerStatus message, for the node and for bags alike.

The classes of the messages come from whoever sends them: rclpy's, or those that a library made
from the definitions in msg/. Both take their fields by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fast_sam2_ros.reports import Report, TargetReport


@dataclass(frozen=True)
class StatusTypes:
    """The classes of the messages TrackerStatus, TargetStatus and StageLatency."""

    tracker: type
    target: type
    latency: type


def make_status(types: StatusTypes, header: Any, report: Report, *, processed: int, dropped: int,
                target_latency_ms: float, compiled: bool, stamp_age: float) -> Any:
    """
    Return the TrackerStatus of a report.

    header: std_msgs/Header, the image's. processed, dropped: images until now, this one among the
    processed. target_latency_ms: 0 for any. compiled: whether compiled graphs run. stamp_age: of
    the image when its mask is published, in seconds.
    """
    latency = report.latency
    return types.tracker(
        header=header, state=getattr(types.tracker, report.state.name),
        target_text=report.target_text, label=report.label, message=report.message,
        score=float(report.score), tokens_retained=report.tokens_retained,
        tokens_total=report.tokens_total, bank_bytes=report.bank_bytes,
        targets=[_make_target(types, target) for target in report.targets],
        keep_ratio=float(report.keep_ratio), target_latency=float(target_latency_ms),
        compiled=compiled,
        latency=types.latency(
            encode=latency.encode, route=latency.route, attend=latency.attend,
            decode=latency.decode, remember=latency.remember, total=latency.total),
        stamp_age=float(stamp_age),
        received=processed + dropped, processed=processed, dropped=dropped)


def _make_target(types: StatusTypes, target: TargetReport) -> Any:
    return types.target(
        id=target.id, text=target.text, label=target.label, message=target.message,
        state=getattr(types.tracker, target.state.name), score=float(target.score),
        tokens_retained=target.tokens_retained, bank_bytes=target.bank_bytes)
