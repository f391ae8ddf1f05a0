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
"""The embedded grounder on photographs: what it finds, where, and what it says it does not."""

from dataclasses import replace

import cv2
from fast_sam2_ros.demo.scene import cut_out, fill, photograph_path
from fast_sam2_ros.errors import InputError
from fast_sam2_ros.evaluation.grounding import box_iou
from fast_sam2_ros.evaluation.metrics import jaccard
from fast_sam2_ros.grounding import Grounding, load_grounder, NotFound
from fast_sam2_ros.grounding.activation import LIKENESS_DOUBT
from fast_sam2_ros.grounding.refine import bounding_box
import numpy as np
import pytest


class Result:
    """A tracker's answer: always the same mask."""

    def __init__(self, mask, score, iou=0.9):
        self.score, self.iou, self._mask = score, iou, mask

    def mask(self, height, width):
        """Return the mask, whatever size is asked for."""
        return self._mask.astype(np.uint8)


class StandInTracker:
    """Answers every prompt with one mask and keeps the prompts."""

    def __init__(self, mask, score=5.0, takes_points=True):
        self.takes_points, self.prompts = takes_points, []
        self._result = Result(mask, score)

    def segment(self, frame, prompt):
        """Return the mask that was given."""
        self.prompts.append(prompt)
        return self._result


@pytest.fixture(scope='module')
def grounder():
    return load_grounder('embedded', None)


def photograph(name):
    return cv2.cvtColor(cv2.imread(str(photograph_path(name))), cv2.COLOR_BGR2RGB)


def cat():
    image, outline = cut_out('cat')
    return image, fill(outline, *image.shape[:2]) > 0


@pytest.fixture(scope='module')
def found_cat(grounder):
    return grounder.ground(cat()[0], 'a cat')


def test_finds_the_cat_and_draws_it(found_cat):
    image, truth = cat()
    assert isinstance(found_cat, Grounding) and found_cat.label == 'cat'
    assert found_cat.score > 0.9
    assert jaccard(found_cat.mask, truth) > 0.55
    assert box_iou(found_cat.box, bounding_box(truth)) > 0.65
    assert found_cat.mask.shape == image.shape[:2] and found_cat.mask.dtype == bool


def test_relevance_lies_on_the_target(found_cat):
    relevance = found_cat.relevance
    assert relevance.dtype == np.float32 and 0 <= relevance.min() and relevance.max() <= 1
    inside = cv2.resize(found_cat.mask.astype(np.float32), relevance.shape[::-1]) > 0.5
    assert relevance[inside].mean() > 3 * relevance[~inside].mean()


def test_without_a_tracker_the_prompt_is_the_mask(found_cat):
    assert np.array_equal(found_cat.prompt.mask, found_cat.mask)


@pytest.mark.parametrize('text', ['zebra', 'an elephant walking', 'a coffee cup', 'motorcycle'])
def test_says_that_what_is_not_there_is_not_found(grounder, text):
    answer = grounder.ground(cat()[0], text)
    assert isinstance(answer, NotFound) and not answer
    assert answer.reason.startswith('no ') and 'in view' in answer.reason
    assert grounder.knows(text)


def test_what_is_only_like_a_thing_needs_to_be_seen_more_clearly(grounder):
    view, cat_itself = grounder.look(cat()[0]), grounder.vocabulary.understand('cat')
    like_a_cat = replace(cat_itself, lookalike=True)
    doubt = view.respond(cat_itself).margin - view.respond(like_a_cat).margin
    assert doubt == pytest.approx(LIKENESS_DOUBT) and doubt > 0


def test_an_unknown_word_is_not_found_and_near_ones_are_named(grounder):
    answer = grounder.ground(cat()[0], 'a flamigno')
    assert isinstance(answer, NotFound) and 'flamingo' in answer.reason
    assert not grounder.knows('a flamigno')


@pytest.mark.parametrize('name', ['brick.png', 'grass.png', 'page.png'])
def test_textures_and_pages_show_no_cat(grounder, name):
    assert not grounder.ground(photograph(name), 'cat')


