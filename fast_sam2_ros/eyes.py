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
"""What all targets of a stream share: the model, and what it makes of a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fast_sam2_ros.heap import keep_freed_memory
from fast_sam2_ros.likeness import Look
from fast_sam2_ros.pruning.cues import FrameCues
from fast_sam2_ros.region import Extent, Region
from fast_sam2_ros.sam2.loaded import LoadedModel
from fast_sam2_ros.sam2.parts import (
    ABSENT_LOGIT, Decoded, Encoded, Sam2Parts, to_colours, to_pixels, Window)
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Sight:
    """
    A frame, encoded, or a window of it; `parts` are the model's for what was encoded.

    `cues` are what its features say by themselves, `colours` (N, 3) the mean RGB in 0..255 of the
    tokens' cells, `usual` (C,) the mean token of this or of the last whole frame; `window` is None
    for the whole frame.
    """

    parts: Sam2Parts
    encoded: Encoded
    cues: FrameCues
    colours: Tensor
    usual: Tensor
    window: Window | None

    def look(self, logits: Tensor) -> Look:
        """Look at what a mask shows, (4h, 4w) positive on it."""
        return Look.at(
            self.colours, self.encoded.tokens, logits, self.parts.grid, self.usual)

    def on_whole(self, decoded: Decoded) -> Decoded:
        """Return an answer as it is on the whole frame: the target is not outside the window."""
        if self.window is None:
            return decoded
        grid, window = self.parts.whole.grid, self.window
        below = grid[0] - window.top - window.rows
        right = grid[1] - window.left - window.columns
        logits = functional.pad(
            decoded.logits, (4 * window.left, 4 * right, 4 * window.top, 4 * below),
            value=ABSENT_LOGIT)
        return replace(decoded, logits=logits)


class Eyes:
    """Turns frames into sights; one for all trackers of a family."""

    def __init__(self, loaded: LoadedModel, dtype: str, roi: float, roi_refresh: int) -> None:
        """Take what `Tracker` takes; raises ParameterError for what is out of range."""
        self.parts = Sam2Parts(loaded.model, dtype)
        if self.parts.device.type == 'cpu':
            keep_freed_memory()
        self._preprocess = loaded.preprocess
        self.region = Region(self.parts.grid, roi, roi_refresh) if roi else None
        self._pixels: Tensor | None = None  # of the last whole frame that was encoded
        self._sight: Sight | None = None

    def look(self, frame: np.ndarray, extents: Sequence[Extent | None]) -> Sight:
        """Encode the part of an (H, W, 3) uint8 RGB frame that the targets need."""
        pixels = to_pixels(frame, self._preprocess, self.parts.device)
        window = None if self.region is None else self.region.next(extents)
        return self._encode(pixels, window)

    def look_once(self, frame: np.ndarray) -> Sight:
        """Encode a whole frame, unless it is the one that was encoded last."""
        pixels = to_pixels(frame, self._preprocess, self.parts.device)
        if self._pixels is not None and torch.equal(pixels, self._pixels):
            return self._sight
        return self._encode(pixels, None)

    @property
    def last(self) -> Sight | None:
        """Return the whole frame that was encoded last."""
        return self._sight

    def _encode(self, pixels: Tensor, window: Window | None) -> Sight:
        parts = self.parts
        if window is not None:
            parts = parts.cut(window)
            pixels = window.of(pixels, 16).contiguous()
        encoded = parts.encode(pixels)
        usual = encoded.tokens.mean(0) if window is None else self._sight.usual
        sight = Sight(parts, encoded, FrameCues(encoded.feature_map),
                      to_colours(pixels, self._preprocess, parts.grid), usual, window)
        if window is None:
            self._pixels, self._sight = pixels, sight
        return sight
