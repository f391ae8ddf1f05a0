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
"""The figures of lost and found, on small clips with outcomes that were worked out by hand."""

from dataclasses import dataclass, replace
import json

from fast_sam2_ros.errors import InputError
from fast_sam2_ros.evaluation import recovery
from fast_sam2_ros.evaluation.recovery import (
    ALL, attempt, CountingGrounder, judge, MEMORY, OURS, RESET, run, summarise, Trial)
from fast_sam2_ros.evaluation.rendered import Story, write_clip
from fast_sam2_ros.evaluation.stories import Clip, LEAVES, LOOKALIKE
from fast_sam2_ros.grounding.result import Grounding, NotFound
from fast_sam2_ros.prompt import Prompt
from fast_sam2_ros.session import TargetState
import numpy as np
import pytest

FRAMES, BEGIN, END = 60, 10, 20
LEFT, RIGHT = np.s_[2:6, 1:5], np.s_[2:6, 7:11]
STORY = Story(LEAVES, 'cat', (BEGIN, END), False)


def masks(*spans):
    """Return (60, 8, 12) bool masks: `spans` are (begin, end, place)."""
    result = np.zeros((FRAMES, 8, 12), bool)
    for begin, end, place in spans:
        result[begin:end][(slice(None), *place)] = True
    return result


TRUTH = masks((0, BEGIN, LEFT), (END, FRAMES, LEFT))
RIVAL = masks((15, FRAMES, RIGHT))


def trial(said, lost=()):
    states = [TargetState.LOST if index in lost else TargetState.TRACKING
              for index in range(FRAMES)]
    return Trial(said, states, calls=3)


def test_a_session_that_does_all_right_has_nothing_wrong():
    outcome = judge('a', OURS, STORY, trial(TRUTH, range(BEGIN + 2, END)), TRUTH, None)
    assert (outcome.found, outcome.recover, outcome.delay) == (True, 0, 2)
    assert (outcome.wrong, outcome.masked_absent, outcome.missed) == (0, 0, 0)
    assert (outcome.J, outcome.absent, outcome.calls) == (1, END - BEGIN, 3)


def test_what_goes_wrong_is_counted():
    # It stays where the target was for 4 frames, is silent, then takes the look-alike for 12.
    said = masks((0, BEGIN + 4, LEFT), (18, 30, RIGHT), (30, FRAMES, LEFT))
    story = replace(STORY, kind=LOOKALIKE, lookalike=True)
    outcome = judge('a', OURS, story, trial(said, range(BEGIN + 4, 18)), TRUTH, RIVAL)
    assert (outcome.recover, outcome.delay) == (10, 4)
    assert (outcome.wrong, outcome.on_lookalike) == (4 + 12, 12)
    assert (outcome.masked_absent, outcome.missed) == (4 + 2, 0)
    assert outcome.J == pytest.approx((10 + 4 + 30) / FRAMES)


def test_a_return_that_is_noticed_too_late_is_no_recovery():
    late = judge('a', OURS, STORY, trial(masks((0, 10, LEFT), (51, FRAMES, LEFT))), TRUTH, None)
    in_time = judge('a', OURS, STORY, trial(masks((0, 10, LEFT), (50, FRAMES, LEFT))), TRUTH, None)
    assert (late.recover, in_time.recover) == (None, 30)
    assert late.delay is None and late.missed == 31
    never = judge('a', OURS, STORY, trial(masks((0, FRAMES, RIGHT))), TRUTH, None)
    assert not never.found and never.recover is None and never.wrong == FRAMES


def test_outcomes_are_summed_up_by_policy_and_kind():
    good = judge('a', OURS, STORY, trial(TRUTH, range(BEGIN, END)), TRUTH, None)
    bad = replace(good, clip='b', kind=LOOKALIKE, recover=None, delay=None, wrong=30, calls=0,
                  J=0.5, found=False, masked_absent=5)
    other = replace(good, policy=RESET, recover=7)
    rows = summarise([good, other, bad])
    assert [(row.kind, row.policy) for row in rows] == [
        (LEAVES, OURS), (LEAVES, RESET), (LOOKALIKE, OURS), (ALL, OURS), (ALL, RESET)]
    both = rows[3]
    assert (both.clips, both.found, both.recovered, both.stated) == (2, 0.5, 0.5, 0.5)
    assert (both.recover_median, both.delay_median, both.J) == (0, 0, 0.75)
    assert (both.wrong, both.masked_absent) == (30 / 120, 5 / 20)
    assert both.calls == 1000 * 3 / 120
    assert (rows[2].recover_median, rows[2].recover_p95) == (None, None)
    assert '-' in recovery.table(rows)


