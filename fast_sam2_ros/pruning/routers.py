# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Routers: from the cues of a frame to a score for every token.

`analytic` works with every checkpoint, untrained. `prior-only` and `random` are there for honest
comparison. A router is a class with a `name` and a `score`; adding it to `ROUTERS` makes it
known to the command line and to the node. A trained one belongs here as well.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.pruning.cues import Cues


class Router(Protocol):
    """What scores tokens; the highest are retained."""

    name: str

    def score(self, cues: Cues) -> Tensor:
        """Return the (h, w) scores of a frame's tokens, float32, higher is kept first."""


class AnalyticRouter:
    """A weighted sum of the four cues."""

    name = 'analytic'
    weights = {'prior': 1.0, 'text': 0.4, 'uncertainty': 0.3, 'context': 0.1}

    def __init__(self, device: torch.device) -> None:
        """Take no state; `device` is for routers that have some."""

    def score(self, cues: Cues) -> Tensor:
        """Return the weighted sum; see `Router.score`."""
        return sum(weight * getattr(cues, name) for name, weight in self.weights.items())


class PriorOnlyRouter:
    """The last mask alone: what tracking gives without looking at the frame or the text."""

    name = 'prior-only'

    def __init__(self, device: torch.device) -> None:
        """Take no state; `device` is for routers that have some."""

    def score(self, cues: Cues) -> Tensor:
        """Return the prior; see `Router.score`."""
        return cues.prior


class RandomRouter:
    """Tokens at random, from a fixed seed."""

    name = 'random'

    def __init__(self, device: torch.device) -> None:
        """Draw on `device`."""
        self._generator = torch.Generator(device).manual_seed(0)

    def score(self, cues: Cues) -> Tensor:
        """Return uniform noise; see `Router.score`."""
        return torch.rand(cues.grid, generator=self._generator, device=self._generator.device)


ROUTERS = {router.name: router for router in (AnalyticRouter, PriorOnlyRouter, RandomRouter)}


def make_router(name: str, device: torch.device) -> Router:
    """Return the router called `name`, one of `ROUTERS`; raise ParameterError for another."""
    if name not in ROUTERS:
        raise ParameterError(f'unknown router {name!r}: choose one of {", ".join(ROUTERS)}')
    return ROUTERS[name](device)


def best_tokens(score: Tensor, count: int) -> Tensor:
    """Return the (count,) indices of the highest of (h, w) scores, in rising order."""
    return score.flatten().topk(count).indices.sort().values
