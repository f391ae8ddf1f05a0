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
What can be timed side by side: this package's tracker, and the two references, frame by frame.

Each is brought to its steady state when it is made: it has targets, and a memory as full as it
gets. Ours fills a bank of fixed size. The references keep every frame; what is in their memory is
copies of the first tracked one, as many as they ever look at. What this package sets for a whole
process, that freed memory is kept (`heap`), holds for the references as well.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
import time
from typing import Any, Protocol

from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.evaluation.official import build_official, open_state, track
from fast_sam2_ros.prompt import Prompt
from fast_sam2_ros.sam2.checkpoint import LoadedModel
from fast_sam2_ros.sam2.loaded import Preprocess
from fast_sam2_ros.sam2.parts import to_pixels
from fast_sam2_ros.tracker import Tracker
import numpy as np
import torch
from torch import nn, Tensor

OURS, HF, OFFICIAL = 'ours', 'hf', 'official'
REFERENCES = (HF, OFFICIAL)
FRAME_SIZE = (480, 640)  # height and width of the camera image
TARGETS_A_ROW, TARGETS_A_COLUMN = 4, 2
BOX_CORNERS = (2, 3)  # labels of a box's corners, for both references


@dataclass(frozen=True)
class Variant:
    """
    What is timed: an implementation and its settings.

    `compiled` is `torch.compile` for ours and Meta's `vos_optimized` for theirs. The references
    keep all tokens, a `keep_ratio` of 1.0.
    """

    implementation: str
    dtype: str
    compiled: bool
    keep_ratio: float
    targets: int

    def __str__(self) -> str:
        """Name it for people."""
        words = [self.implementation, self.dtype, 'compiled' if self.compiled else 'eager']
        if self.implementation == OURS:
            words.append(f'keep {self.keep_ratio:g}')
        return ', '.join([*words, f'targets {self.targets}'])


class Contender(Protocol):
    """Something in a steady state that can be stepped."""

    model: nn.Module  # its weights

    def step(self, frame: np.ndarray) -> dict[str, float]:
        """Answer an (H, W, 3) uint8 RGB frame; return milliseconds by stage, `total` at least."""

    def held(self) -> object:
        """Return what has all of its tensors within, for `costs.held_bytes`."""


def boxes(count: int) -> np.ndarray:
    """Return (count, 4) boxes in pixels, each in a cell of its own on a frame; at most eight."""
    most = TARGETS_A_ROW * TARGETS_A_COLUMN
    if not 1 <= count <= most:
        raise ParameterError(f'{count} targets cannot be timed: 1 to {most} can')
    cell = np.array(FRAME_SIZE[::-1]) / (TARGETS_A_ROW, TARGETS_A_COLUMN)
    corners = np.array([divmod(index, TARGETS_A_ROW)[::-1] for index in range(count)]) * cell
    return np.hstack([corners + cell / 4, corners + 3 * cell / 4])


class Ours:
    """This package's tracker, one for each target, stepped together."""

    def __init__(
        self, loaded: LoadedModel, variant: Variant, router: str, dense_conditioning: bool,
        first: np.ndarray,
    ) -> None:
        """Prompt on the frame `first`; raises ParameterError where it cannot be compiled."""
        self.model = loaded.model
        leader = Tracker(
            loaded, keep_ratio=variant.keep_ratio, router=router,
            dense_conditioning=dense_conditioning, dtype=variant.dtype)
        self._trackers = [leader] + [leader.another() for _ in range(variant.targets - 1)]
        if variant.compiled:
            reason = leader.warm_up((variant.keep_ratio,), targets=variant.targets, compile=True)
            if reason:
                raise ParameterError(f'not compiled: {reason}')
        for tracker, box in zip(self._trackers, boxes(variant.targets)):
            tracker.prompt(first, Prompt(box=tuple(box)))
            tracker.bank.fill()

    def step(self, frame: np.ndarray) -> dict[str, float]:
        """Answer a frame; all stages."""
        return asdict(Tracker.step_all(self._trackers, frame)[0].latency)

    def held(self) -> object:
        """Return the model and the trackers."""
        return self.model, self._trackers


