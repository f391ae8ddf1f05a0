# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The target's life: idle, searching, tracking, lost. Calls the grounder, then the tracker.

What is seen is the target as long as the object score says so and, with a model for which it was
measured how alike is alike, it looks somewhat like it. Once it is lost, it takes more: what comes
looks very much like it, or is still there after a while. Until then it is neither reported nor
remembered, so that a look-alike does not become the target.

A target that was pointed at without words is described once, on the frame after the first, so
that the first mask need not wait; by these words it is searched for once it is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
import enum
import math
import time
from typing import TYPE_CHECKING

import numpy as np

from fast_sam2_ros.errors import InputError, ParameterError
from fast_sam2_ros.sam2.checkpoint import (
    find_in_cache, load_model, LoadedModel, PREFERRED, resolve_device)
from fast_sam2_ros.tracker import Latency, Prompt, StepResult, Tracker

if TYPE_CHECKING:
    from fast_sam2_ros.grounding import Grounder
    from fast_sam2_ros.grounding.describe import Describer

NO_LATENCY = Latency(encode=0.0, route=0.0, attend=0.0, decode=0.0, remember=0.0, total=0.0)
# Taken for a downloaded checkpoint where it is on the machine; the embedded grounder otherwise.
PREFERRED_GROUNDER = 'IDEA-Research/grounding-dino-tiny'


class TargetState(enum.Enum):
    """Where the target is in its life."""

    IDLE = 'idle'  # no target was given
    SEARCHING = 'searching'  # a target was named and not found yet
    TRACKING = 'tracking'
    LOST = 'lost'  # it was tracked, and is out of view or hidden


@dataclass(frozen=True)
class Report:
    """What one frame gave.

    mask: (H, W) uint8 of 0 and 1, as large as the frame; all zero unless tracking.
    score: the object score's logit; 0 where the tracker did not run.
    message: why the state is what it is, for a person.
    latency: of this frame in ms; its total holds the time of the grounder and of the describer
        where these ran.
    step: the tracker's own result, None where it did not run.
    label: what the grounder, or the describer, called the target.
    grounded: whether the grounder ran on this frame.
    """

    state: TargetState
    target_text: str
    mask: np.ndarray
    score: float
    message: str
    tokens_retained: int
    tokens_total: int
    bank_bytes: int
    latency: Latency
    step: StepResult | None
    label: str
    grounded: bool


