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
"""The parts of the model, against the modules of transformers that they stand in for."""

from fast_sam2_ros.errors import CheckpointError
from fast_sam2_ros.evaluation.random_models import random_config, random_model
from fast_sam2_ros.sam2.memory_encoder import run_memory_encoder
from fast_sam2_ros.sam2.parts import Sam2Parts
import pytest
import torch
from transformers import Sam2VideoModel
from transformers.models.sam2_video.modeling_sam2_video import get_1d_sine_pe


@pytest.fixture(scope='module')
def model() -> Sam2VideoModel:
    return random_model('toy')


def test_encode_equals_get_image_features(model):
    pixels = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    parts = Sam2Parts(model)
    encoded = parts.encode(pixels)
    expected = model.get_image_features(pixels, return_dict=True)
    for got, want in zip(encoded.high_res, expected.fpn_hidden_states):
        # two matrices were merged into one, which rounds differently
        torch.testing.assert_close(got.flatten(2)[0].T, want[:, 0], rtol=1e-5, atol=1e-5)
    assert torch.equal(encoded.tokens, expected.fpn_hidden_states[2][:, 0])
    assert torch.equal(parts.token_position, expected.fpn_position_encoding[2][:, 0])


def test_rotary_table_equals_transformers(model):
    table = Sam2Parts(model).rotary
    attention = model.memory_attention
    cos, sin = attention.rotary_emb(torch.zeros(1), attention.position_ids)
    # transformers repeats every angle for both channels of its pair.
    assert torch.equal(table.cos.repeat_interleave(2, dim=1), cos[0])
    assert torch.equal(table.sin.repeat_interleave(2, dim=1), sin[0])


def test_rotary_table_is_gathered_by_index(model):
    table = Sam2Parts(model).rotary
    index = torch.tensor([5, 0, 63], dtype=torch.int32)
    assert torch.equal(table.at(index).cos, table.cos[[5, 0, 63]])
    assert torch.equal(table.at(index).sin, table.sin[[5, 0, 63]])


def test_pointer_position_equals_transformers(model):
    ages = torch.tensor([1, 7, 15, 400])
    sine = get_1d_sine_pe(ages.float() / 15.0, dim=128)
    expected = model.temporal_positional_encoding_projection_layer(sine)
    assert torch.allclose(Sam2Parts(model).pointer_position(ages), expected, atol=1e-6)


def test_tables_are_computed_once(model, monkeypatch):
    parts = Sam2Parts(model)
    pixels = torch.randn(1, 3, 128, 128)
    monkeypatch.setattr(model.vision_encoder.neck.position_encoding, 'forward', None)
    monkeypatch.setattr(model.vision_encoder.backbone, '_get_pos_embed', None)
    monkeypatch.setattr(model, 'get_image_wide_positional_embeddings', None)
    encoded = parts.encode(pixels)
    (decoded,) = parts.decode(
        parts.without_memory(encoded), encoded, parts.no_prompt, point_count=0, prompted=False)
    assert torch.isfinite(decoded.logits).all()


@pytest.mark.parametrize('field, value, message', [
    ('memory_attention_rope_feat_sizes', [8, 8], 'rope'),
    ('image_size', 256, '256'),
])
def test_a_contradictory_configuration_is_refused(field, value, message):
    config = random_config('micro')
    setattr(config, field, value)
    with pytest.raises(CheckpointError, match=message):
        Sam2Parts(Sam2VideoModel(config).eval())


def test_memory_encoder_equals_transformers(model):
    generator = torch.Generator().manual_seed(4)
    features = torch.randn(1, 128, 8, 8, generator=generator)
    masks = torch.randn(3, 128, 128, generator=generator)
    expected, _ = model.memory_encoder(features, masks[:, None])
    assert expected.abs().max() > 0.1
    expected = expected.flatten(2).transpose(1, 2)
    got = run_memory_encoder(model.memory_encoder, features, masks[:, None])
    assert torch.allclose(got, expected, atol=1e-5)
    keep = torch.stack([torch.randperm(64, generator=generator)[:9] for _ in range(3)])
    some = run_memory_encoder(model.memory_encoder, features, masks[:, None], keep)
    for target in range(3):
        assert torch.allclose(some[target], expected[target, keep[target]], atol=1e-5)
