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
"""A session and its targets' lives, with a tracker and a grounder that answer as they are told."""

from dataclasses import dataclass, field

from fast_sam2_ros.errors import InputError, ParameterError
from fast_sam2_ros.grounding.result import Grounding, NotFound
from fast_sam2_ros.latency import Latency
from fast_sam2_ros.prompt import Prompt
from fast_sam2_ros.results import StepResult
from fast_sam2_ros.sam2.loaded import LikenessLevels
from fast_sam2_ros.session import Session, targets_in, TargetState
import numpy as np
import pytest
import torch

FRAME = np.full((48, 64, 3), 120, dtype=np.uint8)
BOX = Prompt(box=(8.0, 8.0, 40.0, 40.0), points=None, labels=None, mask=None)


@dataclass
class FakeTracker:
    """Tracks with the scores and likenesses that it is given, one a frame, the last for ever."""

    scores: list[float] = field(default_factory=lambda: [3.0])
    likenesses: list[float] = field(default_factory=lambda: [1.0])
    grid: tuple[int, int] = (4, 4)
    bank_bytes: int = 1000
    keep_ratio: float = 1.0
    has_target: bool = False
    prompts: list[Prompt] = field(default_factory=list)
    steps: int = 0
    remembered: list[bool] = field(default_factory=list)
    aims: list[str] = field(default_factory=list)
    likeness_levels: LikenessLevels | None = LikenessLevels(same=0.45, sure=0.85)
    memory_keep_ratio: float | None = None
    step_ms: float = 5.0  # at a keep ratio of 1; what is kept is all that costs
    others: list['FakeTracker'] = field(default_factory=list)

    def another(self):
        self.others.append(FakeTracker(keep_ratio=self.keep_ratio, step_ms=self.step_ms))
        return self.others[-1]

    def aim(self, text):
        self.aims.append(text)

    def _result(self, score: float, likeness: float = 1.0) -> StepResult:
        logits = torch.full((16, 16), -5.0)
        logits[4:12, 4:12] = 5.0
        latency = Latency(1, 1, 1, 1, 1, total=self.keep_ratio * self.step_ms)
        return StepResult(logits=logits, score=score, iou=0.9, tokens_retained=8, tokens_total=16,
                          bank_bytes=1000, latency=latency, grid=self.grid,
                          likeness=likeness)

    def prompt(self, frame, prompt, relevance=None):
        self.has_target = True
        self.prompts.append(prompt)
        return self._result(3.0)

    def segment(self, frame, prompt):
        return self._result(3.0, self.likenesses[0])

    def step(self, frame):
        self.steps += 1
        score, likeness = (values.pop(0) if len(values) > 1 else values[0]
                           for values in (self.scores, self.likenesses))
        self.remembered.append(True)
        return self._result(score, likeness)

    @staticmethod
    def step_all(trackers, frame):
        return [tracker.step(frame) for tracker in trackers]

    def decline(self):
        self.remembered[-1] = False

    def reset(self):
        self.has_target = False


@dataclass
class FakeGrounder:
    """Finds the words in `visible`; knows these and the ones in `vocabulary`."""

    visible: set[str] = field(default_factory=lambda: {'cat'})
    vocabulary: set[str] = field(default_factory=lambda: {'cat', 'dog'})
    name: str = 'fake'
    calls: list[str] = field(default_factory=list)

    def ground(self, image, text):
        self.calls.append(text)
        if text not in self.vocabulary:
            return NotFound(f"the word '{text}' is not known")
        if text not in self.visible:
            return NotFound(f'no {text} in view')
        return Grounding(label=f'tabby {text}', score=0.9, box=BOX.box, mask=None,
                         relevance=np.ones((4, 4), dtype=np.float32), prompt=BOX)

    def knows(self, text):
        return text in self.vocabulary


@dataclass
class FakeDescriber:
    """Calls everything by one name and keeps the masks that it was shown."""

    words: str = 'cat'
    name: str = 'fake'
    masks: list[np.ndarray] = field(default_factory=list)

    def describe(self, image, mask):
        assert image.shape[:2] == mask.shape and mask.dtype == bool
        self.masks.append(mask)
        return self.words


