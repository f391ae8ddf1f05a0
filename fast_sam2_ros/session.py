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
A stream of images and the targets in it: a frame is encoded once for all of them.

The life of one target is told in `target`. Here they take turns with the grounder and are stepped
together, and a governor, where a latency is to be held, chooses how many tokens they keep.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, replace
from itertools import count
import logging
import math
import time
from typing import TYPE_CHECKING

from fast_sam2_ros.device_memory import free_cache, is_out_of_memory
from fast_sam2_ros.errors import DeviceMemoryError, InputError, name_some, ParameterError
from fast_sam2_ros.governor import allowed_budgets, BUDGETS, Governor
from fast_sam2_ros.latency import Latency
from fast_sam2_ros.prompt import Prompt
from fast_sam2_ros.pruning.budget import check_ratio
from fast_sam2_ros.reports import NO_LATENCY, Report, TargetReport, TargetState
from fast_sam2_ros.results import StepResult
from fast_sam2_ros.sam2 import fast_path
from fast_sam2_ros.sam2.checkpoint import (
    find_in_cache, load_model, LoadedModel, PREFERRED, resolve_device)
from fast_sam2_ros.sam2.parts import check_frame
from fast_sam2_ros.target import Patience, Target
from fast_sam2_ros.tracker import Tracker

if TYPE_CHECKING:
    from fast_sam2_ros.grounding import Grounder
    from fast_sam2_ros.grounding.describe import Describer
    import numpy as np

__all__ = ['NO_LATENCY', 'open_session', 'Report', 'Session', 'session_on', 'TargetReport',
           'TargetState', 'targets_in', 'text_of']

# Taken for a downloaded checkpoint where it is on the machine; the embedded grounder otherwise.
PREFERRED_GROUNDER = 'IDEA-Research/grounding-dino-tiny'
SEPARATOR = ';'  # between the targets of a text
MOST_TARGETS = 255  # ids of one byte
STATES = (TargetState.TRACKING, TargetState.LOST, TargetState.SEARCHING)  # the first one wins

logger = logging.getLogger(__name__)


def targets_in(text: str) -> dict[str, str]:
    """
    Return the targets that a text names, in order, by what is the same for the same target.

    Blanks are dropped, and so is what differs from an earlier one in case or spaces only.
    """
    named: dict[str, str] = {}
    for words in text.split(SEPARATOR):
        if words.strip():
            named.setdefault(_key(words), words.strip())
    return named


def text_of(words: Iterable[str]) -> str:
    """Return the text that names several targets."""
    return f'{SEPARATOR} '.join(words)


def _key(words: str) -> str:
    return ' '.join(words.split()).casefold()


