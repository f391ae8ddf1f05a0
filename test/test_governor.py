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
"""The latency governor on a machine whose steps cost what the test says, with noise and spikes."""

import random

from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.governor import allowed_budgets, BUDGETS, Governor
import numpy as np
import pytest


class Machine:
    """Takes 60 ms for a step and up to 120 more for its tokens, times the load."""

    def __init__(self, governor, noise=0.05, spikes=0.03, seed=0):
        self.governor, self.noise, self.spikes = governor, noise, spikes
        self.random = random.Random(seed)

    @staticmethod
    def cost(ratio):
        return 60 + 20 * ratio + 100 * ratio ** 2

    def run(self, steps, load=1.0):
        """Return the budgets (T,) and the times (T,) in ms of some steps."""
        budgets, times = [], []
        for _ in range(steps):
            budgets.append(self.governor.keep_ratio)
            time = load * self.cost(budgets[-1]) * (1 + self.noise * self.random.gauss(0, 1))
            times.append(time * (3 if self.random.random() < self.spikes else 1))
            self.governor.observe(times[-1])
        return np.array(budgets), np.array(times)


def changes(budgets):
    return int((np.diff(budgets) != 0).sum())


@pytest.mark.parametrize('keep, least, allowed', [
    (1.0, 0.1, BUDGETS), (0.5, 0.2, (0.5, 0.3, 0.2)), (0.4, 0.15, (0.4, 0.3, 0.2)),
    (0.3, 0.3, (0.3,)), (0.05, 0.1, (0.05,))])
def test_the_budgets_are_the_fixed_ones_within_the_limits(keep, least, allowed):
    assert allowed_budgets(keep, least) == allowed


@pytest.mark.parametrize('target, budget', [
    (250, 1.0), (150, 0.7), (110, 0.5), (88, 0.3), (73, 0.2), (66, 0.1)])
def test_the_largest_budget_that_holds_the_latency_is_found(target, budget):
    governor = Governor(target, 1.0, 0.1)
    machine = Machine(governor, noise=0.02)
    machine.run(100)
    budgets, times = machine.run(500)
    assert set(budgets) == {budget} and governor.holds
    assert np.percentile(times, 90) <= target


@pytest.mark.parametrize('noise', [0.02, 0.05, 0.1])
@pytest.mark.parametrize('target', [80, 90, 97, 110, 120, 150])
def test_it_does_not_flap_under_noise_and_spikes(target, noise):
    governor = Governor(target, 1.0, 0.1)
    machine = Machine(governor, noise, seed=target)
    machine.run(150)
    budgets, times = machine.run(2000)
    assert changes(budgets) <= 16  # half of them tries
    assert np.percentile(times, 90) <= target


def test_single_spikes_change_nothing():
    governor = Governor(200, 1.0, 0.1)
    budgets, _ = Machine(governor, noise=0.0, spikes=0.05).run(2000)
    assert set(budgets) == {1.0}


def test_a_load_is_answered_soon_and_its_end_after_a_while():
    governor = Governor(140, 0.7, 0.1)
    machine = Machine(governor, noise=0.03)
    assert set(machine.run(200)[0]) == {0.7}
    loaded, times = machine.run(200, load=1.5)
    assert loaded[:10].max() == 0.7 and loaded[30] < 0.5 and set(loaded[100:]) == {0.3}
    assert np.percentile(times[50:], 90) <= 140
    after, _ = machine.run(200)
    assert after[8] == 0.3 and after[-1] == 0.7
    assert changes(after) == 2


def test_what_was_learned_while_the_load_changed_is_tried_again():
    governor = Governor(150, 0.7, 0.1)
    machine = Machine(governor, noise=0.02, spikes=0.0)
    machine.run(100)
    machine.run(5, load=4.0)  # over before the smaller budget is in force
    budgets, _ = machine.run(500)
    assert budgets[50] == 0.5 and budgets[-1] == 0.7
    assert changes(budgets) <= 2


def test_it_never_goes_below_the_least_and_says_when_that_does_not_hold():
    governor = Governor(60, 1.0, 0.2)
    machine = Machine(governor)
    budgets, _ = machine.run(300)
    assert budgets.min() == 0.2 and not governor.holds
    assert '0.2' in governor.message and '60 ms' in governor.message
    machine.run(100, load=0.5)
    assert governor.holds and governor.message == ''


def test_what_is_known_to_be_too_much_is_jumped_over():
    governor = Governor(210, 1.0, 0.1)
    machine = Machine(governor, noise=0.0, spikes=0.0)
    machine.run(100, load=2.6)
    assert governor.keep_ratio == 0.3
    machine.run(300)
    assert governor.keep_ratio == 1.0
    budgets, _ = machine.run(15, load=2.6)
    assert budgets[0] == 1.0 and budgets[-1] == 0.3 and changes(budgets) == 1


def test_after_a_restart_it_waits_for_steps_of_the_new_kind():
    governor = Governor(100, 1.0, 0.1)
    for _ in range(12):
        governor.observe(90)
    governor.restart()
    assert [governor.observe(200) for _ in range(15)] == [1.0] * 15
    assert governor.observe(200) == 0.7


@pytest.mark.parametrize('target', [0, -5, float('nan')])
def test_a_latency_that_cannot_be_is_refused(target):
    with pytest.raises(ParameterError, match='above 0'):
        Governor(target, 1.0, 0.1)
