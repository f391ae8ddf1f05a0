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
"""Folders in the layout of DAVIS: what is found in them, and what is missing."""

from fast_sam2_ros.errors import InputError
from fast_sam2_ros.evaluation.davis import bounding_box, load_davis, read_expressions
import numpy as np
import pytest


def test_sequences_are_found_with_their_masks(davis, square):
    moving, still = load_davis(davis)
    assert (moving.name, len(moving.frames), still.name) == ('moving', 4, 'still')
    np.testing.assert_array_equal(moving.truth(1), square(10).astype(bool))
    assert next(moving.images()).shape == (*square(0).shape, 3)
    assert [s.name for s in load_davis(davis, ['still'])] == ['still']


def test_what_is_missing_is_named(davis, write_sequence, tmp_path_factory):
    with pytest.raises(InputError, match='no sequence gone; it has moving, still'):
        load_davis(davis, ['gone'])
    with pytest.raises(InputError, match='JPEGImages'):
        load_davis(tmp_path_factory.mktemp('empty'))
    (davis / 'Annotations' / '480p' / 'moving' / '00002.png').unlink()
    with pytest.raises(InputError, match='00002.png is missing'):
        load_davis(davis)
    write_sequence(davis, 'short', [1, 2])
    with pytest.raises(InputError, match='short has 2 frames'):
        load_davis(davis, ['short'])


def test_expressions_are_read_and_the_first_of_a_video_counts(davis):
    assert read_expressions(davis / 'expressions.csv') == {'moving': 'a square', 'still': 'a box'}
    (davis / 'other.csv').write_text('a,b\n1,2\n')
    with pytest.raises(InputError, match='video_id;instance_id;ref_exp'):
        read_expressions(davis / 'other.csv')
    with pytest.raises(InputError, match='--expressions'):
        read_expressions(davis / 'gone.csv')


def test_a_box_reaches_around_the_mask(square):
    assert bounding_box(square(5)) == (5, 10, 15, 20)


def test_a_slower_camera_sees_every_nth_frame(davis, write_sequence):
    write_sequence(davis, 'long', range(7))
    (sequence,) = load_davis(davis, ['long'])
    slow = sequence.thinned(3)
    assert [path.stem for path in slow.frames] == ['00000', '00003', '00006']
    assert [path.stem for path in slow.masks] == ['00000', '00003', '00006']
    assert slow.rate == sequence.rate / 3
    with pytest.raises(InputError, match='long has 2 frames'):
        sequence.thinned(4)