class Session:
    """
    The targets in one stream of images.

    Not for several threads at once: whoever calls it does so from the thread that owns the model.

    tracker: of the first target, and the pattern for those of others.
    describer: gives the words for a target that was pointed at.
    governor: None where no latency is to be held.
    fast_path: why the compiled step is not used where it was asked for; empty where all is well.
    shortage: what the device's memory was too small for, and what was done; empty while it is
        enough, and again after another `keep_ratio` was set.
    """

    def __init__(self, tracker: Tracker, grounder: Grounder | None, *, lost_after: int = 5,
                 reground_period: float = 1.0, describer: Describer | None = None,
                 max_targets: int = 8, target_latency_ms: float = 0.0,
                 min_keep_ratio: float = 0.2):
        """
        Wait for a target.

        lost_after, reground_period: those of `Patience`, for all targets.
        max_targets: how many are followed at once, 1 to 255; what is named beyond is refused.
        target_latency_ms: what a step may usually take. The tracker's keep ratio is then the
            most that is kept, and `min_keep_ratio` the least; with 0 it is what is kept.
        All of these may be set later as well. Raises ParameterError for what is out of range.
        """
        if not 1 <= max_targets <= MOST_TARGETS:
            raise ParameterError(
                f'max_targets is {max_targets}; it must be 1 to {MOST_TARGETS}')
        self.tracker = tracker
        self.grounder = grounder
        self.describer = describer
        self.max_targets = max_targets
        self.loaded: LoadedModel | None = None
        self.governor: Governor | None = None
        self.fast_path = ''
        self.shortage = ''
        self._memory_limit = math.inf  # the largest keep ratio that the device has memory for
        self._compiled: set[float] = set()  # keep ratios
        self._patience = Patience(lost_after, reground_period)
        self._targets: list[Target] = []  # in the order in which they were named
        self._stepped = 0  # targets in the last step that the governor saw
        self._keep_ratio = self._target_latency_ms = self._min_keep_ratio = 0.0
        self._govern(tracker.keep_ratio, target_latency_ms, min_keep_ratio)
        self.clear()

    @property
    def lost_after(self) -> int:
        """Frames in a row without a target, after which it is lost."""
        return self._patience.lost_after

    @lost_after.setter
    def lost_after(self, frames: int) -> None:
        self._patience.lost_after = frames

    @property
    def reground_period(self) -> float:
        """Return the least time between two searches for a target, in seconds of the stamps."""
        return self._patience.reground_period

    @reground_period.setter
    def reground_period(self, seconds: float) -> None:
        self._patience.reground_period = seconds

    @property
    def keep_ratio(self) -> float:
        """
        Return the most that is kept of a frame's tokens, in (0, 1].

        Fewer are kept where that holds a latency, and after the device ran out of memory.
        """
        return self._keep_ratio

    @keep_ratio.setter
    def keep_ratio(self, ratio: float) -> None:
        if ratio != self._keep_ratio:
            self._memory_limit, self.shortage = math.inf, ''
        self._govern(ratio, self._target_latency_ms, self._min_keep_ratio)

    @property
    def memory_keep_ratio(self) -> float:
        """Return the share of a frame's tokens that is remembered; None sets what is kept."""
        return self.tracker.memory_keep_ratio

    @memory_keep_ratio.setter
    def memory_keep_ratio(self, ratio: float | None) -> None:
        for tracker in self._trackers():
            tracker.memory_keep_ratio = ratio

    @property
    def target_latency_ms(self) -> float:
        """Return what a step may usually take, in ms; 0 where no latency is to be held."""
        return self._target_latency_ms

    @target_latency_ms.setter
    def target_latency_ms(self, milliseconds: float) -> None:
        self._govern(self._keep_ratio, milliseconds, self._min_keep_ratio)

    @property
    def min_keep_ratio(self) -> float:
        """Return the least that a governor keeps of a frame's tokens, in (0, 1]."""
        return self._min_keep_ratio

    @min_keep_ratio.setter
    def min_keep_ratio(self, ratio: float) -> None:
        self._govern(self._keep_ratio, self._target_latency_ms, ratio)

    @property
    def state(self) -> TargetState:
        """Return the state after the last frame or command, as a report states it."""
        states = [target.state for target in self._targets]
        return next((state for state in STATES if state in states), TargetState.IDLE)

    @property
    def target_text(self) -> str:
        """Return the words that name the targets; empty where there are none."""
        return text_of(target.text for target in self._targets if target.text)

    def compile(self) -> None:  # noqa: A003
        """
        Compile the step for every keep ratio that may come into force; takes long.

        Where that cannot be, the step runs as it is, and `fast_path` says why.
        """
        budgets = self._budgets()
        self.fast_path = self.tracker.warm_up(budgets)
        self._compiled = set() if self.fast_path else set(budgets)
        if self.fast_path:
            logger.warning('%s', self.fast_path)

    def clear(self) -> None:
        """Forget all targets."""
        self._retain([])
        self._goal: list[str] = []  # the targets' keys as they were named
        self._refused: list[str] = []  # what was named beyond max_targets

    def set_text(self, text: str) -> None:
        """
        Name the targets, with ';' between them; the next frames search for the new ones.

        A target that was named before as well goes on undisturbed, unless the whole text is the
        same as before: then all are searched for again. Blank text clears all.
        """
        words = targets_in(text)
        goal = list(words)
        wanted = goal[:self.max_targets]
        targets = {} if goal == self._goal else {
            _key(target.text): target for target in self._targets if _key(target.text) in wanted}
        self._retain(targets.values())
        for key in wanted:
            if key not in targets:
                targets[key] = self._add(words[key])
        self._targets = [targets[key] for key in wanted]
        self._goal, self._refused = goal, [words[key] for key in goal[self.max_targets:]]
        if self._refused:
            logger.warning('%s', self._refusal)

    def set_prompt(self, prompt: Prompt, text: str = '') -> None:
        """
        Point at a new target in place of all others; the next frame starts to track it.

        With `text`, the target is searched for by these words once it is lost; without, by what
        the describer says of it.
        """
        self.clear()
        self._goal = [_key(text)]
        self._add(text.strip(), prompt)

    def process(self, frame: np.ndarray, stamp: float) -> Report:
        """
        Take the next image, (H, W, 3) uint8 RGB, with its time in seconds.

        Stamps may jump back (a bag that starts again): a search that waits then runs at once.
        Raise InputError for anything else than such an image, and DeviceMemoryError where the
        device ran out of memory: the frame leaves no trace, and the next one is taken with the
        next smaller budget, if there is one.
        """
        check_frame(frame)
        try:
            return self._process(frame, stamp)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Not before here, since the error holds on to the tensors of the step that failed.
        free_cache()
        self._economise()
        raise DeviceMemoryError(self.shortage)

    def _process(self, frame: np.ndarray, stamp: float) -> Report:
        keep_ratio = self.tracker.keep_ratio
        began = time.perf_counter()

        searching = self._next_to_search(stamp)
        waiting = [each for each in self._targets if each.is_pointed_at or each is searching]
        # A lost target is stepped unless the grounder finds it; others profit from the step's
        # encoded frame.
        started = {each.id: self._start(each, frame, stamp)
                   for each in waiting if each.tracker.has_target}
        followed = self._step([each for each in self._targets if each.tracker.has_target
                               and started.get(each.id) is None], frame)
        for target, step in followed:
            target.judge(step, stamp)
        described = self._describe(followed, frame)
        started |= {each.id: self._start(each, frame, stamp)
                    for each in waiting if not each.tracker.has_target}

        elapsed = (time.perf_counter() - began) * 1e3
        latency = _sum([step.latency for step in started.values() if step is not None]
                       + [step.latency for _, step in followed[:1]])
        if searching is not None or described:
            latency = replace(latency, total=elapsed)
        elif not started:
            self._hold_latency(len(followed), latency.total)
        steps = started | {target.id: step for target, step in followed}
        return self._report(frame.shape[:2], steps, latency, searching is not None, keep_ratio)

    @property
    def _refusal(self) -> str:
        return (f'not followed, since max_targets is {self.max_targets}: '
                + name_some(self._refused))

    def _trackers(self) -> list[Tracker]:
        others = (target.tracker for target in self._targets)
        return [self.tracker, *(each for each in others if each is not self.tracker)]

    def _add(self, text: str, prompt: Prompt | None = None) -> Target:
        """Start the life of a target with the lowest id, and a tracker, that is free."""
        ids = {target.id for target in self._targets}
        number = next(number for number in count(1) if number not in ids)
        taken = any(target.tracker is self.tracker for target in self._targets)
        tracker = self.tracker.another() if taken else self.tracker
        target = Target(number, tracker, self._patience, text, prompt)
        self._targets.append(target)
        return target

    def _retain(self, targets: Iterable[Target]) -> None:
        """Forget all targets but these."""
        retained = list(targets)
        if all(target.tracker is not self.tracker for target in retained):
            self.tracker.reset()
        self._targets = retained

    def _next_to_search(self, stamp: float) -> Target | None:
        """Return the target whose turn it is with the grounder: the one that waits longest."""
        due = [target for target in self._targets if target.search_is_due(stamp)]
        return min(due, key=lambda target: target.next_search, default=None)

    def _start(self, target: Target, frame: np.ndarray, stamp: float) -> StepResult | None:
        """
        Begin with a target that waits, None where it is not found.

        A prompt that the tracker refuses clears the target and raises InputError.
        """
        if not target.is_pointed_at:
            return target.search(frame, stamp, self.grounder)
        try:
            return target.begin(frame)
        except InputError:
            self._retain(each for each in self._targets if each is not target)
            raise

    def _step(self, targets: list[Target], frame: np.ndarray) -> list[tuple[Target, StepResult]]:
        if not targets:
            return []
        return list(zip(targets, self.tracker.step_all([t.tracker for t in targets], frame)))

    def _describe(self, followed: list[tuple[Target, StepResult]], frame: np.ndarray) -> bool:
        """Put what was pointed at in words; return whether the describer ran."""
        if self.describer is None or not any(
                target.describe(frame, step, self.describer) for target, step in followed):
            return False
        self._goal = [_key(target.text) for target in self._targets]
        return True

    def _budgets(self) -> tuple[float, ...]:
        """Return the keep ratios that may come into force."""
        if self.governor is None:
            return (self._most,)
        return allowed_budgets(self._most, self._min_keep_ratio)

    @property
    def _most(self) -> float:
        """Return the largest keep ratio that may come into force."""
        return min(self._keep_ratio, self._memory_limit)

    def _govern(self, keep_ratio: float, target_ms: float, min_keep_ratio: float) -> None:
        """Take what limits the budget; a change begins with the largest."""
        if not target_ms >= 0:
            raise ParameterError(f'target_latency_ms is {target_ms}; it must be 0 or more')
        settings = (check_ratio('keep_ratio', keep_ratio), target_ms,
                    check_ratio('min_keep_ratio', min_keep_ratio))
        if settings == (self._keep_ratio, self._target_latency_ms, self._min_keep_ratio):
            return
        self._keep_ratio, self._target_latency_ms, self._min_keep_ratio = settings
        self._restart_budget()

    def _economise(self) -> None:
        """Take the next smaller budget, since the device has no memory for the one in force."""
        before, used = self.shortage, min(self.tracker.keep_ratio, self._memory_limit)
        smaller = [budget for budget in BUDGETS if budget < used]
        if smaller:
            self._memory_limit = smaller[0]
            self.shortage = (f'the device ran out of memory at a keep ratio of {used:g}; it is '
                             f'{smaller[0]:g} until another is set')
            for target in self._targets:
                target.search_at_once()
            self._restart_budget()
        else:
            self.shortage = (f'the device ran out of memory at a keep ratio of {used:g}, and '
                             'nothing lower is possible: free some of it, or take a smaller model')
        if self.shortage != before:  # else it would be said with every frame
            logger.warning('%s', self.shortage)

    def _restart_budget(self) -> None:
        """Begin with the largest keep ratio that may come into force."""
        self.governor = None
        if self._target_latency_ms:
            self.governor = Governor(self._target_latency_ms, self._most, self._min_keep_ratio)
        self._keep(self._most)
        if self._compiled:
            self.fast_path = ''
            rest = set(self._budgets()) - self._compiled
            if rest:
                self.fast_path = ('not compiled at the start, and so slower: keep ratio '
                                  + name_some(f'{ratio:g}' for ratio in rest))
                logger.warning('%s', self.fast_path)

    def _keep(self, ratio: float) -> None:
        for tracker in self._trackers():
            if tracker.keep_ratio != ratio:
                tracker.keep_ratio = ratio

    def _hold_latency(self, stepped: int, step_ms: float) -> None:
        """Tell the governor how long a step of so many targets took, and do as it says."""
        if self.governor is None or not stepped:
            return
        if stepped != self._stepped:
            self.governor.restart()
            self._stepped = stepped
        held = self.governor.holds
        self._keep(self.governor.observe(step_ms))
        if held and not self.governor.holds:
            logger.warning('%s', self.governor.message)

    def _report(self, size: tuple[int, int], steps: dict[int, StepResult | None],
                latency: Latency, grounded: bool, keep_ratio: float) -> Report:
        """Sum up a frame of (H, W) pixels, with the trackers' results by target."""
        targets = tuple(sorted(
            (target.report(size, steps.get(target.id)) for target in self._targets),
            key=lambda report: report.id))
        first = next((each for each in targets if each.state is TargetState.TRACKING),
                     targets[0] if targets else None)
        message = 'no target' if first is None else first.message
        if self._refused:
            message += f'; {self._refusal}'
        if self.shortage:
            message += f'; {self.shortage}'
        rows, columns = self.tracker.grid
        return Report(
            state=self.state, target_text=self.target_text,
            score=0.0 if first is None else first.score, message=message,
            tokens_retained=0 if first is None else first.tokens_retained,
            tokens_total=rows * columns,
            bank_bytes=(sum(target.bank_bytes for target in targets) if targets
                        else self.tracker.bank_bytes),
            latency=latency, step=None if first is None else first.step,
            label='' if first is None else first.label, grounded=grounded, size=size,
            keep_ratio=keep_ratio, targets=targets)


