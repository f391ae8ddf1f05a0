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
"""What was pointed at, as the model takes it: boxes, points, masks, and maps of relevance."""

from __future__ import annotations

from fast_sam2_ros.errors import InputError
from fast_sam2_ros.memory import BankView
from fast_sam2_ros.prompt import Prompt
from fast_sam2_ros.pruning.attention import attend
from fast_sam2_ros.sam2.parts import BOX_CORNERS, Decoded, Encoded, Sam2Parts
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def decode_prompt(
    parts: Sam2Parts,
    encoded: Encoded,
    frame_size: tuple[int, int],
    prompt: Prompt,
    takes_points: bool,
) -> Decoded:
    """
    Return what a prompt points at on a frame of `frame_size` (H, W) pixels.

    Where the model does not take points, boxes and points become rough masks. Raises InputError
    where a mask is too small for the model to see.
    """
    if prompt.rough or not (prompt.mask is not None or takes_points):
        return _mend(parts, encoded, _square(parts, prompt.as_mask(*frame_size)))
    if prompt.mask is not None:
        return parts.adopt_mask(encoded, _square(parts, prompt.mask))
    if prompt.box is not None:
        corners = np.asarray(prompt.box, dtype=np.float64).reshape(2, 2)
        points = corners.clip(0, frame_size[::-1])
        labels = np.asarray(BOX_CORNERS)
    else:
        points = np.asarray(prompt.points, dtype=np.float64)
        labels = np.ones(len(points)) if prompt.labels is None else np.asarray(prompt.labels)
    height, width = frame_size
    scale = np.array([parts.image_size / width, parts.image_size / height])
    embedding = parts.embed_points(
        torch.from_numpy(points * scale), torch.from_numpy(labels.astype(np.int32)))
    return parts.decode(
        parts.without_memory(encoded), encoded, embedding,
        point_count=len(points), prompted=True)[0]


def on_grid(relevance: np.ndarray, parts: Sam2Parts) -> Tensor:
    """
    Return a map of relevance, (gh, gw) of any size, on the token grid, (h, w) float32.

    Raises InputError for anything but a map within [0, 1].
    """
    values = np.asarray(relevance, dtype=np.float32)
    if values.ndim != 2 or values.size == 0:
        raise InputError(f'a relevance map must be (height, width), not {values.shape}')
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
        raise InputError('a relevance map must be within [0, 1]')
    return functional.interpolate(
        torch.from_numpy(values).to(parts.device)[None, None], size=parts.grid,
        mode='bilinear', align_corners=False, antialias=True)[0, 0].clamp(0, 1)


def _mend(parts: Sam2Parts, encoded: Encoded, rough: Tensor) -> Decoded:
    """
    Answer a frame from the memory of nothing but a rough (S, S) mask of itself.

    Places inside the mask that look like places outside of it are outvoted, so what is left
    follows the target. The embedded model was trained to do so.
    """
    decoded = parts.adopt_mask(encoded, rough)
    memory = BankView(
        features=parts.encode_memory(encoded, [decoded], prompted=True),
        index=parts.places[None],
        age_row=torch.full_like(parts.places, parts.recent_frames)[None],
        pointers=decoded.pointer[None, None],
        pointer_ages=parts.places.new_ones(1, 1),
    )
    conditioned = attend(parts, encoded.tokens, None, memory)
    return parts.decode(
        conditioned, encoded, parts.no_prompt, point_count=0, prompted=False)[0]


def _square(parts: Sam2Parts, mask: np.ndarray) -> Tensor:
    """Resize an (H, W) mask to the (S, S) input, as transformers' video processor does."""
    size = (parts.image_size,) * 2
    full = torch.from_numpy(np.ascontiguousarray(mask != 0)).to(parts.device).float()
    if tuple(full.shape) != size:
        full = functional.interpolate(
            full[None, None], size=size, mode='bilinear', align_corners=False,
            antialias=True)[0, 0]
    square = (full >= 0.5).float()
    if not square.any():
        raise InputError(
            f'the mask covers too little of the frame to survive at {size[0]} pixels a side')
    return square
