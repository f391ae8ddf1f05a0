# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The tracker: one target, one stream, a bounded memory, and only the tokens that matter.

`Tracker.step` is the method (arXiv 2512.21333): encode, route, attend, decode, remember. With a
keep ratio of 1.0 it returns what `Sam2VideoModel` returns on the same stream.
"""

from __future__ import annotations

from dataclasses import dataclass
import time

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fast_sam2_ros.errors import InputError, ParameterError
from fast_sam2_ros.likeness import Look, Looks
from fast_sam2_ros.memory import BankView, FrameMemory, MemoryBank
from fast_sam2_ros.prompt import Prompt
from fast_sam2_ros.pruning.attention import attend
from fast_sam2_ros.pruning.budget import check_ratio, tokens_to_keep
from fast_sam2_ros.pruning.cues import Cues, FrameCues, MaskHistory, TextProbe
from fast_sam2_ros.pruning.routers import best_tokens, make_router
from fast_sam2_ros.sam2.loaded import LoadedModel
from fast_sam2_ros.sam2.parts import (
    BOX_CORNERS, check_frame, Decoded, Encoded, Sam2Parts, to_pixels)


@dataclass(frozen=True)
class Latency:
    """Where a step's time went, in milliseconds of wall clock, the device synchronised."""

    encode: float
    route: float
    attend: float
    decode: float
    remember: float
    total: float


@dataclass(frozen=True, eq=False)
class StepResult:
    """
    A frame's answer.

    `logits` (4h, 4w) float32 on the model's device is the mask at a quarter of the input's
    resolution; `score` the logit of the target being in view, `iou` the predicted overlap with
    the truth. `kept` (h, w) bool says which tokens took part in memory attention; a prompted
    frame looks at no memory, and all of its tokens count as retained. `bank_bytes` is the size of
    the memory bank. `likeness`, in [-1, 1], is how much what the mask shows looks like the target
    (`Looks.likeness`); 1 where there is no target to compare with.
    """

    logits: Tensor
    score: float
    iou: float
    tokens_retained: int
    tokens_total: int
    bank_bytes: int
    latency: Latency
    kept: np.ndarray
    likeness: float = 1.0

    def mask(self, height: int, width: int) -> np.ndarray:
        """Return the mask at a frame's size, (height, width) uint8, 1 on the target."""
        return (self._resized(height, width) > 0).to(torch.uint8).cpu().numpy()

    def confidence(self, height: int, width: int) -> np.ndarray:
        """Return each pixel's probability of being the target, (height, width) float32."""
        return self._resized(height, width).sigmoid().cpu().numpy()

    def _resized(self, height: int, width: int) -> Tensor:
        return functional.interpolate(
            self.logits[None, None], size=(height, width), mode='bilinear',
            align_corners=False)[0, 0]


