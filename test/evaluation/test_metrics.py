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
"""J and F against values worked out by hand, F against a second implementation as well."""

import math

from fast_sam2_ros.evaluation.metrics import boundary_f, contour, jaccard, over_time
import numpy as np
import pytest
from skimage.filters import gaussian
from skimage.morphology import dilation, disk
from skimage.util import view_as_windows


def rectangle(height: int, width: int, rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[rows, columns] = 1
    return mask


EMPTY = np.zeros((20, 30), dtype=np.uint8)
SQUARE = rectangle(20, 30, slice(4, 14), slice(5, 15))


def test_jaccard_by_hand():
    moved = rectangle(20, 30, slice(4, 14), slice(10, 20))
    assert jaccard(SQUARE, SQUARE) == 1
    assert jaccard(SQUARE, moved) == pytest.approx(50 / 150)
    assert jaccard(SQUARE, EMPTY) == 0
    assert jaccard(EMPTY, SQUARE) == 0
    assert jaccard(EMPTY, EMPTY) == 1
    assert jaccard(255 * SQUARE, SQUARE.astype(bool)) == 1  # 0 and 255 are a mask as well


def test_masks_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match='one size'):
        jaccard(SQUARE, SQUARE[1:])
    with pytest.raises(ValueError, match='one size'):
        boundary_f(SQUARE, SQUARE[:, 1:])


def test_contour_by_hand():
    mask = rectangle(5, 6, slice(1, 3), slice(2, 4))
    expected = np.array([[0, 1, 1, 1, 0, 0],
                         [0, 1, 0, 1, 0, 0],
                         [0, 1, 1, 1, 0, 0],
                         [0, 0, 0, 0, 0, 0],
                         [0, 0, 0, 0, 0, 0]], dtype=bool)
    np.testing.assert_array_equal(contour(mask), expected)
    assert not contour(np.ones((5, 6))).any()  # a full mask has no contour inside the image


def test_boundary_f_tolerates_a_shift_within_the_bound_only():
    # 300 x 400: the diagonal is 500, and 0.008 of it 4 pixels.
    truth = rectangle(300, 400, slice(100, 200), slice(100, 200))
    assert boundary_f(truth, truth) == 1
    assert boundary_f(np.roll(truth, 4, axis=1), truth) == 1
    # Moved by 5 down, both horizontal edges are out of reach, but for their ends, where a
    # vertical edge of the other is within 4 pixels.
    value = boundary_f(np.roll(truth, 5, axis=0), truth)
    # The contour: two rows of 101 pixels, two columns of 99 between them: 400 in all. Ours
    # without a match: of the lower row, 5 below the truth's, all; the upper row lies inside
    # between the truth's columns, and only its 5 pixels at either end are near one.
    missed = 101 - 2 * 5
    lower = 101
    # At the lower left the truth's corner is 5 pixels away, out of reach; of our columns the
    # pixel just above our corner is 4 away from the truth's corner, and matches.
    assert value == pytest.approx(1 - (missed + lower) / 400)


def test_boundary_f_by_hand_where_precision_and_recall_differ():
    truth = rectangle(300, 400, slice(100, 200), slice(100, 200))
    both = truth | rectangle(300, 400, slice(20, 70), slice(300, 350))
    # The second square has a contour of 200 pixels, far from the truth's 400.
    precision, recall = 400 / 600, 1.0
    expected = 2 * precision * recall / (precision + recall)
    assert boundary_f(both, truth) == pytest.approx(expected)
    assert boundary_f(truth, both) == pytest.approx(expected)  # F is symmetric


def test_boundary_f_of_empty_masks():
    assert boundary_f(EMPTY, EMPTY) == 1
    assert boundary_f(SQUARE, EMPTY) == 0
    assert boundary_f(EMPTY, SQUARE) == 0


def blobs(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a random mask, from one speck to nearly everything, smooth or ragged."""
    noise = gaussian(rng.standard_normal((height, width)), sigma=rng.uniform(0.5, 12))
    return noise >= np.quantile(noise, rng.uniform(0.02, 1))


def f_with_skimage(mask: np.ndarray, truth: np.ndarray) -> float:
    """Return F from scikit-image: contours are where a window of 2 x 2 pixels is of two kinds."""
    contours = []
    for each in (mask, truth):
        windows = view_as_windows(np.pad(each, ((0, 1), (0, 1)), mode='edge'), (2, 2))
        contours.append(windows.max((2, 3)) != windows.min((2, 3)))
    ours, theirs = contours
    reach = disk(math.ceil(0.008 * math.sqrt(mask.shape[0] ** 2 + mask.shape[1] ** 2)))
    matched = np.count_nonzero(ours & dilation(theirs, reach))
    found = np.count_nonzero(theirs & dilation(ours, reach))
    precision, recall = matched / np.count_nonzero(ours), found / np.count_nonzero(theirs)
    return 2 / (1 / precision + 1 / recall) if matched else 0.0


def test_f_equals_a_second_implementation_on_random_masks():
    rng = np.random.default_rng(3)
    values = []
    for turn in range(60):
        height, width = rng.integers(10, 260, size=2)
        mask, truth = (blobs(height, width, rng) for _ in range(2))
        if turn % 3 == 0:
            mask = np.roll(truth, rng.integers(-3, 4, size=2), axis=(0, 1))
        values.append(boundary_f(mask, truth))
        assert values[-1] == pytest.approx(f_with_skimage(mask, truth), abs=1e-12)
    assert min(values) < 0.1 and max(values) > 0.9


def test_j_equals_that_of_sets_of_places():
    rng = np.random.default_rng(4)
    for _ in range(10):
        mask, truth = (blobs(30, 40, rng) for _ in range(2))
        ours, theirs = ({*map(tuple, np.argwhere(each))} for each in (mask, truth))
        assert jaccard(mask, truth) == len(ours & theirs) / len(ours | theirs)


def test_over_time_by_hand():
    # Nine frames: the quarters meet at frames 0, 2, 4, 6 and 8.
    values = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    outcome = over_time(values)
    assert outcome.mean == pytest.approx(0.5)
    assert outcome.recall == pytest.approx(4 / 9)  # 0.5 itself is not above it
    assert outcome.decay == pytest.approx((0.9 + 0.8 + 0.7) / 3 - (0.3 + 0.2 + 0.1) / 3)


def test_quarters_that_meet_between_two_frames_meet_at_the_later_one():
    # Seven frames: 1.5, 3 and 4.5 become 2, 3 and 5.
    assert over_time([1, 0, 0, 0, 0, 0, 0]).decay == pytest.approx(1 / 3)
    assert over_time([0, 0, 0, 0, 0, 1, 0]).decay == pytest.approx(-1 / 2)
    assert over_time([0, 0, 0, 0, 1, 0, 0]).decay == 0


def test_a_video_that_gets_better_has_a_negative_decay_and_a_single_frame_none():
    assert over_time(np.linspace(0.2, 0.9, 40)).decay < -0.4
    assert over_time([0.8]).decay == 0
    with pytest.raises(ValueError, match='one value a frame'):
        over_time([])


def test_the_quarters_of_long_videos_are_not_cut_short():
    values = np.zeros(1000)
    values[750:] = 1  # position 749.25 is nearest to 749
    assert over_time(values).decay == pytest.approx(-250 / 251)