class Session:
    """One target in one stream of images.

    Not for several threads at once: whoever calls it does so from the thread that owns the model.

    lost_after: frames in a row without the target, by the object score or by its looks, after
        which it is lost.
    reground_period: the least time between two searches for the same target, in seconds of the
        images' stamps. As long must something that is not surely the target wait after a loss.
    describer: gives the words for a target that was pointed at.
    """

    def __init__(self, tracker: Tracker, grounder: Grounder | None, *, lost_after: int = 5,
                 reground_period: float = 1.0, describer: Describer | None = None):
        if lost_after < 1:
            raise ParameterError(f'lost_after is {lost_after}; it must be 1 frame or more')
        if not reground_period >= 0:
            raise ParameterError(
                f'reground_period is {reground_period}; it must be 0 seconds or more')
        self.tracker = tracker
        self.grounder = grounder
        self.describer = describer
        self.loaded: LoadedModel | None = None
        self.lost_after = lost_after
        self.reground_period = reground_period
        self._last_stamp = -math.inf
        self.clear()

    @property
    def state(self) -> TargetState:
        """Return the state after the last frame or command."""
        return self._state

    @property
    def target_text(self) -> str:
        """Return the words that name the target; empty where there is none."""
        return self._text

    def clear(self) -> None:
        """Forget the target."""
        self.tracker.reset()
        self._state = TargetState.IDLE
        self._text = self._label = ''
        self._message = 'no target'
        self._prompt: Prompt | None = None  # pointed at, not yet given to the tracker
        self._misses = 0  # frames in a row without the target
        self._next_search = -math.inf  # stamp from which on the grounder may run
        self._doubtful_since = math.inf  # stamp of the first sight since a loss that was not sure
        self._understood = True  # whether searching for the text can succeed
        self._undescribed = False  # whether the target is to be described

    def set_text(self, text: str) -> None:
        """Name a new target; the next frame searches for it. Blank text clears the target.

        The text that is tracked already is searched for again.
        """
        self.clear()
        self._text = text.strip()
        self.tracker.aim(self._text)
        if self._text:
            self._state = TargetState.SEARCHING
            self._message = f"'{self._text}' was not searched for yet"

    def set_prompt(self, prompt: Prompt, text: str = '') -> None:
        """Point at a new target; the next frame starts to track it.

        With `text`, the target is searched for by these words once it is lost; without, by what
        the describer says of it.
        """
        self.clear()
        self._text = text.strip()
        self.tracker.aim(self._text)
        self._prompt = prompt
        self._state = TargetState.SEARCHING
        self._message = 'pointed at'

    def process(self, frame: np.ndarray, stamp: float) -> Report:
        """Take the next image, (H, W, 3) uint8 RGB, with its time in seconds.

        Stamps may jump back (a bag that starts again): a search that waits then runs at once.
        Raise InputError for anything else than such an image.
        """
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or not frame.size:
            raise InputError(f'an image is (H, W, 3) uint8, not {frame.shape} {frame.dtype}')
        if stamp < self._last_stamp:
            self._next_search = -math.inf
            if self._doubtful_since < math.inf:
                self._doubtful_since = stamp
        self._last_stamp = stamp
        began = time.perf_counter()
        step, grounded, described = None, False, False
        if self._prompt is not None:
            step = self._point(frame)
        elif self._search_is_due(stamp):
            step, grounded = self._search(frame, stamp), True
        if step is None and self.tracker.has_target:
            step = self.tracker.step(frame)
            self._judge(step)
            described = self._undescribed and self._describe(frame, step)
        elapsed = (time.perf_counter() - began) * 1e3
        return self._report(frame, step, grounded, elapsed if grounded or described else None)

    def _point(self, frame: np.ndarray) -> StepResult:
        """Give the tracker what was pointed at; a prompt that it refuses clears the target."""
        try:
            step = self.tracker.prompt(frame, self._prompt)
        except InputError:
            self.clear()
            raise
        self._prompt, self._label = None, self._text
        self._undescribed = not self._text and self.describer is not None
        self._follow(TargetState.TRACKING, 'pointed at')
        return step

    def _describe(self, frame: np.ndarray, step: StepResult) -> bool:
        """Put the target of a step in words; return False where the step does not show it."""
        mask = step.mask(*frame.shape[:2]) > 0
        if self.describer is None or step.score < 0 or not mask.any():
            return False
        self._undescribed = False
        self._text = self._label = self.describer.describe(frame, mask)
        self.tracker.aim(self._text)
        known = f"which looks like '{self._text}'" if self._text else 'and fits no known word'
        self._message = f'pointed at, {known}'
        return True

    def _search_is_due(self, stamp: float) -> bool:
        return (self._state in (TargetState.SEARCHING, TargetState.LOST) and bool(self._text)
                and self._understood and stamp >= self._next_search)

    def _search(self, frame: np.ndarray, stamp: float) -> StepResult | None:
        """Run the grounder; start to track what it finds and return the first result."""
        if self.grounder is None:
            self._understood = False
            self._message = 'targets cannot be named: no grounder is loaded'
            return None
        self._next_search = stamp + self.reground_period
        found = self.grounder.ground(frame, self._text)
        if not found:
            self._understood = self.grounder.knows(self._text)
            self._message = found.reason
            return None
        if self._state is TargetState.LOST and not self._again(
                self.tracker.segment(frame, found.prompt).likeness):
            self._message = f"'{found.label}' is in view, but does not look like the lost one"
            return None
        step = self.tracker.prompt(frame, found.prompt, found.relevance)
        self._label = found.label
        self._follow(TargetState.TRACKING, f"found '{found.label}' at {found.score:.2f}")
        return step

    def _sees(self, step: StepResult) -> bool:
        """Return whether the target is in view, by what a step says."""
        levels = self.tracker.likeness_levels
        if step.score < 0 or levels is not None and step.likeness < levels.same:
            return False
        return self._state is not TargetState.LOST or self._again(step.likeness)

    def _again(self, likeness: float) -> bool:
        """Return whether what appears after a loss is the target: surely, or for long enough."""
        levels = self.tracker.likeness_levels
        if levels is None or likeness >= levels.sure:
            return True
        self._doubtful_since = min(self._doubtful_since, self._last_stamp)
        return self._last_stamp - self._doubtful_since >= self.reground_period

    def _judge(self, step: StepResult) -> None:
        """Move between tracking and lost by what a step says."""
        if self._sees(step):
            if self._state is TargetState.LOST:
                self._message = 'seen again'
            self._follow(TargetState.TRACKING, self._message)
            return
        if step.score >= 0:
            self.tracker.decline()  # something else is in view: it must not become the target
        self._misses += 1
        if self._state is TargetState.TRACKING and self._misses >= self.lost_after:
            self._state = TargetState.LOST
            self._message = f'not seen for {self._misses} frames'

    def _follow(self, state: TargetState, message: str) -> None:
        self._state, self._message, self._misses = state, message, 0
        self._doubtful_since = math.inf

    def _report(self, frame: np.ndarray, step: StepResult | None, grounded: bool,
                elapsed: float | None) -> Report:
        """Sum the frame up; `elapsed` ms took more than the tracker's own step."""
        height, width = frame.shape[:2]
        if step is not None and self._state is TargetState.TRACKING and not self._misses:
            mask = step.mask(height, width)
        else:
            mask = np.zeros((height, width), dtype=np.uint8)
        latency = NO_LATENCY if step is None else step.latency
        if elapsed is not None:
            latency = replace(latency, total=elapsed)
        rows, columns = self.tracker.grid
        return Report(
            state=self._state, target_text=self._text, mask=mask,
            score=0.0 if step is None else step.score, message=self._message,
            tokens_retained=0 if step is None else step.tokens_retained,
            tokens_total=rows * columns, bank_bytes=self.tracker.bank_bytes, latency=latency,
            step=step, label=self._label, grounded=grounded)


