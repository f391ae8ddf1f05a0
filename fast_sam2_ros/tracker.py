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
The tracker: a target in a stream, a bounded memory, and only the tokens that matter.

`Tracker.step_all` is the method (arXiv 2512.21333): encode, route, attend, decode, remember. With
a keep ratio of 1.0 it returns what `Sam2VideoModel` returns on the same stream. Several targets
are several trackers of one family: the frame is encoded once for all, and what follows is done for
all of them at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from copy import copy
from dataclasses import dataclass, replace

from fast_sam2_ros.errors import InputError, ParameterError
from fast_sam2_ros.eyes import Eyes, Sight
from fast_sam2_ros.latency import StageClock
from fast_sam2_ros.likeness import Looks
from fast_sam2_ros.memory import BankView, FrameMemory, MemoryBank
from fast_sam2_ros.prompt import Prompt
from fast_sam2_ros.prompting import decode_prompt, on_grid
from fast_sam2_ros.pruning.attention import attend
from fast_sam2_ros.pruning.budget import check_ratio, tokens_to_keep
from fast_sam2_ros.pruning.cues import Cues, MaskHistory, TextProbe
from fast_sam2_ros.pruning.routers import best_tokens, make_router
from fast_sam2_ros.region import Extent
from fast_sam2_ros.results import Answer, fetch, StepResult
from fast_sam2_ros.sam2.loaded import LoadedModel
from fast_sam2_ros.sam2.parts import check_frame, Decoded
import numpy as np
import torch
from torch import Tensor

WARM_UP_FRAME = np.zeros((48, 64, 3), np.uint8)
WARM_UP_BOX = (16.0, 12.0, 48.0, 36.0)


@dataclass(frozen=True)
class _Target:
    """What routing knows of the target; what attention knows is in the bank."""

    probe: TextProbe
    history: MaskHistory
    looks: Looks


@dataclass(frozen=True)
class _Choice:
    """
    What to remember of a frame: `keep` (K,) of the tokens that were encoded, None for all.

    `places` (K,) are theirs on the whole grid, `score` (K,) is the router's.
    """

    keep: Tensor | None
    places: Tensor
    score: Tensor

    def memory(self, features: Tensor) -> FrameMemory:
        """Return the memory of the frame with the (K, M) features of its tokens."""
        return FrameMemory(features, self.places.to(torch.int32), self.score)


@dataclass(frozen=True)
class _Draft:
    """What a step found: its answer, the target as it is then, and what to remember."""

    answer: Answer
    target: _Target
    choice: _Choice


@dataclass(frozen=True)
class _Pending:
    """What a step would remember: a frame and its pointer, and the target as it is after it."""

    memory: FrameMemory
    pointer: Tensor
    target: _Target


