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
"""The tracker as its user sees it: prompts, budgets, results, errors."""

from fast_sam2_ros.errors import InputError, ParameterError
from fast_sam2_ros.evaluation.parity import make_frames
from fast_sam2_ros.evaluation.random_models import random_model
from fast_sam2_ros.prompt import Prompt
from fast_sam2_ros.sam2.loaded import LoadedModel, Preprocess
from fast_sam2_ros.sam2.parts import to_pixels
from fast_sam2_ros.tracker import Tracker
import numpy as np
import pytest
import torch

TOKENS = 64
BOX = Prompt(box=(32, 32, 64, 64))
FRAMES = make_frames(128, 12)


@pytest.fixture(scope='module')
def loaded() -> LoadedModel:
    return LoadedModel(random_model('toy'), Preprocess(128), 'random:toy', 'random')


def test_step_without_a_target_says_what_to_do(loaded):
    tracker = Tracker(loaded)
    with pytest.raises(InputError, match='prompt'):
        tracker.step(FRAMES[0])
    assert not tracker.has_target
    tracker.prompt(FRAMES[0], BOX)
    assert tracker.has_target
    tracker.reset()
    with pytest.raises(InputError, match='prompt'):
        tracker.step(FRAMES[0])


@pytest.mark.parametrize('keep_ratio, kept', [(1.0, 64), (0.5, 32), (0.3, 20), (0.01, 1)])
def test_a_step_keeps_its_share_of_the_tokens(loaded, keep_ratio, kept):
    tracker = Tracker(loaded, keep_ratio=keep_ratio)
    first = tracker.prompt(FRAMES[0], BOX)
    assert first.tokens_retained == first.tokens_total == TOKENS and first.kept.all()
    result = tracker.step(FRAMES[1])
    assert result.tokens_retained == kept and result.tokens_total == TOKENS
    assert result.kept.shape == tracker.grid and result.kept.sum() == kept


