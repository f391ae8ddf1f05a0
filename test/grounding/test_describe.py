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
"""The embedded describer on photographs, and how probabilities become a word."""

import cv2
from fast_sam2_ros.demo.scene import cut_out, fill
from fast_sam2_ros.errors import CheckpointError, InputError
from fast_sam2_ros.grounding.closeup import Closeup
from fast_sam2_ros.grounding.describe import load_describer
from fast_sam2_ros.grounding.naming import Names
from fast_sam2_ros.grounding.vocabulary import Meaning, Vocabulary
import numpy as np
import pytest

NAMELESS = (676, 819)  # "muzzle" and "stage": on their own these words would mislead


@pytest.fixture(scope='module')
def describer():
    return load_describer('embedded')


@pytest.fixture(scope='module')
def vocabulary():
    return Vocabulary(['person'])


@pytest.fixture(scope='module')
def names(vocabulary):
    return Names(vocabulary)


def photograph(name):
    image, outline = cut_out(name)
    return image, fill(outline, *image.shape[:2]) > 0


def spread(**shares):
    """Return the probabilities of classes: class 151 at 0.4 as c151=0.4."""
    classes = np.zeros(1000, np.float32)
    for name, share in shares.items():
        classes[int(name[1:])] = share
    return classes


@pytest.mark.parametrize('name, word', [
    ('cat', 'cat'), ('motorcycle', 'motorcycle'), ('cup and saucer', 'cup')])
def test_says_what_is_under_the_mask(describer, vocabulary, name, word):
    said = vocabulary.understand(describer.describe(*photograph(name)))
    true = vocabulary.understand(word)
    assert isinstance(said, Meaning)
    assert set(said.classes) <= set(true.classes) or set(true.classes) <= set(said.classes)


def test_two_things_in_one_picture_are_told_apart(describer, vocabulary):
    """Which one is described depends on the mask alone."""
    image, masks = [], []
    for name in ('cat', 'motorcycle'):
        pixels, mask = photograph(name)
        image.append(cv2.resize(pixels, (400, 300)))
        masks.append(cv2.resize(mask.astype(np.uint8), (400, 300)) > 0)
    scene, empty = np.concatenate(image, 1), np.zeros((300, 400), bool)
    cat = describer.describe(scene, np.concatenate([masks[0], empty], 1))
    motorcycle = describer.describe(scene, np.concatenate([empty, masks[1]], 1))
    mammals = set(vocabulary.understand('mammal').classes)
    vehicles = set(vocabulary.understand('vehicle').classes)
    assert set(vocabulary.understand(cat).classes) <= mammals
    assert set(vocabulary.understand(motorcycle).classes) <= vehicles


def test_nothing_fits_a_grey_patch(describer):
    mask = np.zeros((120, 160), bool)
    mask[40:80, 50:110] = True
    assert describer.describe(np.full((120, 160, 3), 128, np.uint8), mask) == ''


def test_masks_that_show_nothing_are_refused(describer):
    image = np.zeros((48, 64, 3), np.uint8)
    with pytest.raises(InputError, match='empty'):
        describer.describe(image, np.zeros((48, 64), bool))
    with pytest.raises(InputError, match='fit'):
        describer.describe(image, np.ones((64, 48), bool))
    with pytest.raises(InputError):
        describer.describe(image[..., 0], np.ones((48, 64), bool))


def test_a_single_pixel_at_the_border_is_no_error(describer):
    mask = np.zeros((48, 64), bool)
    mask[47, 0] = True
    assert isinstance(describer.describe(np.zeros((48, 64, 3), np.uint8), mask), str)


@pytest.mark.parametrize('classes, word', [
    (spread(c294=0.9), 'brown bear'),
    (spread(c151=0.3, c152=0.2, c200=0.3), 'dog'),
    (spread(c294=0.4, c295=0.4), 'bear'),
    (spread(c281=0.4, c151=0.35), 'pet'),
    (spread(c340=0.4, c20=0.35), 'animal'),
    (spread(c340=0.4, c779=0.4), ''),
    (np.full(1000, 0.001, np.float32), ''),
    (spread(c609=0.45, c817=0.4), 'car')])
def test_the_word_is_as_specific_as_it_is_certain(names, classes, word):
    assert names.choose(classes, {'person': 0.1}) == word


def test_a_person_goes_before_what_a_person_wears(names):
    assert names.choose(spread(c608=0.9), {'person': 0.9}) == 'person'
    assert names.choose(spread(c608=0.9), {'person': 0.2}) == 'jeans'


def test_every_name_is_understood_as_itself(names, vocabulary):
    """The session searches for the description: the grounder must know each of them."""
    for index in range(1000):
        word = names.choose(spread(**{f'c{index}': 1.0}), {})
        if index in NAMELESS:
            assert word == ''
            continue
        said = vocabulary.understand(word)
        assert isinstance(said, Meaning) and not said.lookalike, word
        assert index in said.classes and said.word == word


def test_a_colour_is_said_where_it_tells_the_target_from_the_rest(names):
    image = np.full((60, 80, 3), 128, np.uint8)
    mask = np.zeros((60, 80), bool)
    mask[20:40, 20:60] = True
    image[mask] = (200, 20, 30)
    assert names.coloured('car', image, mask) == 'red car'
    image[:] = (200, 20, 30)
    assert names.coloured('car', image, mask) == 'car', 'all is red'
    image[:] = 128
    image[mask] = np.random.default_rng(0).integers(0, 256, (mask.sum(), 3))
    assert names.coloured('car', image, mask) == 'car', 'it has many colours'


@pytest.mark.parametrize('word', ['bear', 'person', 'red wine', 'mushroom', 'thing'])
def test_a_colour_is_said_of_nothing_but_what_people_make(names, word):
    """A black bear would be another animal, and nobody is called by the colour of a coat."""
    image = np.full((60, 80, 3), 240, np.uint8)
    mask = np.zeros((60, 80), bool)
    mask[20:40, 20:60] = True
    image[mask] = 15
    assert names.coloured('car', image, mask) == 'black car'
    assert names.coloured(word, image, mask) == word


def test_a_closeup_is_a_square_about_the_target_cut_at_the_border():
    image = np.arange(100 * 200 * 3, dtype=np.uint32).reshape(100, 200, 3).astype(np.uint8)
    mask = np.zeros((100, 200), bool)
    mask[40:50, 110:190] = True
    closeup = Closeup.of(image, mask, 1.5)
    # 120 pixels a side, from -15 to 105 and from 90 to 210
    assert np.array_equal(closeup.image, image[:, 90:]) and closeup.mask.sum() == mask.sum()
    square = closeup.square(closeup.image)
    assert square.shape == (110, 110, 3) and np.array_equal(square[5:105], closeup.image)
    assert (square[:5] == 127).all() and (square[105:] == 127).all()


def test_dimming_leaves_the_target_alone():
    image = np.full((80, 80, 3), 227, np.uint8)
    mask = np.zeros((80, 80), bool)
    mask[30:50, 30:50] = True
    dimmed = Closeup(image, mask).dimmed(0.4)
    assert (dimmed[mask] == 227).all() and (dimmed[:10] == 167).all()


def test_unknown_describers_say_what_to_do():
    with pytest.raises(CheckpointError, match='fast-sam2 fetch nobody/no-such-captioner'):
        load_describer('nobody/no-such-captioner')