@pytest.fixture
def tracker():
    return FakeTracker()


@pytest.fixture
def grounder():
    return FakeGrounder()


@pytest.fixture
def session(tracker, grounder):
    return Session(tracker, grounder, lost_after=3, reground_period=1.0)


def states(session, stamps):
    return [session.process(FRAME, stamp).state for stamp in stamps]


def test_without_a_target_nothing_runs(session, tracker, grounder):
    report = session.process(FRAME, 0.0)
    assert report.state is TargetState.IDLE
    assert report.mask.shape == (48, 64) and report.mask.dtype == np.uint8
    assert not report.mask.any()
    assert (report.tokens_retained, report.tokens_total, report.bank_bytes) == (0, 16, 1000)
    assert tracker.steps == 0 and grounder.calls == []


def test_a_named_target_is_tracked_from_the_first_frame_on(session, tracker, grounder):
    session.set_text('  cat ')
    report = session.process(FRAME, 0.0)
    assert report.state is TargetState.TRACKING and report.grounded
    assert report.mask.any() and set(np.unique(report.mask)) <= {0, 1}
    assert (report.target_text, report.label) == ('cat', 'tabby cat')
    assert report.latency.total != 5  # the grounder's time is in it
    report = session.process(FRAME, 0.1)
    assert report.state is TargetState.TRACKING and not report.grounded
    assert report.latency.total == 5
    assert grounder.calls == ['cat'] and tracker.steps == 1


def test_a_target_out_of_view_is_searched_for_at_a_bounded_rate(session, tracker, grounder):
    session.set_text('dog')
    assert set(states(session, np.arange(0, 3.05, 0.1))) == {TargetState.SEARCHING}
    assert len(grounder.calls) == 4  # at 0, 1, 2 and 3 s
    assert tracker.steps == 0
    assert session.process(FRAME, 3.2).message == 'no dog in view'
    grounder.visible.add('dog')
    assert states(session, [3.5, 4.1]) == [TargetState.SEARCHING, TargetState.TRACKING]


def test_an_unknown_word_is_looked_up_once(session, grounder):
    session.set_text('flurb')
    assert set(states(session, range(10))) == {TargetState.SEARCHING}
    assert grounder.calls == ['flurb']
    assert "'flurb' is not known" in session.process(FRAME, 11.0).message


def test_new_text_is_searched_for_at_once(session, tracker, grounder):
    session.set_text('dog')
    session.process(FRAME, 0.0)
    session.set_text('cat')
    assert session.process(FRAME, 0.1).state is TargetState.TRACKING
    session.set_text('dog')
    report = session.process(FRAME, 0.2)
    assert report.state is TargetState.SEARCHING and not report.mask.any()
    assert tracker.steps == 0  # the cat is not followed under the dog's name


def test_the_same_text_again_is_searched_for_again(session, grounder):
    session.set_text('cat')
    session.process(FRAME, 0.0)
    session.set_text('cat')
    assert session.process(FRAME, 0.1).grounded
    assert grounder.calls == ['cat', 'cat']


@pytest.mark.parametrize('blank', ['', '   ', '\n'])
def test_blank_text_clears(session, tracker, grounder, blank):
    session.set_text('cat')
    session.process(FRAME, 0.0)
    session.set_text(blank)
    report = session.process(FRAME, 0.1)
    assert report.state is TargetState.IDLE and not report.mask.any()
    assert report.target_text == '' and tracker.steps == 0


def test_the_target_is_lost_after_so_many_frames_and_not_before(session, tracker, grounder):
    tracker.scores = [-1.0, -1.0, 2.0, -1.0, -1.0, -1.0]
    session.set_text('cat')
    session.process(FRAME, 0.0)
    grounder.visible.clear()
    tracking, lost = TargetState.TRACKING, TargetState.LOST
    assert states(session, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]) == [tracking] * 5 + [lost]
    report = session.process(FRAME, 0.7)
    assert report.state is lost and not report.mask.any()
    assert len(grounder.calls) == 1  # the period since the first search is not over
    assert session.process(FRAME, 1.1).grounded
    assert len(grounder.calls) == 2