def open_session(model: str = 'auto', device: str = 'auto', keep_ratio: float = 0.5,
                 router: str = 'analytic', grounder: str = 'auto',
                 memory_keep_ratio: float | None = None, lost_after: int = 5,
                 reground_period: float = 1.0, preferred: str = PREFERRED,
                 describer: str = 'embedded') -> Session:
    """Load a model and its grounder and return a session that waits for a target.

    `device` is 'auto' (the GPU where there is one), 'cpu' or 'cuda'; `grounder` is 'auto',
    'embedded', a hub id or a folder of a zero-shot detector, or 'none'; `preferred` is the hub id
    that the model 'auto' looks for; `describer` is 'embedded', 'none', or a hub id or a folder
    (`grounding.describe.load_describer`). The other names are those of `load_model`, `Tracker` and
    `Session`. Raise CheckpointError or ParameterError, in words that tell what to do.
    """
    device = str(resolve_device(device))
    return session_on(load_model(model, device, preferred), device, keep_ratio=keep_ratio,
                      router=router, grounder=grounder, memory_keep_ratio=memory_keep_ratio,
                      lost_after=lost_after, reground_period=reground_period,
                      describer=describer)


def session_on(loaded: LoadedModel, device: str, *, keep_ratio: float = 0.5,
               router: str = 'analytic', grounder: str = 'auto',
               memory_keep_ratio: float | None = None, lost_after: int = 5,
               reground_period: float = 1.0, dense_conditioning: bool = True,
               memory_frames: int | None = None, describer: str = 'none') -> Session:
    """Return a session on a model that is loaded already; otherwise as `open_session`.

    `dense_conditioning` and `memory_frames` are those of `Tracker`.
    """
    tracker = Tracker(loaded, keep_ratio=keep_ratio, memory_keep_ratio=memory_keep_ratio,
                      router=router, dense_conditioning=dense_conditioning,
                      memory_frames=memory_frames)
    session = Session(tracker, _open_grounder(grounder, loaded, tracker, device),
                      lost_after=lost_after, reground_period=reground_period,
                      describer=_open_describer(describer, device))
    session.loaded = loaded
    return session


def _open_grounder(name: str, loaded: LoadedModel, tracker: Tracker,
                   device: str) -> Grounder | None:
    if name == 'none':
        return None
    from fast_sam2_ros.grounding import load_grounder

    if name == 'auto':
        cached = loaded.name != 'embedded' and find_in_cache(PREFERRED_GROUNDER) is not None
        name = PREFERRED_GROUNDER if cached else 'embedded'
    return load_grounder(name, tracker, device)


def _open_describer(name: str, device: str) -> Describer | None:
    if name == 'none':
        return None
    from fast_sam2_ros.grounding.describe import load_describer

    return load_describer(name, device)