def _sum(latencies: list[Latency]) -> Latency:
    return Latency(*map(sum, zip(*map(astuple, [NO_LATENCY, *latencies]))))


def open_session(model: str = 'auto', device: str = 'auto', keep_ratio: float = 0.5,
                 router: str = 'analytic', grounder: str = 'auto',
                 memory_keep_ratio: float | None = None, lost_after: int = 5,
                 reground_period: float = 1.0, preferred: str = PREFERRED,
                 describer: str = 'embedded', target_latency_ms: float = 0.0,
                 min_keep_ratio: float = 0.2, max_targets: int = 8,
                 compile: str = 'auto',  # noqa: A002
                 dtype: str = 'auto', roi: float = 0.0, roi_refresh: int = 10) -> Session:
    """
    Load a model and its grounder and return a session that waits for a target.

    `device` is 'auto' (the GPU where there is one), 'cpu' or 'cuda'; `grounder` is 'auto',
    'embedded', a hub id or a folder of a zero-shot detector, or 'none'; `preferred` is the hub id
    that the model 'auto' looks for; `describer` is 'embedded', 'none', or a hub id or a folder
    (`grounding.describe.load_describer`). `compile` is 'on', 'off' or 'auto', `dtype` 'float32',
    'bfloat16' or 'auto' (`sam2.fast_path`). The other names are those of `load_model`, `Tracker`
    and `Session`. Raise CheckpointError or ParameterError, in words that tell what to do.
    """
    device = str(resolve_device(device))
    return session_on(load_model(model, device, preferred), device, keep_ratio=keep_ratio,
                      router=router, grounder=grounder, memory_keep_ratio=memory_keep_ratio,
                      lost_after=lost_after, reground_period=reground_period,
                      describer=describer, target_latency_ms=target_latency_ms,
                      min_keep_ratio=min_keep_ratio, max_targets=max_targets, compile=compile,
                      dtype=dtype, roi=roi, roi_refresh=roi_refresh)


