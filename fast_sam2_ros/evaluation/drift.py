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
Whether something that is sampled over hours grows, and how sure that is.

What a process takes is no independent noise about a line: it follows what the process is asked,
comes back with it, and jumps now and then. So the slope is the median of the slopes between all
pairs of points (Theil 1950; Sen 1968), which outliers and a jump near one of the ends do not move,
and its interval is found by drawing whole stretches of what is left around the line anew (the
moving-block bootstrap: Künsch 1989, Liu and Singh 1992), each as long as what repeats itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

POINTS = 60
"""Most points that the slope is taken over; a point is the median of the samples around it."""
LEAST_POINTS = 8
DRAWS = 1000
CONFIDENCE = 0.95
NORMAL = 1.96
"""The normal distribution's quantile for it."""
HOUR = 3600.0  # seconds


@dataclass(frozen=True)
class Slope:
    """Growth per hour, and the interval that holds it with `CONFIDENCE`; units of the values."""

    per_hour: float
    low: float
    high: float

    @property
    def may_be_zero(self) -> bool:
        """Return whether no growth at all lies in the interval."""
        return self.low <= 0 <= self.high


def slope(times: Sequence[float], values: Sequence[float], block: float,
          seed: int = 0) -> Slope | None:
    """
    Return how `values` grow over `times` in seconds, both (N,); None for too few of them.

    block: seconds of a stretch that is drawn as a whole, at least the time after which things
    repeat themselves; a quarter of all is drawn at most.
    """
    x, y = _points(np.asarray(times, np.float64) / HOUR, np.asarray(values, np.float64))
    count = len(x)
    if count < LEAST_POINTS:
        return None
    first, second = np.triu_indices(count, 1)
    runs = x[second] - x[first]
    rate = float(np.median((y[second] - y[first]) / runs))
    rest = y - rate * x
    rest -= np.median(rest)
    length = int(np.clip(np.ceil(block / HOUR / np.diff(x).mean()), 1, count // 4))
    generator = np.random.default_rng(seed)
    starts = generator.integers(0, count, (DRAWS, -(-count // length)))
    order = ((starts[..., None] + np.arange(length)) % count).reshape(DRAWS, -1)[:, :count]
    drawn = np.array([np.median((rest[row[second]] - rest[row[first]]) / runs) for row in order])
    spread = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    low, high = rate + _widening(count / length) * spread
    return Slope(rate, float(low), float(high))


def _widening(stretches: float) -> float:
    """
    Return how much wider an interval is for being found from a few stretches, 4 or more.

    What is left around a fitted line is smaller than what was there by its two degrees of freedom,
    and few draws call for Student's distribution in place of the normal one, whose quantiles are
    related by Fisher's expansion (Abramowitz and Stegun, 26.7.5).
    """
    freedom = stretches - 2
    return float(np.sqrt(stretches / freedom) * (1 + (NORMAL**2 + 1) / (4 * freedom)))


def _points(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Put neighbouring samples together; return the medians, (P,) each, P at most `POINTS`."""
    parts = min(POINTS, len(times))
    if not parts:
        return times, values
    return (np.array([np.median(part) for part in np.array_split(times, parts)]),
            np.array([np.median(part) for part in np.array_split(values, parts)]))


def has_grown(values: Sequence[float]) -> bool:
    """Return whether something that should stay was larger in the last third than in the first."""
    third = max(1, len(values) // 3)
    return len(values) > 1 and max(values[-third:]) > max(values[:third])
