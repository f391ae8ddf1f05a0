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
The life of one target: searching, tracking, lost.

What is seen is the target as long as the object score says so and, with a model for which it was
measured how alike is alike, it looks somewhat like it. Once it is lost, it takes more: what comes
looks very much like it, or is still there after a while. Until then it is neither reported nor
remembered, so that a look-alike does not become the target.

A target that was pointed at without words is described once, on the frame after the first, so
that the first mask need not wait; by these words it is searched for once it is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import TYPE_CHECKING

from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.reports import TargetReport, TargetState
import numpy as np

if TYPE_CHECKING:
    from fast_sam2_ros.grounding import Grounder
    from fast_sam2_ros.grounding.describe import Describer
    from fast_sam2_ros.prompt import Prompt
    from fast_sam2_ros.results import StepResult
    from fast_sam2_ros.tracker import Tracker


@dataclass
class Patience:
    """
    How long to wait; the targets of a session share it, and it may change at any time.

    lost_after: frames in a row without the target, by the object score or by its looks, after
        which it is lost.
    reground_period: the least time between two searches for the same target, in seconds of the
        images' stamps. As long must something that is not surely the target wait after a loss.
    Raises ParameterError for what is out of range.
    """

    lost_after: int = 5
    reground_period: float = 1.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.lost_after < 1:
            raise ParameterError(f'lost_after is {self.lost_after}; it must be 1 frame or more')
        if not self.reground_period >= 0:
            raise ParameterError(
                f'reground_period is {self.reground_period}; it must be 0 seconds or more')


class Target:
    """
    One target, with a tracker of its own.

    id: from 1 on; label: what the grounder or the describer called it.
    text: the words that name it, empty where there are none.
    state: after the last frame.
    next_search: the stamp from which on the grounder may run for it.
    """

    def __init__(self, number: int, tracker: Tracker, patience: Patience, text: str = '',
                 prompt: Prompt | None = None) -> None:
        """
        Search for what `text` names, or track what `prompt` points at on the next frame.

        With both, the target is searched for by the words once it is lost.
        """
        self.id = number
        self.tracker = tracker
        self.state = TargetState.SEARCHING
        self.text, self.label = text, ''
        self.next_search = -math.inf
        self._patience = patience
        self._prompt = prompt
        self._message = f"'{text}' was not searched for yet" if prompt is None else 'pointed at'
        self._misses = 0  # frames in a row without the target
        self._doubtful_since = math.inf  # stamp of the first sight since a loss that was not sure
        self._understood = True  # whether searching for the text can succeed
        self._undescribed = prompt is not None and not text
        tracker.reset()
        tracker.aim(text)

    @property
    def is_pointed_at(self) -> bool:
        """Return whether there is a prompt that the tracker was not given yet."""
        return self._prompt is not None

    def begin(self, frame: np.ndarray) -> StepResult:
        """Give the tracker what was pointed at; raise InputError where it refuses."""
        step = self.tracker.prompt(frame, self._prompt)
        self._prompt, self.label = None, self.text
        self._follow('pointed at')
        return step

    def search_is_due(self, stamp: float) -> bool:
        """
        Return whether the grounder should run for this target on a frame of this time.

        It also should where the wait seems longer than it can be: time has jumped back.
        """
        waits = 0 < self.next_search - stamp <= self._patience.reground_period
        return (self.state in (TargetState.SEARCHING, TargetState.LOST) and bool(self.text)
                and self._understood and not self.is_pointed_at and not waits)

    def search_at_once(self) -> None:
        """Let a search that waits run on the next frame."""
        self.next_search = -math.inf

    def search(self, frame: np.ndarray, stamp: float, grounder: Grounder | None
               ) -> StepResult | None:
        """Run the grounder; start to track what it finds and return the first result."""
        if grounder is None:
            self._understood = False
            self._message = 'targets cannot be named: no grounder is loaded'
            return None
        self.next_search = stamp + self._patience.reground_period
        found = grounder.ground(frame, self.text)
        if not found:
            self._understood = grounder.knows(self.text)
            self._message = found.reason
            return None
        if self.state is TargetState.LOST and not self._again(
                self.tracker.segment(frame, found.prompt).likeness, stamp):
            self._message = f"'{found.label}' is in view, but does not look like the lost one"
            return None
        step = self.tracker.prompt(frame, found.prompt, found.relevance)
        self.label = found.label
        self._follow(f"found '{found.label}' at {found.score:.2f}")
        return step

    def judge(self, step: StepResult, stamp: float) -> None:
        """Move between tracking and lost by what a step says."""
        if self._sees(step, stamp):
            self._follow('seen again' if self.state is TargetState.LOST else self._message)
            return
        if step.score >= 0:
            self.tracker.decline()  # something else is in view: it must not become the target
        self._misses += 1
        if self.state is TargetState.TRACKING and self._misses >= self._patience.lost_after:
            self.state = TargetState.LOST
            self._message = f'not seen for {self._misses} frames'

    def describe(self, frame: np.ndarray, step: StepResult, describer: Describer) -> bool:
        """
        Put a target without words in words, once; return whether the describer ran.

        It waits for a step that shows the target.
        """
        if not self._undescribed or step.score < 0:
            return False
        mask = step.mask(*frame.shape[:2]) > 0
        if not mask.any():
            return False
        self._undescribed = False
        self.text = self.label = describer.describe(frame, mask)
        self.tracker.aim(self.text)
        known = f"which looks like '{self.text}'" if self.text else 'and fits no known word'
        self._message = f'pointed at, {known}'
        return True

    def report(self, size: tuple[int, int], step: StepResult | None) -> TargetReport:
        """Say what a frame of (H, W) pixels gave; `step` is None where the tracker did not run."""
        return TargetReport(
            id=self.id, text=self.text, label=self.label, state=self.state,
            score=0.0 if step is None else step.score, message=self._message,
            tokens_retained=0 if step is None else step.tokens_retained,
            bank_bytes=self.tracker.bank_bytes, step=step, size=size,
            in_view=(step is not None and self.state is TargetState.TRACKING
                     and not self._misses))

    def _sees(self, step: StepResult, stamp: float) -> bool:
        """Return whether the target is in view, by what a step says."""
        levels = self.tracker.likeness_levels
        if step.score < 0 or levels is not None and step.likeness < levels.same:
            return False
        return self.state is not TargetState.LOST or self._again(step.likeness, stamp)

    def _again(self, likeness: float, stamp: float) -> bool:
        """Return whether what appears after a loss is the target: surely, or for long enough."""
        levels = self.tracker.likeness_levels
        if levels is None or likeness >= levels.sure:
            return True
        self._doubtful_since = min(self._doubtful_since, stamp)  # time may have jumped back
        return stamp - self._doubtful_since >= self._patience.reground_period

    def _follow(self, message: str) -> None:
        self.state, self._message, self._misses = TargetState.TRACKING, message, 0
        self._doubtful_since = math.inf
