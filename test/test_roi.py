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
"""Encoding a window of the frame: which one, when the whole frame, and what comes out."""

from fast_sam2_ros.demo.scene import Scene
from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.evaluation.parity import make_frames
from fast_sam2_ros.evaluation.random_models import random_model
from fast_sam2_ros.prompt import Prompt
from fast_sam2_ros.region import Extent, Region
from fast_sam2_ros.sam2.checkpoint import load_model
from fast_sam2_ros.sam2.loaded import LoadedModel, Preprocess
from fast_sam2_ros.sam2.parts import ABSENT_LOGIT, Sam2Parts, to_pixels, Window
from fast_sam2_ros.tracker import Tracker
import numpy as np
import pytest
import torch

GRID = (24, 24)
SMALL = Extent(top=10, left=4, bottom=12, right=7)


def region(share=0.5, refresh=100) -> Region:
    return Region(GRID, share, refresh)


def test_the_window_is_around_the_target():
    window = region().next([SMALL])
    assert (window.rows, window.columns) == (12, 12)
    assert window.top <= 9 and window.top + 12 >= 14
    assert window.left == 0  # as far as the frame goes
    assert window.top % 2 == window.left % 2 == 0


def test_the_window_holds_all_targets_or_there_is_none():
    near = Extent(top=14, left=8, bottom=15, right=9)
    far = Extent(top=20, left=20, bottom=22, right=22)
    window = region().next([SMALL, near])
    assert window.top < 10 and window.top + 12 > 15
    assert region().next([SMALL, far]) is None


@pytest.mark.parametrize('reason, extents', [
    ('a target was not seen', [None]),
    ('one of two was not seen', [SMALL, None]),
    ('the target is too large', [Extent(top=2, left=2, bottom=17, right=6)]),
])
def test_the_whole_frame_is_taken_when(reason, extents):
    assert region().next(extents) is None, reason


@pytest.mark.parametrize('bottom, side', [(12, 12), (16, 12), (17, 18), (23, None)])
def test_a_larger_target_gets_a_larger_window(bottom, side):
    # Two tokens of room on each side: 8 fit into 12, 14 into 18.
    window = region().next([Extent(top=9, left=4, bottom=bottom, right=7)])
    assert (window and window.rows) == side


def test_a_target_that_reaches_the_edge_of_the_window_gets_the_whole_frame():
    chooser = region()
    window = chooser.next([SMALL])
    edge = Extent(top=window.top + 9, left=4, bottom=window.top + 11, right=6)
    assert chooser.next([edge]) is None
    assert chooser.next([edge]) is not None  # the frame after it: a window around where it is


def test_the_edge_of_the_frame_is_no_reason():
    corner = Extent(top=0, left=0, bottom=3, right=3)
    chooser = region()
    assert chooser.next([corner]) == chooser.next([corner]) == Window(0, 0, 12, 12)


def test_the_whole_frame_comes_back_regularly():
    chooser = region(refresh=4)
    whole = [chooser.next([SMALL]) is None for _ in range(12)]
    assert whole == [False, False, False, True] * 3


@pytest.mark.parametrize('share, refresh', [(0, 5), (-1, 5), (1.1, 5), (0.5, 0)])
def test_bad_settings_are_refused(share, refresh):
    with pytest.raises(ParameterError, match='roi'):
        Region(GRID, share, refresh)


@pytest.fixture(scope='module')
def loaded() -> LoadedModel:
    return LoadedModel(random_model('toy'), Preprocess(128), 'random:toy', 'random')


def test_a_window_has_the_positions_of_the_whole_frame(loaded):
    parts = Sam2Parts(loaded.model)
    cut = parts.cut(Window(2, 4, 4, 2))
    places = [row * 8 + column for row in range(2, 6) for column in (4, 5)]
    assert cut.places.tolist() == places
    assert torch.equal(cut.token_position, parts.token_position[places])
    assert torch.equal(cut.rotary.angles, parts.rotary.angles[places])
    assert cut.grid == (4, 2) and cut.whole is parts


def test_the_region_that_is_the_frame_is_exact(loaded):
    frames, box = make_frames(128, 10), Prompt(box=(32, 32, 64, 64))
    whole, windowed = Tracker(loaded), Tracker(loaded, roi=1.0, roi_refresh=1000)
    for tracker in (whole, windowed):
        tracker.prompt(frames[0], box)
    for frame in frames[1:]:
        expected, got = whole.step(frame), windowed.step(frame)
        assert torch.equal(got.logits, expected.logits)
        np.testing.assert_array_equal(got.kept, expected.kept)


def test_features_inside_a_window_are_nearly_those_of_the_whole_frame():
    # Convolutions see past the edge of a window only where it is cut.
    loaded = load_model('embedded')
    parts = Sam2Parts(loaded.model)
    pixels = to_pixels(Scene().frame(10)[0], loaded.preprocess, parts.device)
    window = Window(6, 8, 12, 12)
    with torch.inference_mode():
        whole = window.of(parts.encode(pixels).feature_map)
        cut = parts.cut(window).encode(window.of(pixels, 16).contiguous()).feature_map
    inner = (..., slice(4, 8), slice(4, 8))
    error = (cut - whole)[inner].abs().mean() / whole[inner].abs().mean()
    outer = (cut - whole).abs().mean() / whole.abs().mean()
    assert error < 0.3 and error < outer


def moving_square(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, 240, 240, 3) frames of a disc that moves, and its masks (n, 240, 240)."""
    random = np.random.default_rng(3)
    background = np.kron(random.integers(60, 120, (30, 30, 3)), np.ones((8, 8, 1)))
    frames, masks = [], []
    y, x = np.mgrid[:240, :240]
    for index in range(count):
        mask = (y - 90 - 2 * index) ** 2 + (x - 80 - 3 * index) ** 2 < 22 ** 2
        frame = background.copy()
        frame[mask] = (220, 60, 30)
        frames.append(frame.astype(np.uint8))
        masks.append(mask)
    return np.array(frames), np.array(masks)


def test_the_embedded_model_follows_a_target_through_windows():
    frames, masks = moving_square(20)
    tracker = Tracker(load_model('embedded'), keep_ratio=0.5, roi=0.5, roi_refresh=50)
    tracker.prompt(frames[0], Prompt(mask=masks[0]))
    overlaps, outside = [], 0
    for frame, truth in zip(frames[1:], masks[1:]):
        result = tracker.step(frame)
        mask = result.mask(240, 240) > 0
        overlaps.append((mask & truth).sum() / (mask | truth).sum())
        outside += bool((result.logits == ABSENT_LOGIT).any())
    assert outside >= 15  # nearly all frames were cut
    assert np.mean(overlaps) > 0.8 and overlaps[-1] > 0.75


def test_memory_keeps_its_size_in_windows(loaded):
    tracker = Tracker(loaded, keep_ratio=0.9, roi=0.5)
    tracker.prompt(make_frames(128, 2)[0], Prompt(box=(32, 32, 64, 64)))
    before = tracker.bank_bytes
    for frame in make_frames(128, 20):
        tracker.step(frame)
    assert tracker.bank_bytes == before
    # 64 tokens of the prompted frame, of the others 58, or the 16 that a window has.
    assert tracker.bank.read().size[0] <= 64 + 6 * 58
