# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tally of what a grounder finds, and of what it only believes to find."""

from types import SimpleNamespace

import numpy as np
import pytest

from fast_sam2_ros.evaluation.grounding import ask, box_iou, Question
from fast_sam2_ros.grounding import Grounding, NotFound
from fast_sam2_ros.grounding.vocabulary import Meaning
from fast_sam2_ros.prompt import Prompt

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


def test_rates_and_overlaps_are_counted_by_hand():
    truth = np.zeros((20, 20), bool)
    truth[:10, :20] = True
    question = Question('one', np.zeros((20, 20, 3), np.uint8),
                        {'cat': [truth], 'dog': [truth], 'yeti': [truth]}, ['cup', 'boat', 'yeti'])
    tally, answers = ask(StandInGrounder(), 'test', iter([question]))
    row = tally.row()
    assert (row['present'], row['absent']) == (2, 2), 'words that are unknown do not count'
    assert row['found_rate'] == 0.5 and row['false_rate'] == 0.5
    assert row['mask_iou'] == pytest.approx(0.5) and row['box_iou'] == pytest.approx(0.5)
    assert [answer.mask_iou for answer in answers] == pytest.approx([0.5, 0.0])


@pytest.mark.parametrize('other, expected', [
    ((0, 0, 4, 4), 1.0), ((2, 0, 6, 4), 1 / 3), ((4, 4, 8, 8), 0.0), ((9, 9, 10, 10), 0.0)])
def test_box_iou_by_hand(other, expected):
    assert box_iou((0, 0, 4, 4), other) == pytest.approx(expected)
