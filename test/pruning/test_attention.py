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
"""Memory attention over a subset of tokens, against transformers and a dense masked attention."""

from dataclasses import replace
import math

from fast_sam2_ros.evaluation.random_models import random_model
from fast_sam2_ros.pruning.attention import memory_attention, MemoryTokens
from fast_sam2_ros.sam2.parts import Sam2Parts
import pytest
import torch

FRAMES = 3
POINTERS = 4
TOLERANCE = 1e-5


class Scene:
    """A dense frame and a dense memory of `FRAMES` frames for a small model."""

    def __init__(self) -> None:
        self.model = random_model('toy')
        self.parts = Sam2Parts(self.model)
        self.count = self.parts.token_count
        random = torch.Generator().manual_seed(1)
        self.tokens = torch.randn(self.count, self.parts.hidden_size, generator=random)
        self.position = torch.randn(self.count, self.parts.hidden_size, generator=random)
        size = (FRAMES * self.count + POINTERS, self.parts.memory_size)
        self.values = torch.randn(size, generator=random)
        self.keys = self.values + torch.randn(size, generator=random)
        self.index = torch.arange(self.count).repeat(FRAMES)
        self.random = random

    def memory(self, rows: torch.Tensor, index: torch.Tensor | None = None) -> MemoryTokens:
        """Return the frames' tokens at `rows`, and all pointers; `index` overrides the places."""
        pointers = torch.arange(FRAMES * self.count, len(self.keys))
        chosen = torch.cat([rows, pointers])
        places = self.index[rows] if index is None else index
        return MemoryTokens(
            self.keys[chosen][None], self.values[chosen][None], self.parts.rotary.at(places))

    def ours(self, queries: torch.Tensor | None, memory: MemoryTokens) -> torch.Tensor:
        """Return our (N, C) result."""
        (result,) = memory_attention(
            self.model.memory_attention, self.tokens, self.position, self.parts.rotary,
            None if queries is None else queries[None], memory)
        return result

    def theirs(self) -> torch.Tensor:
        """Return what transformers' module makes of the dense tokens."""
        out = self.model.memory_attention(
            current_vision_features=self.tokens[:, None],
            current_vision_position_embeddings=self.position[:, None],
            memory=self.values[:, None],
            memory_posision_embeddings=(self.keys - self.values)[:, None],
            num_object_pointer_tokens=POINTERS,
        )
        return out.reshape(self.count, -1)

    def subset(self, count: int) -> torch.Tensor:
        """Return `count` places of the grid in rising order."""
        return torch.randperm(self.count, generator=self.random)[:count].sort().values

    def memory_rows(self, count: int) -> torch.Tensor:
        """Return rows of `count` tokens of each frame, other places on each."""
        return torch.cat([frame * self.count + self.subset(count) for frame in range(FRAMES)])


@pytest.fixture(scope='module')
def scene() -> Scene:
    return Scene()


def masked_reference(
    scene: Scene, keep_query: torch.Tensor, keep_memory: torch.Tensor
) -> torch.Tensor:
    """
    Attend densely with the keys that are not kept masked out, written from the formulas.

    Plain softmax in float64, rotation as complex multiplication, no code in common with ours.
    """
    side = int(math.sqrt(scene.count))
    head = scene.parts.hidden_size  # one head
    frequency = 10000.0 ** (-torch.arange(0, head // 2, 2, dtype=torch.float64) / (head // 2))
    place = torch.arange(scene.count)
    angle = torch.cat([(place % side)[:, None] * frequency, (place // side)[:, None] * frequency],
                      dim=1)
    turn = torch.polar(torch.ones_like(angle), angle)

    def rotate(x: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
        pairs = torch.view_as_complex(x.reshape(len(x), -1, 2).contiguous())
        return torch.view_as_real(pairs * turns).flatten(1)

    def project(linear: torch.nn.Linear, x: torch.Tensor) -> torch.Tensor:
        return x @ linear.weight.double().T + linear.bias.double()

    def norm(module: torch.nn.LayerNorm, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.layer_norm(
            x, x.shape[-1:], module.weight.double(), module.bias.double(), module.eps)

    def attention(module, query, key, value, key_turn, keep):
        q = rotate(project(module.q_proj, query), turn)
        k = project(module.k_proj, key)
        k = torch.cat([rotate(k[:len(key_turn)], key_turn), k[len(key_turn):]])
        logits = (q @ k.T / math.sqrt(head)).masked_fill(~keep, -math.inf)
        return project(module.o_proj, logits.softmax(-1) @ project(module.v_proj, value))

    module = scene.model.memory_attention
    x = scene.tokens.double() + 0.1 * scene.position.double()
    for layer in module.layers:
        y = norm(layer.layer_norm1, x)
        x = x + attention(layer.self_attn, y, y, y, turn, keep_query)
        y = norm(layer.layer_norm2, x)
        x = x + attention(
            layer.cross_attn_image, y, scene.keys.double(), scene.values.double(),
            turn.repeat(FRAMES, 1), keep_memory)
        y = norm(layer.layer_norm3, x)
        x = x + project(layer.linear2, project(layer.linear1, y).relu())
    return norm(module.layer_norm, x).float()


def test_all_tokens_equal_transformers(scene):
    ours = scene.ours(None, scene.memory(torch.arange(FRAMES * scene.count)))
    assert (ours - scene.theirs()).abs().max() <= TOLERANCE


def test_permuted_tokens_equal_transformers(scene):
    queries = torch.randperm(scene.count, generator=scene.random)
    rows = torch.randperm(FRAMES * scene.count, generator=scene.random)
    ours = scene.ours(queries, scene.memory(rows))
    assert (ours - scene.theirs()).abs().max() <= TOLERANCE


@pytest.mark.parametrize('count', [1, 9, 40])
def test_pruned_equals_dense_with_the_dropped_keys_masked(scene, count):
    queries, rows = scene.subset(count), scene.memory_rows(count + 3)
    keep_query = torch.zeros(scene.count, dtype=torch.bool)
    keep_query[queries] = True
    keep_memory = torch.zeros(len(scene.keys), dtype=torch.bool)
    keep_memory[rows] = True
    keep_memory[-POINTERS:] = True
    expected = masked_reference(scene, keep_query, keep_memory)
    ours = scene.ours(queries, scene.memory(rows))
    assert (ours - expected)[queries].abs().max() <= TOLERANCE


def test_pruned_positions_keep_the_unattended_residual_stream(scene):
    queries = scene.subset(20)
    ours = scene.ours(queries, scene.memory(scene.memory_rows(20)))
    dropped = torch.ones(scene.count, dtype=torch.bool)
    dropped[queries] = False
    stream = scene.tokens + 0.1 * scene.position
    expected = scene.model.memory_attention.layer_norm(stream)
    assert torch.equal(ours[dropped], expected[dropped])


def test_memory_turned_by_the_angles_of_the_queries_is_far_off(scene):
    queries, rows = scene.subset(20), scene.memory_rows(20)
    right = scene.ours(queries, scene.memory(rows))
    wrong = scene.ours(queries, scene.memory(rows, index=queries.repeat(FRAMES)))
    assert (right - wrong).abs().max() > 1e4 * TOLERANCE


def test_object_pointers_are_not_turned(scene):
    rows = torch.arange(FRAMES * scene.count)
    memory = scene.memory(rows)
    places = torch.cat([scene.index, torch.arange(POINTERS) + 1])
    turned = replace(memory, rotary=scene.parts.rotary.at(places))
    assert (scene.ours(None, turned) - scene.theirs()).abs().max() > 100 * TOLERANCE
