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
`Sam2VideoModel`s with random weights: for timing in real shapes, and for tests in small ones.

The shapes of `tiny`, `small`, `base-plus` and `large` are those of SAM 2.1 at 1024 pixels, from
`sam2.meta.SIZES`. `toy` and `micro` are ours, with every part in place and half of SAM 2's hidden
channels: 8 x 8 tokens of 128 pixels, 4 x 4 tokens of 64.

transformers starts the temporal encodings, the no-memory and no-object embeddings, the occlusion
embedding and the fuser's scale at zero or near it, and all other weights so small that the memory
hardly reaches the mask: a comparison on such a model sees nothing. Here every weight is drawn so
that activations keep their scale.
"""

from __future__ import annotations

from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.sam2.meta import HieraSize
from fast_sam2_ros.sam2.meta import SIZES as REAL_SIZES
from fast_sam2_ros.sam2.meta import video_config
import torch
from torch import nn
from transformers import Sam2VideoConfig, Sam2VideoModel

PRESENT_BIAS = 10.0  # of the object score, so that random weights see their target
# Scales the mask logits. On small grids one memory feature that bfloat16 rounds the other way can
# move larger logits by more than 1e-4, and a comparison would see that instead of mistakes.
MASK_SCALE = 0.25

_TOY = HieraSize(
    width=16, heads=1, blocks=(1, 1, 2, 1), global_blocks=(3, 3, 3), windows=(8, 4, 7, 4),
    background=7)
_MICRO = HieraSize(
    width=8, heads=1, blocks=(1, 1, 2, 1), global_blocks=(3, 3, 3), windows=(4, 4, 4, 2),
    background=7)
SIZES = (*REAL_SIZES, 'toy', 'micro')


def random_config(size: str) -> Sam2VideoConfig:
    """Return the configuration of one of `SIZES`; raise ParameterError for another name."""
    if size in REAL_SIZES:
        return video_config(REAL_SIZES[size])
    if size == 'toy':
        return _shrunk(video_config(_TOY, image_size=128), hidden=128, layers=2)
    if size == 'micro':
        return _shrunk(video_config(_MICRO, image_size=64), hidden=128, layers=1)
    raise ParameterError(f'unknown size {size!r}: choose one of {", ".join(SIZES)}')


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
    for hypernetwork in model.mask_decoder.output_hypernetworks_mlps:
        hypernetwork.proj_out.weight.mul_(MASK_SCALE)
        hypernetwork.proj_out.bias.mul_(MASK_SCALE)
    # SAM 2 has one matrix for the positions of points and of the image, transformers two.
    points = model.prompt_encoder.shared_embedding.positional_embedding
    draw(points, 1.0)
    model.shared_image_embedding.positional_embedding.copy_(points)
    model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(PRESENT_BIAS)


def _shrunk(config: Sam2VideoConfig, hidden: int, layers: int) -> Sam2VideoConfig:
    """Set the hidden channels and the layers of memory attention; the rest keeps its ratios."""
    config.vision_config.fpn_hidden_size = hidden
    config.prompt_encoder_config.hidden_size = hidden
    config.mask_decoder_config.hidden_size = hidden
    config.mask_decoder_config.mlp_dim = 8 * hidden
    config.mask_decoder_config.iou_head_hidden_dim = hidden
    config.memory_attention_hidden_size = hidden
    config.memory_attention_num_layers = layers
    config.memory_attention_feed_forward_hidden_size = 8 * hidden
    config.memory_encoder_hidden_size = hidden
    config.mask_downsampler_embed_dim = hidden
    config.memory_fuser_embed_dim = hidden
    config.memory_fuser_intermediate_dim = 4 * hidden
    return config
