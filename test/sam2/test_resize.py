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
"""The same weights at another input size, against transformers' own session at that size."""

from pathlib import Path

from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.evaluation.parity import compare, make_frames, run_tracker, run_transformers
from fast_sam2_ros.evaluation.random_models import random_model
from fast_sam2_ros.prompt import Prompt
from fast_sam2_ros.sam2.checkpoint import load_model
from fast_sam2_ros.sam2.loaded import LoadedModel, Preprocess
from fast_sam2_ros.sam2.resize import resize_model
from fast_sam2_ros.tracker import Tracker
import pytest
import torch

BOX = Prompt(box=(20, 20, 50, 60))


def track(model, size: int) -> list:
    loaded = LoadedModel(model, Preprocess(size), 'random:toy', 'random')
    return run_tracker(loaded, make_frames(size, 5), BOX)


@pytest.fixture(scope='module')
def toy():
    return random_model('toy')  # 128 pixels


@pytest.mark.parametrize('size', [64, 96, 160])
def test_a_resized_model_is_what_transformers_makes_of_it(toy, size):
    model = resize_model(toy, size)
    theirs = run_transformers(model, Preprocess(size), make_frames(size, 5), BOX)
    assert compare(track(model, size), theirs)['max_abs_diff'] < 1e-4


def test_there_and_back_is_the_same_model_and_the_first_is_left_alone(toy):
    small = resize_model(toy, 64)
    again = resize_model(small, 128)
    assert compare(track(toy, 128), track(again, 128))['max_abs_diff'] == 0
    assert (toy.config.image_size, small.config.image_size) == (128, 64)
    assert small.config.vision_config.backbone_feature_sizes == [[16, 16], [8, 8], [4, 4]]


@pytest.mark.parametrize('size', [0, 32, 100, -64])
def test_sizes_that_do_not_fit_are_refused(toy, size):
    with pytest.raises(ParameterError, match='multiple of 32'):
        resize_model(toy, size)
    with pytest.raises(ParameterError, match='multiple of 32'):
        load_model('random:micro', image_size=size)


def test_any_checkpoint_can_be_loaded_at_another_size(tmp_path: Path):
    random_model('toy').save_pretrained(tmp_path / 'saved')
    for name, usual in (('embedded', 384), (str(tmp_path / 'saved'), 128)):
        small, full = load_model(name, image_size=96), load_model(name, image_size=usual)
        assert small.preprocess.image_size == 96
        assert small.preprocess.mean == full.preprocess.mean
        assert (small.takes_points, small.name) == (full.takes_points, name)
        assert not small.model.training
        assert Tracker(small).grid == (6, 6) and Tracker(full).grid == (usual // 16,) * 2
        for key, value in full.model.state_dict().items():
            assert torch.equal(value, small.model.state_dict()[key])
