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
"""The tally of what a grounder finds, and of what it only believes to find."""

from types import SimpleNamespace

import cv2
from fast_sam2_ros.evaluation.grounding import (
    ask, box_iou, innermost, Question, table, video_questions)
from fast_sam2_ros.grounding import Grounding, NotFound
from fast_sam2_ros.grounding.vocabulary import Meaning
from fast_sam2_ros.prompt import Prompt
import numpy as np
import pytest

MARGINS = {'cat': 2.0, 'dog': -1.0, 'cup': -2.0, 'boat': 0.5}


class StandInGrounder:
    """Finds a fixed square for every word with a margin above zero."""

    vocabulary = SimpleNamespace(understand=lambda text: (
        Meaning(text, text, (1,)) if text in MARGINS else NotFound('unknown')))

    def look(self, image):
        """Return something to ask."""
        return SimpleNamespace(respond=lambda meaning: SimpleNamespace(
            margin=MARGINS[meaning.word]))

    def ground(self, image, text):
        """Return the square, or not found."""
        if MARGINS[text] < 0:
            return NotFound('not in view')
        mask = np.zeros(image.shape[:2], bool)
        mask[:10, :10] = True
        return Grounding(text, 1.0, (0.0, 0.0, 10.0, 10.0), mask, mask.astype(np.float32),
                         Prompt(mask=mask))


def picture(present, absent, clip='one'):
    return Question(clip, 'picture', np.zeros((20, 20, 3), np.uint8), present, absent)


def test_rates_and_overlaps_are_counted_by_hand():
    truth = np.zeros((20, 20), bool)
    truth[:10, :20] = True
    question = picture({'cat': [truth], 'dog': [truth], 'yeti': [truth]}, ['cup', 'boat', 'yeti'])
    tally, answers, false = ask(StandInGrounder(), 'test', iter([question]))
    row = tally.row()
    assert (row['present'], row['absent']) == (2, 2), 'words that are unknown do not count'
    assert row['found_rate'] == 0.5 and row['false_rate'] == 0.5
    assert row['mask_iou'] == pytest.approx(0.5) and row['box_iou'] == pytest.approx(0.5)
    assert row['right_place_rate'] == 0.0, 'an IoU of one half is not above it'
    assert row['centre_in_target_rate'] == 0.5
    assert [answer.mask_iou for answer in answers] == pytest.approx([0.5, 0.0])
    assert [(find.text, find.margin) for find in false] == [('boat', 0.5)]
    assert row['ground_ms'] > 0 and row['look_ms'] > 0


def test_one_false_find_spoils_the_clip_and_no_other():
    questions = [picture({}, ['cup', 'boat'], 'a'), picture({}, ['cup'], 'a'),
                 picture({}, ['boat', 'cup'], 'b'), picture({}, ['dog'], 'b')]
    tally, _, _ = ask(StandInGrounder(), 'test', iter(questions))
    row = tally.row()
    assert row['absent_clips'] == 5, 'a and b with cup and boat, b with dog'
    assert row['not_found_rate'] == pytest.approx(3 / 5)
    assert row['false_rate'] == pytest.approx(2 / 6)
    assert row['found_rate'] is None and row['mask_iou'] is None


def test_the_table_has_a_line_for_each_source():
    tally, _, _ = ask(StandInGrounder(), 'test', iter([picture({}, ['boat', 'cup'])]))
    lines = table([tally.row()]).splitlines()
    assert len(lines) == 3 and len({line.count('|') for line in lines}) == 1
    assert lines[2].startswith('| test | 0 |') and '| 0.500 |' in lines[2]


def test_videos_are_looked_at_once_a_second_and_words_for_what_is_shown_are_not_absent(tmp_path):
    sizes = {'JPEGImages': (32, 48, 3), 'Annotations': (32, 48)}
    for kind, size in sizes.items():
        folder = tmp_path / kind / '480p' / 'a'
        folder.mkdir(parents=True)
        for index in range(30):
            suffix = 'jpg' if kind == 'JPEGImages' else 'png'
            assert cv2.imwrite(str(folder / f'{index:05d}.{suffix}'), np.full(size, 255))
    (tmp_path / 'expressions.csv').write_text(
        'video_id;instance_id;ref_exp\na;1;a zebra standing\n')
    questions = list(video_questions(tmp_path, ['grand piano']))
    assert [question.picture for question in questions] == ['a 0', 'a 24']
    assert list(questions[0].present) == ['a zebra standing']
    absent = questions[0].absent
    assert 'zebra' not in absent and 'piano' not in absent and 'laptop' in absent


def test_the_innermost_pixel_lies_in_the_widest_part():
    mask = np.zeros((30, 40), bool)
    mask[5:8, 2:30] = True
    mask[0:21, 15:36] = True
    assert innermost(mask) == (10, 25)


@pytest.mark.parametrize('other, expected', [
    ((0, 0, 4, 4), 1.0), ((2, 0, 6, 4), 1 / 3), ((4, 4, 8, 8), 0.0), ((9, 9, 10, 10), 0.0)])
def test_box_iou_by_hand(other, expected):
    assert box_iou((0, 0, 4, 4), other) == pytest.approx(expected)
