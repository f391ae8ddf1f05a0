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
"""Colour words on pixels whose colour is beyond doubt."""

from fast_sam2_ros.grounding.colours import colour_mask, colour_named, colour_share, COLOURS
import numpy as np
import pytest

PAINTS = {
    'red': (200, 30, 35), 'orange': (245, 140, 20), 'brown': (110, 70, 40),
    'yellow': (240, 215, 40), 'green': (40, 140, 60), 'cyan': (40, 190, 200),
    'blue': (40, 70, 190), 'purple': (120, 50, 150), 'pink': (245, 150, 180),
    'black': (15, 15, 18), 'white': (245, 245, 240), 'grey': (128, 128, 130),
}
NEIGHBOURS = {('orange', 'red'), ('orange', 'yellow'), ('red', 'pink'), ('brown', 'orange'),
              ('brown', 'red'), ('cyan', 'green'), ('cyan', 'blue'), ('purple', 'pink'),
              ('blue', 'purple')}


def test_every_colour_is_painted():
    assert set(PAINTS) == set(COLOURS)


@pytest.mark.parametrize('paint', list(PAINTS))
def test_a_paint_is_called_by_its_name_only(paint):
    image = np.full((4, 4, 3), PAINTS[paint], np.uint8)
    called = {name for name in COLOURS if colour_mask(image, name).all()}
    assert paint in called
    for other in called - {paint}:
        assert (paint, other) in NEIGHBOURS or (other, paint) in NEIGHBOURS


def test_share_counts_only_pixels_under_the_mask():
    image = np.zeros((10, 10, 3), np.uint8)
    image[:, :5] = PAINTS['red']
    mask = np.zeros((10, 10), bool)
    mask[:, 3:7] = True
    assert colour_share(image, mask, 'red') == pytest.approx(0.5)
    assert colour_share(image, np.zeros_like(mask), 'red') == 0.0


def test_spellings():
    assert colour_named('gray') == 'grey' and colour_named('violet') == 'purple'
    assert colour_named('dog') is None
