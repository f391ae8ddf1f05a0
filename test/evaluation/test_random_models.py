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
"""Random models: the real shapes, and weights of which each has an effect."""

from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.evaluation.random_models import random_config, random_model
import pytest
import torch
from transformers import Sam2VideoModel


@pytest.mark.parametrize('size, million', [
    ('tiny', 38.9), ('small', 46.0), ('base-plus', 80.8), ('large', 224.4)])
def test_real_sizes_have_the_published_number_of_parameters(size, million):
    # The table in the README of facebookresearch/sam2, in millions.
    with torch.device('meta'):
        model = Sam2VideoModel(random_config(size))
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(million, abs=0.1)
    assert model.config.image_size == 1024


def test_no_parameter_is_left_at_zero():
    model = random_model('toy')
    for name, parameter in model.named_parameters():
        assert parameter.abs().max() > 1e-3, name
    assert not model.training


def test_a_seed_gives_the_same_weights_and_another_seed_others():
    first, again, other = random_model('micro', 1), random_model('micro', 1), random_model('micro')
    for (name, a), b in zip(first.state_dict().items(), again.state_dict().values()):
        assert torch.equal(a, b), name
    assert not torch.equal(first.no_memory_embedding, other.no_memory_embedding)


def test_an_unknown_size_is_refused_with_the_choices():
    with pytest.raises(ParameterError, match='base-plus'):
        random_model('huge')
