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
"""Pictures for people."""

import time

from fast_sam2_ros.drawing.caption import Caption, Named
from fast_sam2_ros.drawing.overlay import draw, TINT
from fast_sam2_ros.drawing.palette import colour_of, COLOURS, STATE_COLOURS
from fast_sam2_ros.latency import Latency
import numpy as np
import pytest

GREY = np.full((480, 640, 3), 100, np.uint8)
MASK = np.zeros((480, 640), np.uint8)
MASK[100:300, 200:400] = 1
CAPTION = Caption('tracking', 'cat', score=3.0, tokens_retained=288, tokens_total=576,
                  latency=Latency(40, 1, 20, 10, 9, 80), fps=9.0, iou=0.9)


def tinted(colour):
    return (1 - TINT) * 100 + TINT * np.array(colour)


def test_the_mask_is_tinted_and_the_rest_is_left_alone():
    picture = draw(GREY, MASK, CAPTION)
    assert (GREY == 100).all()  # drawn on a copy
    inside = picture[150:250, 250:350].reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(inside, tinted(COLOURS[0]), atol=1)
    np.testing.assert_array_equal(picture[150:300, 450:], GREY[150:300, 450:])
    assert (picture[430:] != 100).any()  # the strip of figures


def test_the_outline_is_brighter_than_the_tint():
    picture = draw(GREY, MASK, CAPTION).astype(int)
    assert abs(picture[200, 200] - COLOURS[0]).sum() < 40


def test_kept_tokens_are_a_faint_grid_and_dropped_ones_are_dimmed():
    kept = np.zeros((24, 24), bool)
    kept[:, :12] = True
    picture = draw(GREY, 0 * MASK, Caption('idle'), kept)
    cell = picture[100:120, 107:133, 0]  # one token and its edges: 20 rows, 26.7 columns
    assert (cell[1:, 1:-1] == 100).all() and (cell[0] > 120).all() and (cell[0] < 160).all()
    assert (picture[100:300, 325:] < 80).all() and (picture[100:300, 325:] > 40).all()


def test_holes_have_an_edge_too():
    ring = MASK.copy()
    ring[180:220, 280:320] = 0
    picture = draw(GREY, ring, CAPTION).astype(int)
    assert abs(picture[179, 300] - COLOURS[0]).sum() < 40
    assert (picture[200, 300] == 100).all()


def test_the_truth_is_a_white_line():
    truth = np.zeros((480, 640), np.uint8)
    truth[50:90, 50:90] = 1
    picture = draw(GREY, MASK, CAPTION, truth=truth)
    assert (picture[50, 60] > 200).all() and (picture[70, 70] == 100).all()


@pytest.mark.parametrize('size', [(24, 32), (64, 64), (800, 60), (120, 1000), (1080, 1920)])
@pytest.mark.parametrize('text', ['cat', 'x' * 100_000, '', 'größe 猫\n🐱\0'])
def test_any_size_and_any_text_can_be_drawn(size, text):
    image = np.full((*size, 3), 90, np.uint8)
    mask = np.zeros(size, np.uint8)
    mask[:5, -5:] = 1  # in a corner
    mask[-5:, :5] = 2
    targets = (Named(1, text, 'tracking'), Named(2, text, 'tracking'), Named(3, text, 'lost'))
    for state, given in (('idle', ()), ('tracking', targets), ('lost', targets[2:])):
        caption = Caption(state, text, message=text, iou=0.5, targets=given, fps=10.0,
                          latency=CAPTION.latency if state == 'tracking' else None)
        picture = draw(image, mask, caption, np.eye(24, dtype=bool))
        assert picture.shape == image.shape and picture.dtype == np.uint8
        assert (picture != image).any()


def test_searching_and_lost_have_a_frame_in_their_colours_and_say_why():
    for state in ('searching', 'lost'):
        picture = draw(GREY, 0 * MASK, Caption(state, 'cat', message='no cat in view'))
        for edge in (picture[0], picture[:, 0], picture[:, -1]):
            assert (edge == STATE_COLOURS[state]).all()
        silent = draw(GREY, 0 * MASK, Caption(state, 'cat'))
        assert (picture[460:] != silent[460:]).any()
    assert (draw(GREY, MASK, CAPTION)[:430, 0] == 100).all()
    small = draw(GREY[:24, :32], MASK[:24, :32], Caption('lost', 'cat'))
    assert (small[0] == STATE_COLOURS['lost']).all() and (small[1:-1, 1:-1] == 100).all()


def test_names_do_not_lie_on_each_other():
    labels = 0 * MASK
    labels[100:200, 300:310], labels[102:200, 312:322] = 1, 2
    picture = draw(GREY, labels, Caption('tracking', targets=(
        Named(1, 'first', 'tracking'), Named(2, 'second', 'tracking'))))
    chips = [(picture[:430] == colour).all(axis=-1) for colour in COLOURS[:2]]
    heights = [np.flatnonzero(chip.sum(axis=1) > 30) for chip in chips]
    assert all(len(rows) > 10 for rows in heights)
    assert not set(heights[0]) & set(heights[1])


def test_a_picture_takes_little_time_beside_a_step():
    kept = np.eye(24, dtype=bool)
    draw(GREY, MASK, CAPTION, kept)  # loads the font
    spent = []
    for _ in range(20):
        began = time.perf_counter()
        draw(GREY, MASK, CAPTION, kept)
        spent.append(time.perf_counter() - began)
    assert min(spent) < 0.005


def test_every_target_has_its_colour_and_its_name():
    labels = MASK.copy()
    labels[200:300, 200:400] = 3
    targets = (Named(1, 'cat', 'tracking'), Named(2, 'dog', 'lost'), Named(3, 'bird', 'tracking'))
    picture = draw(GREY, labels, Caption('tracking', 'cat; dog; bird', targets=targets))
    for target, row in ((1, 150), (3, 250)):
        np.testing.assert_allclose(picture[row, 300], tinted(colour_of(target)), atol=1)
    chips = [(picture[:430] == colour).all(axis=-1).sum() for colour in COLOURS[:3]]
    assert chips[0] > 500 and chips[2] > 500 and chips[1] == 0  # the dog is not seen
    assert (picture[430:] == colour_of(2)).all(axis=-1).any()  # the strip names it
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
