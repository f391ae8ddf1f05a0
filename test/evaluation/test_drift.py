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
"""Growth is told from noise, from what repeats itself and from a single jump."""

from fast_sam2_ros.evaluation.drift import has_grown, slope
import numpy as np
import pytest

TIMES = np.arange(0, 3000, 5.0)  # 50 minutes, a sample every 5 s
CYCLE = 240.0
MINUTES = TIMES / 60


def noise(seed: int, memory: float = 0.9) -> np.ndarray:
    """Return noise, (N,), of about 3 MB, which remembers its past: AR(1)."""
    generator = np.random.default_rng(seed)
    values = np.zeros(len(TIMES))
    for index, shock in enumerate(generator.normal(0, 3 * np.sqrt(1 - memory**2), len(TIMES))):
        values[index] = memory * values[index - 1] + shock
    return values


def goals(seed: int) -> np.ndarray:
    """Return what changes with the goals, (N,) MB: a cycle of levels, and a little noise."""
    levels = np.random.default_rng(seed).uniform(0, 20, 8)
    return levels[(TIMES % CYCLE // 30).astype(int)] + noise(seed) / 5


@pytest.mark.parametrize('still', [noise, goals])
def test_noise_and_repetition_are_rarely_taken_for_growth(still):
    found = [slope(TIMES, 500 + still(seed), CYCLE) for seed in range(40)]
    assert sum(not each.may_be_zero for each in found) <= 5
    assert all(abs(each.per_hour) < 6 for each in found)


@pytest.mark.parametrize('still', [noise, goals])
@pytest.mark.parametrize('leak', [1.0, 0.2])
def test_a_leak_is_found_and_its_size_told(still, leak):
    found = [slope(TIMES, 500 + still(seed) + leak * MINUTES, CYCLE) for seed in range(10)]
    assert all(each.low > 0 for each in found)
    assert np.median([each.per_hour for each in found]) == pytest.approx(60 * leak, rel=0.2)
    assert sum(each.low <= 60 * leak <= each.high for each in found) >= 7


@pytest.mark.parametrize('place', [0.02, 0.12, 0.97])
def test_one_jump_near_an_end_is_no_growth(place):
    jump = 40.0 * (TIMES > place * TIMES[-1])
    found = slope(TIMES, 500 + jump + noise(3) / 10, CYCLE)
    assert abs(found.per_hour) < 2 or found.may_be_zero


def test_a_staircase_is_growth():
    assert slope(TIMES, 500 + 4.0 * np.floor(MINUTES / 4), CYCLE).low > 30


def test_what_stays_exactly_has_no_slope_and_no_doubt():
    found = slope(TIMES, np.full(len(TIMES), 7e8), CYCLE)
    assert (found.per_hour, found.low, found.high) == (0, 0, 0) and found.may_be_zero


def test_a_few_samples_say_nothing():
    assert slope([0, 5, 10], [1, 2, 3], CYCLE) is None and slope([], [], CYCLE) is None


def test_counts_that_end_higher_than_they_began_have_grown():
    assert not has_grown([20, 21, 20, 21, 20, 20])
    assert not has_grown([22, 21, 20, 20, 19, 19])
    assert has_grown([20, 20, 20, 20, 20, 21])
    assert not has_grown([20])