class Transformers:
    """transformers' own streaming session. It has no compiled variant."""

    def __init__(self, loaded: LoadedModel, variant: Variant, first: np.ndarray) -> None:
        """Prompt on the frame `first`."""
        from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

        self.model = loaded.model
        self._preprocess = loaded.preprocess
        self._dtype = variant.dtype
        device = self.model.device
        self._session = Sam2VideoInferenceSession(
            video_height=FRAME_SIZE[0], video_width=FRAME_SIZE[1], dtype=torch.float32,
            inference_device=device, inference_state_device=device, video_storage_device=device)
        for name, corners in enumerate(_corners(variant.targets, self._preprocess), start=1):
            self._session.add_point_inputs(self._session.obj_id_to_idx(name), 0, {
                'point_coords': corners[None, None],
                'point_labels': torch.tensor([[BOX_CORNERS]], dtype=torch.int32)})
        self._session.obj_with_new_inputs = list(self._session.obj_ids)
        for _ in range(2):
            self._answer(first)
        looked_at = self.model.config.max_object_pointers_in_encoder
        for outputs in self._session.output_dict_per_obj.values():
            _fill_outputs(outputs, looked_at)
        frames = self._session.processed_frames
        frames.update({index: frames[1].clone() for index in range(2, looked_at)})

    def step(self, frame: np.ndarray) -> dict[str, float]:
        """Answer a frame, as a whole."""
        return _timed(lambda: self._answer(frame), self.model.device)

    def held(self) -> object:
        """Return the model and the session."""
        return self.model, self._session

    @torch.inference_mode()
    def _answer(self, frame: np.ndarray) -> None:
        pixels = to_pixels(frame, self._preprocess, self.model.device)
        with _autocast(self.model.device, self._dtype):
            self.model(self._session, frame=pixels)


class Official:
    """Meta's video predictor, or the variant that Meta compiles."""

    def __init__(
        self, predictor: nn.Module, size: str, preprocess: Preprocess, variant: Variant,
        first: np.ndarray,
    ) -> None:
        """Prompt on the frame `first`; `size` is the predictor's, one of SAM 2's four."""
        self.model = predictor
        self._device = next(predictor.parameters()).device
        if variant.compiled:
            self.model = build_official(size, preprocess.image_size, vos_optimized=True)
            self.model.load_state_dict(predictor.state_dict())
            self.model.to(self._device).eval().requires_grad_(False)
        self._preprocess = preprocess
        self._dtype = variant.dtype
        with _autocast(self._device, self._dtype):
            self._state = open_state(self.model, self._pixels(first))
            for name, corners in enumerate(_corners(variant.targets, preprocess), start=1):
                self.model.add_new_points_or_box(
                    self._state, frame_idx=0, obj_id=name, labels=torch.tensor(BOX_CORNERS),
                    points=corners / preprocess.image_size, normalize_coords=False)
        for index in range(2):
            self._answer(index, first)
        looked_at = self.model.max_obj_ptrs_in_encoder
        for outputs in self._state['output_dict_per_obj'].values():
            _fill_outputs(outputs, looked_at)
        images = self._state['images']
        images.update({index: images[1].clone() for index in range(2, looked_at)})

    def step(self, frame: np.ndarray) -> dict[str, float]:
        """Answer a frame, as a whole."""
        index = len(self._state['images'])
        return _timed(lambda: self._answer(index, frame), self._device)

    def held(self) -> object:
        """Return the model and the state of the stream."""
        return self.model, self._state

    def _answer(self, index: int, frame: np.ndarray) -> None:
        with _autocast(self._device, self._dtype):
            track(self.model, self._state, index, self._pixels(frame))

    def _pixels(self, frame: np.ndarray) -> Tensor:
        return to_pixels(frame, self._preprocess, self._device)


def _corners(targets: int, preprocess: Preprocess) -> Tensor:
    """Return `boxes` as (targets, 2, 2) float32 corners in pixels of the square input."""
    scale = preprocess.image_size / np.array(FRAME_SIZE[::-1])
    return torch.from_numpy(boxes(targets).reshape(-1, 2, 2) * scale).float()


def _fill_outputs(outputs: dict[str, dict[int, dict[str, Any]]], frames: int) -> None:
    """
    Fill what a reference remembers of one object with copies of frame 1, up to `frames` in all.

    What frame 1 shares with the conditioning frame (position encodings) is shared by the copies.
    """
    [conditioning] = outputs['cond_frame_outputs'].values()
    shared = {tensor.untyped_storage().data_ptr() for tensor in _tensors(conditioning)}

    def copy(value: Any) -> Any:
        if isinstance(value, list):
            return [copy(item) for item in value]
        if isinstance(value, Tensor) and value.untyped_storage().data_ptr() not in shared:
            return value.clone()
        return value

    tracked = outputs['non_cond_frame_outputs']
    for index in range(2, frames):
        tracked[index] = {key: copy(value) for key, value in tracked[1].items()}


def _tensors(output: dict[str, Any]) -> list[Tensor]:
    items = [value if isinstance(value, list) else [value] for value in output.values()]
    return [item for values in items for item in values if isinstance(item, Tensor)]


def _autocast(device: torch.device, dtype: str) -> AbstractContextManager:
    """Return the context in which a reference runs in `dtype`, as its users run it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=dtype == 'bfloat16')


def _timed(answer: Callable[[], None], device: torch.device) -> dict[str, float]:
    _synchronise(device)
    start = time.perf_counter()
    answer()
    _synchronise(device)
    return {'total': 1000 * (time.perf_counter() - start)}


def _synchronise(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
