# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
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
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn, Tensor
from torch.nn import functional

from fast_sam2_ros.memory import BankView
from fast_sam2_ros.sam2.parts import Encoded, RotaryTable, Sam2Parts

POSITION_SCALE = 0.1  # of the position encoding at the input (Sam2VideoMemoryAttention.forward)


@dataclass(frozen=True)
class MemoryTokens:
    """
    The memory as keys and values, both (T, M) float32.

    `rotary` has the angles of the first tokens; the object pointers behind them have none.
    """

    keys: Tensor
    values: Tensor
    rotary: RotaryTable


def attend(
    parts: Sam2Parts, encoded: Encoded, queries: Tensor | None, bank: BankView
) -> Tensor:
    """
    Return the (1, C, h, w) features of a frame after it has looked at the memory.

    `queries` are the (K,) indices of the tokens that take part, None for all of them.
    """
    fused = memory_attention(
        parts.memory_attention, encoded.tokens, encoded.position, parts.rotary, queries,
        memory_tokens(parts, bank))
    return fused.T.reshape(encoded.feature_map.shape)


def memory_tokens(parts: Sam2Parts, bank: BankView) -> MemoryTokens:
    """
    Add the encodings of place and age to what the bank holds.

    Object pointers of C channels are cut into C / M tokens of M channels each.
    """
    frames = bank.features.float()
    where = parts.memory_position.index_select(0, bank.index)
    when = parts.temporal_position.index_select(0, bank.age_row)
    pieces = parts.hidden_size // parts.memory_size
    pointers = bank.pointers.reshape(-1, parts.memory_size)
    pointer_position = parts.pointer_position(bank.pointer_ages).repeat_interleave(pieces, dim=0)
    values = torch.cat([frames, pointers])
    keys = values + torch.cat([where + when, pointer_position])
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

    `position` is (N, C), `rotary` the table of the whole grid. Returns (N, C); see the module's
    text for the positions that are not in `queries`.
    """
    stream = tokens + POSITION_SCALE * position
    if queries is None:
        return module.layer_norm(_layers(module, stream, rotary, memory))
    attended = _layers(module, stream.index_select(0, queries), rotary.at(queries), memory)
    return module.layer_norm(stream).index_copy(0, queries, module.layer_norm(attended))


def _layers(module: nn.Module, x: Tensor, rotary: RotaryTable, memory: MemoryTokens) -> Tensor:
    for layer in module.layers:
        normed = layer.layer_norm1(x)
        x = x + _attention(layer.self_attn, normed, normed, normed, rotary, rotary)
        normed = layer.layer_norm2(x)
        x = x + _attention(
            layer.cross_attn_image, normed, memory.keys, memory.values, rotary, memory.rotary)
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
    """Attend from (K, C) to (T, C'), whose first tokens are turned by `key_rotary`."""
    heads = module.num_attention_heads
    query = _rotate(_split(module.q_proj(query), heads), query_rotary)
    key = _rotate(_split(module.k_proj(key), heads), key_rotary)
    value = _split(module.v_proj(value), heads)
    out = functional.scaled_dot_product_attention(query, key, value)
    return module.o_proj(out[0].transpose(0, 1).flatten(1))


def _split(x: Tensor, heads: int) -> Tensor:
    """Turn (T, heads * D) into (1, heads, T, D)."""
    return x.view(x.shape[0], heads, -1).transpose(0, 1)[None]


def _rotate(x: Tensor, table: RotaryTable) -> Tensor:
    """
    Turn the pairs (0, 1), (2, 3), ... of the last axis of (..., T, D) by the table's angles.

    The table may have fewer rows than T: the tokens behind them stay as they are.
    """
    count = table.cos.shape[0]
    pairs = x[..., :count, :].unflatten(-1, (-1, 2)).float()
    first, second = pairs.unbind(-1)
    turned = torch.stack(
        [first * table.cos - second * table.sin, second * table.cos + first * table.sin], dim=-1)
    turned = turned.flatten(-2).type_as(x)
    return turned if count == x.shape[-2] else torch.cat([turned, x[..., count:, :]], dim=-2)