class Tracker:
    """
    Follow one target through a stream of frames.

    `bank` is what it remembers, for those who measure it.

    A new prompt replaces the target: its frame becomes the conditioning frame and the bank starts
    empty. Frames may change their size from one to the next, since each is resized to a square.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        keep_ratio: float = 0.5,
        memory_keep_ratio: float | None = None,
        router: str = 'analytic',
        dense_conditioning: bool = True,
        memory_frames: int | None = None,
        dtype: str = 'float32',
        roi: float = 0.0,
        roi_refresh: int = 10,
    ) -> None:
        """
        Prepare to track with a loaded model.

        `keep_ratio`, in (0, 1], is the share of a frame's tokens that take part in memory
        attention; `memory_keep_ratio` the share that is remembered of it, None for the same.
        `dense_conditioning` remembers all tokens of the conditioning frame. `memory_frames` is
        how many recent frames are remembered besides it, None for as many as the model was
        trained with; the object pointers are the same whatever it is. `router` is what
        `make_router` takes. `dtype` is what the model computes in, 'float32' or 'bfloat16', the
        latter with positions and everything that is accumulated in float32. `roi` above 0 encodes
        a window around the target, of that share of the frame's sides where it is small enough
        (`region.Region`), and the whole frame every `roi_refresh` frames. Raises ParameterError
        for a setting that is out of range.
        """
        self._eyes = Eyes(loaded, dtype, roi, roi_refresh)
        self._parts = self._eyes.parts
        self.takes_points = loaded.takes_points
        self.likeness_levels = loaded.likeness_levels
        self._router = make_router(router, loaded)
        self._dense_conditioning = dense_conditioning
        self._keep_ratio = check_ratio('keep_ratio', keep_ratio)
        self._memory_keep_ratio = memory_keep_ratio
        if memory_keep_ratio is not None:
            check_ratio('memory_keep_ratio', memory_keep_ratio)
        most = self._parts.recent_frames
        self.memory_frames = most if memory_frames is None else memory_frames
        if not 0 < self.memory_frames <= most:
            raise ParameterError(
                f'memory_frames is {memory_frames}; this model remembers 1 to {most}')
        self._begin()

    def _begin(self) -> None:
        """Start without a target, with a memory of its own."""
        self.bank = MemoryBank(
            recent_frames=self.memory_frames,
            conditioning_row=self._parts.recent_frames,
            max_pointers=self._parts.max_pointers,
            conditioning_tokens=self._conditioning_budget,
            recent_tokens=self._memory_budget,
            memory_size=self._parts.memory_size,
            hidden_size=self._parts.hidden_size,
            device=self._parts.device,
        )
        self._target: _Target | None = None
        self._pending: _Pending | None = None
        self._extent: Extent | None = None  # where it was on the last frame

    def another(self) -> Tracker:
        """
        Return a tracker for another target in the same stream.

        It has the settings of this one, and shares the model and what was made of the last frame;
        its memory and its target are its own.
        """
        other = copy(self)
        other._router = copy(self._router)
        other._router.aim('')
        other._begin()
        return other

    @property
    def dtype(self) -> str:
        """Return what the model computes in: 'float32' or 'bfloat16'."""
        return self._parts.stages.dtype

    @property
    def compiled(self) -> bool:
        """Return whether steps run as compiled graphs."""
        return self._parts.stages.compiled

    @torch.inference_mode()
    def warm_up(
        self, keep_ratios: Sequence[float], targets: int = 1, compile: bool = True  # noqa: A002
    ) -> str:
        """
        Run the steady step of 1 and of `targets` targets at every keep ratio, and compile it.

        After that nothing is compiled any more: what is not steady, or at another ratio, runs as
        it is. Every tracker of the family runs the graphs. Returns '', or in words why there are
        none. Its own target and memory stay as they are.
        """
        stages = self._parts.stages
        try:
            for ratio in keep_ratios:
                for count in sorted({1, targets}):
                    crew = self._stand_ins(ratio, count)
                    with stages.recording() if compile else nullcontext():
                        self.step_all(crew, WARM_UP_FRAME)
        except Exception as error:  # whatever a compiler may raise: the code runs without it
            stages.clear()
            reason = str(error).strip().splitlines() or [type(error).__name__]
            return f'the model could not be compiled: {reason[0]}'
        return ''

    def _stand_ins(self, keep_ratio: float, count: int) -> list[Tracker]:
        """Return trackers that follow something, with full memories."""
        crew = [self.another() for _ in range(count)]
        for tracker in crew:
            tracker.keep_ratio = keep_ratio
            tracker.prompt(WARM_UP_FRAME, Prompt(box=WARM_UP_BOX))
            tracker.bank.fill()
        return crew

    @property
    def grid(self) -> tuple[int, int]:
        """Return the token grid's height and width."""
        return self._parts.grid

    @property
    def has_target(self) -> bool:
        """Return whether there is a target to follow."""
        return self._target is not None

    @property
    def bank_bytes(self) -> int:
        """Return the size of the memory bank, fixed until a keep ratio changes."""
        return self.bank.nbytes

    @property
    def router(self) -> str:
        """Return the name of the router."""
        return self._router.name

    def aim(self, text: str) -> None:
        """Tell the router the goal in words, '' for none; once a goal: a text encoder may run."""
        self._router.aim(text)

    @property
    def keep_ratio(self) -> float:
        """Return the share of a frame's tokens that take part in memory attention, in (0, 1]."""
        return self._keep_ratio

    @keep_ratio.setter
    def keep_ratio(self, ratio: float) -> None:
        self._set_ratios(check_ratio('keep_ratio', ratio), self._memory_keep_ratio)

    @property
    def memory_keep_ratio(self) -> float:
        """Return the share of tokens that is remembered; `keep_ratio` unless it was set."""
        return self._keep_ratio if self._memory_keep_ratio is None else self._memory_keep_ratio

    @memory_keep_ratio.setter
    def memory_keep_ratio(self, ratio: float | None) -> None:
        self._set_ratios(
            self._keep_ratio, None if ratio is None else check_ratio('memory_keep_ratio', ratio))

    def step(self, frame: np.ndarray) -> StepResult:
        """Follow the target on to an (H, W, 3) uint8 RGB frame; see `step_all`."""
        return self.step_all([self], frame)[0]

    @staticmethod
    @torch.inference_mode()
    def step_all(trackers: Sequence[Tracker], frame: np.ndarray) -> list[StepResult]:
        """
        Follow the targets of trackers of one family on to an (H, W, 3) uint8 RGB frame.

        Each remembers the frame when its next step begins, unless `decline` is called before. The
        latency in the results is that of the whole. Raises InputError where one has no target, or
        for anything but such a frame, or for trackers that are not of one family.
        """
        eyes = _family(trackers)
        clock = StageClock(eyes.parts.device)
        for tracker in trackers:
            tracker._take_in()

        sight = eyes.look(frame, [tracker._extent for tracker in trackers])
        clock.lap('encode')

        cues = [tracker._cues(sight) for tracker in trackers]
        queries = [tracker._route(each) for tracker, each in zip(trackers, cues)]
        clock.lap('route')

        conditioned = _attend_all(sight, queries, [each.bank.read() for each in trackers])
        clock.lap('attend')

        decoded = sight.parts.decode(
            conditioned, sight.encoded, sight.parts.no_prompt, point_count=0, prompted=False)
        clock.lap('decode')

        drafts = [tracker._draft(sight, *each)
                  for tracker, *each in zip(trackers, cues, queries, decoded)]
        memories = _encode_all(
            sight, decoded, [draft.choice for draft in drafts], prompted=False)
        clock.lap('remember')

        results = _results(trackers, [draft.answer for draft in drafts], clock)
        # Last, so that a step that fails leaves no trace.
        for tracker, draft, memory in zip(trackers, drafts, memories):
            tracker._pending = _Pending(memory, draft.answer.decoded.pointer, draft.target)
        return results

    def decline(self) -> None:
        """Do not remember the frame of the last step: it leaves no trace."""
        self._pending = self._extent = None

    @torch.inference_mode()
    def prompt(
        self, frame: np.ndarray, prompt: Prompt, relevance: np.ndarray | None = None
    ) -> StepResult:
        """
        Start following what `prompt` points at on an (H, W, 3) uint8 RGB frame.

        `relevance`, a map in [0, 1] of any size over the frame, is what the text cue learns; left
        out, it learns the target's mask. A target that was followed before is forgotten, unless
        InputError is raised: then nothing has changed.
        """
        check_frame(frame)
        prompt.check_against(*frame.shape[:2])
        wanted = None if relevance is None else on_grid(relevance, self._parts)
        clock = StageClock(self._parts.device)

        sight = self._eyes.look_once(frame)
        clock.lap('encode')

        decoded = decode_prompt(
            self._parts, sight.encoded, frame.shape[:2], prompt, self.takes_points)
        clock.lap('decode')

        history = MaskHistory.begin(decoded, self.grid)
        probe = TextProbe.fit(sight.encoded.tokens, history.seed if wanted is None else wanted)
        cues = Cues(sight.cues, probe(sight.encoded.feature_map), history, moving=False)
        clock.lap('route')

        choice = self._choose(sight, cues, self._conditioning_budget)
        (memory,) = _encode_all(sight, [decoded], [choice], prompted=True)
        looks = Looks.begin(sight.look(decoded.logits))
        self.bank.condition(memory, decoded.pointer)
        self._target, self._pending = _Target(probe, history, looks), None
        clock.lap('remember')

        return self._answer_prompt(decoded, history.seed, clock)

    @torch.inference_mode()
    def segment(self, frame: np.ndarray, prompt: Prompt) -> StepResult:
        """
        Segment what `prompt` points at on one frame; the target and its memory stay as they are.

        Raises InputError as `prompt` does.
        """
        check_frame(frame)
        prompt.check_against(*frame.shape[:2])
        clock = StageClock(self._parts.device)
        sight = self._eyes.look_once(frame)
        clock.lap('encode')
        decoded = decode_prompt(
            self._parts, sight.encoded, frame.shape[:2], prompt, self.takes_points)
        clock.lap('decode')
        likeness = None
        if self._target is not None:
            likeness = self._target.looks.likeness(sight.look(decoded.logits))
        seed = MaskHistory.begin(decoded, self.grid).seed
        result = self._answer_prompt(decoded, seed, clock, likeness)
        self._extent = None  # it need not be where the target was
        return result

    @torch.inference_mode()
    def set_relevance(self, relevance: np.ndarray) -> None:
        """
        Teach the text cue anew, from a map of relevance over the last frame encoded as a whole.

        The map is (gh, gw) in [0, 1], of any size. Raises InputError where there is no target.
        """
        if self._target is None:
            raise InputError('there is no target whose relevance could be refreshed')
        self._take_in()
        wanted = on_grid(relevance, self._parts)
        probe = TextProbe.fit(self._eyes.last.encoded.tokens, wanted)
        self._target = replace(self._target, probe=probe)

    def reset(self) -> None:
        """Forget the target."""
        self._target = self._pending = self._extent = None
        self.bank.clear()

    @property
    def _query_budget(self) -> int:
        return tokens_to_keep(self._keep_ratio, self._parts.token_count)

    @property
    def _memory_budget(self) -> int:
        return tokens_to_keep(self.memory_keep_ratio, self._parts.token_count)

    @property
    def _conditioning_budget(self) -> int:
        return self._parts.token_count if self._dense_conditioning else self._memory_budget

    @torch.inference_mode()
    def _set_ratios(self, keep: float, remember: float | None) -> None:
        before = self._keep_ratio, self._memory_keep_ratio
        self._take_in()
        self._keep_ratio, self._memory_keep_ratio = keep, remember
        try:
            self.bank.resize(self._conditioning_budget, self._memory_budget)
        except Exception:  # no memory for a larger bank: what there is goes on
            self._keep_ratio, self._memory_keep_ratio = before
            raise

    def _take_in(self) -> None:
        """Remember the frame of the last step, unless it was declined."""
        if self._pending is not None:
            self.bank.append(self._pending.memory, self._pending.pointer)
            self._target, self._pending = self._pending.target, None

    def _cues(self, sight: Sight) -> Cues:
        """Return what is known of a frame before its mask is."""
        target, window = self._target, sight.window
        history = target.history if window is None else target.history.within(window)
        return Cues(sight.cues, target.probe(sight.encoded.feature_map), history)

    def _route(self, cues: Cues) -> Tensor | None:
        """Return the indices of the tokens that may attend, None for all of them."""
        if self._query_budget >= cues.token_count:
            return None
        return best_tokens(self._router.score(cues), self._query_budget)

    def _draft(
        self, sight: Sight, cues: Cues, queries: Tensor | None, decoded: Decoded
    ) -> _Draft:
        """Sum up what a step says, and choose what to remember of it."""
        target = self._target
        look = sight.look(decoded.logits)
        whole = sight.on_whole(decoded)
        history = target.history.then(whole)
        seen = history if sight.window is None else history.within(sight.window)
        places = sight.parts.places
        answer = Answer(
            decoded=whole,
            retained=places if queries is None else places.index_select(0, queries),
            likeness=target.looks.likeness(look),
            seed=history.seed)
        return _Draft(
            answer,
            target=replace(target, history=history, looks=target.looks.then(look)),
            choice=self._choose(sight, cues.after(seen), self._memory_budget))

    def _choose(self, sight: Sight, cues: Cues, budget: int) -> _Choice:
        """
        Choose what to remember of a frame, with `cues` that know its mask.

        The ranking is the router's, but what was predicted has replaced what was expected: first
        the tokens on the new mask, then a ring around it, widest where the mask is undecided.
        Scores are kept even when all tokens are, so that the bank can shrink later.
        """
        score, places = self._router.score(cues).flatten(), sight.parts.places
        if budget >= len(places):
            return _Choice(None, places, score)
        keep = best_tokens(score, budget)
        return _Choice(keep, places.index_select(0, keep), score.index_select(0, keep))

    def _answer_prompt(
        self, decoded: Decoded, seed: Tensor, clock: StageClock, likeness: Tensor | None = None
    ) -> StepResult:
        """Return the result for a frame on which the target was pointed at."""
        if likeness is None:
            likeness = torch.ones_like(decoded.score)
        return _results([self], [Answer(decoded, None, likeness, seed)], clock)[0]


