# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
`Sam2VideoModel`s with random weights: for timing in real shapes, and for tests in small ones.

The shapes of `tiny`, `small`, `base-plus` and `large` are those of SAM 2.1 (facebookresearch/sam2,
sam2/configs/sam2.1/*.yaml; the values not named there are transformers' defaults, which are
SAM 2.1's). `toy` and `micro` are ours, with every part in place: 8 x 8 and 4 x 4 tokens.

transformers starts the temporal encodings, the no-memory and no-object embeddings, the occlusion
embedding and the fuser's scale at zero or near it, and all other weights so small that the memory
hardly reaches the mask: a comparison on such a model sees nothing. Here every weight is drawn so
that activations keep their scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from transformers import (
    Sam2HieraDetConfig,
    Sam2VideoConfig,
    Sam2VideoMaskDecoderConfig,
    Sam2VideoModel,
    Sam2VideoPromptEncoderConfig,
    Sam2VisionConfig,
)

from fast_sam2_ros.errors import ParameterError

PRESENT_BIAS = 10.0  # of the object score, so that random weights see their target


@dataclass(frozen=True)
class _Hiera:
    """The image encoder of one size; four stages, channels and heads double at each."""

    channels: int
    heads: int
    blocks: tuple[int, int, int, int]
    global_blocks: tuple[int, ...]
    background: int
    windows: tuple[int, int, int, int] = (8, 4, 14, 7)


_HIERA = {
    'tiny': _Hiera(96, 1, (1, 2, 7, 2), (5, 7, 9), 7),
    'small': _Hiera(96, 1, (1, 2, 11, 2), (7, 10, 13), 7),
    'base-plus': _Hiera(112, 2, (2, 3, 16, 3), (12, 16, 20), 14),
    'large': _Hiera(144, 2, (2, 6, 36, 4), (23, 33, 43), 7, (8, 4, 16, 8)),
    'toy': _Hiera(16, 1, (1, 1, 2, 1), (3,), 7, (8, 4, 7, 4)),
    'micro': _Hiera(8, 1, (1, 1, 2, 1), (3,), 7, (4, 4, 4, 2)),
}
REAL_SIZES = ('tiny', 'small', 'base-plus', 'large')
SIZES = tuple(_HIERA)


def random_config(size: str) -> Sam2VideoConfig:
    """Return the configuration of one of `SIZES`; raise ParameterError for another name."""
    if size not in _HIERA:
        raise ParameterError(f'unknown size {size!r}: choose one of {", ".join(SIZES)}')
    if size == 'toy':
        return _config(_HIERA[size], image_size=128, hidden=128, layers=2)
    if size == 'micro':
        return _config(_HIERA[size], image_size=64, hidden=128, layers=1)
    return _config(_HIERA[size], image_size=1024, hidden=256, layers=4)


def random_model(size: str, seed: int = 0) -> Sam2VideoModel:
    """Return a model of one of `SIZES` in evaluation mode, float32, the same for a `seed`."""
    model = Sam2VideoModel(random_config(size))
    fill_with_noise(model, seed)
    return model.eval().requires_grad_(False)


@torch.no_grad()
def fill_with_noise(model: Sam2VideoModel, seed: int = 0) -> None:
    """Draw every weight of `model` at random, so that no part of it is without effect."""
    generator = torch.Generator().manual_seed(seed)

    def draw(tensor: torch.Tensor, deviation: float, mean: float = 0.0) -> None:
        tensor.normal_(mean, deviation, generator=generator)

    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if isinstance(module, nn.LayerNorm):
                draw(parameter, 0.1, mean=1.0 if name == 'weight' else 0.0)
            elif isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
                fan_in = module.weight[0].numel()
                draw(parameter, fan_in ** -0.5 if name == 'weight' else 0.1)
            else:  # embeddings, encodings and scales
                draw(parameter, 0.5)
    # SAM 2 has one matrix for the positions of points and of the image, transformers two.
    points = model.prompt_encoder.shared_embedding.positional_embedding
    draw(points, 1.0)
    model.shared_image_embedding.positional_embedding.copy_(points)
    model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(PRESENT_BIAS)


def _config(hiera: _Hiera, image_size: int, hidden: int, layers: int) -> Sam2VideoConfig:
    channels = [hiera.channels * 2 ** stage for stage in range(4)]
    grid = image_size // 16
    backbone = Sam2HieraDetConfig(
        hidden_size=hiera.channels,
        num_attention_heads=hiera.heads,
        image_size=[image_size, image_size],
        window_positional_embedding_background_size=[hiera.background] * 2,
        blocks_per_stage=list(hiera.blocks),
        embed_dim_per_stage=channels,
        num_attention_heads_per_stage=[hiera.heads * 2 ** stage for stage in range(4)],
        window_size_per_stage=list(hiera.windows),
        global_attention_blocks=list(hiera.global_blocks),
    )
    return Sam2VideoConfig(
        vision_config=Sam2VisionConfig(
            backbone_config=backbone,
            backbone_channel_list=channels[::-1],
            backbone_feature_sizes=[[4 * grid] * 2, [2 * grid] * 2, [grid] * 2],
            fpn_hidden_size=hidden,
        ),
        prompt_encoder_config=Sam2VideoPromptEncoderConfig(
            hidden_size=hidden, image_size=image_size),
        mask_decoder_config=Sam2VideoMaskDecoderConfig(
            hidden_size=hidden, mlp_dim=8 * hidden, iou_head_hidden_dim=hidden),
        image_size=image_size,
        memory_attention_hidden_size=hidden,
        memory_attention_num_layers=layers,
        memory_attention_feed_forward_hidden_size=8 * hidden,
        memory_attention_rope_feat_sizes=[grid, grid],
        memory_encoder_hidden_size=hidden,
        mask_downsampler_embed_dim=hidden,
        memory_fuser_embed_dim=hidden,
        memory_fuser_intermediate_dim=4 * hidden,
    )
