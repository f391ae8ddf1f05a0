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
"""A device that runs out of memory, with the embedded model: fewer tokens, the same target."""

from types import SimpleNamespace

import cv2
from fast_sam2_ros import prompting
from fast_sam2_ros import tracker as tracker_module
from fast_sam2_ros.demo.scene import cut_out, Scene
from fast_sam2_ros.errors import DeviceMemoryError
from fast_sam2_ros.prompt import Prompt
from fast_sam2_ros.sam2.checkpoint import load_model
from fast_sam2_ros.sam2.loaded import LoadedModel
from fast_sam2_ros.session import Session, session_on, TargetState
import numpy as np
import pytest
import torch

SCENE = Scene(rate=10.0)
CAT = SCENE.goals[0]
FRAMES = [SCENE.frame(CAT.index + step) for step in range(12)]


@pytest.fixture(scope='module')
def loaded() -> LoadedModel:
    return load_model('embedded')


@pytest.fixture
def device(monkeypatch):
    """Stand for a device with memory for the attention of so large a share of the tokens."""
    device = SimpleNamespace(holds=1.0, failed=0)
    attend = tracker_module.attend

    def attend_in(parts, tokens, queries, memory):
        count = parts.token_count if queries is None else queries.shape[-1]
        if count > device.holds * parts.token_count + 1:
            device.failed += 1
            raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB')
        return attend(parts, tokens, queries, memory)

    for module in (tracker_module, prompting):
        monkeypatch.setattr(module, 'attend', attend_in)
    return device


def make(loaded, **settings) -> Session:
    session = session_on(loaded, 'cpu', **({'keep_ratio': 1.0} | settings))
    session.set_text(CAT.text)
    return session


def run(session, frames) -> list:
    """Return the reports, and in the place of a lost frame what was said of it."""
    results = []
    for index in frames:
        try:
            results.append(session.process(FRAMES[index][0], index / 10))
        except DeviceMemoryError as error:
            results.append(str(error))
    return results


def test_the_budget_goes_down_and_the_target_stays_as_if_the_lost_frames_had_never_been(
        loaded, device, caplog):
    session, untroubled = make(loaded), make(loaded)
    run(session, range(3))
    run(untroubled, range(3))
    device.holds = 0.3
    lost = run(session, range(3, 6))
    assert lost == [
        f'the device ran out of memory at a keep ratio of {ratio}; it is {lower} until another '
        'is set' for ratio, lower in (('1', '0.7'), ('0.7', '0.5'), ('0.5', '0.3'))]
    assert [record.message for record in caplog.records] == lost
    assert device.failed == 3
    reports = run(session, range(6, 10))
    for ratio in (0.7, 0.5, 0.3):  # the bank keeps the best at each
        untroubled.keep_ratio = ratio
    same = run(untroubled, range(6, 10))
    for report, other, (_, truth) in zip(reports, same, FRAMES[6:]):
        assert report.state is TargetState.TRACKING and report.keep_ratio == 0.3
        assert report.message.endswith('; ' + lost[-1])
        assert torch.equal(report.step.logits, other.step.logits)
        mine, there = report.mask > 0, truth[CAT.text] > 0
        assert (mine & there).sum() > 0.5 * (mine | there).sum()

    assert session.keep_ratio == 1.0  # what was asked for; to set it again changes nothing
    session.keep_ratio = 1.0
    assert run(session, [10])[0].keep_ratio == 0.3
    device.holds = 1.0
    session.keep_ratio = 0.7
    report = run(session, [11])[0]
    assert report.keep_ratio == 0.7 and session.shortage == '' and ';' not in report.message


def test_below_the_least_budget_it_says_so_once_and_goes_on_when_memory_is_back(
        loaded, device, caplog):
    session = make(loaded, keep_ratio=0.2)
    run(session, range(2))
    device.holds = 0.0
    lost = run(session, range(2, 8))
    assert 'it is 0.1 until' in lost[0]
    assert all('keep ratio of 0.1, and nothing lower is possible' in text for text in lost[1:])
    assert len(caplog.records) == 2
    device.holds = 1.0
    report = run(session, [8])[0]
    assert report.state is TargetState.TRACKING and report.keep_ratio == 0.1
    assert report.mask.any()


def test_a_prompt_that_found_no_memory_is_given_again(loaded, device):
    """The embedded model turns a prompt into a mask with memory attention to all tokens."""
    picture = cut_out('cat')[0]
    height, width = picture.shape[:2]
    session = make(loaded)
    session.set_prompt(Prompt(box=(0.2 * width, 0.2 * height, 0.8 * width, 0.8 * height)))
    device.holds = 0.5
    with pytest.raises(DeviceMemoryError, match='it is 0.7'):
        session.process(picture, 0.0)
    device.holds = 1.0
    report = session.process(picture, 0.1)
    assert report.state is TargetState.TRACKING and report.mask.any()


def test_a_search_that_found_no_memory_is_made_again_at_once(loaded, device):
    session = make(loaded, reground_period=3600.0)
    device.holds = 0.5
    assert 'it is 0.7' in run(session, [0])[0]
    device.holds = 1.0
    assert run(session, [1])[0].state is TargetState.TRACKING


def test_a_governor_goes_on_below_what_the_device_has_memory_for(loaded, device):
    session = make(loaded, target_latency_ms=60000.0, min_keep_ratio=0.2)
    run(session, range(2))
    device.holds = 0.5
    run(session, [2, 3])
    reports = run(session, [4, 5, 6])
    assert {report.keep_ratio for report in reports} == {0.5}
    assert session.governor.holds and session.governor.keep_ratio == 0.5


def test_several_targets_go_down_together(loaded, device):
    picture = np.hstack([cv2.resize(cut_out(name)[0], (480, 480)) for name in (
        'cat', 'motorcycle')])
    session = make(loaded)
    session.set_text('cat; motorcycle')
    for index in range(3):
        session.process(picture, index / 10)
    device.holds = 0.5
    for index in (3, 4):
        with pytest.raises(DeviceMemoryError):
            session.process(picture, index / 10)
    report = session.process(picture, 0.5)
    assert [each.state for each in report.targets] == [TargetState.TRACKING] * 2
    total = report.tokens_total
    assert [each.tokens_retained for each in report.targets] == [total // 2] * 2


def test_an_error_of_another_kind_is_raised_as_it_is_and_changes_nothing(loaded, monkeypatch):
    session = make(loaded)
    run(session, range(2))

    def broken(*arguments):
        raise RuntimeError('broken')

    with monkeypatch.context() as patch:
        patch.setattr(tracker_module, 'attend', broken)
        with pytest.raises(RuntimeError, match='broken'):
            session.process(FRAMES[2][0], 0.2)
    report = run(session, [3])[0]
    assert report.state is TargetState.TRACKING and report.keep_ratio == 1.0
    assert session.shortage == ''
