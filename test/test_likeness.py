# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How a target looks: which tokens count, and what changes the memory of it."""

import pytest
import torch

from fast_sam2_ros.likeness import look_at, Looks

GRID = (4, 6)


def scene(colours):
    """Return (24, 8) tokens of a grid whose columns have these directions."""
    torch.manual_seed(0)
    directions = torch.randn(10, 8)
    columns = torch.stack([directions[colour] for colour in colours])
    return columns.repeat(GRID[0], 1) + 5  # a constant that all tokens share


def mask_of(columns):
    logits = torch.full((16, 24), -4.0)
    for column in columns:
        logits[:, 4 * column:4 * column + 4] = 4.0
    return logits


def test_the_same_thing_elsewhere_is_alike_and_another_is_not():
    before = look_at(scene([1, 0, 0, 0, 0, 2]), mask_of([0]), GRID)
    after = look_at(scene([0, 0, 0, 1, 2, 0]), mask_of([3]), GRID)
    other = look_at(scene([0, 0, 0, 1, 2, 0]), mask_of([4]), GRID)
    looks = Looks.begin(before)
    assert looks.likeness(before) == pytest.approx(1)
    assert looks.likeness(after) > 0.95
    assert looks.likeness(other) < 0.5


def test_a_look_of_nothing_is_like_nothing():
    look = look_at(scene([0, 1, 2, 3, 4, 5]), mask_of([]), GRID)
    assert look.tolist() == [0] * 8
    assert Looks.begin(look_at(scene([0, 1] * 3), mask_of([1]), GRID)).likeness(look) == 0


def test_cells_that_the_mask_hardly_touches_do_not_count():
    tokens = scene([0, 1, 2, 3, 4, 5])
    logits = mask_of([2])
    exact = look_at(tokens, logits, GRID)
    logits[:, 12] = 4.0  # one of four columns of the next cells
    assert torch.equal(look_at(tokens, logits, GRID), exact)


def test_looks_follow_slow_change_and_keep_the_first():
    first, last = torch.eye(8)[0], torch.eye(8)[1]
    looks = Looks.begin(first)
    for step in range(120):
        angle = torch.tensor(min(step / 100, 1.0) * torch.pi / 2)
        look = torch.cos(angle) * first + torch.sin(angle) * last
        assert looks.likeness(look) > 0.95
        looks = looks.then(look)
    assert looks.likeness(first) == 1 and looks.usual @ last > 0.9


def test_what_is_hardly_the_target_changes_nothing():
    first = torch.eye(8)[0]
    looks = Looks.begin(first)
    stranger = torch.nn.functional.normalize(torch.ones(8), dim=0)  # a likeness of 0.35
    assert torch.equal(looks.then(stranger).usual, first)
