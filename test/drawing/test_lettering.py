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
"""Words on pictures: scripts, widths, and OpenCV without fonts."""

import cv2
from fast_sam2_ros.drawing import lettering
from fast_sam2_ros.drawing.lettering import fit, printable, width_of, write
import numpy as np
import pytest

NO_FONTS = not hasattr(cv2, 'FontFace')


@pytest.fixture
def opencv_4(monkeypatch):
    """Take the fonts away from OpenCV."""
    def forget():
        for function in (lettering._face, printable, width_of, fit):
            function.cache_clear()

    monkeypatch.delattr(cv2, 'FontFace', raising=False)
    forget()
    yield
    monkeypatch.undo()
    forget()


def written(text):
    picture = np.zeros((60, 1200, 3), np.uint8)
    end = write(picture, text, 10, 40, 20, (255, 255, 255))
    return picture, end


@pytest.mark.skipif(NO_FONTS, reason='this OpenCV has no fonts')
@pytest.mark.parametrize('text', ['größe', 'кошка', 'γάτα', 'חתול', 'قطة', '猫', 'ねこ', '고양이'])
def test_letters_of_many_scripts_are_drawn_and_none_as_a_question_mark(text):
    assert printable(text) == text
    question = written('?')[0][:, :40]
    for letter in text:
        picture = written(letter)[0]
        assert picture.any() and (picture[:, :40] != question).any()


def test_what_has_no_letter_is_named_or_left_out():
    assert printable('a\nb\tc\0') == 'a b c'
    assert printable('\U0001f431 \u200d\ufe0f') == ':cat face: '
    assert printable('\U000e0001\ud800') == ''  # a tag, and half of a letter
    assert len(printable('x' * 100_000)) == lettering.LONGEST


def test_without_fonts_letters_lose_their_marks_or_get_numbers(opencv_4):
    assert printable('Łódź, größer') == '<141>odz, gro<df>er'
    assert printable('猫') == '<732b>'
    picture, end = written('Łódź')
    assert picture.any() and not picture[:, end + 3:].any()


def test_a_text_ends_where_it_says(monkeypatch):
    for text in ('cat', 'tracking 288/576', 'кошка'):
        picture, end = written(text)
        columns = np.flatnonzero(picture.any(axis=(0, 2)))
        assert 8 <= columns[0] <= 13 and end - 4 <= columns[-1] <= end + 2
    assert width_of('cat', 20, bold=True) > width_of('cat', 20)
    assert width_of('', 20) == 0


@pytest.mark.parametrize('width', [0, 5, 40, 100, 1000])
def test_a_text_is_shortened_to_its_room(width):
    text = 'a red mug on the table'
    short = fit(text, width, 14)
    assert short == text or short == '' or short.endswith('...')
    assert width_of(short, 14) <= width
    assert (short == text) == (width >= width_of(text, 14))