def test_a_lost_target_is_found_again_by_the_grounder(session, tracker, grounder):
    tracker.scores = [-1.0]
    session.set_text('cat')
    states(session, [0.0, 0.1, 0.2, 0.3])
    assert session.state is TargetState.LOST
    report = session.process(FRAME, 1.0)
    assert report.state is TargetState.TRACKING and report.grounded and report.mask.any()
    assert len(tracker.prompts) == 2


def test_a_lost_target_is_found_again_by_the_tracker(session, tracker):
    tracker.scores = [-1.0, -1.0, -1.0, 2.0]
    session.set_prompt(BOX)
    assert states(session, [0.0, 0.1, 0.2]) == [TargetState.TRACKING] * 3
    assert states(session, [0.3, 0.4]) == [TargetState.LOST, TargetState.TRACKING]
    assert session.process(FRAME, 0.5).mask.any()


def test_pointing_needs_no_grounder(tracker):
    session = Session(tracker, None)
    session.set_prompt(BOX)
    report = session.process(FRAME, 0.0)
    assert report.state is TargetState.TRACKING and tracker.prompts == [BOX]
    session.set_text('cat')
    report = session.process(FRAME, 0.1)
    assert report.state is TargetState.SEARCHING and 'no grounder' in report.message


def test_when_time_jumps_back_the_search_goes_on_at_once(session, grounder):
    session.set_text('dog')
    states(session, [1000.0, 1000.1])
    assert len(grounder.calls) == 1
    grounder.visible.add('dog')
    assert session.process(FRAME, 5.0).state is TargetState.TRACKING


def test_stamps_that_swap_places_do_not_search_more_often(session, grounder):
    session.set_text('dog')
    states(session, [10.0, 10.2, 10.1, 10.4, 10.3, 10.6, 10.5, 10.9])
    assert len(grounder.calls) == 1
    states(session, [11.0])
    assert len(grounder.calls) == 2


@pytest.mark.parametrize('jump', [-3600.0, -2.0, 30.0, 1e9])
def test_after_a_jump_in_time_searches_and_losses_take_as_long_as_ever(
        session, tracker, grounder, jump):
    session.set_text('dog')
    states(session, [5000.0, 5000.5])
    start = 5000.5 + jump
    states(session, [start, start + 0.5, start + 0.9, start + 1.0, start + 1.5])
    assert len(grounder.calls) == 3

    session.set_text('cat')
    assert states(session, [start]) == [TargetState.TRACKING]
    tracker.scores = [-1.0]
    grounder.visible.clear()
    assert states(session, [start - jump, start, start - jump]) == [
        TargetState.TRACKING, TargetState.TRACKING, TargetState.LOST]
    assert not session.process(FRAME, start).mask.any()


def test_a_single_stamp_from_the_future_does_not_stop_the_search(session, grounder):
    session.set_text('dog')
    states(session, [10.0, 4e9, 10.1, 10.2])
    assert len(grounder.calls) == 3  # at 10.0, at once after each of the two jumps


def test_a_shorter_period_ends_a_longer_wait(session, grounder):
    session.reground_period = 3600.0
    session.set_text('dog')
    states(session, [10.0, 11.0])
    assert len(grounder.calls) == 1
    session.reground_period = 0.5
    states(session, [11.1])
    assert len(grounder.calls) == 2


def test_a_prompt_that_the_tracker_refuses_clears_the_target(session, tracker, monkeypatch):
    def refuse(frame, prompt, relevance=None):
        raise InputError('the box lies outside the frame')

    monkeypatch.setattr(tracker, 'prompt', refuse)
    session.set_prompt(BOX)
    with pytest.raises(InputError, match='outside'):
        session.process(FRAME, 0.0)
    assert session.process(FRAME, 0.1).state is TargetState.IDLE


@pytest.mark.parametrize('frame', [
    np.zeros((48, 64), np.uint8), np.zeros((48, 64, 4), np.uint8),
    np.zeros((48, 64, 3), np.float32), np.zeros((0, 64, 3), np.uint8)])