def _family(trackers: Sequence[Tracker]) -> Eyes:
    """Return what trackers share, if all have a target; else raise InputError."""
    if not trackers:
        raise InputError('there is no tracker to step')
    if any(not tracker.has_target for tracker in trackers):
        raise InputError('there is no target: prompt the tracker before it can step')
    eyes = trackers[0]._eyes
    if any(tracker._eyes is not eyes for tracker in trackers):
        raise InputError('these trackers are of different models: make them with `another`')
    return eyes


def _attend_all(
    sight: Sight, queries: list[Tensor | None], views: list[BankView]
) -> Tensor:
    """Return the (B, C, h, w) features of a frame for B targets; equal sizes go together."""
    counts = [None if chosen is None else len(chosen) for chosen in queries]
    groups = _alike([(count, *view.size) for count, view in zip(counts, views)])
    answers: list[Tensor] = [None] * len(views)
    for members in groups:
        chosen = None
        if counts[members[0]] is not None:
            chosen = torch.stack([queries[each] for each in members])
        joined = BankView.join([views[each] for each in members])
        fused = attend(sight.parts, sight.encoded.tokens, chosen, joined)
        for each, features in zip(members, fused):
            answers[each] = features
    return fused if len(groups) == 1 else torch.stack(answers)


def _encode_all(
    sight: Sight, decoded: list[Decoded], choices: list[_Choice], prompted: bool
) -> list[FrameMemory]:
    """Return what B targets remember of a frame; those that keep equally many go together."""
    memories: list[FrameMemory] = [None] * len(choices)
    for members in _alike([len(choice.places) for choice in choices]):
        keep = None
        if choices[members[0]].keep is not None:
            keep = torch.stack([choices[each].keep for each in members])
        features = sight.parts.encode_memory(
            sight.encoded, [decoded[each] for each in members], prompted, keep)
        for each, tokens in zip(members, features):
            memories[each] = choices[each].memory(tokens)
    return memories


def _alike(keys: list) -> list[list[int]]:
    """Return the places of equal keys, in the order of their first."""
    groups: dict = {}
    for place, key in enumerate(keys):
        groups.setdefault(key, []).append(place)
    return list(groups.values())


def _results(
    trackers: Sequence[Tracker], answers: list[Answer], clock: StageClock
) -> list[StepResult]:
    """Fetch what the host needs from the device; nothing before it waits for the device."""
    first = trackers[0]
    windowed = first._eyes.region is not None
    figures, extents = fetch(answers, windowed)
    if windowed:
        for tracker, extent in zip(trackers, extents):
            tracker._extent = extent
    latency, total = clock.read(), first._parts.token_count
    return [
        StepResult(
            logits=answer.decoded.logits, score=score, iou=iou,
            tokens_retained=total if answer.retained is None else len(answer.retained),
            tokens_total=total, bank_bytes=tracker.bank.nbytes, latency=latency,
            grid=tracker.grid, retained=answer.retained, likeness=likeness)
        for tracker, answer, (score, iou, likeness) in zip(trackers, answers, figures)]
