# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The memory encoder, run with transformers' weights and less waiting for memory.

The first layers that shrink the mask have so many pixels and so few channels that a layer norm
over the channels of each pixel takes longer than their convolutions. Over whole planes it is the
same sums in another order.
"""

from __future__ import annotations

import torch
from torch import nn, Tensor

FEW = 16  # channels, up to which planes are quicker than pixels


def run_memory_encoder(encoder: nn.Module, feature_map: Tensor, masks: Tensor) -> Tensor:
    """
    Encode a frame with B masks into (B, M, h, w) memory features.

    `encoder` is a `Sam2VideoMemoryEncoder`, `feature_map` (1, C, h, w), `masks` (B, 1, 16h, 16w).
    """
    x = masks
    for layer in encoder.mask_downsampler.layers:
        x = layer.activation(_normed(layer.layer_norm, layer.conv(x)))
    x = encoder.feature_projection(feature_map) + encoder.mask_downsampler.final_conv(x)
    return encoder.projection(encoder.memory_fuser(x))


def _normed(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    """Normalise (B, C, H, W) over its channels, as the module does."""
    if x.shape[1] > FEW:
        return norm(x)
    x = x.float()
    centred = x - x.mean(dim=1, keepdim=True)
    scale = torch.rsqrt(centred.square().mean(dim=1, keepdim=True) + norm.eps)
    return centred * scale * norm.weight[:, None, None] + norm.bias[:, None, None]
