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
"""What a session says of a frame: masks, labels and confidence of several targets."""

from fast_sam2_ros.reports import NO_LATENCY, Report, TargetReport
from fast_sam2_ros.results import StepResult
from fast_sam2_ros.session import TargetState
import numpy as np
import pytest
import torch

SIZE = (8, 12)


class CountedStep(StepResult):
    """Counts how often its mask is drawn."""

    drawn = 0

    def mask(self, height, width):
        CountedStep.drawn += 1
        return super().mask(height, width)


@pytest.fixture(autouse=True)
def _count_anew():
    CountedStep.drawn = 0


def target(number, columns, score=1.0, in_view=True, kept=0):
    """Return the report of a target on some columns of the frame."""
    logits = torch.full(SIZE, -3.0)
    logits[:, columns] = score
    step = CountedStep(logits=logits, score=score, iou=1.0, tokens_retained=1, tokens_total=6,
                       bank_bytes=10, latency=NO_LATENCY, grid=(2, 3),
                       retained=torch.tensor([kept]))
    return TargetReport(number, f'target {number}', '', TargetState.TRACKING, score, '', 1, 10,
                        step, SIZE, in_view)


def report(*targets):
    return Report(TargetState.TRACKING, '', 0.0, '', 1, 6, 20, NO_LATENCY, None, '', False, SIZE,
                  0.5, targets)


def test_nothing_is_drawn_before_it_is_asked_for_and_nothing_twice():
    both = report(target(1, slice(0, 4)), target(2, slice(6, 9)), target(3, slice(0, 2)))
    assert both.in_view and CountedStep.drawn == 0
    both.mask, both.labels(), both.mask, both.targets[0].mask, both.labels()
    assert CountedStep.drawn == 3


def test_the_mask_is_the_union_and_labels_tell_the_targets_apart():
    both = report(target(1, slice(0, 4)), target(3, slice(6, 9)))
    expected = np.zeros(SIZE, np.uint8)
    expected[:, 0:4], expected[:, 6:9] = 1, 3
    np.testing.assert_array_equal(both.labels(), expected)
    np.testing.assert_array_equal(both.mask, expected > 0)
    assert both.mask.dtype == both.labels().dtype == np.uint8


@pytest.mark.parametrize('scores, winner', [((1.0, 2.0), 2), ((2.0, 1.0), 1)])
def test_a_pixel_in_two_masks_goes_to_the_higher_score(scores, winner):
    both = report(target(1, slice(0, 6), scores[0]), target(2, slice(4, 9), scores[1]))
    assert [both.labels()[0, column] for column in (0, 5, 8)] == [1, winner, 2]
    assert both.mask[:, :9].all()


def test_the_mask_of_one_target_is_not_copied():
    alone = report(target(1, slice(0, 4)))
    assert alone.mask is alone.targets[0].mask and alone.labels() is alone.mask
    third = report(target(3, slice(0, 4)), target(4, slice(0, 4), in_view=False))
    assert third.mask is third.targets[0].mask
    np.testing.assert_array_equal(third.labels(), 3 * third.mask)


def test_what_is_not_in_view_has_no_mask():
    away = report(target(1, slice(0, 4), in_view=False))
    assert not away.in_view
    for picture in (away.mask, away.labels(), away.confidence(), away.targets[0].mask):
        assert picture.shape == SIZE and not picture.any()
    assert CountedStep.drawn == 0
    assert not report().mask.any() and report().kept is None


def test_confidence_and_kept_tokens_are_those_of_any_target():
    both = report(target(1, slice(0, 4), 2.0, kept=0), target(2, slice(6, 9), 1.0, kept=5))
    confidence = both.confidence()
    assert confidence.dtype == np.float32
    np.testing.assert_allclose(
        confidence[0, [0, 5, 8]], 1 / (1 + np.exp([-2.0, 3.0, -1.0])), rtol=1e-5)
    assert both.kept.tolist() == [[True, False, False], [False, False, True]]