def test_an_image_of_another_kind_is_refused(session, frame):
    with pytest.raises(InputError, match='a frame must be'):
        session.process(frame, 0.0)


def test_settings_out_of_range_are_refused(tracker, grounder):
    with pytest.raises(ParameterError, match='lost_after'):
        Session(tracker, grounder, lost_after=0)
    with pytest.raises(ParameterError, match='reground_period'):
        Session(tracker, grounder, reground_period=float('nan'))


def test_the_router_learns_the_goal_once_and_forgets_it_with_the_target():
    session = Session(FakeTracker(), FakeGrounder())
    session.set_text(' cat ')
    session.process(FRAME, 0.0)
    session.process(FRAME, 0.1)
    session.set_prompt(BOX)
    assert session.tracker.aims == ['cat', '']


def test_a_target_that_was_pointed_at_is_described_on_the_frame_after(tracker, grounder):
    describer = FakeDescriber()
    session = Session(tracker, grounder, lost_after=3, describer=describer)
    session.set_prompt(BOX)
    first = session.process(FRAME, 0.0)
    assert first.state is TargetState.TRACKING and first.mask.any()
    assert (first.target_text, first.label) == ('', '') and not describer.masks
    second = session.process(FRAME, 0.1)
    assert (second.target_text, second.label) == ('cat', 'cat') and "'cat'" in second.message
    assert second.latency.total != 5  # the describer's time is in it
    assert np.array_equal(describer.masks[0], second.mask > 0)
    third = session.process(FRAME, 0.2)
    assert (third.target_text, third.latency.total) == ('cat', 5)
    assert len(describer.masks) == 1 and tracker.aims == ['', 'cat']


def test_once_lost_it_is_searched_for_by_its_description(tracker, grounder):
    session = Session(tracker, grounder, lost_after=3, describer=FakeDescriber())
    session.set_prompt(BOX)
    states(session, [0.0, 0.1])
    tracker.scores = [-1.0]
    assert states(session, [0.2, 0.3, 0.4])[-1] is TargetState.LOST and not grounder.calls
    report = session.process(FRAME, 0.5)
    assert grounder.calls == ['cat'] and report.state is TargetState.TRACKING
    assert report.label == 'tabby cat'


def test_it_is_described_only_where_it_is_seen(tracker, grounder):
    describer = FakeDescriber()
    tracker.scores = [-1.0, -1.0, 2.0]
    session = Session(tracker, grounder, lost_after=5, describer=describer)
    session.set_prompt(BOX)
    texts = [session.process(FRAME, stamp).target_text for stamp in (0.0, 0.1, 0.2, 0.3)]
    assert texts == ['', '', '', 'cat'] and len(describer.masks) == 1


def test_without_words_that_fit_it_is_tracked_all_the_same(tracker, grounder):
    describer = FakeDescriber(words='')
    session = Session(tracker, grounder, lost_after=3, describer=describer)
    session.set_prompt(BOX)
    states(session, [0.0, 0.1, 0.2])
    assert 'no known word' in session.process(FRAME, 0.3).message and len(describer.masks) == 1
    tracker.scores = [-1.0]
    assert states(session, [0.4, 0.5, 0.6, 0.7])[-1] is TargetState.LOST and not grounder.calls


def test_words_of_the_user_go_before_a_description(tracker, grounder):
    describer = FakeDescriber()
    session = Session(tracker, grounder, describer=describer)
    session.set_prompt(BOX, 'dog')
    states(session, [0.0, 0.1])
    assert session.target_text == 'dog' and not describer.masks
    session.set_prompt(BOX)
    session.set_text('cat')  # named before the description came
    states(session, [0.2, 0.3])
    assert not describer.masks


