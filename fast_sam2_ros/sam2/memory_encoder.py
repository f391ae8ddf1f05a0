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
The memory encoder, run with transformers' weights and less work.

Past its last convolution every token goes its own way, so only those that are to be remembered
go it. And the first layers that shrink the mask have so many pixels and so few channels that a
layer norm over the channels of each pixel takes longer than their convolutions; over whole planes
it is the same sums in another order.
"""

from __future__ import annotations

import torch
from torch import nn, Tensor
from torch.nn import functional

FEW = 16  # channels, up to which planes are quicker than pixels


def run_memory_encoder(
    encoder: nn.Module, feature_map: Tensor, masks: Tensor, keep: Tensor | None = None
) -> Tensor:
    """
    Encode a frame with B masks into (B, K, M) memory tokens.

    `encoder` is a `Sam2VideoMemoryEncoder`, `feature_map` (1, C, h, w), `masks` (B, 1, 16h, 16w),
    `keep` (B, K) the tokens that are wanted, None for all.
    """
    x = masks
    for layer in encoder.mask_downsampler.layers:
        x = layer.activation(_normed(layer.layer_norm, layer.conv(x)))
    x = encoder.feature_projection(feature_map) + encoder.mask_downsampler.final_conv(x)
    *first, last = encoder.memory_fuser.layers
    for layer in first:
        x = layer(x)
    tokens = _tokens(last.layer_norm(last.depthwise_conv(x)), keep)
    tokens = last.pointwise_conv2(last.activation(last.pointwise_conv1(tokens)))
    tokens = _tokens(x, keep) + last.scale * tokens
    return functional.linear(
        tokens, encoder.projection.weight[:, :, 0, 0], encoder.projection.bias)


def _tokens(x: Tensor, keep: Tensor | None) -> Tensor:
    """Return the tokens of (B, C, h, w) that are in `keep`, (B, K, C)."""
    tokens = x.flatten(2).transpose(1, 2)
    if keep is None:
        return tokens
    return tokens.gather(1, keep[..., None].expand(-1, -1, tokens.shape[2]))


def _normed(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    """Normalise (B, C, H, W) over its channels, as the module does."""
    if x.shape[1] > FEW:
        return norm(x)
    x = x.float()
    centred = x - x.mean(dim=1, keepdim=True)
    scale = torch.rsqrt(centred.square().mean(dim=1, keepdim=True) + norm.eps)
    return centred * scale * norm.weight[:, None, None] + norm.bias[:, None, None]
