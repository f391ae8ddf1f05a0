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
"""A router for a checkpoint and a text encoder from folders: trained, saved, and tracked with."""

import argparse

import cv2
from fast_sam2_ros.errors import CheckpointError
from fast_sam2_ros.evaluation.random_models import random_model
from fast_sam2_ros.grounding.text import load_text_encoder
from fast_sam2_ros.prompt import Prompt
from fast_sam2_ros.sam2.checkpoint import load_model
from fast_sam2_ros.tracker import Tracker
from fast_sam2_ros.training import router
import numpy as np
import pytest
import torch


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
    """Return a folder in the layout of DAVIS: two named squares that move."""
    root = tmp_path_factory.mktemp('videos')
    rng = np.random.default_rng(0)
    for name in ('one', 'two'):
        for kind in ('JPEGImages', 'Annotations'):
            (root / kind / '480p' / name).mkdir(parents=True)
        for index in range(4):
            mask = np.zeros((96, 128), np.uint8)
            mask[20:70, 10 + 9 * index:70 + 9 * index] = 255
            image = rng.integers(0, 80, (96, 128, 3), dtype=np.uint8)
            image[mask > 0] += 120
            cv2.imwrite(str(root / 'JPEGImages/480p' / name / f'{index:05}.jpg'), image)
            cv2.imwrite(str(root / 'Annotations/480p' / name / f'{index:05}.png'), mask)
    (root / 'expressions.csv').write_text(
        'video_id;instance_id;ref_exp\none;1;a dog\ntwo;1;a red cup\n')
    return root


def test_a_router_reads_the_words_of_a_hub_encoder(
        image_text_model, videos, tmp_path, monkeypatch):
    folder, _ = image_text_model
    checkpoint = tmp_path / 'checkpoint'
    random_model('toy').save_pretrained(checkpoint)
    for name, value in (('ROUND', 32), ('EPOCHS', 1), ('VALIDATION_SAMPLES', 4)):
        monkeypatch.setattr(router, name, value)
    parser = argparse.ArgumentParser()
    router.add_arguments(parser)
    assert router.main(parser.parse_args([
        '--videos', str(videos), '--model', str(checkpoint), '--text-encoder', str(folder),
        '--minutes', '0.01', '--out', str(tmp_path), '--device', 'cpu'])) == 0

    loaded = load_model(str(checkpoint))
    image = cv2.imread(str(videos / 'JPEGImages/480p/one/00000.jpg'))
    kept = {}
    for text in ('a dog', 'a red cup'):
        tracker = Tracker(
            loaded, keep_ratio=0.3, router=str(tmp_path / router.FILES[False]))
        tracker.aim(text)
        tracker.prompt(image, Prompt(box=(10, 20, 70, 70)))
        kept[text] = tracker.step(image).kept
    assert kept['a dog'].sum() == kept['a red cup'].sum() == 20
    # the embedding itself arrives: the network's goal is the projection of these words
    goal = load_text_encoder(str(folder)).encode('a red cup')
    assert torch.allclose(
        tracker._router._goal[0], tracker._router._network.project(goal), atol=1e-5)
    with pytest.raises(CheckpointError, match='tokens of 128 channels'):
        Tracker(load_model('random:tiny'), router=str(tmp_path / router.FILES[True]))
