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
"""What a grounder answers, and what every grounder can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fast_sam2_ros.prompt import Prompt


@dataclass(frozen=True)
class Grounding:
    """
    Where the named target is in one image.

    label: what was found, in words.
    score: how sure the grounder is, in [0, 1].
    box: (x0, y0, x1, y1) in pixels of the image.
    mask: (H, W) bool, or None where the grounder gives boxes only.
    relevance: (h, w) float32 in [0, 1], how much each part of the image belongs to the target,
        row-major over the whole image, at any grid size.
    prompt: what to give to `Tracker.prompt` to start tracking the target.
    """

    label: str
    score: float
    box: tuple[float, float, float, float]
    mask: np.ndarray | None
    relevance: np.ndarray
    prompt: Prompt


@dataclass(frozen=True)
class NotFound:
    """The answer that the target is not there, or not known; it counts as false."""

    reason: str

    def __bool__(self) -> bool:
        """Return False, so that `if grounding:` reads as it should."""
        return False


class Grounder(Protocol):
    """Finds in an image what a text names."""

    name: str

    def ground(self, image: np.ndarray, text: str) -> Grounding | NotFound:
        """Find the target that `text` names in an RGB image, (H, W, 3) uint8."""

    def knows(self, text: str) -> bool:
        """Return whether the words of `text` mean something to this grounder."""