def test_what_no_longer_looks_like_the_target_is_not_the_target(session, tracker, grounder):
    tracker.likenesses = [0.95, 0.3, 0.3, 0.3]  # with a high score all the time
    session.set_text('cat')
    session.process(FRAME, 0.0)
    grounder.visible.clear()
    assert session.process(FRAME, 0.1).mask.any()
    reports = [session.process(FRAME, stamp) for stamp in (0.2, 0.3, 0.4)]
    assert [report.state for report in reports] == [
        TargetState.TRACKING, TargetState.TRACKING, TargetState.LOST]
    assert not any(report.mask.any() for report in reports)
    assert tracker.remembered == [True, False, False, False]


def test_frames_without_any_target_are_remembered(session, tracker):
    tracker.scores, tracker.likenesses = [-1.0], [0.0]
    session.set_prompt(BOX)
    states(session, [0.0, 0.1, 0.2, 0.3, 0.4])
    assert session.state is TargetState.LOST and tracker.remembered == [True] * 4


def test_a_lookalike_after_a_loss_is_not_taken_at_once(session, tracker):
    tracker.scores = [-1.0, -1.0, -1.0, 2.0]
    tracker.likenesses = [0.0, 0.0, 0.0, 0.7, 0.7, 0.95]
    session.set_prompt(BOX)
    states(session, [0.0, 0.1, 0.2, 0.3])
    doubtful = [session.process(FRAME, stamp) for stamp in (0.4, 0.5)]
    assert {report.state for report in doubtful} == {TargetState.LOST}
    assert not any(report.mask.any() for report in doubtful)
    assert tracker.remembered[-2:] == [False, False]
    report = session.process(FRAME, 0.6)  # now it is surely the target
    assert report.state is TargetState.TRACKING and report.mask.any() and tracker.remembered[-1]


def test_what_stays_in_view_is_taken_after_a_while(session, tracker):
    tracker.scores, tracker.likenesses = [-1.0, -1.0, -1.0, 2.0], [0.7]
    session.set_prompt(BOX)
    states(session, [0.0, 0.1, 0.2, 0.3])
    assert states(session, [0.4, 0.9, 1.3]) == [TargetState.LOST] * 3
    assert states(session, [1.5]) == [TargetState.TRACKING]


def test_what_the_words_find_after_a_loss_must_look_like_the_target_or_wait(
        session, tracker, grounder):
    tracker.scores, tracker.likenesses = [-1.0], [0.4]
    session.set_text('cat')
    states(session, [0.0, 0.1, 0.2, 0.3])
    report = session.process(FRAME, 1.0)
    assert report.grounded and report.state is TargetState.LOST and not report.mask.any()
    assert 'does not look like' in report.message
    assert len(tracker.prompts) == 1
    assert states(session, [1.5, 2.0]) == [TargetState.LOST, TargetState.TRACKING]
    assert len(tracker.prompts) == 2 and len(grounder.calls) == 3


def test_a_jump_back_in_time_starts_the_wait_anew(session, tracker):
    tracker.scores, tracker.likenesses = [-1.0, -1.0, -1.0, 2.0], [0.7]
    session.set_prompt(BOX)
    states(session, [10.0, 10.1, 10.2, 10.3, 10.4])
    assert states(session, [5.0, 5.9]) == [TargetState.LOST] * 2
    assert states(session, [6.0]) == [TargetState.TRACKING]


def test_where_nobody_measured_likeness_the_object_score_decides(session, tracker, grounder):
    tracker.likeness_levels = None
    tracker.likenesses = [0.0]
    session.set_text('cat')
    assert states(session, [0.0, 0.1, 0.2]) == [TargetState.TRACKING] * 3
    tracker.scores = [-1.0]
    states(session, [0.3, 0.4, 0.5])
    assert session.state is TargetState.LOST
    assert states(session, [2.0]) == [TargetState.TRACKING]  # the words find it again
    assert tracker.remembered == [True] * 5


@pytest.mark.parametrize('text, words', [
    ('red mug; dog', ['red mug', 'dog']), ('dog', ['dog']), ('', []), (' ;; ', []),
    ('dog;cat ;Dog; red  mug;red mug', ['dog', 'cat', 'red  mug'])])
def test_a_text_names_targets_without_blanks_and_doubles(text, words):
    assert list(targets_in(text).values()) == words


