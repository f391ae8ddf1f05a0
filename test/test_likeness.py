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
"""How a target looks: which tokens count, and what changes the memory of it."""

from fast_sam2_ros.likeness import Look, Looks
import pytest
import torch
from torch.nn.functional import normalize

GRID = (4, 6)
GREY, RED, BLUE, PALE = (90, 90, 90), (200, 30, 30), (30, 30, 200), (120, 120, 120)


def scene(things):
    """Return (24, 8) tokens of a grid whose columns show these things."""
    torch.manual_seed(0)
    directions = torch.randn(10, 8)
    columns = torch.stack([directions[thing] for thing in things])
    return columns.repeat(GRID[0], 1) + 5  # a constant that all tokens share


def painted(colours):
    """Return the colours (24, 3) of the cells of a grid whose columns have these."""
    return torch.tensor(colours, dtype=torch.float32).repeat(GRID[0], 1)


def mask_of(columns):
    logits = torch.full((16, 24), -4.0)
    for column in columns:
        logits[:, 4 * column:4 * column + 4] = 4.0
    return logits


def look(things, columns, colours=(GREY,) * 6):
    return Look.at(painted(colours), scene(things), mask_of(columns), GRID)


def test_the_same_thing_elsewhere_is_alike_and_another_is_not():
    before = look([1, 0, 0, 0, 0, 2], [0])
    looks = Looks.begin(before)
    assert looks.likeness(before) == pytest.approx(1)
    assert looks.likeness(look([0, 0, 0, 1, 2, 0], [3])) > 0.95
    assert looks.likeness(look([0, 0, 0, 1, 2, 0], [4])) < 0.5


def test_the_same_thing_in_another_colour_is_another():
    things = [1, 0, 0, 0, 0, 1]
    colours = (RED, GREY, GREY, GREY, GREY, BLUE)
    looks = Looks.begin(look(things, [0], colours))
    assert looks.likeness(look(things, [0], colours)) == pytest.approx(1)
    assert looks.likeness(look(things, [5], colours)) < 0.1
    assert looks.likeness(look(things, [5], colours[:-1] + (GREY,))) < 0.6
    grey = Looks.begin(look(things, [0]))
    assert grey.likeness(look(things, [5], (GREY,) * 5 + (PALE,))) > 0.99  # only brighter


def test_a_look_of_nothing_is_like_nothing():
    nothing = look([0, 1, 2, 3, 4, 5], [])
    assert nothing.features.tolist() == [0] * 8
    assert Looks.begin(look([0, 1] * 3, [1])).likeness(nothing) == 0


def test_cells_that_the_mask_hardly_touches_do_not_count():
    tokens, colours = scene([0, 1, 2, 3, 4, 5]), painted([RED, BLUE] * 3)
    logits = mask_of([2])
    exact = Look.at(colours, tokens, logits, GRID)
    logits[:, 12] = 4.0  # one of four columns of the next cells
    touched = Look.at(colours, tokens, logits, GRID)
    assert torch.equal(touched.features, exact.features)
    assert torch.equal(touched.colour, exact.colour)


def test_looks_follow_slow_change_and_keep_the_first():
    plain = torch.tensor([1.0, 0, 0])
    first, last = torch.eye(8)[0], torch.eye(8)[1]
    looks = Looks.begin(Look(first, plain))
    for step in range(120):
        angle = torch.tensor(min(step / 100, 1.0) * torch.pi / 2)
        now = Look(torch.cos(angle) * first + torch.sin(angle) * last, plain)
        assert looks.likeness(now) > 0.95
        looks = looks.then(now)
    assert looks.likeness(Look(first, plain)) == 1 and looks.usual.features @ last > 0.9


def test_what_is_hardly_the_target_changes_nothing():
    plain = torch.tensor([1.0, 0, 0])
    first = Look(torch.eye(8)[0], plain)
    looks = Looks.begin(first)
    stranger = Look(normalize(torch.ones(8), dim=0), plain)  # a likeness of 0.35
    assert torch.equal(looks.then(stranger).usual.features, first.features)
