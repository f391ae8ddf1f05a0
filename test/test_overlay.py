# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures for people."""

import numpy as np
import pytest

from fast_sam2_ros.overlay import Caption, colour_of, COLOURS, contact_sheet, draw
from fast_sam2_ros.latency import Latency

GREY = np.full((480, 640, 3), 100, np.uint8)
MASK = np.zeros((480, 640), np.uint8)
MASK[100:300, 200:400] = 1
CAPTION = Caption('tracking', 'cat', score=3.0, tokens_retained=288, tokens_total=576,
                  latency=Latency(40, 1, 20, 10, 9, 80), fps=9.0, iou=0.9)


def test_the_mask_is_tinted_and_the_rest_is_left_alone():
    picture = draw(GREY, MASK, CAPTION)
    assert (GREY == 100).all()  # drawn on a copy
    inside = picture[150:250, 250:350].reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(inside, 0.62 * 100 + 0.38 * np.array(COLOURS[0]), atol=1)
    np.testing.assert_array_equal(picture[150:300, 450:], GREY[150:300, 450:])
    assert (picture[430:] != 100).any()  # the strip of figures


def test_the_outline_is_brighter_than_the_tint():
    picture = draw(GREY, MASK, CAPTION).astype(int)
    assert abs(picture[200, 200] - COLOURS[0]).sum() < 40


def test_dropped_tokens_are_dimmed_and_kept_ones_are_not():
    kept = np.zeros((24, 24), bool)
    kept[:, :12] = True
    picture = draw(GREY, 0 * MASK, Caption('searching', 'cat', message='no cat in view'), kept)
    assert (picture[100, :320] == 100).all()
    assert (picture[100, 320:] < 80).all()


def test_the_truth_is_a_white_line():
    truth = np.zeros((480, 640), np.uint8)
    truth[50:90, 50:90] = 1
    picture = draw(GREY, MASK, CAPTION, truth=truth)
    assert (picture[50, 60] > 200).all() and (picture[70, 70] == 100).all()


@pytest.mark.parametrize('size', [(64, 64), (120, 1000), (1080, 1920)])
@pytest.mark.parametrize('text', ['cat', 'x' * 300, '', 'größe 猫'])
def test_any_size_and_any_text_can_be_drawn(size, text):
    image = np.full((*size, 3), 90, np.uint8)
    mask = np.zeros(size, np.uint8)
    mask[:5, -5:] = 1  # in a corner
    for state in ('idle', 'tracking'):
        caption = Caption(state, text, message=text, iou=0.5,
                          latency=CAPTION.latency if state == 'tracking' else None)
        assert draw(image, mask, caption).shape == image.shape


def test_a_contact_sheet_holds_every_picture():
    pictures = [np.full((48, 64, 3), 50 * index, np.uint8) for index in range(5)]
    sheet = contact_sheet(pictures, columns=2, width=64)
    assert sheet.shape == (8 + 3 * 56, 8 + 2 * 72, 3)
    for index in range(5):
        top, left = 8 + index // 2 * 56, 8 + index % 2 * 72
        assert (sheet[top:top + 48, left:left + 64] == 50 * index).all()
    titled = contact_sheet(pictures, columns=2, width=64, title='title')
    assert titled.shape[0] == sheet.shape[0] + 34


def test_every_target_has_its_colour_and_its_name():
    labels = MASK.copy()
    labels[200:300, 200:400] = 3
    names = ((1, 'cat'), (2, 'dog'), (3, 'bird'))
    picture = draw(GREY, labels, Caption('tracking', 'cat; dog; bird', names=names))
    for target, row in ((1, 150), (3, 250)):
        np.testing.assert_allclose(
            picture[row, 300], 0.62 * 100 + 0.38 * np.array(colour_of(target)), atol=1)
    chips = [(picture == colour).all(axis=-1).sum() for colour in COLOURS[:3]]
    assert chips[0] > 500 and chips[2] > 500 and chips[1] == 0  # the dog is not seen
    assert colour_of(1) == colour_of(9) == COLOURS[0]


def test_the_colours_can_be_told_apart_without_seeing_red_or_green():
    # The matrices of F. Viénot, H. Brettel and J. Mollon (1999), on linear RGB.
    linear = (np.array(COLOURS) / 255) ** 2.2
    blind = [[[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
             [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]]
    for seen in blind:
        colours = 255 * (linear @ np.array(seen).T).clip(0, 1) ** (1 / 2.2)
        apart = np.linalg.norm(colours[:, None] - colours[None], axis=-1)
        assert apart[~np.eye(len(COLOURS), dtype=bool)].min() > 25