@pytest.fixture
def both(session, grounder):
    """Return a session that tracks a cat and a dog, each since a frame of its own."""
    grounder.visible.add('dog')
    session.set_text('cat; dog')
    states(session, [0.0, 0.1])
    return session


def test_several_targets_are_found_one_a_frame_and_tracked_together(session, tracker, grounder):
    grounder.visible.add('dog')
    session.set_text('cat; dog')
    first, second, third = (session.process(FRAME, stamp) for stamp in (0.0, 0.1, 0.2))
    assert grounder.calls == ['cat', 'dog']
    tracking, searching = TargetState.TRACKING, TargetState.SEARCHING
    assert [[each.state for each in report.targets] for report in (first, second)] == [
        [tracking, searching], [tracking, tracking]]
    assert [(each.id, each.text, each.label) for each in third.targets] == [
        (1, 'cat', 'tabby cat'), (2, 'dog', 'tabby dog')]
    assert third.target_text == 'cat; dog' and third.label == 'tabby cat'
    assert [each.bank_bytes for each in third.targets] == [1000, 1000]
    assert (first.bank_bytes, third.tokens_retained, third.tokens_total) == (2000, 8, 16)
    assert first.latency.total != 5 and third.latency.total == 5
    assert tracker.steps == 2 and tracker.others[0].steps == 1


def test_adding_and_removing_a_target_leaves_the_others_alone(both, tracker, grounder):
    prompts = len(tracker.prompts)
    both.set_text('Cat; dog; bird')  # in no vocabulary
    report = both.process(FRAME, 0.2)
    assert [each.text for each in report.targets] == ['cat', 'dog', 'bird']
    both.set_text('bird;dog')
    report = both.process(FRAME, 0.3)
    assert [(each.id, each.text) for each in report.targets] == [(2, 'dog'), (3, 'bird')]
    assert report.target_text == 'bird; dog' and report.label == 'tabby dog'
    assert not tracker.has_target and len(tracker.prompts) == prompts
    both.set_text('bird; dog; cat')
    report = both.process(FRAME, 0.4)
    assert [(each.id, each.text) for each in report.targets] == [
        (1, 'cat'), (2, 'dog'), (3, 'bird')]
    assert len(tracker.prompts) == prompts + 1  # the cat took the free id and the free tracker
    assert grounder.calls.count('dog') == 1 and tracker.others[0].steps == 3


def test_the_same_text_of_several_is_searched_for_again(both, grounder):
    both.set_text('cat;dog')
    assert states(both, [0.2, 0.3]) == [TargetState.TRACKING] * 2
    assert grounder.calls == ['cat', 'dog', 'cat', 'dog']


def test_too_many_targets_are_refused_and_named(tracker, grounder):
    session = Session(tracker, grounder, max_targets=2)
    session.set_text('cat; dog; bird')
    report = session.process(FRAME, 0.0)
    assert [each.text for each in report.targets] == ['cat', 'dog']
    assert 'max_targets is 2: bird' in report.message
    session.set_text('cat; dog')
    assert 'max_targets' not in session.process(FRAME, 0.1).message
    with pytest.raises(ParameterError, match='max_targets'):
        Session(tracker, grounder, max_targets=0)


def test_targets_take_turns_with_the_grounder(session, grounder):
    grounder.vocabulary |= {'bird', 'fox'}
    grounder.visible.clear()
    session.set_text('cat; dog; bird; fox')
    for index in range(40):
        calls = len(grounder.calls)
        session.process(FRAME, 0.5 * index)
        assert len(grounder.calls) == calls + 1
    assert {grounder.calls.count(word) for word in ('cat', 'dog', 'bird', 'fox')} == {10}


