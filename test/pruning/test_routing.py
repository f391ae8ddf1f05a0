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
"""Routers and the token budget."""

from types import SimpleNamespace

from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.pruning.budget import check_ratio, tokens_to_keep
from fast_sam2_ros.pruning.routers import best_tokens, make_router, ROUTERS
import pytest
import torch

LOADED = SimpleNamespace(
    name='other/model', model=SimpleNamespace(device=torch.device('cpu')))


def cues(**maps: torch.Tensor) -> SimpleNamespace:
    """Return cues that are zero but for `maps`."""
    zero = torch.zeros(3, 4)
    names = ('text', 'context', 'uncertainty', 'prior')
    return SimpleNamespace(grid=(3, 4), **{name: maps.get(name, zero) for name in names})


@pytest.mark.parametrize('ratio, total, expected', [
    (1.0, 4096, 4096), (0.5, 4096, 2048), (0.3, 4096, 1229), (0.3, 10, 3), (0.001, 64, 1)])
def test_tokens_to_keep(ratio, total, expected):
    assert tokens_to_keep(ratio, total) == expected


@pytest.mark.parametrize('ratio', [0, -0.1, 1.01, float('nan'), '0.5', None, True])
def test_a_ratio_outside_its_range_is_refused_by_name(ratio):
    with pytest.raises(ParameterError, match='keep_ratio'):
        check_ratio('keep_ratio', ratio)


def test_best_tokens_are_the_highest_in_row_order():
    score = torch.tensor([[0.1, 0.9, 0.2], [0.8, 0.0, 0.5]])
    assert best_tokens(score, 3).tolist() == [1, 3, 5]


def test_the_analytic_router_lets_every_cue_speak():
    router = make_router('analytic', LOADED)
    for name in ('text', 'context', 'uncertainty', 'prior'):
        cue = torch.zeros(3, 4)
        cue[1, 2] = 1
        assert best_tokens(router.score(cues(**{name: cue})), 1).tolist() == [6], name


def test_prior_only_ignores_the_other_cues():
    prior = torch.rand(3, 4)
    router = make_router('prior-only', LOADED)
    assert torch.equal(router.score(cues(prior=prior, text=torch.ones(3, 4))), prior)


def test_random_draws_anew_and_repeatably():
    first, second = make_router('random', LOADED), make_router('random', LOADED)
    draws = [first.score(cues()) for _ in range(2)]
    assert not torch.equal(*draws)
    assert torch.equal(draws[0], second.score(cues()))


def test_an_unknown_router_is_refused_with_the_choices():
    with pytest.raises(ParameterError) as error:
        make_router('oracle', LOADED)
    assert all(name in str(error.value) for name in ROUTERS)