def session_on(loaded: LoadedModel, device: str, *, keep_ratio: float = 0.5,
               router: str = 'analytic', grounder: str = 'auto',
               memory_keep_ratio: float | None = None, lost_after: int = 5,
               reground_period: float = 1.0, dense_conditioning: bool = True,
               memory_frames: int | None = None, describer: str = 'none',
               target_latency_ms: float = 0.0, min_keep_ratio: float = 0.2,
               max_targets: int = 8, compile: str = 'off', dtype: str = 'float32',  # noqa: A002
               roi: float = 0.0, roi_refresh: int = 10) -> Session:
    """
    Return a session on a model that is loaded already; otherwise as `open_session`.

    `dense_conditioning` and `memory_frames` are those of `Tracker`.
    """
    where = loaded.model.device
    compiled = fast_path.choose_compile(compile, where)
    tracker = Tracker(loaded, keep_ratio=keep_ratio, memory_keep_ratio=memory_keep_ratio,
                      router=router, dense_conditioning=dense_conditioning,
                      memory_frames=memory_frames, dtype=fast_path.choose_dtype(dtype, where),
                      roi=roi, roi_refresh=roi_refresh)
    session = Session(tracker, _open_grounder(grounder, loaded, tracker, device),
                      lost_after=lost_after, reground_period=reground_period,
                      describer=_open_describer(describer, device), max_targets=max_targets,
                      target_latency_ms=target_latency_ms, min_keep_ratio=min_keep_ratio)
    session.loaded = loaded
    if compiled:
        session.compile()
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
