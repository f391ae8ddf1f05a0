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
What the target looks like, so that something else is not taken for it.

A look is the mean of the token features under a mask, less the mean of all of the frame's, and
the mean colour there without its brightness. Two looks are alike as the product of the cosines of
both parts says. It is not trained; which likeness is enough has to be measured for each model
(`LoadedModel.likeness_levels`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

INERTIA = 0.9  # of the usual look, from one frame to the next
LEAST_COVER = 0.3  # share of a token's cell under the mask, from which on the token counts
TRUSTED = 0.7  # likeness, from which on a frame may change the usual look
COLOUR_RANGE = 57.0  # grey levels between two channels that weigh as much as no colour at all


@dataclass(frozen=True, eq=False)
class Look:
    """`features` (C,) at length 1, zeros where nothing is shown; `colour` (3,) at length 1."""

    features: Tensor
    colour: Tensor

    @classmethod
    def at(
        cls, colours: Tensor, tokens: Tensor, logits: Tensor, grid: tuple[int, int],
        usual: Tensor | None = None
    ) -> Look:
        """
        Look at what a mask shows.

        colours: (N, 3), the mean RGB of every token's cell in 0..255.  tokens: (N, C), both row by
        row over the grid (h, w).  logits: (4h, 4w), positive on the mask.  usual: (C,), the mean
        token of the whole frame, None where `tokens` are all of it.
        """
        cover = functional.adaptive_avg_pool2d((logits > 0).float()[None, None], grid).flatten()
        cover = cover * (cover >= LEAST_COVER)
        cover = cover / cover.sum().clamp(min=1e-6)
        usual = tokens.mean(0) if usual is None else usual
        red, green, blue = (cover @ colours / COLOUR_RANGE).unbind()
        colour = torch.stack([torch.ones_like(red), red - green, (red + green) / 2 - blue])
        return cls(functional.normalize(cover @ (tokens - usual), dim=0),
                   functional.normalize(colour, dim=0))

    def like(self, other: Look) -> Tensor:
        """Return how much two looks are alike, () in [-1, 1]."""
        return (self.features @ other.features) * (self.colour @ other.colour).clamp(min=0)

    def towards(self, other: Look, share: float) -> Look:
        """Return a look between two: this one at 0, the other at 1."""
        return Look(*(
            functional.normalize(torch.lerp(mine, theirs, share), dim=0)
            for mine, theirs in ((self.features, other.features), (self.colour, other.colour))))

    def where(self, condition: Tensor, other: Look) -> Look:
        """Return this look where a condition () holds, else the other one."""
        return Look(torch.where(condition, self.features, other.features),
                    torch.where(condition, self.colour, other.colour))


@dataclass(frozen=True, eq=False)
class Looks:
    """How a target looked when it was prompted, and how it usually looks of late."""

    first: Look
    usual: Look

    @classmethod
    def begin(cls, look: Look) -> Looks:
        """Start with the look on the prompted frame."""
        return cls(look, look)

    def likeness(self, look: Look) -> Tensor:
        """Return how much a look is the target's, () in [-1, 1]; 0 for a look of nothing."""
        return torch.maximum(self.first.like(look), self.usual.like(look))

    def then(self, look: Look) -> Looks:
        """Return the looks after one more frame; what is hardly the target changes nothing."""
        later = self.usual.towards(look, 1 - INERTIA)
        return Looks(self.first, later.where(self.likeness(look) >= TRUSTED, self.usual))