class Finder:
    """Finds whatever is asked for; the answer is the same box always."""

    name = 'finder'

    def ground(self, image, text):
        return Grounding(text, 0.9, (0, 0, 4, 4), None, np.ones((2, 2), np.float32),
                         Prompt(box=(0, 0, 4, 4)))

    def knows(self, text):
        return True


@dataclass
class Report:
    state: TargetState
    mask: np.ndarray


class LoseAndFind:
    """A session that searches on the first frame after it was named, and after a loss."""

    def __init__(self):
        self.grounder = Finder()
        self.named = []

    def set_text(self, text):
        self.named.append(text)
        self.following = False

    def process(self, frame, stamp):
        if round(stamp * STORY.fps) == 30:
            self.following = False
        if not self.following:
            self.following = bool(self.grounder.ground(frame, self.named[-1]))
        state = TargetState.TRACKING if self.following else TargetState.LOST
        return Report(state, np.full(frame.shape[:2], int(self.following), np.uint8))


@dataclass
class Still:
    """As many grey frames as it has."""

    count: int = FRAMES

    def images(self):
        return (np.full((8, 12, 3), 100, np.uint8) for _ in range(self.count))


@pytest.mark.parametrize('policy, named, calls, last', [
    (OURS, 1, 2, TargetState.TRACKING), (RESET, 3, 4, TargetState.TRACKING),
    (MEMORY, 1, 1, TargetState.LOST)])
def test_the_policies_differ_in_when_the_grounder_runs(policy, named, calls, last):
    session, frames = LoseAndFind(), []
    finder = session.grounder
    found = attempt(session, Still(), STORY, policy, 20, lambda: frames.append(1))
    assert session.named == ['cat'] * named
    assert found.calls == calls and found.states[-1] is last
    assert found.masks.shape == (FRAMES, 8, 12) and len(frames) == FRAMES
    assert session.grounder is finder  # as it was


def test_a_closed_grounder_finds_nothing_and_is_not_asked():
    grounder = CountingGrounder(Finder())
    assert grounder.ground(None, 'cat') and grounder.calls == 1
    grounder.closed = True
    assert isinstance(grounder.ground(None, 'cat'), NotFound)
    assert grounder.calls == 1 and grounder.knows('cat')


def test_a_folder_is_measured_clip_by_clip(tmp_path):
    truth = np.zeros((FRAMES, 8, 12), bool)
    truth[:] = TRUTH
    frames = np.full((FRAMES, 8, 12, 3), 90, np.uint8)
    names = ['00_cat', '01_cat']
    clips = [Clip(LEAVES, 'cat', frames, truth, None, (BEGIN, END)),
             Clip(LOOKALIKE, 'cat', frames, truth, RIVAL, (BEGIN, END))]
    stories = {name: write_clip(tmp_path, name, clip) for name, clip in zip(names, clips)}
    (tmp_path / 'stories.json').write_text(json.dumps(
        {name: vars(story) for name, story in stories.items()}))
    seen = []
    outcomes = run(LoseAndFind(), tmp_path, None, [OURS, MEMORY], 20,
                   lambda done: seen.append(len(done)))
    assert [(o.clip, o.policy) for o in outcomes] == [
        (name, policy) for name in names for policy in (OURS, MEMORY)]
    assert seen == [2, 4]
    assert outcomes[0].wrong == FRAMES  # a mask of everything is on nothing
    assert outcomes[3].masked_absent == END - BEGIN and outcomes[3].missed == 30
    stories['01_cat'] = replace(stories['01_cat'], away=None)
    (tmp_path / 'stories.json').write_text(json.dumps(
        {name: vars(story) for name, story in stories.items()}))
    with pytest.raises(InputError, match='01_cat'):
        run(LoseAndFind(), tmp_path, None, [OURS], 20, len)