@dataclass(frozen=True)
class _Target:
    """What routing knows of the target; what attention knows is in the bank."""

    probe: TextProbe
    history: MaskHistory
    looks: Looks


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
    ) -> None:
        """
        Prepare to track with a loaded model.

        `keep_ratio`, in (0, 1], is the share of a frame's tokens that take part in memory
        attention; `memory_keep_ratio` the share that is remembered of it, None for the same.
        `dense_conditioning` remembers all tokens of the conditioning frame. `memory_frames` is
        how many recent frames are remembered besides it, None for as many as the model was
        trained with; the object pointers are the same whatever it is. `router` is what
        `make_router` takes. Raises ParameterError for a setting that is out of range.
        """
        self._parts = Sam2Parts(loaded.model)
        self._preprocess = loaded.preprocess
        self.takes_points = loaded.takes_points  # else boxes and points become rough masks
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
        self.bank = MemoryBank(
            recent_frames=self.memory_frames,
            conditioning_row=most,
            max_pointers=self._parts.max_pointers,
            conditioning_tokens=self._conditioning_budget,
            recent_tokens=self._memory_budget,
            memory_size=self._parts.memory_size,
            hidden_size=self._parts.hidden_size,
            device=self._parts.device,
        )
        self._target: _Target | None = None
        self._pending: _Pending | None = None
        self._pixels: Tensor | None = None  # the last frame that was encoded
        self._encoded: Encoded | None = None

    @property
    def grid(self) -> tuple[int, int]:
        """The token grid's height and width."""
        return self._parts.grid

    @property
    def has_target(self) -> bool:
        """Whether there is a target to follow."""
        return self._target is not None

    @property
    def bank_bytes(self) -> int:
        """The size of the memory bank, fixed until a keep ratio changes."""
        return self.bank.nbytes

    @property
    def router(self) -> str:
        """The name of the router."""
        return self._router.name

    def aim(self, text: str) -> None:
        """Tell the router the goal in words, '' for none; once a goal: a text encoder may run."""
        self._router.aim(text)

    @property
    def keep_ratio(self) -> float:
        """The share of a frame's tokens that take part in memory attention, in (0, 1]."""
        return self._keep_ratio

    @keep_ratio.setter
    def keep_ratio(self, ratio: float) -> None:
        self._keep_ratio = check_ratio('keep_ratio', ratio)
        self._resize_bank()

    @property
    def memory_keep_ratio(self) -> float:
        """The share of a frame's tokens that is remembered; `keep_ratio` unless it was set."""
        return self._keep_ratio if self._memory_keep_ratio is None else self._memory_keep_ratio

    @memory_keep_ratio.setter
    def memory_keep_ratio(self, ratio: float | None) -> None:
        self._memory_keep_ratio = (
            None if ratio is None else check_ratio('memory_keep_ratio', ratio))
        self._resize_bank()

    @torch.inference_mode()
    def step(self, frame: np.ndarray) -> StepResult:
        """
        Follow the target on to an (H, W, 3) uint8 RGB frame.

        The frame is remembered when the next step begins, unless `decline` is called before.
        Raises InputError where there is no target, or for anything but such a frame.
        """
        if self._target is None:
            raise InputError('there is no target: prompt the tracker before it can step')
        clock = _StageClock(self._parts.device)
        self._take_in()

        encoded = self._encode(to_pixels(frame, self._preprocess, self._parts.device))
        clock.lap('encode')

        cues = Cues(
            FrameCues(encoded.feature_map, self._target.probe), self._target.history)
        queries = self._route(cues)
        clock.lap('route')

        conditioned = attend(self._parts, encoded, queries, self.bank.read())
        clock.lap('attend')

        decoded = self._parts.decode(
            conditioned, encoded, self._parts.no_prompt, point_count=0, prompted=False)
        clock.lap('decode')

        look = Look.at(frame, encoded.tokens, decoded.logits, self.grid)
        likeness = self._target.looks.likeness(look)
        history = self._target.history.then(decoded)
        memory = self._memorise(
            encoded, decoded, cues.after(history), self._memory_budget, prompted=False)
        target = _Target(self._target.probe, history, self._target.looks.then(look))
        self._pending = _Pending(memory, decoded.pointer, target)
        clock.lap('remember')

        return self._result(decoded, queries, clock, likeness)

    def decline(self) -> None:
        """Do not remember the frame of the last step: it leaves no trace."""
        self._pending = None

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
        wanted = None if relevance is None else self._relevance_on_grid(relevance)
        clock = _StageClock(self._parts.device)

        encoded = self._encode_once(frame)
        clock.lap('encode')

        decoded = self._decode_prompt(encoded, frame.shape[:2], prompt)
        clock.lap('decode')

        history = MaskHistory.begin(decoded, self.grid)
        probe = TextProbe.fit(encoded.tokens, history.seed if wanted is None else wanted)
        clock.lap('route')

        cues = Cues(FrameCues(encoded.feature_map, probe), history, moving=False)
        memory = self._memorise(
            encoded, decoded, cues, self._conditioning_budget, prompted=True)
        self.bank.condition(memory, decoded.pointer)
        looks = Looks.begin(Look.at(frame, encoded.tokens, decoded.logits, self.grid))
        self._target, self._pending = _Target(probe, history, looks), None
        clock.lap('remember')

        return self._result(decoded, None, clock)

    @torch.inference_mode()
    def segment(self, frame: np.ndarray, prompt: Prompt) -> StepResult:
        """
        Segment what `prompt` points at on one frame; the target and its memory stay as they are.

        Raises InputError as `prompt` does.
        """
        check_frame(frame)
        prompt.check_against(*frame.shape[:2])
        clock = _StageClock(self._parts.device)
        encoded = self._encode_once(frame)
        clock.lap('encode')
        decoded = self._decode_prompt(encoded, frame.shape[:2], prompt)
        clock.lap('decode')
        if self._target is None:
            return self._result(decoded, None, clock)
        look = Look.at(frame, encoded.tokens, decoded.logits, self.grid)
        return self._result(decoded, None, clock, self._target.looks.likeness(look))

    @torch.inference_mode()
    def set_relevance(self, relevance: np.ndarray) -> None:
        """
        Teach the text cue anew, from a map of relevance over the frame that was encoded last.

        The map is (gh, gw) in [0, 1], of any size. Raises InputError where there is no target.
        """
        if self._target is None:
            raise InputError('there is no target whose relevance could be refreshed')
        self._take_in()
        wanted = self._relevance_on_grid(relevance)
        probe = TextProbe.fit(self._encoded.tokens, wanted)
        self._target = _Target(probe, self._target.history, self._target.looks)

    def reset(self) -> None:
        """Forget the target."""
        self._target = self._pending = None
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
    def _resize_bank(self) -> None:
        self._take_in()
        self.bank.resize(self._conditioning_budget, self._memory_budget)

    def _take_in(self) -> None:
        """Remember the frame of the last step, unless it was declined."""
        if self._pending is not None:
            self.bank.append(self._pending.memory, self._pending.pointer)
            self._target, self._pending = self._pending.target, None

    def _encode(self, pixels: Tensor) -> Encoded:
        self._encoded = self._parts.encode(pixels)
        self._pixels = pixels
        return self._encoded

    def _encode_once(self, frame: np.ndarray) -> Encoded:
        """Encode a frame unless it is the one that was encoded last, as after `segment`."""
        pixels = to_pixels(frame, self._preprocess, self._parts.device)
        if self._pixels is not None and torch.equal(pixels, self._pixels):
            return self._encoded
        return self._encode(pixels)

    def _route(self, cues: Cues) -> Tensor | None:
        """Return the indices of the tokens that may attend, None for all of them."""
        if self._query_budget == self._parts.token_count:
            return None
        return best_tokens(self._router.score(cues), self._query_budget)

    def _decode_prompt(
        self, encoded: Encoded, frame_size: tuple[int, int], prompt: Prompt
    ) -> Decoded:
        if prompt.rough or not (prompt.mask is not None or self.takes_points):
            return self._mend(encoded, self._square_mask(prompt.as_mask(*frame_size)))
        if prompt.mask is not None:
            return self._parts.adopt_mask(encoded, self._square_mask(prompt.mask))
        if prompt.box is not None:
            corners = np.asarray(prompt.box, dtype=np.float64).reshape(2, 2)
            points = corners.clip(0, frame_size[::-1])
            labels = np.asarray(BOX_CORNERS)
        else:
            points = np.asarray(prompt.points, dtype=np.float64)
            labels = np.ones(len(points)) if prompt.labels is None else np.asarray(prompt.labels)
        height, width = frame_size
        scale = np.array([self._parts.image_size / width, self._parts.image_size / height])
        embedding = self._parts.embed_points(
            torch.from_numpy(points * scale), torch.from_numpy(labels.astype(np.int32)))
        return self._parts.decode(
            self._parts.without_memory(encoded), encoded, embedding,
            point_count=len(points), prompted=True)

    def _mend(self, encoded: Encoded, rough: Tensor) -> Decoded:
        """
        Answer a frame from the memory of nothing but a rough (S, S) mask of itself.

        Places inside the mask that look like places outside of it are outvoted, so what is left
        follows the target. The embedded model was trained to do so.
        """
        parts = self._parts
        decoded = parts.adopt_mask(encoded, rough)
        index = torch.arange(parts.token_count, device=parts.device)
        memory = BankView(
            features=parts.encode_memory(encoded, decoded, prompted=True),
            index=index,
            age_row=torch.full_like(index, parts.recent_frames),
            pointers=decoded.pointer[None],
            pointer_ages=index.new_ones(1),
        )
        conditioned = attend(parts, encoded, None, memory)
        return parts.decode(
            conditioned, encoded, parts.no_prompt, point_count=0, prompted=False)

    def _square_mask(self, mask: np.ndarray) -> Tensor:
        """Resize an (H, W) mask to the (S, S) input, as transformers' video processor does."""
        size = (self._parts.image_size,) * 2
        full = torch.from_numpy(np.ascontiguousarray(mask != 0)).to(self._parts.device).float()
        if tuple(full.shape) != size:
            full = functional.interpolate(
                full[None, None], size=size, mode='bilinear', align_corners=False,
                antialias=True)[0, 0]
        square = (full >= 0.5).float()
        if not square.any():
            raise InputError(
                f'the mask covers too little of the frame to survive at {size[0]} pixels a side')
        return square

    def _relevance_on_grid(self, relevance: np.ndarray) -> Tensor:
        values = np.asarray(relevance, dtype=np.float32)
        if values.ndim != 2 or values.size == 0:
            raise InputError(f'a relevance map must be (height, width), not {values.shape}')
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
            raise InputError('a relevance map must be within [0, 1]')
        return functional.interpolate(
            torch.from_numpy(values).to(self._parts.device)[None, None], size=self.grid,
            mode='bilinear', align_corners=False, antialias=True)[0, 0].clamp(0, 1)

    def _memorise(
        self, encoded: Encoded, decoded: Decoded, cues: Cues, budget: int, prompted: bool
    ) -> FrameMemory:
        """
        Choose what to remember of a frame, with `cues` that know its mask.

        The ranking is the router's, but what was predicted has replaced what was expected: first
        the tokens on the new mask, then a ring around it, widest where the mask is undecided.
        Scores are kept even when all tokens are, so that the bank can shrink later.
        """
        features = self._parts.encode_memory(encoded, decoded, prompted)
        score = self._router.score(cues).flatten()
        if budget < self._parts.token_count:
            index = best_tokens(score, budget)
            features, score = features.index_select(0, index), score.index_select(0, index)
        else:
            index = torch.arange(self._parts.token_count, device=score.device)
        return FrameMemory(features, index.to(torch.int32), score)

    def _result(
        self, decoded: Decoded, queries: Tensor | None, clock: _StageClock,
        likeness: Tensor | None = None
    ) -> StepResult:
        """Fetch what the host needs from the device; nothing before it waits for the device."""
        total = self._parts.token_count
        kept = torch.ones(total, dtype=torch.bool, device=self._parts.device)
        if queries is not None:
            kept = torch.zeros_like(kept).index_fill_(0, queries, True)
        if likeness is None:
            likeness = torch.ones_like(decoded.score)
        score, iou, alike = torch.stack([decoded.score, decoded.iou, likeness]).tolist()
        return StepResult(
            logits=decoded.logits,
            score=score,
            iou=iou,
            tokens_retained=total if queries is None else len(queries),
            tokens_total=total,
            bank_bytes=self.bank.nbytes,
            kept=kept.view(self.grid).cpu().numpy(),
            latency=clock.read(),
            likeness=alike,
        )


class _StageClock:
    """Measures the stages of one step."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stages = dict.fromkeys(('encode', 'route', 'attend', 'decode', 'remember'), 0.0)
        self._start = self._last = self._now()

    def lap(self, stage: str) -> None:
        """Credit the time since the last lap to `stage`."""
        now = self._now()
        self._stages[stage] += 1000 * (now - self._last)
        self._last = now

    def read(self) -> Latency:
        """Return the stages and the total so far."""
        return Latency(**self._stages, total=1000 * (self._now() - self._start))

    def _now(self) -> float:
        if self._device.type == 'cuda':
            torch.cuda.synchronize(self._device)
        return time.perf_counter()
