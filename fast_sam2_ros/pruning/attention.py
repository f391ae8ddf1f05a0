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
"""
Memory attention over a subset of tokens.

The layers and their weights are transformers' `Sam2VideoMemoryAttention`; what differs is which
tokens take part, and that each is turned by the rotary angles of its own place on the grid:
queries by this frame's indices, every memory token by the index that it had on its own frame.
Object pointers have no place, so they are not turned.

What a pruned position keeps: memory attention is a residual stream, x = tokens + 0.1 * position,
to which every layer adds, with a layer norm at its end. A position that takes no part is a
position to which every layer added nothing, hence layer_norm(x). The alternative, the features of
a frame without memory, would put two scales side by side on the map that the mask decoder reads,
since it expects normalised features on a tracked frame. With the embedded model on ten sequences
of DAVIS the two were within a point of J.

On a CPU the pruned cross attention sums over the memory as it is stored, M channels wide, and
projects the sums afterwards: sum_i w_i (V m_i + b) = V (sum_i w_i m_i) + b, as weights sum to 1.
With M = 64 of C = 256 that is five eighths of the arithmetic. It is quicker there as long as the
weights of a block of queries fit into the cache; for all tokens of a large frame it is not, and in
bfloat16 or on a GPU the fused attention is better than both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from fast_sam2_ros.memory import BankView
from fast_sam2_ros.sam2.parts import RotaryTable, Sam2Parts
import torch
from torch import nn, Tensor
from torch.nn import functional

POSITION_SCALE = 0.1  # of the position encoding at the input (Sam2VideoMemoryAttention.forward)
BLOCK = 256  # queries whose weights over the memory are held at a time


@dataclass(frozen=True)
class MemoryTokens:
    """
    The memory as keys and values, both (B, T, M) float32.

    `rotary` has the angles of the first tokens; the object pointers behind them have none.
    """

    keys: Tensor
    values: Tensor
    rotary: RotaryTable


def attend(parts: Sam2Parts, tokens: Tensor, queries: Tensor | None, bank: BankView) -> Tensor:
    """
    Return the (B, C, h, w) features of a frame after it has looked at the memory of B targets.

    `tokens` (N, C) are the frame's; `queries` (B, K) are the indices of those that take part, None
    for all of them.
    """
    fused = parts.stages(
        partial(_attend, parts.whole), tokens, parts.token_position, parts.rotary.angles, queries,
        bank.features, bank.index, bank.age_row, bank.pointers, bank.pointer_ages)
    return fused.transpose(1, 2).unflatten(2, parts.grid)


def _attend(
    parts: Sam2Parts,
    tokens: Tensor,
    position: Tensor,
    angles: Tensor,
    queries: Tensor | None,
    *bank: Tensor,
) -> Tensor:
    return memory_attention(
        parts.memory_attention, tokens, position, RotaryTable(angles), queries,
        memory_tokens(parts, BankView(*bank))).float()


def memory_tokens(parts: Sam2Parts, bank: BankView) -> MemoryTokens:
    """
    Add the encodings of place and age to what the bank holds; `parts` are those of whole frames.

    Object pointers of C channels are cut into C / M tokens of M channels each.
    """
    frames = bank.features.float()
    where = functional.embedding(bank.index, parts.memory_position)
    when = functional.embedding(bank.age_row, parts.temporal_position)
    pieces = parts.hidden_size // parts.memory_size
    pointers = bank.pointers.unflatten(2, (pieces, parts.memory_size)).flatten(1, 2)
    pointer_position = parts.pointer_position(bank.pointer_ages).repeat_interleave(pieces, dim=1)
    values = torch.cat([frames, pointers], dim=1)
    keys = torch.cat([where.add_(when), pointer_position], dim=1).add_(values)
    return MemoryTokens(keys, values, parts.rotary.at(bank.index))


def memory_attention(
    module: nn.Module,
    tokens: Tensor,
    position: Tensor,
    rotary: RotaryTable,
    queries: Tensor | None,
    memory: MemoryTokens,
) -> Tensor:
    """
    Run the layers of a `Sam2VideoMemoryAttention` on the `queries` among (N, C) `tokens`.

    `position` is (N, C), `rotary` the table of their places, `queries` (B, K) or None for all.
    Returns (B, N, C) for the B targets of the memory; see the module's text for the positions that
    are not in `queries`.
    """
    stream = tokens + POSITION_SCALE * position
    targets = len(memory.keys)
    if queries is None:
        every = stream.expand(targets, -1, -1)
        return module.layer_norm(_layers(module, every, rotary, memory, narrow=False))
    chosen = functional.embedding(queries, stream)
    narrow = tokens.device.type == 'cpu' and not torch.is_autocast_enabled('cpu')
    attended = module.layer_norm(_layers(module, chosen, rotary.at(queries), memory, narrow))
    places = queries[..., None].expand_as(attended)
    return module.layer_norm(stream).repeat(targets, 1, 1).scatter(1, places, attended)


def _layers(
    module: nn.Module, x: Tensor, rotary: RotaryTable, memory: MemoryTokens, narrow: bool
) -> Tensor:
    for layer in module.layers:
        normed = layer.layer_norm1(x)
        x = x + _attention(layer.self_attn, normed, normed, normed, rotary, rotary)
        normed = layer.layer_norm2(x)
        cross = layer.cross_attn_image
        if narrow and cross.num_attention_heads == 1:
            x = x + _narrow_attention(cross, normed, rotary, memory)
        else:
            x = x + _attention(
                cross, normed, memory.keys, memory.values, rotary, memory.rotary)
        normed = layer.layer_norm3(x)
        x = x + layer.linear2(layer.activation(layer.linear1(normed)))
    return x


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_rotary: RotaryTable,
    key_rotary: RotaryTable,
) -> Tensor:
    """Attend from (B, K, C) to (B, T, C'), whose first tokens are turned by `key_rotary`."""
    heads = module.num_attention_heads
    query = query_rotary.turn(_split(module.q_proj(query), heads))
    key = key_rotary.turn(_split(module.k_proj(key), heads))
    value = _split(module.v_proj(value), heads)
    out = functional.scaled_dot_product_attention(query, key.type_as(query), value.type_as(query))
    return module.o_proj(out.transpose(1, 2).flatten(2))


def _narrow_attention(
    module: nn.Module, query: Tensor, rotary: RotaryTable, memory: MemoryTokens
) -> Tensor:
    """Return what `_attention` does with one head, projecting values after the weighted sum."""
    query = rotary.turn(module.q_proj(query))
    key = memory.rotary.turn(module.k_proj(memory.keys)).transpose(1, 2)
    query = query * query.shape[-1] ** -0.5
    sums = [torch.softmax(block @ key, dim=-1) @ memory.values
            for block in query.split(BLOCK, dim=1)]
    return module.o_proj(module.v_proj(torch.cat(sums, dim=1)))


def _split(x: Tensor, heads: int) -> Tensor:
    """Turn (B, T, heads * D) into (B, heads, T, D)."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)
