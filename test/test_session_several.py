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
"""Several targets on a real model of random weights: none notices the others."""

import time

from fast_sam2_ros import tracker as tracker_module
from fast_sam2_ros.evaluation.parity import make_frames
from fast_sam2_ros.evaluation.random_models import random_model
from fast_sam2_ros.grounding.result import Grounding
from fast_sam2_ros.prompt import Prompt
from fast_sam2_ros.sam2.loaded import LoadedModel, Preprocess
from fast_sam2_ros.session import Session, session_on, TargetState
from fast_sam2_ros.tracker import Tracker
import numpy as np
import pytest

FRAMES = make_frames(128, 14)
PLACES = {'a': (32, 32, 64, 64), 'b': (70, 20, 110, 60), 'c': (10, 70, 50, 120)}


class FixedGrounder:
    """Knows where everything is."""

    name = 'fixed'

    def ground(self, image, text):
        return Grounding(label=text, score=0.9, box=PLACES[text], mask=None, relevance=None,
                         prompt=Prompt(box=PLACES[text]))

    def knows(self, text):
        return text in PLACES


@pytest.fixture(scope='module')
def loaded() -> LoadedModel:
    return LoadedModel(random_model('toy'), Preprocess(128), 'random:toy', 'random')


def follow(loaded, texts, **settings):
    """Name the texts at the frames that they are given for; return all reports."""
    session = Session(Tracker(loaded, keep_ratio=0.5), FixedGrounder(), **settings)
    reports = []
    for index, frame in enumerate(FRAMES):
        if index in texts:
            session.set_text(texts[index])
        reports.append(session.process(frame, index / 10))
    return reports


def story_of(reports, text):
    """Return states, messages, scores, kept tokens and masks of a target, frame by frame."""
    mine = [each for report in reports for each in report.targets if each.text == text]
    return ([(each.state, each.message, each.score, each.id) for each in mine],
            [each.step.kept for each in mine], [each.mask for each in mine],
            [each.step.logits.numpy() for each in mine])


STORIES = [
    {0: 'a', 3: 'a; b', 8: 'a'},
    {0: 'a', 2: 'b; a', 4: 'c; b; a', 6: 'c; a', 9: 'a; b'},
    {0: 'a', 1: 'a; b; c'},
]


@pytest.mark.parametrize('texts', STORIES)
def test_a_target_is_the_same_bit_for_bit_beside_others(loaded, monkeypatch, texts):
    batched = Tracker.step_all
    monkeypatch.setattr(Tracker, 'step_all', staticmethod(
        lambda trackers, frame: [batched([each], frame)[0] for each in trackers]))
    alone, beside = follow(loaded, {0: 'a'}), follow(loaded, texts)
    assert max(len(report.targets) for report in beside) > 1
    (said, *arrays), (said_beside, *arrays_beside) = story_of(alone, 'a'), story_of(beside, 'a')
    assert said == said_beside and len(said) == len(FRAMES)
    for values, others in zip(arrays, arrays_beside):
        np.testing.assert_array_equal(values, others)


@pytest.mark.parametrize('texts', STORIES)
def test_batched_with_others_it_is_the_same_but_for_rounding(loaded, texts):
    alone, beside = story_of(follow(loaded, {0: 'a'}), 'a'), story_of(follow(loaded, texts), 'a')
    assert [state for state, *_ in alone[0]] == [state for state, *_ in beside[0]]
    assert np.abs(np.array(alone[3]) - np.array(beside[3])).max() < 1e-4
    assert np.abs(alone[3]).max() > 1e-2


def test_a_target_that_took_the_place_of_the_first_is_the_same(loaded):
    # Its tracker was made like the first one's, and then the first one's was given to another.
    beside = follow(loaded, {0: 'b', 1: 'b; a', 5: 'a', 7: 'a; c'})
    start = [report for report in beside if any(each.text == 'a' for each in report.targets)]
    assert [each.id for each in start[-1].targets] == [1, 2]
    assert [each.text for each in start[-1].targets] == ['c', 'a']
    said, *_ = story_of(start, 'a')
    assert {state for state, *_ in said} == {TargetState.TRACKING} and len(said) == 13


def test_a_frame_is_encoded_once_for_all(loaded, monkeypatch):
    session = Session(Tracker(loaded), FixedGrounder())
    calls = []
    encode = session.tracker._parts.encode
    monkeypatch.setattr(
        session.tracker._parts, 'encode', lambda pixels: calls.append(1) or encode(pixels))
    session.set_text('a; b; c')
    for index, frame in enumerate(FRAMES[:6]):  # the first three are those of the prompts
        session.process(frame, index / 10)
        assert len(calls) == index + 1


def test_bank_bytes_are_those_of_the_targets(loaded):
    one, *_, three = follow(loaded, {0: 'a', 2: 'a; b; c'})
    assert three.bank_bytes == 3 * one.bank_bytes > 0
    assert [each.bank_bytes for each in three.targets] == [one.bank_bytes] * 3


@pytest.fixture
def slowed(monkeypatch):
    """Let a token that takes part in memory attention cost as many ms as the factor says."""
    load = {'factor': 1.0}
    attend = tracker_module.attend

    def slow(parts, tokens, queries, memory):
        count = parts.token_count if queries is None else queries.shape[-1]
        time.sleep(1e-3 * count * load['factor'])
        return attend(parts, tokens, queries, memory)

    monkeypatch.setattr(tracker_module, 'attend', slow)
    return load


def test_a_slow_model_is_held_to_the_latency(loaded, slowed):
    session = session_on(loaded, 'cpu', keep_ratio=1.0, grounder='none', target_latency_ms=75.0)
    session.set_prompt(Prompt(box=PLACES['a']))

    def run(count):
        return [session.process(FRAMES[index % 14], index / 10) for index in range(count)]

    slowed['factor'] = 2.0  # 128 ms for all tokens, 64 for half of them, and the rest of the step
    first, *_, last = reports = run(60)
    assert first.keep_ratio == 1.0 and last.keep_ratio <= 0.3
    assert last.tokens_retained == session.tracker.bank.recent_tokens < 21
    assert np.median([report.latency.total for report in reports[-9:]]) <= 75
    slowed['factor'] = 0.0
    assert run(120)[-1].keep_ratio >= 0.5
