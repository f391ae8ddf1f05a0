# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What the target looks like, so that something else is not taken for it.

A look is the mean of the token features under a mask, less the mean of all of the frame's, at
length 1. Two looks are alike as their cosine says. Needs no training: any checkpoint's features
serve.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

INERTIA = 0.9  # of the usual look, from one frame to the next
LEAST_COVER = 0.3  # share of a token's cell under the mask, from which on the token counts
TRUSTED = 0.7  # likeness, from which on a frame may change the usual look


def look_at(tokens: Tensor, logits: Tensor, grid: tuple[int, int]) -> Tensor:
    """
    Return the look (C,) of what a mask shows; zeros where it shows nothing.

    tokens: (N, C), row by row over the grid (h, w).  logits: (4h, 4w), positive on the mask.
    """
    cover = functional.adaptive_avg_pool2d((logits > 0).float()[None, None], grid).flatten()
    cover = cover * (cover >= LEAST_COVER)
    tokens = tokens.float()
    return functional.normalize(cover @ (tokens - tokens.mean(0)), dim=0)


@dataclass(frozen=True, eq=False)
class Looks:
    """How a target looked when it was prompted, and how it usually looks of late: (C,) each."""

    first: Tensor
    usual: Tensor

    @classmethod
    def begin(cls, look: Tensor) -> Looks:
        """Start with the look on the prompted frame."""
        return cls(look, look)

    def likeness(self, look: Tensor) -> Tensor:
        """Return how much a look is the target's, () in [-1, 1]; 0 for a look of nothing."""
        return torch.maximum(self.first @ look, self.usual @ look)

    def then(self, look: Tensor) -> Looks:
        """Return the looks after one more frame; what is hardly the target changes nothing."""
        later = functional.normalize(torch.lerp(look, self.usual, INERTIA), dim=0)
        return Looks(
            self.first, torch.where(self.likeness(look) >= TRUSTED, later, self.usual))
