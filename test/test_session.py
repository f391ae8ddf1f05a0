# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The target's life, with a tracker and a grounder that answer as the test tells them."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from fast_sam2_ros.errors import InputError, ParameterError
from fast_sam2_ros.grounding.result import Grounding, NotFound
from fast_sam2_ros.sam2.loaded import LikenessLevels
from fast_sam2_ros.session import Session, TargetState
from fast_sam2_ros.tracker import Latency, Prompt, StepResult

FRAME = np.full((48, 64, 3), 120, dtype=np.uint8)
BOX = Prompt(box=(8.0, 8.0, 40.0, 40.0), points=None, labels=None, mask=None)


@dataclass
class FakeTracker:
    """Tracks with the scores and likenesses that it is given, one a frame, the last for ever."""

    scores: list[float] = field(default_factory=lambda: [3.0])
    likenesses: list[float] = field(default_factory=lambda: [1.0])
    grid: tuple[int, int] = (4, 4)
    bank_bytes: int = 1000
    keep_ratio: float = 0.5
    has_target: bool = False
    prompts: list[Prompt] = field(default_factory=list)
    steps: int = 0
    remembered: list[bool] = field(default_factory=list)
    aims: list[str] = field(default_factory=list)
    likeness_levels: LikenessLevels | None = LikenessLevels(same=0.45, sure=0.85)

    def aim(self, text):
        self.aims.append(text)

    def _result(self, score: float, likeness: float = 1.0) -> StepResult:
        logits = torch.full((16, 16), -5.0)
        logits[4:12, 4:12] = 5.0
        return StepResult(logits=logits, score=score, iou=0.9, tokens_retained=8, tokens_total=16,
                          bank_bytes=1000, latency=Latency(1, 1, 1, 1, 1, 5), grid=self.grid,
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
    with pytest.raises(InputError, match='uint8'):
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