@pytest.mark.parametrize('zoom, angle, blur', [(1.5, 0, 0), (0.8, 15, 0), (1.2, -20, 5)])
def test_finds_the_cup_while_the_camera_moves(grounder, zoom, angle, blur):
    image, outline = cut_out('cup and saucer')
    height, width = image.shape[:2]
    move = cv2.getRotationMatrix2D((width * 0.5, height * 0.5), angle, zoom)
    move[:, 2] += np.array([640 - width, 480 - height]) / 2
    view = cv2.warpAffine(image, move, (640, 480), borderValue=(90, 110, 100))
    truth = fill(outline @ move[:, :2].T + move[:, 2], 480, 640) > 0
    if blur:
        view = cv2.GaussianBlur(view, (0, 0), blur / 3)
    found = grounder.ground(view, 'coffee cup')
    assert isinstance(found, Grounding), found.reason
    rows, columns = np.nonzero(found.mask)
    assert truth[found.mask].mean() > 0.6, 'most of the mask lies on the cup or its saucer'
    assert len(rows) > 0.15 * truth.sum()


@pytest.fixture(scope='module')
def two_cups():
    """Return the cup as it is, red to orange, and beside it with red and blue swapped."""
    image = cv2.resize(photograph('coffee.png'), (330, 220), interpolation=cv2.INTER_AREA)
    return np.concatenate([image, image[..., ::-1]], axis=1)


@pytest.mark.parametrize('text, left', [('the red cup', True), ('the blue cup', False)])
def test_colours_choose_between_two(grounder, two_cups, text, left):
    found = grounder.ground(two_cups, text)
    assert isinstance(found, Grounding), found.reason
    assert found.label == text[4:]
    x0, _, x1, _ = found.box
    assert ((x0 + x1) / 2 < 330) == left


def test_a_colour_that_none_has_is_not_found(grounder, two_cups):
    answer = grounder.ground(two_cups, 'the green cup')
    assert isinstance(answer, NotFound)
    assert 'cup is in view' in answer.reason and 'green' in answer.reason


def test_a_decoder_that_agrees_draws_the_mask(grounder, found_cat):
    image, truth = cat()
    tracker = StandInTracker(truth)
    found = type(grounder)(tracker).ground(image, 'cat')
    assert np.array_equal(found.mask, truth)
    assert found.box == bounding_box(truth)
    assert found.prompt.box is not None and found.prompt.box == found_cat.box


@pytest.mark.parametrize('takes_points', [True, False])
def test_a_decoder_that_disagrees_or_sees_nothing_is_not_believed(
        grounder, found_cat, takes_points):
    image, truth = cat()
    corner = np.zeros_like(truth)
    corner[:40, :40] = True
    for mask, score in ((corner, 5.0), (truth, -5.0)):
        tracker = StandInTracker(mask, score, takes_points)
        found = type(grounder)(tracker).ground(image, 'cat')
        assert np.array_equal(found.mask, found_cat.mask)
        assert np.array_equal(found.prompt.mask, found_cat.mask)


def test_a_model_without_points_mends_the_mask(grounder):
    image, truth = cat()
    tracker = StandInTracker(truth, takes_points=False)
    found = type(grounder)(tracker).ground(image, 'cat')
    assert np.array_equal(found.mask, truth) and np.array_equal(found.prompt.mask, truth)
    assert all(prompt.rough for prompt in tracker.prompts)
    assert len(tracker.prompts) == 2 * 2  # of two outlines, until nothing changes any more


class Echo:
    """Answers with the mask that it is asked to mend, and likes large or small ones better."""

    takes_points = False

    def __init__(self, likes_large):
        self._sign = 1 if likes_large else -1

    def segment(self, frame, prompt):
        """Return the mask of the prompt."""
        return Result(prompt.mask, 5.0, self._sign * prompt.mask.mean())


def test_of_several_outlines_the_one_that_the_decoder_thinks_best_is_taken(grounder):
    image, _ = cat()
    large, small = (
        type(grounder)(Echo(likes_large)).ground(image, 'cat') for likes_large in (True, False))
    assert large.mask.sum() > 1.05 * small.mask.sum()


def test_takes_any_shape_of_picture_but_nothing_else(grounder):
    assert not grounder.ground(np.zeros((17, 400, 3), np.uint8), 'cat')
    assert not grounder.ground(np.full((5, 5, 3), 200, np.uint8), 'zebra')
    with pytest.raises(InputError):
        grounder.ground(np.zeros((40, 40), np.uint8), 'cat')
    with pytest.raises(InputError):
        grounder.ground(np.zeros((40, 40, 3), np.float32), 'cat')


def test_the_same_question_gets_the_same_answer(grounder, found_cat):
    again = grounder.ground(cat()[0], 'a cat')
    assert np.array_equal(again.mask, found_cat.mask) and again.score == found_cat.score
