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
"""Training of words: from outlined pictures to heads that are kept, or not, for a reason."""

import cv2
from fast_sam2_ros.errors import CheckpointError, InputError
from fast_sam2_ros.grounding.words import WordHead
from fast_sam2_ros.training import words
from fast_sam2_ros.training.words import average_precision, COCO_NAMES, load_outlined, Verdict
import numpy as np
import pytest
import torch

PHOTOS = 12


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Grey noise; half of the pictures hold a red disc that the labels call a frisbee."""
    root = tmp_path_factory.mktemp('outlined')
    generator = np.random.default_rng(0)
    for kind in ('images', 'labels'):
        (root / kind / 'train').mkdir(parents=True)
    for index in range(PHOTOS):
        image = generator.normal(128, 20, (96, 128, 3)).clip(0, 255).astype(np.uint8)
        lines = ''
        if index % 2:
            cv2.circle(image, (64, 48), 30, (30, 30, 220), -1)
            angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
            corners = np.stack([0.5 + 30 / 128 * np.cos(angle), 0.5 + 30 / 96 * np.sin(angle)], 1)
            shares = ' '.join(f'{value:.5f}' for value in corners.ravel())
            lines = f'{COCO_NAMES.index("frisbee")} {shares}\n'
        cv2.imwrite(str(root / 'images/train' / f'{index:03d}.png'), image)
        (root / 'images/train' / f'{index:03d}.png').rename(
            root / 'images/train' / f'{index:03d}.jpg')
        (root / 'labels/train' / f'{index:03d}.txt').write_text(lines)
    return root


def test_outlines_are_read(folder):
    photos = load_outlined(folder)
    assert len(photos) == PHOTOS and [len(photo.objects) for photo in photos] == [0, 1] * 6
    area = photos[1].union('frisbee').sum()
    assert area == pytest.approx(np.pi * 30**2, rel=0.05)
    assert not photos[1].union('person').any()


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(InputError, match='no labelled photograph'):
        load_outlined(tmp_path)


def test_average_precision_by_hand():
    """True ones at ranks 1 and 3: (1/1 + 2/3) / 2."""
    scores, truth = np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False])
    assert average_precision(scores, truth) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(scores, np.zeros(4, bool)) == 0.0


@pytest.mark.parametrize('precision, rival, keep', [
    (0.95, None, True), (0.85, None, False), (0.95, 0.93, False), (0.95, 0.80, True)])
def test_only_words_that_are_good_and_better_are_kept(precision, rival, keep):
    assert Verdict('word', 9, precision, 0.5, rival, 0.0).keep is keep


def test_a_disc_is_learned_judged_and_saved(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(words, 'SCALES', (96, 160))
    monkeypatch.setattr(words, 'BATCH', 32)
    monkeypatch.setattr(words, 'EPOCHS', 30)
    head, verdicts = words.train(load_outlined(folder))
    assert [verdict.word for verdict in verdicts] == ['frisbee']
    assert verdicts[0].photos == PHOTOS // 2 and verdicts[0].imagenet_precision is None
    assert verdicts[0].precision > 0.95 and head.names == ('frisbee',)
    assert torch.isfinite(head.background).all() and head.background.shape == (1000,)
    path = tmp_path / 'words.safetensors'
    head.save(path)
    again = WordHead.load(path)
    assert again.names == head.names
    assert torch.allclose(again.weight, head.weight, atol=2e-3)
    text = words.card(head, verdicts, PHOTOS, 1.0)
    assert '| frisbee | 6 |' in text and 'CC BY 4.0' in text


def test_missing_weights_say_what_to_do(tmp_path):
    with pytest.raises(CheckpointError, match='fast-sam2 train words'):
        WordHead.load(tmp_path / 'words.safetensors')
