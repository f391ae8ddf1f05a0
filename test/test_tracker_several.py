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
"""Several targets in one stream: one encoder pass, and each as if it were alone."""

from fast_sam2_ros.demo.scene import Scene
from fast_sam2_ros.errors import InputError
from fast_sam2_ros.evaluation.parity import make_frames
from fast_sam2_ros.evaluation.random_models import random_model
from fast_sam2_ros.prompt import Prompt
from fast_sam2_ros.sam2.checkpoint import load_model
from fast_sam2_ros.sam2.loaded import LoadedModel, Preprocess
from fast_sam2_ros.tracker import Tracker
import pytest

FRAMES = make_frames(128, 12)
BOXES = [Prompt(box=(32, 32, 64, 64)), Prompt(box=(10, 70, 60, 120)), Prompt(box=(80, 5, 120, 50))]
TOLERANCE = 1e-4


@pytest.fixture(scope='module')
def loaded() -> LoadedModel:
    return LoadedModel(random_model('toy'), Preprocess(128), 'random:toy', 'random')


def alone(loaded, prompt, first, keep_ratio):
    """Return the results of one target that is prompted on frame `first`."""
    tracker = Tracker(loaded, keep_ratio=keep_ratio)
    tracker.prompt(FRAMES[first], prompt)
    return [tracker.step(frame) for frame in FRAMES[first + 1:]]


@pytest.mark.parametrize('keep_ratio', [1.0, 0.3])
def test_targets_of_one_frame_are_tracked_as_if_each_were_alone(loaded, keep_ratio):
    family = [Tracker(loaded, keep_ratio=keep_ratio)]
    family += [family[0].another() for _ in BOXES[1:]]
    for tracker, prompt in zip(family, BOXES):
        tracker.prompt(FRAMES[0], prompt)
    expected = [alone(loaded, prompt, 0, keep_ratio) for prompt in BOXES]
    for index, frame in enumerate(FRAMES[1:]):
        for got, want in zip(Tracker.step_all(family, frame), expected):
            assert (got.logits - want[index].logits).abs().max() <= TOLERANCE


def test_targets_that_come_one_after_the_other_are_tracked_as_if_alone():
    # Their memories are of different sizes, so that not all of them attend together.
    loaded, scene = load_model('embedded'), Scene()
    frames = [scene.frame(index)[0] for index in range(7)]
    boxes = [Prompt(box=(200, 150, 440, 400)), Prompt(box=(20, 20, 150, 150)),
             Prompt(box=(450, 50, 620, 250))]
    family = [Tracker(loaded, keep_ratio=0.4)]
    family += [family[0].another() for _ in boxes[1:]]
    masks = []
    for index, frame in enumerate(frames):
        stepping = family[:index]
        if stepping:
            results = Tracker.step_all(stepping, frame)
            masks = [result.logits > 0 for result in results]
        if index < len(boxes):
            family[index].prompt(frame, boxes[index])
    for first, (box, mask) in enumerate(zip(boxes, masks)):
        single = Tracker(loaded, keep_ratio=0.4)
        single.prompt(frames[first], box)
        for frame in frames[first + 1:]:
            expected = single.step(frame).logits > 0
        assert (mask & expected).sum() >= 0.99 * (mask | expected).sum() > 0
    shared = (masks[0] & masks[1]).sum() + (masks[1] & masks[2]).sum()
    assert shared < 0.1 * sum(mask.sum() for mask in masks)  # they are not all the same


def test_one_encoder_pass_serves_all(loaded, monkeypatch):
    first = Tracker(loaded)
    family = [first, first.another()]
    calls, encode = [], first._parts.encode
    monkeypatch.setattr(first._parts, 'encode', lambda pixels: calls.append(1) or encode(pixels))
    for tracker, prompt in zip(family, BOXES):
        tracker.prompt(FRAMES[0], prompt)
    assert len(calls) == 1
    Tracker.step_all(family, FRAMES[1])
    assert len(calls) == 2


def test_dropping_a_target_does_not_disturb_the_others(loaded):
    kept, dropped = Tracker(loaded), None
    dropped = kept.another()
    for tracker, prompt in zip((kept, dropped), BOXES):
        tracker.prompt(FRAMES[0], prompt)
    Tracker.step_all([kept, dropped], FRAMES[1])
    dropped.reset()
    assert kept.has_target and not dropped.has_target
    later = kept.step(FRAMES[2])
    assert (later.logits - alone(loaded, BOXES[0], 0, 0.5)[1].logits).abs().max() <= TOLERANCE


def test_each_target_has_a_memory_of_its_own(loaded):
    first = Tracker(loaded)
    second = first.another()
    assert second.bank is not first.bank and second.bank_bytes == first.bank_bytes
    second.keep_ratio = 1.0
    assert first.keep_ratio == 0.5 and second.bank_bytes > first.bank_bytes


def test_targets_may_have_different_budgets(loaded):
    first = Tracker(loaded, keep_ratio=0.5)
    second = first.another()
    second.keep_ratio = 0.2
    for tracker, prompt in zip((first, second), BOXES):
        tracker.prompt(FRAMES[0], prompt)
    results = Tracker.step_all([first, second], FRAMES[1])
    assert [result.tokens_retained for result in results] == [32, 13]
    assert (results[0].logits - alone(loaded, BOXES[0], 0, 0.5)[0].logits).abs().max() <= TOLERANCE


def test_trackers_of_different_models_do_not_step_together(loaded):
    trackers = [Tracker(loaded), Tracker(loaded)]
    for tracker in trackers:
        tracker.prompt(FRAMES[0], BOXES[0])
    with pytest.raises(InputError, match='another'):
        Tracker.step_all(trackers, FRAMES[1])
    with pytest.raises(InputError):
        Tracker.step_all([], FRAMES[1])
