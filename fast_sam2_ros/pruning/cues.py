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
The cues that say which tokens matter: maps of (h, w) over the token grid, in [0, 1].

- `text`: relevance to the goal, a linear probe of the tokens that was fitted when the target was
  named or pointed at.
- `context`: how much a place stands out from its wider surroundings.
- `uncertainty`: how much the features vary locally, and how undecided the last mask was.
- `prior`: the last mask, grown by the target's motion and by the time since it was seen.

Nothing here reads a value back to the host.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from fast_sam2_ros.sam2.parts import Decoded, Window
import torch
from torch import Tensor
from torch.nn import functional

CUE_NAMES = ('text', 'context', 'uncertainty', 'prior')

RIDGE = 0.01  # of the tokens' mean variance
SURROUND = 9  # tokens: width of the wider surroundings of `context`
REACH = 3.0  # tokens: how far from a still target the prior falls to 1/e
UNSEEN_REACH = 0.5  # tokens: by how much the reach grows with each frame without the target
VELOCITY_INERTIA = 0.5  # share of the old velocity in the new one
FAR = 1e4  # tokens: the distance to a target that was never seen


@dataclass(frozen=True)
class TextProbe:
    """A linear probe of the tokens for the goal: relevance = tokens @ weight + bias."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def fit(cls, tokens: Tensor, relevance: Tensor) -> TextProbe:
        """
        Regress `relevance` on (N, C) `tokens` in closed form.

        `relevance` is a map (h, w) on the token grid, from 0 upwards; its peak counts as 1.
        Weighted ridge regression: the relevant and the irrelevant tokens weigh the same however
        few the former are, else a small target would be fitted by the mean. One (C, C) solve.
        """
        target = relevance.flatten().double()
        target = target / target.amax().clamp(min=1e-6)
        weight = target / target.sum().clamp(min=1e-6)
        weight = weight + (1 - target) / (1 - target).sum().clamp(min=1e-6)
        weight = (weight / weight.sum())[:, None]
        x = tokens.double()
        mean_x, mean_y = (weight * x).sum(0), (weight[:, 0] * target).sum()
        x, y = x - mean_x, target - mean_y
        covariance = x.T @ (weight * x)
        ridge = RIDGE * covariance.diagonal().mean() + 1e-12
        identity = torch.eye(len(covariance), dtype=x.dtype, device=x.device)
        solution = torch.linalg.solve(covariance + ridge * identity, x.T @ (weight[:, 0] * y))
        return cls(solution.float(), (mean_y - mean_x @ solution).float())

    def __call__(self, feature_map: Tensor) -> Tensor:
        """Return the (h, w) relevance of a (1, C, h, w) feature map, in [0, 1]."""
        relevance = torch.einsum('c,chw->hw', self.weight, feature_map[0]) + self.bias
        return relevance.clamp(0, 1)


@dataclass(frozen=True)
class MaskHistory:
    """
    What the masks so far tell about where the target is.

    `seed` (h, w) is 1 on the tokens that the target covered when it was last seen, `ambiguity`
    (h, w) says how undecided the last mask was, `centre` (2,) and `velocity` (2,) are x and y in
    tokens and tokens a frame, `unseen` () is the number of frames since it was seen.
    """

    seed: Tensor
    ambiguity: Tensor
    centre: Tensor
    velocity: Tensor
    unseen: Tensor

    @classmethod
    def begin(cls, decoded: Decoded, grid: tuple[int, int]) -> MaskHistory:
        """Start from the mask of the prompted frame."""
        seed, ambiguity, centre, _ = _on_grid(decoded, grid)
        zero = seed.new_zeros(())
        return cls(seed, ambiguity, centre, seed.new_zeros(2), zero)

    def within(self, window: Window) -> MaskHistory:
        """Return what the masks so far tell about a window of the grid."""
        corner = self.centre.new_tensor([window.left, window.top])
        return replace(self, seed=window.of(self.seed), ambiguity=window.of(self.ambiguity),
                       centre=self.centre - corner)

    def then(self, decoded: Decoded) -> MaskHistory:
        """Return the history with the mask of the next frame."""
        seed, ambiguity, centre, seen = _on_grid(decoded, tuple(self.seed.shape))
        # The first sight after a gap tells how far the target went in all those frames.
        step = (centre - self.centre) / (1 + self.unseen)
        velocity = VELOCITY_INERTIA * self.velocity + (1 - VELOCITY_INERTIA) * step
        return MaskHistory(
            seed=torch.where(seen, seed, self.seed),
            ambiguity=ambiguity,
            centre=torch.where(seen, centre, self.centre),
            velocity=torch.where(seen, velocity, self.velocity * VELOCITY_INERTIA),
            unseen=torch.where(seen, torch.zeros_like(self.unseen), self.unseen + 1),
        )


class FrameCues:
    """What a frame's features say by themselves, each map computed when first asked for."""

    def __init__(self, feature_map: Tensor) -> None:
        """Look at a (1, C, h, w) feature map; one look serves all targets."""
        self.feature_map = feature_map

    @property
    def grid(self) -> tuple[int, int]:
        """Return the size (h, w) of every map."""
        return tuple(self.feature_map.shape[-2:])

    @cached_property
    def context(self) -> Tensor:
        """Local contrast: the distance between a token and the mean of its surroundings."""
        surround = functional.avg_pool2d(
            self.feature_map, SURROUND, stride=1, padding=SURROUND // 2, count_include_pad=False)
        return _to_unit((self.feature_map - surround).square().mean(dim=(0, 1)).sqrt())

    @cached_property
    def variance(self) -> Tensor:
        """Return the variance of the features among a token and its eight neighbours."""
        features = self.feature_map
        mean = functional.avg_pool2d(features, 3, stride=1, padding=1, count_include_pad=False)
        square = functional.avg_pool2d(
            features.square(), 3, stride=1, padding=1, count_include_pad=False)
        return _to_unit((square - mean.square()).mean(dim=(0, 1)).clamp(min=0))


class Cues:
    """The cues of one frame for one target: what its features say, and the masks so far."""

    def __init__(
        self, frame: FrameCues, text: Tensor, history: MaskHistory, moving: bool = True
    ) -> None:
        """
        Combine a frame with what is known of a target.

        `text` (h, w) is the relevance to the goal, from the target's `TextProbe`; `moving` says
        whether `history` ends one frame before this one, so that the target has moved on since, or
        with this very frame.
        """
        self._frame = frame
        self.text = text
        self._history = history
        self._moving = moving

    def after(self, history: MaskHistory) -> Cues:
        """Return the cues of the same frame once its own mask is part of the history."""
        return Cues(self._frame, self.text, history, moving=False)

    @property
    def grid(self) -> tuple[int, int]:
        """Return the size (h, w) of every cue."""
        return self._frame.grid

    @property
    def token_count(self) -> int:
        """Return the number of tokens, h * w."""
        return self.grid[0] * self.grid[1]

    @property
    def feature_map(self) -> Tensor:
        """Return the frame's features, (1, C, h, w), for routers that look for themselves."""
        return self._frame.feature_map

    @property
    def variance(self) -> Tensor:
        """Return the local variance of the features."""
        return self._frame.variance

    @property
    def context(self) -> Tensor:
        """Local contrast of the features."""
        return self._frame.context

    @property
    def uncertainty(self) -> Tensor:
        """Half from the local variance of the features, half from the last mask's logits."""
        return 0.5 * self._frame.variance + 0.5 * self._history.ambiguity

    @property
    def prior(self) -> Tensor:
        """
        Return the closeness to the last mask: exp(-distance / reach), 1 on it.

        While the target moves, the mask counts both where it was and where its velocity takes it,
        and the reach grows with the speed and with the frames since the target was seen.
        """
        history = self._history
        if not self._moving:
            return torch.exp(-_distance_to(history.seed) / REACH)
        travel = history.velocity * (1 + history.unseen)
        seed = torch.maximum(history.seed, _shift(history.seed, travel))
        reach = REACH + travel.norm() + UNSEEN_REACH * history.unseen
        return torch.exp(-_distance_to(seed) / reach)


def _to_unit(values: Tensor) -> Tensor:
    """Scale a map of values from 0 upwards to a largest value of 1."""
    return values / values.amax().clamp(min=1e-12)


def _on_grid(decoded: Decoded, grid: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """
    Return seed (h, w), ambiguity (h, w), centre (2,) and whether the target was seen ().

    A token is covered when any logit of its cell is positive; a cell is as ambiguous as its most
    undecided pixel, 4 p (1 - p) with p the probability of the target.
    """
    logits = decoded.logits[None, None]
    seed = (functional.adaptive_max_pool2d(logits, grid)[0, 0] > 0).to(logits.dtype)
    probability = logits.sigmoid()
    ambiguity = functional.adaptive_max_pool2d(4 * probability * (1 - probability), grid)[0, 0]
    rows = torch.arange(grid[0], device=logits.device, dtype=logits.dtype)
    columns = torch.arange(grid[1], device=logits.device, dtype=logits.dtype)
    area = seed.sum()
    centre = torch.stack([(seed.sum(0) * columns).sum(), (seed.sum(1) * rows).sum()])
    return seed, ambiguity, centre / area.clamp(min=1), (decoded.score > 0) & (area > 0)


def _shift(grid_map: Tensor, offset: Tensor) -> Tensor:
    """Move an (h, w) map by (2,) x and y, rounded to whole tokens; zeros come in."""
    height, width = grid_map.shape
    whole = offset.round().long()
    columns = torch.arange(width, device=grid_map.device) - whole[0]
    rows = torch.arange(height, device=grid_map.device) - whole[1]
    moved = grid_map.index_select(0, rows.clamp(0, height - 1))
    moved = moved.index_select(1, columns.clamp(0, width - 1))
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    return moved * inside


def _distance_to(seed: Tensor) -> Tensor:
    """
    Return the Euclidean distance in tokens of every place to the nearest seed, `FAR` if none.

    Exact, one axis after the other (Felzenszwalb and Huttenlocher 2012), by brute force, which on
    a grid of this size is two small reductions.
    """
    height, width = seed.shape
    columns = torch.arange(width, device=seed.device, dtype=seed.dtype)
    rows = torch.arange(height, device=seed.device, dtype=seed.dtype)
    blocked = (1 - seed) * FAR ** 2
    across = ((columns[:, None] - columns[None, :]).square()[None] + blocked[:, None, :]).amin(2)
    square = ((rows[:, None] - rows[None, :]).square()[..., None] + across[None]).amin(1)
    return square.sqrt().clamp(max=FAR)
