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
The latency governor: the largest of a few fixed budgets whose steps are short enough.

A step's usual length is the median of the last steps and a margin for their noise, so that single
spikes move nothing. Where it is too long, a smaller budget is taken soon. A larger one is taken
after a full window that leaves room for what it is expected to cost, which is learned at each
change from the steps before and after it, as a ratio: that holds on a machine that is busier or
less busy than it was then. A larger budget that had to be left again is tried less soon each time.
"""

from __future__ import annotations

from collections import deque
from statistics import median

from fast_sam2_ros.errors import ParameterError

BUDGETS = (1.0, 0.7, 0.5, 0.3, 0.2, 0.1)
GLANCE = 9  # steps whose median is enough to take a smaller budget
WINDOW = 20  # steps that are needed to take a larger one
FILLING = 7  # steps after which the bank holds no more frames of the budget before
NOISE = 2.4  # median absolute deviations over the median: the 95th percentile of normal noise
ROOM = 0.9  # of the latency, within which a larger budget must be expected to stay
CLEAR = 0.7  # of the latency: expected within this, a larger budget is taken without more waiting
GUESS = 1.4  # what a larger budget costs over a smaller one, while nothing was learned
TRIAL = 400  # steps for which a larger budget must stay in force, or else taking it was wrong
DOUBT = 300  # steps after which what was learned is tried again where there is clear room
LONGEST = 4800  # steps that are waited at most


def allowed_budgets(keep_ratio: float, min_keep_ratio: float) -> tuple[float, ...]:
    """
    Return the budgets that may be chosen, the largest first.

    These are `keep_ratio` itself and, of `BUDGETS`, those below it and not below
    `min_keep_ratio`.
    """
    return (keep_ratio, *(budget for budget in BUDGETS if min_keep_ratio <= budget < keep_ratio))


class Governor:
    """
    Choose the keep ratio that holds a latency.

    target_ms: what a step may usually take, in ms.
    keep_ratio: the most to keep, and the budget to begin with; min_keep_ratio: the least.
    Raises ParameterError for a latency that is not above 0.
    """

    def __init__(self, target_ms: float, keep_ratio: float, min_keep_ratio: float) -> None:
        """Begin with the largest budget."""
        if not target_ms > 0:
            raise ParameterError(f'the latency to hold is {target_ms} ms; it must be above 0')
        self.target_ms = target_ms
        self._budgets = allowed_budgets(keep_ratio, min_keep_ratio)
        self._place = 0
        self._ratios: dict[int, float] = {}  # of a budget's cost to that of the next smaller one
        self._patience = WINDOW  # steps until a larger budget with little room is taken
        self._climbed = False  # whether the last change was to a larger budget
        self._message = ''
        self._begin(settling=FILLING, left=None)

    @property
    def keep_ratio(self) -> float:
        """Return the budget in force."""
        return self._budgets[self._place]

    @property
    def holds(self) -> bool:
        """Return whether the latency is held, or a smaller budget is left to try."""
        return not self._message

    @property
    def message(self) -> str:
        """Why the latency is not held, for a person; empty where it is."""
        return self._message

    def restart(self) -> None:
        """Judge anew, after something else has changed what a step costs."""
        self._begin(settling=FILLING, left=None)

    def observe(self, step_ms: float) -> float:
        """Take the length of a step at the budget in force; return the budget for the next."""
        self._since += 1
        if self._since <= self._settling:
            return self.keep_ratio
        self._steps.append(step_ms)
        if len(self._steps) >= GLANCE:
            self._judge()
        return self.keep_ratio

    def _begin(self, settling: int, left: tuple[int, float] | None) -> None:
        """Start to look; what was `left` is a budget's place and the steps' length with it."""
        self._steps: deque[float] = deque(maxlen=WINDOW)
        self._settling = settling
        self._left = left
        self._since = 0  # the last change, in steps

    def _judge(self) -> None:
        latest = median(list(self._steps)[-GLANCE:])
        self._learn(latest)
        usual = self._usual() if len(self._steps) == WINDOW else None
        if latest > self.target_ms or usual is not None and usual > self.target_ms:
            self._shrink(latest, usual)
        elif usual is not None:
            self._message = ''
            if self._place > 0 and self._since >= self._needed(usual):
                self._change(self._place - 1, latest)

    def _usual(self) -> float:
        middle = median(self._steps)
        return middle + NOISE * median(abs(step - middle) for step in self._steps)

    def _learn(self, latest: float) -> None:
        """Compare a budget with its neighbour, which was left shortly before."""
        if self._left is None:
            return
        place, length = self._left
        self._left = None
        if abs(place - self._place) == 1:
            ratio = length / latest if place < self._place else latest / length
            self._ratios[min(place, self._place)] = max(ratio, 1.0)

    def _shrink(self, latest: float, usual: float | None) -> None:
        """Take the largest budget that is not known to be too much."""
        last = len(self._budgets) - 1
        if self._place == last:
            if latest > self.target_ms:  # and not only with the margin for noise
                self._message = (f'even a keep ratio of {self.keep_ratio:g} takes {latest:.0f} '
                                 f'ms a step, more than {self.target_ms:g} ms')
            return
        if self._climbed and self._since < TRIAL:
            self._patience = min(4 * self._patience, LONGEST)
        else:
            self._patience = max(self._patience // 4, WINDOW)
        place, expected = self._place, max(latest, usual or 0.0)
        while expected > self.target_ms and place < last:
            expected /= self._ratios.get(place, float('inf'))
            place += 1
        self._change(place, latest)

    def _needed(self, usual: float) -> float:
        """Return after how many steps the next larger budget may be taken."""
        expected = usual * self._ratios.get(self._place - 1, GUESS)
        if expected <= CLEAR * self.target_ms:
            return WINDOW
        if expected <= ROOM * self.target_ms:
            return self._patience
        if usual <= CLEAR * self.target_ms:
            return max(self._patience, DOUBT)
        return float('inf')

    def _change(self, place: int, latest: float) -> None:
        self._climbed = place < self._place
        left, self._place = self._place, place
        self._begin(FILLING if self._climbed else 1, (left, latest))
