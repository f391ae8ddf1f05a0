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
"""What sentences mean to the embedded grounder."""

import gc
import weakref

from fast_sam2_ros.grounding.result import NotFound
from fast_sam2_ros.grounding.vocabulary import Meaning, Vocabulary
import pytest

DOGS = tuple(range(151, 269))
TABBY, TIGER_CAT, FLAMINGO, SOCCER_BALL, MUG = 281, 282, 130, 805, 504


@pytest.fixture(scope='module')
def vocabulary():
    return Vocabulary(['person', 'giraffe'])


def meaning(vocabulary, text):
    found = vocabulary.understand(text)
    assert isinstance(found, Meaning), found
    return found


@pytest.mark.parametrize('text, word, members', [
    ('flamingo', 'flamingo', {FLAMINGO}),
    ('a flamingo standing in the water', 'flamingo', {FLAMINGO}),
    ('a soccer ball rolling', 'soccer ball', {SOCCER_BALL}),
    ('the coffee mug', 'coffee mug', {MUG}),
    ('cat', 'cat', {TABBY, TIGER_CAT, 283, 284, 285}),
    ('the cup on the table', 'cup', {968, 504}),
    ('a car turning on a road', 'car', {436, 468, 511, 817}),
    ('a boat on the water', 'boat', {814, 472}),
    ('a bus driving', 'bus', {779, 654, 874}),
    ('a toy train on the tracks', 'toy train', {466, 820}),
    ('motorbike', 'motorbike', {665, 670}),
    ('bicycle', 'bicycle', {444, 671}),
    ('an elephant walking', 'elephant', {101, 385, 386}),
    ('plane', 'plane', {404}),
    ('laptop', 'laptop', {620, 681}),
    ('truck', 'truck', {555, 717, 867}),
    ('bird', 'bird', {7, 24, 80, 130, 146}),
    ('bottle', 'bottle', {440, 898, 907}),
    ('washing machine', 'washing machine', {897}),
    ('ball', 'ball', {SOCCER_BALL, 852, 574}),
])
def test_words_mean_the_classes_that_depict_them(vocabulary, text, word, members):
    found = meaning(vocabulary, text)
    assert found.word == word and members <= set(found.classes)
    assert not found.lookalike


def test_dog_means_every_breed_and_nothing_else(vocabulary):
    assert meaning(vocabulary, 'dog').classes == DOGS


@pytest.mark.parametrize('parent, child', [
    ('animal', 'dog'), ('animal', 'flamingo'), ('vehicle', 'bus'), ('furniture', 'desk'),
    ('fruit', 'banana'), ('musical instrument', 'violin'), ('bird', 'penguin'),
    ('clothing', 'sombrero'), ('tool', 'hammer'), ('food', 'pizza')])
def test_a_parent_holds_its_children_and_more(vocabulary, parent, child):
    above = set(meaning(vocabulary, parent).classes)
    below = set(meaning(vocabulary, child).classes)
    assert below < above


@pytest.mark.parametrize('plural, singular', [
    ('two dogs', 'dog'), ('mice', 'mouse'), ('knives', 'knife'), ('wolves', 'wolf'),
    ('buses', 'bus'), ('butterflies', 'butterfly'), ('soccer balls', 'soccer ball'),
    ('glasses', 'glasses'), ('men', 'man')])
def test_plurals_mean_the_singular(vocabulary, plural, singular):
    assert meaning(vocabulary, plural).word == singular


def test_people_mean_the_trained_word(vocabulary):
    for text in ('a woman walking', 'person', 'people', 'the man in the red shirt', 'a runner'):
        assert meaning(vocabulary, text).learned == ('person',)
    assert meaning(vocabulary, 'the man in the red shirt').colour is None
    assert not Vocabulary().knows('person'), 'without the trained head nobody knows people'


@pytest.mark.parametrize('text, colour, word', [
    ('the red cup on the table', 'red', 'cup'), ('a gray cat', 'grey', 'cat'),
    ('the big ugly brown dog', 'brown', 'dog'), ('the orange cup', 'orange', 'cup'),
    ('a black and white cat', 'white', 'cat'),
    ('an orange on the table', None, 'orange'), ('a cup with red dots', None, 'cup')])
def test_colours_describe_and_oranges_are_fruit(vocabulary, text, colour, word):
    found = meaning(vocabulary, text)
    assert (found.colour, found.word) == (colour, word)
    assert found.label == (f'{colour} {word}' if colour else word)


def test_a_thing_without_a_class_says_that_it_is_found_by_likeness(vocabulary):
    rhino = meaning(vocabulary, 'a rhino walking')
    assert rhino.lookalike and 344 in rhino.classes  # hippopotamus
    giraffe = meaning(vocabulary, 'giraffe')
    assert not giraffe.lookalike and giraffe.learned == ('giraffe',) and not giraffe.classes
    assert meaning(Vocabulary(), 'giraffe').lookalike


@pytest.mark.parametrize('text, index', [
    ('the kitchen cupboard door', 799), ('a parcel', 478), ('the carpet', 539), ('cushion', 721),
    ('a blanket', 750), ('the hairdryer', 589), ('a bedside table', 493), ('router', 662),
    ('kitchen roll', 700), ('a tin can', 653), ('trainers', 770), ('letterbox', 637)])
def test_what_a_robot_is_asked_for_indoors(vocabulary, text, index):
    found = meaning(vocabulary, text)
    assert index in found.classes and not found.lookalike


@pytest.mark.parametrize('text, index', [
    ('the staircase', 421), ('a tap', 896), ('wall socket', 844), ('the newspaper', 917)])
def test_what_is_only_like_a_class_says_so(vocabulary, text, index):
    found = meaning(vocabulary, text)
    assert index in found.classes and found.lookalike


def test_what_follows_the_name_makes_it_another_thing(vocabulary):
    """A dog house is a house, a cat zorblax is unknown: never a dog, never a cat."""
    assert not set(DOGS) & set(meaning(vocabulary, 'dog house').classes)
    unknown = vocabulary.understand('the cat zorblax')
    assert isinstance(unknown, NotFound) and 'cat zorblax' in unknown.reason


@pytest.mark.parametrize('text, hint', [
    ('flamigno', 'flamingo'), ('motorcicle', 'motorcycle'), ('an umbrela', 'umbrella')])
def test_unknown_words_are_answered_with_near_ones(vocabulary, text, hint):
    answer = vocabulary.understand(text)
    assert isinstance(answer, NotFound) and not answer
    assert 'does not know' in answer.reason and hint in answer.reason
    assert not vocabulary.knows(text)


@pytest.mark.parametrize('text', ['', '   ', 'the', 'red', '???', 'on the table'])
def test_a_text_without_a_target_is_answered(vocabulary, text):
    answer = vocabulary.understand(text)
    assert isinstance(answer, NotFound) and 'names no target' in answer.reason


def test_every_listed_word_is_understood(vocabulary):
    """Each of some 2,600 names, alone, means at least one class or trained word."""
    words = vocabulary.words
    assert len(words) > 2000
    lost = [word for word in words
            if not isinstance(vocabulary.understand(word), Meaning)]
    assert not lost
    assert all(0 <= index < 1000
               for word in words for index in meaning(vocabulary, word).classes)


def test_classes_of_imagenet_are_all_reachable(vocabulary):
    named = {index for word in vocabulary.words for index in meaning(vocabulary, word).classes}
    assert len(named) >= 995


def test_a_vocabulary_is_let_go_of():
    used = Vocabulary()
    assert used.knows('dog')
    known = weakref.ref(used)
    del used
    gc.collect()
    assert known() is None
