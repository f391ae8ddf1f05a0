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
"""Where a step's time goes, stage by stage, without waiting for the device in between."""

from __future__ import annotations

from dataclasses import dataclass, fields
import time

import torch


@dataclass(frozen=True)
class Latency:
    """Where a step's time went, in milliseconds, the device's work included."""

    encode: float
    route: float
    attend: float
    decode: float
    remember: float
    total: float


STAGES = tuple(field.name for field in fields(Latency) if field.name != 'total')


class StageClock:
    """
    Measures the stages of one step.

    On a GPU the laps are events in its stream: what a stage takes there is seen once the step is
    over, and nothing waits for it earlier. `total` is wall-clock time.
    """

    def __init__(self, device: torch.device) -> None:
        """Start; `device` is where the model runs."""
        self._device = device
        self._on_gpu = device.type == 'cuda'
        self._laps: list[tuple[str, torch.cuda.Event | float]] = []
        self._start = time.perf_counter()
        self._first = self._mark()

    def lap(self, stage: str) -> None:
        """Credit the time since the last lap to `stage`."""
        self._laps.append((stage, self._mark()))

    def read(self) -> Latency:
        """Return the stages and the total so far; waits for the device."""
        if self._on_gpu:
            torch.cuda.synchronize(self._device)
        total = 1000 * (time.perf_counter() - self._start)
        stages, last = dict.fromkeys(STAGES, 0.0), self._first
        for stage, mark in self._laps:
            passed = last.elapsed_time(mark) if self._on_gpu else 1000 * (mark - last)
            stages[stage] += passed
            last = mark
        return Latency(**stages, total=total)

    def _mark(self) -> torch.cuda.Event | float:
        if not self._on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event