def test_a_lost_target_is_stepped_with_the_others_while_it_is_searched_for(
        both, tracker, grounder):
    tracker.scores = [-1.0]  # the cat
    grounder.visible.remove('cat')
    states(both, [0.2, 0.3, 0.4])
    report = both.process(FRAME, 2.0)
    assert report.grounded and tracker.steps == 5 and tracker.others[0].steps == 4
    cat, dog = report.targets
    assert (cat.state, dog.state) == (TargetState.LOST, TargetState.TRACKING)
    assert not cat.mask.any() and dog.mask.any()
    assert report.state is TargetState.TRACKING and report.label == 'tabby dog'
    assert report.step is dog.step and report.score == 3.0
    tracker.others[0].scores = [-1.0]
    states(both, [2.1, 2.2, 2.3])
    assert both.state is TargetState.LOST


def test_a_new_target_does_not_keep_the_others_from_their_step(session, tracker):
    session.set_prompt(BOX, 'cat')
    session.process(FRAME, 0.0)
    session.set_text('cat; dog')  # the dog is not in view
    assert session.process(FRAME, 0.1).targets[0].in_view and tracker.steps == 1


def test_the_keep_ratio_is_that_of_all_targets(both, tracker):
    both.keep_ratio = 0.3
    both.memory_keep_ratio = 0.2
    assert [each.keep_ratio for each in (tracker, *tracker.others)] == [0.3, 0.3]
    assert [each.memory_keep_ratio for each in (tracker, *tracker.others)] == [0.2, 0.2]
    both.set_text('cat; dog; bird')
    assert tracker.others[-1].keep_ratio == 0.3
    assert both.process(FRAME, 0.2).keep_ratio == 0.3
    with pytest.raises(ParameterError, match='keep_ratio'):
        both.keep_ratio = 0.0
    with pytest.raises(ParameterError, match='target_latency_ms'):
        both.target_latency_ms = -1.0
    assert (both.keep_ratio, both.target_latency_ms) == (0.3, 0.0)


def test_a_slow_tracker_keeps_fewer_tokens_until_the_latency_holds(session, tracker, caplog):
    session.set_text('cat')
    session.process(FRAME, 0.0)
    session.target_latency_ms = 40.0
    tracker.step_ms = 100.0
    reports = [session.process(FRAME, 0.1 * index) for index in range(1, 200)]
    assert reports[-1].keep_ratio == tracker.keep_ratio == 0.3
    assert reports[-1].latency.total == 30.0
    session.min_keep_ratio = 0.5
    [session.process(FRAME, 20 + 0.1 * index) for index in range(200)]
    assert tracker.keep_ratio == 0.5 and not session.governor.holds
    assert '0.5 takes 50 ms' in session.governor.message
    assert caplog.text.count('0.5 takes 50 ms') == 1
    session.target_latency_ms = 0.0
    assert tracker.keep_ratio == 1.0 and session.governor is None


def test_only_steps_without_the_grounder_count_for_the_latency(tracker, grounder):
    session = Session(tracker, grounder, target_latency_ms=1000.0, reground_period=0.0)
    grounder.visible.clear()
    session.set_text('cat; dog')
    seen = []
    session.governor.observe = lambda step_ms: seen.append(step_ms) or 1.0
    states(session, np.arange(0, 1, 0.1))
    assert not seen
    grounder.visible |= {'cat', 'dog'}
    states(session, [1.0, 1.1])
    assert not seen
    states(session, [1.2, 1.3])
    assert seen == [5.0, 5.0]


def test_every_budget_that_may_come_is_compiled_at_the_start(session, tracker):
    asked = []
    tracker.warm_up = lambda ratios: asked.append(tuple(ratios)) or ''
    session.target_latency_ms, session.min_keep_ratio = 40.0, 0.3
    session.compile()
    assert asked == [(1.0, 0.7, 0.5, 0.3)] and session.fast_path == ''
    session.keep_ratio = 0.7
    assert session.fast_path == ''
    session.keep_ratio = 0.6
    assert 'keep ratio 0.6' in session.fast_path
    session.keep_ratio = 0.5
    assert session.fast_path == ''


def test_why_nothing_is_compiled_is_kept_and_logged(session, tracker, caplog):
    tracker.warm_up = lambda ratios: 'no compiler is here'
    session.compile()
    assert session.fast_path == 'no compiler is here' and 'no compiler' in caplog.text
    session.keep_ratio = 0.3
    assert session.fast_path == 'no compiler is here'
