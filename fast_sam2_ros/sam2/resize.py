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
"""The same weights for a square input of another size: fewer pixels, fewer tokens, less time."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from fast_sam2_ros.errors import ParameterError

if TYPE_CHECKING:
    from transformers import Sam2VideoConfig, Sam2VideoModel

STRIDE = 32  # of the coarsest map; the pyramid doubles it, so it must come out even
SMALLEST = 64
FEATURE_STRIDES = (4, 8, 16)


def check_image_size(size: int) -> int:
    """
    Return `size`, the edge of a square input in pixels; raise ParameterError if it fits none.

    It must be a multiple of 32: SAM 2's pyramid doubles a map of stride 32 on to one of stride
    16, and its image encoder repeats a window of 8 x 8 patches of 4 pixels.
    """
    if size < SMALLEST or size % STRIDE:
        raise ParameterError(
            f'an image size of {size} pixels does not fit: use a multiple of {STRIDE}, '
            f'{SMALLEST} or more')
    return size


def resized_config(config: Sam2VideoConfig, size: int) -> Sam2VideoConfig:
    """Return a copy of `config` for images of `size` pixels, and of all that follows from it."""
    config = deepcopy(config)
    backbone = config.vision_config.backbone_config
    config.image_size = config.prompt_encoder_config.image_size = size
    if hasattr(backbone, 'image_size'):
        backbone.image_size = [size, size]
    config.vision_config.backbone_feature_sizes = [
        [size // stride] * 2 for stride in FEATURE_STRIDES]
    config.memory_attention_rope_feat_sizes = [size // FEATURE_STRIDES[-1]] * 2
    return config


def resize_model(model: Sam2VideoModel, size: int) -> Sam2VideoModel:
    """
    Return a model for inference with the weights of `model`, for `size` x `size` pixels.

    No weight depends on the size of the input; what does is computed when the model is built. It
    was not trained at another size, so its masks get worse the further the size is from its own.
    Raises ParameterError for a size that does not fit.
    """
    resized = type(model)(resized_config(model.config, check_image_size(size)))
    resized.load_state_dict(model.state_dict(), strict=True)
    return resized.to(model.device).eval().requires_grad_(False)
