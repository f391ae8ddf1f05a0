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
"""What counts as the right word, and the whole evaluation on pictures made here."""

import argparse
import json

import cv2
from fast_sam2_ros.demo.scene import cut_out, fill
from fast_sam2_ros.evaluation import describing
from fast_sam2_ros.evaluation.describing import Answer, ask, Judge, summarise, Target
from fast_sam2_ros.grounding.result import Grounding
from fast_sam2_ros.grounding.vocabulary import Vocabulary
import numpy as np
import pytest


@pytest.fixture(scope='module')
def judge():
    return Judge(Vocabulary(['person']))


@pytest.mark.parametrize('said, truth, right', [
    ('dog', 'dog', True), ('animal', 'a dog running', True), ('golden retriever', 'dog', True),
    ('cat', 'dog', False), ('red car', 'car', True), ('person', 'a woman walking', True),
    ('jeep', 'a car turning on a road', True), ('mammal', 'a rhino walking', True),
    ('animal', 'rhino', True), ('elephant', 'rhino', False), ('vehicle', 'rhino', False),
    ('zorblax', 'dog', False), ('dog', 'zorblax', None)])
def test_a_word_fits_where_it_is_the_same_a_kind_or_a_class(judge, said, truth, right):
    assert judge.fits(said, truth) is right


def test_figures_of_hand_made_answers():
    answers = [Answer('a', 'p', 'dog', 'dog', True, 0.5, 10.0),
               Answer('a', 'p', 'dog', 'cat', False, 0.1, 20.0),
               Answer('a', 'p', 'dog', '', None, None, 30.0),
               Answer('a', 'p', 'dog', 'animal', True, 0.3, 40.0)]
    assert summarise('a', answers) == {
        'source': 'a', 'targets': 4, 'right': 0.5, 'wrong': 0.25, 'none': 0.25,
        'found_again': pytest.approx(2 / 3), 'median_ms': 25.0}
    assert summarise('a', [])['targets'] == 0


class Parrot:
    """Says the same of everything."""

    name = 'parrot'

    def describe(self, image, mask):
        """Say it."""
        return 'dog'


class LeftHalf:
    """Finds everything in the left half of a picture."""

    vocabulary = Vocabulary(['person'])

    def ground(self, image, text):
        """Find it."""
        mask = np.zeros(image.shape[:2], bool)
        mask[:, :image.shape[1] // 2] = True
        return Grounding(text, 0.9, (0.0, 0.0, 1.0, 1.0), mask, np.ones((2, 2)), None)


def test_targets_are_described_and_searched_for():
    image = np.zeros((40, 60, 3), np.uint8)
    left, right = np.zeros((40, 60), bool), np.zeros((40, 60), bool)
    left[:, :30], right[:, 30:] = True, True
    answers = ask(Parrot(), LeftHalf(), iter([
        Target('a', 'one', image, left, 'a dog'), Target('a', 'two', image, right, 'cat'),
        Target('a', 'three', image, right, 'zorblax')]))
    assert [(answer.picture, answer.right, answer.overlap) for answer in answers] == [
        ('one', True, 1.0), ('two', False, 0.0)], 'unknown truths are left out'


def test_the_command_looks_at_what_is_held_out(tmp_path, capsys):
    """Photographs 0 and 6 of 7, and stamps 0 and 4 of 5, in the order of their names."""
    image, outline = cut_out('cat')
    height, width = image.shape[:2]
    shares = ' '.join(f'{x / width:.5f} {y / height:.5f}' for x, y in outline)
    for number in range(7):
        for folder, name, content in (
                ('images', f'{number}.jpg', cv2.imencode('.jpg', image[..., ::-1])[1].tobytes()),
                ('labels', f'{number}.txt', f'15 {shares}\n'.encode())):
            path = tmp_path / 'photos' / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    stamp = np.dstack([image[..., ::-1], 255 * fill(outline, height, width)])
    (tmp_path / 'stamps').mkdir()
    for name in ('cat', 'dog', 'horse', 'lion', 'zorblax'):
        cv2.imwrite(str(tmp_path / 'stamps' / f'{name}.png'), stamp)
    parser = argparse.ArgumentParser()
    describing.add_arguments(parser)
    assert describing.main(parser.parse_args([
        '--photos', str(tmp_path / 'photos'), '--stamps', str(tmp_path / 'stamps'),
        '--json', str(tmp_path / 'out.json')])) == 0
    result = json.loads((tmp_path / 'out.json').read_text())
    assert [(row['source'], row['targets']) for row in result['rows']] == [
        ('photos', 2), ('stamps', 1)]
    assert result['rows'][0]['wrong'] == 0 and result['rows'][0]['describer'] == 'embedded'
    assert {answer['truth'] for answer in result['answers']} == {'cat'}
    assert len(capsys.readouterr().out.splitlines()) == 2
