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
Checkpoints in the format of Meta's own `sam2` package, turned into transformers' model.

Both packages hold the same network under different names. Sources: the modules of `sam2`
(sam2/modeling) and of transformers (models/sam2, models/sam2_video); the four sizes are those
of sam2/configs/sam2.1/*.yaml.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import re
from typing import Any, TYPE_CHECKING
import zipfile

from fast_sam2_ros.errors import CheckpointError, name_some
from fast_sam2_ros.trust import check_file, load_tensors, weights_limit
import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import Sam2VideoConfig, Sam2VideoModel


@dataclass(frozen=True)
class HieraSize:
    """What tells one size of SAM 2 from another: its image encoder, a Hiera."""

    width: int
    heads: int
    blocks: tuple[int, int, int, int]
    global_blocks: tuple[int, int, int]
    windows: tuple[int, int, int, int]
    background: int

    @property
    def widths(self) -> tuple[int, int, int, int]:
        """Channels of the four stages; each doubles the one before."""
        return (self.width, 2 * self.width, 4 * self.width, 8 * self.width)


SIZES: dict[str, HieraSize] = {
    'tiny': HieraSize(96, 1, (1, 2, 7, 2), (5, 7, 9), (8, 4, 14, 7), 7),
    'small': HieraSize(96, 1, (1, 2, 11, 2), (7, 10, 13), (8, 4, 14, 7), 7),
    'base-plus': HieraSize(112, 2, (2, 3, 16, 3), (12, 16, 20), (8, 4, 14, 7), 14),
    'large': HieraSize(144, 2, (2, 6, 36, 4), (23, 33, 43), (8, 4, 16, 8), 7),
}

_PATCH_EMBED = 'image_encoder.trunk.patch_embed.proj.weight'
_POINT_EMBEDS = tuple(f'prompt_encoder.point_embed.{index}.weight' for index in range(4))
_POSITIONS = 'prompt_encoder.shared_embedding.positional_embedding'
_IMAGE_POSITIONS = 'shared_image_embedding.positional_embedding'
_REMEDY = "download one of Meta's own checkpoints again and compare its size"
# Present in SAM 2.1 only.
_POINTER_TIMES = 'obj_ptr_tpos_proj.weight'
_OCCLUSION = 'no_obj_embed_spatial'

# Applied in this order, each to the whole name.
_RENAMES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement) for pattern, replacement in (
        # Image encoder.
        (r'^image_encoder\.trunk\.', 'vision_encoder.backbone.'),
        (r'^image_encoder\.neck\.convs\.(\d+)\.conv\.', r'vision_encoder.neck.convs.\1.'),
        (r'\.patch_embed\.proj\.', '.patch_embed.projection.'),
        # Prompt encoder.
        (r'^sam_prompt_encoder\.', 'prompt_encoder.'),
        (r'\.pe_layer\.positional_encoding_gaussian_matrix$',
         '.shared_embedding.positional_embedding'),
        (r'\.point_embeddings\.', '.point_embed.'),
        (r'\.mask_downscaling\.0\.', '.mask_embed.conv1.'),
        (r'\.mask_downscaling\.1\.', '.mask_embed.layer_norm1.'),
        (r'\.mask_downscaling\.3\.', '.mask_embed.conv2.'),
        (r'\.mask_downscaling\.4\.', '.mask_embed.layer_norm2.'),
        (r'\.mask_downscaling\.6\.', '.mask_embed.conv3.'),
        # Mask decoder.
        (r'^sam_mask_decoder\.', 'mask_decoder.'),
        (r'\.output_upscaling\.0\.', '.upscale_conv1.'),
        (r'\.output_upscaling\.1\.', '.upscale_layer_norm.'),
        (r'\.output_upscaling\.3\.', '.upscale_conv2.'),
        # Memory encoder; its mask downsampler is a sequence of convolution, norm, activation.
        (r'^memory_encoder\.out_proj\.', 'memory_encoder.projection.'),
        (r'\.pix_feat_proj\.', '.feature_projection.'),
        (r'^memory_encoder\.fuser\.', 'memory_encoder.memory_fuser.'),
        (r'\.dwconv\.', '.depthwise_conv.'),
        (r'\.pwconv([12])\.', r'.pointwise_conv\1.'),
        (r'\.gamma$', '.scale'),
        (r'\.mask_downsampler\.encoder\.12\.', '.mask_downsampler.final_conv.'),
        *((rf'\.mask_downsampler\.encoder\.{3 * layer}\.',
           f'.mask_downsampler.layers.{layer}.conv.') for layer in range(4)),
        *((rf'\.mask_downsampler\.encoder\.{3 * layer + 1}\.',
           f'.mask_downsampler.layers.{layer}.layer_norm.') for layer in range(4)),
        # Memory, pointers and time.
        (r'^maskmem_tpos_enc$', 'memory_temporal_positional_encoding'),
        (r'^no_mem_embed$', 'no_memory_embedding'),
        (r'^no_mem_pos_enc$', 'no_memory_positional_encoding'),
        (r'^no_obj_ptr$', 'no_object_pointer'),
        (rf'^{_OCCLUSION}$', 'occlusion_spatial_embedding_parameter'),
        (r'^obj_ptr_proj\.', 'object_pointer_proj.'),
        (r'^obj_ptr_tpos_proj\.', 'temporal_positional_encoding_projection_layer.'),
        # Perceptrons of three layers, then those of two.
        *((rf'\b(iou_prediction_head|pred_obj_score_head|output_hypernetworks_mlps\.\d+|'
           rf'object_pointer_proj)\.layers\.{layer}\.', rf'\1.{name}.')
          for layer, name in ((0, 'proj_in'), (2, 'proj_out'), (1, 'layers.0'))),
        *((rf'\.mlp\.layers\.{layer}\.', f'.mlp.{name}.')
          for layer, name in enumerate(('proj_in', 'proj_out'))),
        # Norms and attention, wherever they stand.
        (r'\.norm(\d*)\.', r'.layer_norm\1.'),
        (r'\.norm_final_attn\.', '.layer_norm_final_attn.'),
        (r'\.out_proj\.', '.o_proj.'),
    ))


def video_config(
        size: HieraSize, image_size: int = 1024, pointer_times: bool = True,
        occlusion_embedding: bool = True) -> Sam2VideoConfig:
    """
    Describe SAM 2 with the image encoder `size`, for images of `image_size` pixels square.

    `pointer_times` and `occlusion_embedding` are what SAM 2.1 added: object pointers with a
    projected temporal encoding, and an embedding for memories without the object.
    """
    from transformers import Sam2HieraDetConfig, Sam2VideoConfig, Sam2VisionConfig

    backbone = Sam2HieraDetConfig(
        hidden_size=size.width, num_attention_heads=size.heads,
        image_size=[image_size, image_size],
        blocks_per_stage=list(size.blocks), embed_dim_per_stage=list(size.widths),
        num_attention_heads_per_stage=[size.heads * 2 ** stage for stage in range(4)],
        window_size_per_stage=list(size.windows),
        global_attention_blocks=list(size.global_blocks),
        window_positional_embedding_background_size=[size.background, size.background])
    vision = Sam2VisionConfig(
        backbone_config=backbone.to_dict(), backbone_channel_list=list(reversed(size.widths)),
        backbone_feature_sizes=[[image_size // stride] * 2 for stride in (4, 8, 16)])
    return Sam2VideoConfig(
        vision_config=vision.to_dict(), prompt_encoder_config={'image_size': image_size},
        image_size=image_size, memory_attention_rope_feat_sizes=[image_size // 16] * 2,
        enable_temporal_pos_encoding_for_object_pointers=pointer_times,
        enable_occlusion_spatial_embedding=occlusion_embedding)


def detect_size(state: dict[str, Tensor]) -> str:
    """Tell the size of SAM 2, a key of SIZES, from the shapes in Meta's state dict."""
    if _PATCH_EMBED not in state:
        raise CheckpointError(
            f'the file is not a SAM 2 checkpoint of Meta ({_PATCH_EMBED} is missing): take one '
            'of sam2.1_hiera_tiny.pt, _small.pt, _base_plus.pt, _large.pt')
    width = state[_PATCH_EMBED].shape[0]
    blocks = 1 + max(
        (int(match.group(1)) for match in map(
            re.compile(r'image_encoder\.trunk\.blocks\.(\d+)\.').match, state) if match),
        default=-1)
    for name, size in SIZES.items():
        if (size.width, sum(size.blocks)) == (width, blocks):
            return name
    raise CheckpointError(
        f'the image encoder of the file has {width} channels and {blocks} blocks, which is none '
        f"of SAM 2's sizes ({', '.join(SIZES)}): save a model of your own as a folder with "
        'transformers')


def rename_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """
    Give every tensor of Meta's state dict the name that transformers has for it.

    The four point embeddings, each (1, channels), become one of (4, channels), and the matrix
    of the position encoding is given both of its names. Names that are not known stay as they
    are. Raises CheckpointError when two tensors would get one name.
    """
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        name = key
        for pattern, replacement in _RENAMES:
            name = pattern.sub(replacement, name)
        if name in renamed:
            raise CheckpointError(f'two weights of the file are both {name}: the file is damaged')
        renamed[name] = value
    if all(name in renamed for name in _POINT_EMBEDS):
        renamed['prompt_encoder.point_embed.weight'] = torch.cat(
            [renamed.pop(name) for name in _POINT_EMBEDS])
    if _POSITIONS in renamed:
        renamed[_IMAGE_POSITIONS] = renamed[_POSITIONS]
    return renamed


def convert(state: dict[str, Tensor], config: Sam2VideoConfig | None = None) -> Sam2VideoModel:
    """
    Build transformers' model from Meta's state dict; every weight must find its place.

    `config` describes the model; without it the size and the version (2.0 or 2.1) are read
    from the state dict, for images of 1024 x 1024 pixels. Raises CheckpointError that names
    the weights that are missing, left over or of another shape.
    """
    from transformers import Sam2VideoModel

    if config is None:
        config = video_config(
            SIZES[detect_size(state)], pointer_times=_POINTER_TIMES in state,
            occlusion_embedding=_OCCLUSION in state)
    weights = rename_weights(state)
    with torch.device('meta'):
        shapes = {name: value.shape for name, value in
                  Sam2VideoModel(config).state_dict().items()}
    for problem, names in (
            ('are missing', set(shapes) - set(weights)),
            ('are not known', set(weights) - set(shapes)),
            ('have another shape', {name for name in set(weights) & set(shapes)
                                    if weights[name].shape != shapes[name]})):
        if names:
            raise CheckpointError(
                f"weights of the file {problem} ({name_some(names)}): it is not one of Meta's "
                'SAM 2 checkpoints, or another version of them')
    model = Sam2VideoModel(config)
    model.load_state_dict(weights, strict=True)
    return model.float().eval().requires_grad_(False)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """
    Read the tensors of a .pt file of Meta's format, `{'model': {name: tensor}}`.

    Only tensors are read (`weights_only`): a pickle that would run code is refused. Raises
    CheckpointError for that, for a file that is missing or cut short, and for another format.
    """
    check_file(path, weights_limit(), 'give the path of a .pt file of SAM 2')
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f'{path} is cut short, or not a PyTorch file: {_REMEDY}')
    content: Any = load_tensors(path, weights_limit(), _REMEDY)
    state = content.get('model', content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state or not all(
            isinstance(name, str) and isinstance(value, Tensor)
            for name, value in state.items()):
        raise CheckpointError(
            f"{path} is not in the format of Meta's checkpoints, {{'model': weights}}: give such "
            'a file, or a folder saved by transformers')
    for name, value in state.items():
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise CheckpointError(
                f'{path} claims more numbers for {name} than it holds: {_REMEDY}')
    return state


def load_meta(path: Path, config: Sam2VideoConfig | None = None) -> Sam2VideoModel:
    """Load a .pt file of Meta's format; see `read_state_dict` and `convert`."""
    try:
        return convert(read_state_dict(path), config)
    except CheckpointError as error:
        if str(path) in str(error):
            raise
        raise CheckpointError(f'{path}: {error}') from error
