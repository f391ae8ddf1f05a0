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
Hiera, the image encoder of SAM 2's checkpoints, run with transformers' weights and less work.

Its blocks are transformers' `Sam2MultiScaleBlock`s, and so is what comes out of them, bit for bit
on a CPU. What is left out is an attention map that is computed there and not used; queries are
pooled without turning the map round; no window is copied twice. On a CPU the MLP takes the tokens
in portions whose hidden layer, four times as wide, stays in the cache.
"""

from __future__ import annotations

import torch
from torch import nn, Tensor
from torch.nn import functional

PORTION = 2048  # tokens


def run_hiera(backbone: nn.Module, pixels: Tensor, position: Tensor) -> tuple[Tensor, ...]:
    """
    Return the maps at the ends of the stages, (1, h, w, C) each, from fine to coarse.

    `backbone` is a `Sam2HieraDetModel`, `pixels` (1, 3, H, W), `position` (1, H / 4, W / 4, C) its
    position embedding at that size.
    """
    hidden = backbone.patch_embed(pixels) + position
    maps = []
    for index, block in enumerate(backbone.blocks):
        hidden = _block(block, hidden)
        if index in backbone.stage_ends:
            maps.append(hidden)
    return tuple(maps)


def _block(block: nn.Module, x: Tensor) -> Tensor:
    normed = block.layer_norm1(x)
    stays = block.dim == block.dim_out
    residual = x if stays else _pooled(block.proj(normed), block.query_stride)
    if block.window_size:
        attended = _windowed(block, normed, residual.shape[1:3])
    else:
        attended = _attention(block.attn, normed)
    x = residual + attended
    return x.add_(_mlp(block.mlp, block.layer_norm2(x)))


def _mlp(mlp: nn.Module, x: Tensor) -> Tensor:
    tokens = x.flatten(0, -2)
    if x.device.type != 'cpu' or torch.compiler.is_compiling() or len(tokens) <= PORTION:
        return mlp(x)
    return torch.cat([mlp(portion) for portion in tokens.split(PORTION)]).view(x.shape)


def _windowed(block: nn.Module, x: Tensor, size: tuple[int, int]) -> Tensor:
    """Attend within windows of an (1, H, W, C) map, to one of `size`; its edges are padded."""
    side = block.window_size
    height, width = x.shape[1:3]
    below, right = -height % side, -width % side
    if below or right:
        x = functional.pad(x, (0, 0, 0, right, 0, below))
    rows, columns = x.shape[1] // side, x.shape[2] // side
    windows = x.unflatten(2, (columns, side)).unflatten(1, (rows, side)).transpose(2, 3)
    out = _attention(block.attn, windows.reshape(rows * columns, side, side, -1))
    out = out.unflatten(0, (1, rows, columns)).transpose(2, 3).flatten(1, 2).flatten(2, 3)
    return out[:, :size[0], :size[1]]


def _attention(attention: nn.Module, x: Tensor) -> Tensor:
    """Attend within each of (B, h, w, C), pooling the queries where a new stage begins."""
    batch, height, width, _ = x.shape
    heads = attention.num_attention_heads
    query, key, value = attention.qkv(x).view(batch, height * width, 3, heads, -1).unbind(2)
    if attention.query_stride:
        pooled = _pooled(query.reshape(batch, height, width, -1), attention.query_stride)
        height, width = pooled.shape[1:3]
        query = pooled.reshape(batch, height * width, heads, -1)
    out = functional.scaled_dot_product_attention(
        query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), scale=attention.scale)
    return attention.proj(out.transpose(1, 2).reshape(batch, height, width, -1))


def _pooled(x: Tensor, stride: tuple[int, int]) -> Tensor:
    """Take the maximum over whole cells of `stride`, (2, 2) in every Hiera, of (B, H, W, C)."""
    height, width = (side // step * step for side, step in zip(x.shape[1:3], stride))
    corners = [x[:, row:height:stride[0], column:width:stride[1]]
               for row in range(stride[0]) for column in range(stride[1])]
    best = corners[0]
    for corner in corners[1:]:
        best = torch.maximum(best, corner)
    return best
