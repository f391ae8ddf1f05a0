# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""J and F against values worked out by hand."""

import numpy as np
import pytest

from fast_sam2_ros.evaluation.metrics import boundary_f, contour, jaccard


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
