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
"""The cues: maps in [0, 1] that point where they should."""

from fast_sam2_ros.pruning.cues import CUE_NAMES, Cues, FrameCues, MaskHistory, TextProbe
from fast_sam2_ros.sam2.parts import ABSENT_LOGIT, Decoded
import pytest
import torch

GRID = (12, 16)
NO_TEXT = torch.zeros(GRID)


def decoded(top: int, left: int, size: int = 3, score: float = 5.0) -> Decoded:
    """Return a square of `size` tokens with its corner at a token; none if the score is low."""
    logits = torch.full((4 * GRID[0], 4 * GRID[1]), -8.0)
    logits[4 * top:4 * (top + size), 4 * left:4 * (left + size)] = 8.0
    if score <= 0:
        logits.fill_(ABSENT_LOGIT)
    return Decoded(logits, logits, torch.tensor(score), torch.tensor(0.9), torch.zeros(8))


def features(seed: int = 0) -> torch.Tensor:
    return torch.randn(1, 8, *GRID, generator=torch.Generator().manual_seed(seed))


def prior(history: MaskHistory, moving: bool = True) -> torch.Tensor:
    return Cues(FrameCues(features()), NO_TEXT, history, moving).prior


@pytest.mark.parametrize('score', [5.0, -5.0])
def test_every_cue_is_a_map_in_0_1(score):
    history = MaskHistory.begin(decoded(2, 3), GRID).then(decoded(3, 3, score=score))
    probe = TextProbe.fit(features().flatten(2)[0].T, history.seed)
    cues = Cues(FrameCues(features(1)), probe(features(1)), history)
    for name in CUE_NAMES:
        cue = getattr(cues, name)
        assert cue.shape == GRID
        assert 0 <= cue.min() and cue.max() <= 1


def test_prior_is_one_on_the_mask_and_falls_with_the_distance():
    cue = prior(MaskHistory.begin(decoded(4, 4), GRID), moving=False)
    assert (cue[4:7, 4:7] == 1).all()
    # Right of the mask: column 7 is one token away, column 9 three.
    assert cue[5, 7] == pytest.approx(torch.exp(torch.tensor(-1 / 3)).item())
    assert cue[5, 9] == pytest.approx(torch.exp(torch.tensor(-1.0)).item())
    # Diagonally, 3 down and 4 right of the corner token (6, 6).
    assert cue[9, 10] == pytest.approx(torch.exp(torch.tensor(-5 / 3)).item())


def test_prior_runs_ahead_of_a_moving_target():
    history = MaskHistory.begin(decoded(4, 1), GRID)
    for left in (3, 5, 7, 9):
        history = history.then(decoded(4, left))
    cue = prior(history)
    ahead, behind = cue[5, 13], cue[5, 7]  # both two tokens beyond the mask's columns 9..11
    assert (cue[4:7, 9:12] == 1).all()
    assert ahead == 1 and ahead > behind


def test_prior_widens_while_the_target_is_unseen_and_recovers():
    history = MaskHistory.begin(decoded(4, 4), GRID).then(decoded(4, 4))
    at_once = prior(history)
    for _ in range(10):
        history = history.then(decoded(0, 0, score=-5))
    later = prior(history)
    assert (later[4:7, 4:7] == 1).all()
    assert (later[:, 10:] > at_once[:, 10:]).all()
    assert torch.allclose(prior(history.then(decoded(4, 4))), at_once)


def test_uncertainty_is_high_where_the_mask_is_undecided():
    undecided = decoded(4, 4)
    undecided.logits[4 * 4, 4 * 10] = 0.0
    cues = Cues(FrameCues(features()), NO_TEXT, MaskHistory.begin(undecided, GRID))
    flat = Cues(FrameCues(features()), NO_TEXT, MaskHistory.begin(decoded(4, 4), GRID))
    difference = cues.uncertainty - flat.uncertainty
    assert difference[4, 10] == pytest.approx(0.5, abs=0.01)
    assert (difference.flatten().topk(2).values[1]) < 0.01


def test_uncertainty_is_high_where_features_vary():
    calm = torch.zeros(1, 8, *GRID)
    calm[..., 8:] = 1.0  # an edge between the columns 7 and 8
    cue = Cues(
        FrameCues(calm), NO_TEXT, MaskHistory.begin(decoded(4, 4), GRID)).uncertainty
    assert (cue[:, 7:9] > 0.4).all()
    assert cue[:, 10:].max() < 0.01


def test_context_finds_what_stands_out():
    scene = torch.zeros(1, 8, *GRID)
    scene[..., 6, 7] = 3.0
    cue = FrameCues(scene).context
    assert cue.flatten().argmax() == 6 * GRID[1] + 7


def test_text_probe_finds_the_same_thing_elsewhere():
    target = torch.zeros(GRID)
    target[1:3, 1:3] = 1
    direction = torch.ones(8)
    first = features(0) + 2 * direction[None, :, None, None] * target
    probe = TextProbe.fit(first.flatten(2)[0].T, target)
    moved = target.roll((6, 9), (0, 1))
    cue = probe(features(5) + 2 * direction[None, :, None, None] * moved)
    assert cue[moved == 1].min() > cue[moved == 0].mean() + 0.3
    best = cue.flatten().topk(4).indices
    assert moved.flatten()[best].mean() >= 0.75


def test_text_probe_equals_weighted_ridge_regression():
    tokens = features().flatten(2)[0].T
    relevance = torch.rand(GRID, generator=torch.Generator().manual_seed(2))
    relevance = relevance / relevance.max()
    probe = TextProbe.fit(tokens, relevance)
    x = torch.cat([tokens, torch.ones(len(tokens), 1)], dim=1).double()
    y = relevance.flatten().double()
    weight = (y / y.sum() + (1 - y) / (1 - y).sum()) / 2
    mean = (weight[:, None] * x[:, :8]).sum(0)
    ridge = 0.01 * (weight[:, None] * (x[:, :8] - mean) ** 2).sum(0).mean()
    penalty = torch.diag(torch.tensor([ridge] * 8 + [0.0], dtype=torch.float64))
    expected = torch.linalg.solve(x.T @ (weight[:, None] * x) + penalty, x.T @ (weight * y))
    assert torch.allclose(probe.weight.double(), expected[:8], atol=1e-6)
    assert probe.bias.item() == pytest.approx(expected[8].item(), abs=1e-6)


@pytest.mark.parametrize('value', [0.0, 1.0])
def test_text_probe_of_a_constant_map_is_finite(value):
    probe = TextProbe.fit(features().flatten(2)[0].T, torch.full(GRID, value))
    assert torch.isfinite(probe(features(1))).all()


def test_cues_after_the_mask_keep_what_the_frame_says():
    history = MaskHistory.begin(decoded(4, 4), GRID)
    before = Cues(FrameCues(features()), NO_TEXT, history)
    context = before.context
    after = before.after(history.then(decoded(8, 10)))
    assert after.context is context
    assert after.prior[9, 11] == 1 and before.prior[9, 11] < 0.5