def test_the_prompted_frame_may_be_pruned_in_memory_as_well(loaded):
    whole, pruned = Tracker(loaded), Tracker(loaded, dense_conditioning=False)
    for tracker, expected in ((whole, TOKENS), (pruned, TOKENS // 2)):
        tracker.prompt(FRAMES[0], BOX)
        assert tracker.bank.read().size == (expected, 1)
    assert pruned.bank_bytes < whole.bank_bytes
    assert not torch.equal(pruned.step(FRAMES[1]).logits, whole.step(FRAMES[1]).logits)


def test_the_mask_and_confidence_have_the_size_asked_for(loaded):
    tracker = Tracker(loaded)
    tracker.prompt(FRAMES[0], BOX)
    result = tracker.step(FRAMES[1])
    mask, confidence = result.mask(48, 100), result.confidence(48, 100)
    assert mask.shape == confidence.shape == (48, 100)
    assert mask.dtype == np.uint8 and set(np.unique(mask)) <= {0, 1}
    assert 0 < mask.mean() < 1
    np.testing.assert_array_equal(mask == 1, confidence > 0.5)
    assert result.logits.shape == (32, 32) and result.logits.dtype == torch.float32


def test_latency_adds_up(loaded):
    tracker = Tracker(loaded)
    tracker.prompt(FRAMES[0], BOX)
    latency = tracker.step(FRAMES[1]).latency
    stages = (latency.encode, latency.route, latency.attend, latency.decode, latency.remember)
    assert min(stages) > 0
    assert sum(stages) <= latency.total < sum(stages) + 50


def test_fewer_tokens_take_fewer_bytes(loaded):
    def bank_bytes(**settings):
        return Tracker(loaded, **settings).bank_bytes

    dense = bank_bytes(keep_ratio=1.0)
    pruned = bank_bytes(keep_ratio=0.25)
    assert pruned < 0.6 * dense
    assert bank_bytes(keep_ratio=0.25, dense_conditioning=False) < 0.8 * pruned
    assert bank_bytes(keep_ratio=1.0, memory_keep_ratio=0.25) == pruned
    assert bank_bytes(keep_ratio=0.25, memory_keep_ratio=1.0) == dense


def test_fewer_memory_frames_forget_the_older_ones_and_take_fewer_bytes(loaded):
    full, usual = Tracker(loaded, memory_frames=6), Tracker(loaded)
    short = Tracker(loaded, memory_frames=2)
    assert (short.memory_frames, usual.memory_frames) == (2, 6)
    assert short.bank_bytes < usual.bank_bytes == full.bank_bytes
    same, differs = [], []
    for tracker in (full, usual, short):
        tracker.prompt(FRAMES[0], BOX)
    for frame in FRAMES[1:6]:
        expected = usual.step(frame).logits
        same.append(torch.equal(full.step(frame).logits, expected))
        differs.append(not torch.equal(short.step(frame).logits, expected))
    assert all(same)
    # Frames 1 to 3 find at most two in the memory, all others lack one or more.
    assert differs == [False, False, False, True, True]


@pytest.mark.parametrize('frames', [0, -1, 7])
def test_memory_frames_that_the_model_has_not_are_refused(loaded, frames):
    with pytest.raises(ParameterError, match='1 to 6'):
        Tracker(loaded, memory_frames=frames)


def test_bank_bytes_stay_the_same_while_tracking(loaded):
    tracker = Tracker(loaded)
    sizes = {tracker.bank_bytes, tracker.prompt(FRAMES[0], BOX).bank_bytes}
    sizes |= {tracker.step(frame).bank_bytes for frame in FRAMES}
    assert len(sizes) == 1


def test_the_keep_ratio_can_change_at_any_time(loaded):
    tracker = Tracker(loaded, keep_ratio=1.0)
    tracker.prompt(FRAMES[0], BOX)
    results = []
    for frame, ratio in zip(FRAMES[1:], (1.0, 0.25, 0.25, 0.6, 1.0, 0.1, 1.0)):
        tracker.keep_ratio = ratio
        results.append(tracker.step(frame))
    assert [r.tokens_retained for r in results] == [64, 16, 16, 39, 64, 7, 64]
    assert results[0].bank_bytes == results[4].bank_bytes > results[3].bank_bytes
    assert results[3].bank_bytes > results[1].bank_bytes > results[5].bank_bytes
    assert all(torch.isfinite(r.logits).all() for r in results)


def test_after_a_change_of_budget_the_bank_is_soon_as_if_it_had_always_been_so(loaded):
    # Dense, but for frames before the change: once those are overwritten nothing is left of it.
    steady = Tracker(loaded, keep_ratio=1.0)
    changed = Tracker(loaded, keep_ratio=1.0)
    for tracker in (steady, changed):
        tracker.prompt(FRAMES[0], BOX)
    changed.keep_ratio = 0.2
    changed.keep_ratio = 1.0
    for frame in FRAMES[1:]:
        expected, got = steady.step(frame), changed.step(frame)
    assert torch.equal(expected.logits, got.logits)


@pytest.mark.parametrize('ratio', [0, 1.5, -1, float('nan')])
def test_a_bad_ratio_is_refused_and_changes_nothing(loaded, ratio):
    tracker = Tracker(loaded, keep_ratio=0.5)
    with pytest.raises(ParameterError):
        tracker.keep_ratio = ratio
    with pytest.raises(ParameterError):
        tracker.memory_keep_ratio = ratio
    assert tracker.keep_ratio == tracker.memory_keep_ratio == 0.5
    with pytest.raises(ParameterError):
        Tracker(loaded, keep_ratio=ratio)
    with pytest.raises(ParameterError):
        Tracker(loaded, memory_keep_ratio=ratio)


def test_a_new_prompt_replaces_the_target_without_a_trace(loaded):
    other = Prompt(points=np.array([[90.0, 20.0], [10.0, 100.0]]), labels=np.array([1, 0]))
    used, fresh = Tracker(loaded), Tracker(loaded)
    used.prompt(FRAMES[0], BOX)
    for frame in FRAMES[1:]:
        used.step(frame)
    for tracker in (used, fresh):
        tracker.prompt(FRAMES[3], other)
    for frame in FRAMES[4:8]:
        assert torch.equal(used.step(frame).logits, fresh.step(frame).logits)


def test_segment_answers_like_a_prompt_and_leaves_the_target_alone(loaded):
    tracker, undisturbed = Tracker(loaded), Tracker(loaded)
    for each in (tracker, undisturbed):
        each.prompt(FRAMES[0], BOX)
    elsewhere = Prompt(points=np.array([[100.0, 100.0]]))
    segmented = tracker.segment(FRAMES[5], elsewhere)
    expected = Tracker(loaded).prompt(FRAMES[5], elsewhere)
    assert torch.equal(segmented.logits, expected.logits)
    assert segmented.score == expected.score
    for frame in FRAMES[1:4]:
        assert torch.equal(tracker.step(frame).logits, undisturbed.step(frame).logits)


def test_segment_needs_no_target(loaded):
    tracker = Tracker(loaded)
    assert tracker.segment(FRAMES[0], BOX).logits.shape == (32, 32)
    assert not tracker.has_target


def test_a_prompt_on_the_segmented_frame_does_not_encode_it_again(loaded, monkeypatch):
    tracker = Tracker(loaded)
    calls = []
    encode = tracker._parts.encode
    monkeypatch.setattr(
        tracker._parts, 'encode', lambda pixels: calls.append(1) or encode(pixels))
    camera = FRAMES[0].copy()
    tracker.segment(camera, BOX)
    tracker.prompt(camera, BOX)
    assert len(calls) == 1
    camera[:] = FRAMES[5]  # a driver that writes every frame into the same buffer
    tracker.prompt(camera, BOX)
    assert len(calls) == 2


def test_prompts_are_in_pixels_of_the_frame(loaded):
    # The frame at twice the width and three times the height, the box with it.
    tracker = Tracker(loaded)
    small = tracker.segment(FRAMES[0], BOX)
    large_frame = np.repeat(np.repeat(FRAMES[0], 3, axis=0), 2, axis=1)
    large = tracker.segment(large_frame, Prompt(box=(64, 96, 128, 192)))
    wrong = tracker.segment(large_frame, Prompt(box=(32, 32, 64, 64)))
    # Resizing back to the square blurs a little; a wrong scale moves the logits much more.
    right_error = (small.logits - large.logits).abs().mean()
    assert right_error < 0.3 * (small.logits - wrong.logits).abs().mean()


def test_a_box_that_reaches_beyond_the_frame_is_clipped(loaded):
    tracker = Tracker(loaded)
    beyond = tracker.segment(FRAMES[0], Prompt(box=(100, -5, 150, 40)))
    clipped = tracker.segment(FRAMES[0], Prompt(box=(100, 0, 128, 40)))
    assert torch.equal(beyond.logits, clipped.logits)


def test_frames_may_change_their_size(loaded):
    tracker = Tracker(loaded)
    tracker.prompt(FRAMES[0], BOX)
    for size in ((60, 90), (128, 128), (300, 200)):
        frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        assert tracker.step(frame).mask(*size).shape == size


def test_relevance_moves_the_tokens_that_are_kept(loaded):
    def kept_after(relevance):
        tracker = Tracker(loaded, keep_ratio=0.2)
        tracker.prompt(FRAMES[0], BOX)
        if relevance is not None:
            tracker.set_relevance(relevance)
        return tracker.step(FRAMES[1]).kept

    corner = np.zeros((8, 8), dtype=np.float32)
    corner[:3, 5:] = 1
    assert (kept_after(corner) & (corner > 0)).sum() > (kept_after(None) & (corner > 0)).sum()


def test_relevance_given_with_the_prompt_is_what_set_relevance_sets(loaded):
    relevance = np.random.default_rng(0).random((20, 30), dtype=np.float32)
    with_prompt, later = Tracker(loaded, keep_ratio=0.2), Tracker(loaded, keep_ratio=0.2)
    with_prompt.prompt(FRAMES[0], BOX, relevance)
    later.prompt(FRAMES[0], BOX)
    later.set_relevance(relevance)
    np.testing.assert_array_equal(
        with_prompt.step(FRAMES[1]).kept, later.step(FRAMES[1]).kept)


@pytest.mark.parametrize('relevance', [
    np.zeros((3, 3, 1)), np.full((4, 4), np.nan), np.full((4, 4), 2.0), np.full((4, 4), -0.1),
    np.zeros((0, 4))])
def test_bad_relevance_is_refused(loaded, relevance):
    tracker = Tracker(loaded)
    with pytest.raises(InputError, match='relevance'):
        tracker.prompt(FRAMES[0], BOX, relevance)
    assert not tracker.has_target
    tracker.prompt(FRAMES[0], BOX)
    with pytest.raises(InputError, match='relevance'):
        tracker.set_relevance(relevance)


def test_set_relevance_needs_a_target(loaded):
    with pytest.raises(InputError, match='target'):
        Tracker(loaded).set_relevance(np.zeros((4, 4)))


@pytest.mark.parametrize('arguments', [
    {},
    {'box': (0, 0, 9, 9), 'mask': np.ones((4, 4), bool)},
    {'box': (0, 0, 9, 9), 'labels': np.array([1])},
    {'box': (0, 0, np.nan, 9)},
    {'box': (0, 0, 9)},
    {'box': (9, 0, 3, 9)},
    {'box': (3, 5, 9, 5)},
    {'points': np.zeros((0, 2))},
    {'points': np.zeros((2, 3))},
    {'points': np.array([[1.0, np.inf]])},
    {'points': np.array([[1.0, 1.0]]), 'labels': np.array([1, 0])},
    {'points': np.array([[1.0, 1.0]]), 'labels': np.array([2])},
    {'points': np.array([[1.0, 1.0]]), 'labels': np.array([0])},
    {'mask': np.zeros((8, 8), bool)},
    {'mask': np.ones((8, 8, 1), bool)},
])
def test_a_malformed_prompt_is_refused(arguments):
    with pytest.raises(InputError):
        Prompt(**arguments)


@pytest.mark.parametrize('prompt, word', [
    (Prompt(box=(128, 100, 140, 120)), 'box'),
    (Prompt(box=(0, -20, 20, 0)), 'box'),
    (Prompt(points=np.array([[64.0, 129.0]])), 'point'),
    (Prompt(points=np.array([[-1.0, 5.0]])), 'point'),
    (Prompt(mask=np.ones((64, 128), bool)), 'mask'),
])
def test_a_prompt_that_does_not_fit_the_frame_is_refused(loaded, prompt, word):
    tracker = Tracker(loaded)
    tracker.prompt(FRAMES[0], BOX)
    before = tracker.step(FRAMES[1])
    with pytest.raises(InputError, match=word):
        tracker.prompt(FRAMES[0], prompt)
    with pytest.raises(InputError, match=word):
        tracker.segment(FRAMES[0], prompt)
    assert tracker.has_target and before.bank_bytes == tracker.bank_bytes


def test_a_mask_that_vanishes_at_the_model_s_resolution_is_refused(loaded):
    frame = np.zeros((2000, 2000, 3), dtype=np.uint8)
    mask = np.zeros((2000, 2000), dtype=bool)
    mask[1000, 1000] = True
    with pytest.raises(InputError, match='too little'):
        Tracker(loaded).prompt(frame, Prompt(mask=mask))


@pytest.mark.parametrize('frame', [
    FRAMES[0].astype(np.float32), FRAMES[0][..., :1], FRAMES[0][..., 0], FRAMES[0][:0],
    FRAMES[0].tolist(), None])
def test_what_is_no_frame_is_refused(loaded, frame):
    tracker = Tracker(loaded)
    with pytest.raises(InputError, match='frame'):
        tracker.prompt(frame, BOX)
    tracker.prompt(FRAMES[0], BOX)
    with pytest.raises(InputError, match='frame'):
        tracker.step(frame)


def test_to_pixels_normalises_rgb():
    preprocess = Preprocess(32, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))
    frame = np.empty((48, 64, 3), dtype=np.uint8)
    frame[:] = (255, 0, 51)
    pixels = to_pixels(frame, preprocess, torch.device('cpu'))
    assert pixels.shape == (1, 3, 32, 32)
    for channel, expected in enumerate((1.0, -1.0, 0.2)):
        assert torch.allclose(pixels[0, channel], torch.tensor(expected), atol=1e-5)


@pytest.mark.parametrize('router', ['analytic', 'prior-only', 'random'])
def test_every_router_tracks(loaded, router):
    tracker = Tracker(loaded, keep_ratio=0.3, router=router)
    assert tracker.router == router
    tracker.prompt(FRAMES[0], BOX)
    for frame in FRAMES[1:5]:
        assert torch.isfinite(tracker.step(frame).logits).all()


def test_a_frame_that_is_declined_leaves_no_trace(loaded):
    plain, choosy = Tracker(loaded), Tracker(loaded)
    for tracker in (plain, choosy):
        tracker.prompt(FRAMES[0], BOX)
        tracker.step(FRAMES[1])
    choosy.step(FRAMES[5])
    choosy.decline()
    for frame in FRAMES[2:4]:
        result, same = plain.step(frame), choosy.step(frame)
        assert torch.equal(result.logits, same.logits)
        assert (result.score, result.likeness) == (same.score, same.likeness)


def test_a_new_budget_does_not_lose_the_last_frame(loaded):
    early, late = Tracker(loaded, keep_ratio=0.5), Tracker(loaded, keep_ratio=0.5)
    for tracker in (early, late):
        tracker.prompt(FRAMES[0], BOX)
        tracker.step(FRAMES[1])
    late.keep_ratio = 0.4
    late.decline()  # too late
    early.keep_ratio = 0.4
    assert torch.equal(early.step(FRAMES[2]).logits, late.step(FRAMES[2]).logits)


def test_likeness_compares_with_what_was_prompted(loaded):
    tracker = Tracker(loaded)
    there = np.zeros(FRAMES[0].shape[:2], bool)
    there[32:64, 32:64] = True
    assert tracker.segment(FRAMES[0], Prompt(mask=there)).likeness == 1  # nothing to compare with
    assert tracker.prompt(FRAMES[0], Prompt(mask=there)).likeness == 1
    assert tracker.segment(FRAMES[0], Prompt(mask=there)).likeness == pytest.approx(1, abs=1e-5)
    assert tracker.segment(FRAMES[0], Prompt(mask=~there)).likeness < 0.5
