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
A typed view of the parts of transformers' `Sam2VideoModel`, for the targets of one stream.

The weights stay in the model; here they are called in the order that a stream needs, without the
model's own inference session, which keeps every frame. Every table of positions is computed once,
in float32. Sizes come from the configuration: N = h * w tokens on the grid of stride 16, C hidden
channels, M memory channels (64), S pixels a side of the square input. B is a number of targets.

The order of operations follows `Sam2VideoModel.forward` (transformers, models/sam2_video), and
test/test_tracker_exactness.py holds the two together.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from functools import lru_cache

from fast_sam2_ros.errors import CheckpointError, InputError, ParameterError
from fast_sam2_ros.sam2.hiera import run_hiera
from fast_sam2_ros.sam2.loaded import Preprocess
from fast_sam2_ros.sam2.memory_encoder import run_memory_encoder
from fast_sam2_ros.sam2.stages import Stages
import numpy as np
import torch
from torch import nn, Tensor
from torch.nn import functional
from transformers import Sam2VideoModel
from transformers.models.sam2.modeling_sam2 import Sam2HieraDetModel, Sam2VisionModel

ABSENT_LOGIT = -1024.0  # NO_OBJ_SCORE of transformers: every pixel of a target that is not seen
MASK_PROMPT_SCALE, MASK_PROMPT_BIAS = 20.0, -10.0  # a mask prompt as logits: -10 and +10
NOT_A_POINT = -1
BOX_CORNERS = (2, 3)  # labels of a box's top left and bottom right corner


@dataclass(frozen=True)
class Encoded:
    """
    What the image encoder says about a frame.

    `feature_map` is (1, C, h, w) at stride 16, `high_res` the two finer maps, already projected
    for the mask decoder: (1, C / 8, 4h, 4w) and (1, C / 4, 2h, 2w).
    """

    feature_map: Tensor
    high_res: tuple[Tensor, Tensor]

    @property
    def tokens(self) -> Tensor:
        """Return the feature map as (N, C) tokens, row by row."""
        return self.feature_map.flatten(2)[0].T


@dataclass(frozen=True)
class PromptEmbedding:
    """A prompt for the mask decoder: `sparse` (1, 1, P, C) tokens and `dense` (1, C, h, w)."""

    sparse: Tensor
    dense: Tensor


@dataclass(frozen=True)
class Decoded:
    """
    What the mask decoder says about a target on a frame, all on the model's device.

    `logits` (4h, 4w) and `full_logits` (S, S) are the mask; both are `ABSENT_LOGIT` everywhere
    while the target is not seen. `score` () is the logit of the target being in view, `iou` () the
    predicted overlap with the truth, `pointer` (C,) the object pointer.
    """

    logits: Tensor
    full_logits: Tensor
    score: Tensor
    iou: Tensor
    pointer: Tensor


@dataclass(frozen=True)
class RotaryTable:
    """
    The axial rotary position embedding: for every token, angles for the pairs of channels.

    `angles` (tokens, D / 2, 2), or (B, tokens, D / 2, 2) for B targets, float32: cosine and sine.
    """

    angles: Tensor

    @property
    def cos(self) -> Tensor:
        """Return the cosines, (..., tokens, D / 2)."""
        return self.angles[..., 0]

    @property
    def sin(self) -> Tensor:
        """Return the sines, (..., tokens, D / 2)."""
        return self.angles[..., 1]

    def at(self, index: Tensor) -> RotaryTable:
        """Return the rows of the tokens at `index`, integers of shape (K,) or (B, K)."""
        rows = functional.embedding(index, self.angles.flatten(1))
        return RotaryTable(rows.unflatten(-1, self.angles.shape[1:]))

    def turn(self, x: Tensor) -> Tensor:
        """
        Turn the pairs (0, 1), (2, 3), ... of the last axis of x by the angles of its tokens.

        x is (B, T, D) or (B, heads, T, D), and may be overwritten. The table may have fewer rows
        than T: the tokens behind them stay as they are.
        """
        angles = self.angles if x.dim() == 3 else self.angles.unsqueeze(-4)
        count = angles.shape[-3]
        pairs = x[..., :count, :].unflatten(-1, (-1, 2))
        if x.dtype == torch.float32 and not torch.compiler.is_compiling():
            # As complex numbers, in place: one pass over memory instead of six.
            torch.view_as_complex(pairs).mul_(torch.view_as_complex(angles))
            return x
        cos, sin = angles.unbind(-1)
        first, second = pairs.float().unbind(-1)
        turned = torch.stack([first * cos - second * sin, second * cos + first * sin], dim=-1)
        turned = turned.flatten(-2).type_as(x)
        if count == x.shape[-2]:
            return turned
        return torch.cat([turned, x[..., count:, :]], dim=-2)


@dataclass(frozen=True)
class Window:
    """
    A rectangle on the token grid: `rows` x `columns` tokens from `top` and `left` on.

    All four are even, so that a window is made of whole cells of the image encoder's coarsest map.
    """

    top: int
    left: int
    rows: int
    columns: int

    def __post_init__(self) -> None:
        """Check that it is even."""
        if any(value % 2 for value in (self.top, self.left, self.rows, self.columns)):
            raise ParameterError(f'a window must start and end at even tokens, not {self}')

    def of(self, grid_map: Tensor, scale: int = 1) -> Tensor:
        """Return what of an (..., h * scale, w * scale) map lies inside the window, a view."""
        rows = slice(self.top * scale, (self.top + self.rows) * scale)
        columns = slice(self.left * scale, (self.left + self.columns) * scale)
        return grid_map[..., rows, columns]


class Sam2Parts:
    """The parts of a `Sam2VideoModel` and its tables; holds no state of a stream."""

    def __init__(self, model: Sam2VideoModel, dtype: str = 'float32') -> None:
        """
        Read the sizes from `model.config` and compute the tables on the model's device.

        `dtype` is that of `Stages`. Raises CheckpointError where the configuration contradicts
        itself, and ParameterError for another dtype.
        """
        config = model.config
        self._model = model
        self._check(model)
        self.device: torch.device = model.device
        self.stages = Stages(self.device, dtype)
        self.image_size: int = config.image_size
        self.grid: tuple[int, int] = tuple(config.vision_config.backbone_feature_sizes[-1])
        self.whole: Sam2Parts = self
        self.hidden_size: int = config.vision_config.fpn_hidden_size
        self.memory_size: int = config.memory_encoder_output_channels
        self.recent_frames: int = config.num_maskmem - 1
        self.max_pointers: int = config.max_object_pointers_in_encoder
        with torch.no_grad():
            self._backbone_position = self._make_backbone_position()
            self._projections = self._make_projections()
            self.token_position = self._sine_position(
                model.vision_encoder.neck.position_encoding, self.hidden_size)
            self.memory_position = self._sine_position(
                model.memory_encoder.position_encoding, self.memory_size)
            self._image_position = model.get_image_wide_positional_embeddings()
            self.rotary = self._make_rotary_table()
            self.no_prompt = self.embed_points(
                torch.zeros(1, 2), torch.tensor([NOT_A_POINT]))
        self.places = torch.arange(self.token_count, device=self.device)

    @property
    def token_count(self) -> int:
        """Return the number N of tokens on the grid."""
        return self.grid[0] * self.grid[1]

    def cut(self, window: Window) -> Sam2Parts:
        """
        Return these parts for frames of which only a window is encoded.

        Everything about the frame is then as large as the window, with the positions that its
        tokens have on the whole grid; `places` (N,) says which these are. The memory's positions
        stay those of the whole grid. A view on the same weights; `whole` leads back.
        """
        part = copy(self)
        part.grid = (window.rows, window.columns)
        part.places = window.of(self.places.view(self.grid)).flatten()
        part.token_position = self.token_position.index_select(0, part.places)
        part.rotary = self.rotary.at(part.places)
        part._image_position = window.of(self._image_position)
        part.no_prompt = replace(self.no_prompt, dense=window.of(self.no_prompt.dense))
        if self._backbone_position is not None:
            position = self._backbone_position.movedim(-1, 1)
            part._backbone_position = window.of(position, 4).movedim(1, -1)
        return part

    @property
    def memory_attention(self) -> nn.Module:
        """Return the layers that attend to the memory; `pruning.attention` runs them."""
        return self._model.memory_attention

    @property
    def temporal_position(self) -> Tensor:
        """
        Return the (num_maskmem, M) encodings of a memory's age.

        Row `age - 1` belongs to a recent frame, the last row to the conditioning frame.
        """
        return self._model.memory_temporal_positional_encoding[:, 0, 0]

    def encode(self, pixels: Tensor) -> Encoded:
        """Run the image encoder on (1, 3, 16h, 16w) normalised pixels."""
        fine, middle, coarse = self.stages(self._encode, pixels, self._backbone_position)
        return Encoded(coarse, (fine, middle))

    def _encode(self, pixels: Tensor, position: Tensor | None) -> tuple[Tensor, ...]:
        return tuple(level.float() for level in self._neck(self._backbone(pixels, position)))

    def embed_points(self, points: Tensor, labels: Tensor) -> PromptEmbedding:
        """
        Embed (P, 2) points, x and y in pixels of the square input, with their (P,) labels.

        A label is 1 inside the target, 0 outside, or one of `BOX_CORNERS`.
        """
        sparse, dense = self._model.prompt_encoder(
            input_points=points[None, None].to(self.device, torch.float32),
            input_labels=labels[None, None].to(self.device),
            input_boxes=None,
            input_masks=None,
        )
        return PromptEmbedding(sparse, dense)

    def without_memory(self, encoded: Encoded) -> Tensor:
        """Return the (1, C, h, w) features of a frame that looks at no memory."""
        return encoded.feature_map + self._model.no_memory_embedding.view(1, -1, 1, 1)

    def decode(
        self,
        feature_maps: Tensor,
        encoded: Encoded,
        prompt: PromptEmbedding,
        point_count: int,
        prompted: bool,
    ) -> list[Decoded]:
        """
        Decode a mask each from (B, C, h, w) features that have seen a memory, or need none.

        `point_count` (0 while tracking) and `prompted` (a new target's first frame) decide, as in
        `Sam2VideoModel._use_multimask`, whether the best of several masks is taken.
        """
        config = self._model.config
        several = (
            config.multimask_output_in_sam
            and (prompted or config.multimask_output_for_tracking)
            and config.multimask_min_pt_num <= point_count <= config.multimask_max_pt_num
        )
        answers = self.stages(
            self._decode, feature_maps, *encoded.high_res, prompt.sparse, prompt.dense,
            self._image_position, several)
        return [Decoded(*answer) for answer in zip(*(field.unbind() for field in answers))]

    def adopt_mask(self, encoded: Encoded, mask: Tensor) -> Decoded:
        """
        Take a (S, S) mask of zeros and ones, not empty, as the frame's answer.

        Only the object pointer comes from the mask decoder, as in
        `Sam2VideoModel._use_mask_as_output`.
        """
        model = self._model
        mask = mask[None, None].to(self.device, torch.float32)
        full_logits = mask * MASK_PROMPT_SCALE + MASK_PROMPT_BIAS
        logits = functional.interpolate(
            full_logits, size=model.prompt_encoder.mask_input_size, mode='bilinear',
            align_corners=False, antialias=True)
        dense = model.prompt_encoder.mask_embed(model.mask_downsample(mask))
        *_, pointers = self.stages(
            self._decode, encoded.feature_map, *encoded.high_res, self.no_prompt.sparse, dense,
            self._image_position, True)
        return Decoded(
            logits=logits[0, 0],
            full_logits=full_logits[0, 0],
            score=logits.new_tensor(MASK_PROMPT_SCALE + MASK_PROMPT_BIAS),
            iou=logits.new_tensor(1.0),
            pointer=pointers[0],
        )

    def encode_memory(
        self, encoded: Encoded, decoded: list[Decoded], prompted: bool, keep: Tensor | None = None
    ) -> Tensor:
        """
        Encode a frame and the masks of B targets into (B, K, M) memory tokens in bfloat16.

        `keep` (B, K) are the tokens that are wanted, None for all. The mask of a prompted frame is
        made binary first. bfloat16 is what SAM 2 rounds its memory to.
        """
        logits = _stacked([each.full_logits for each in decoded])
        scores = _stacked([each.score for each in decoded])
        encode = self._encode_prompt_memory if prompted else self._encode_memory
        return self.stages(encode, encoded.feature_map, logits, scores, keep)

    def _encode_memory(
        self, feature_map: Tensor, logits: Tensor, scores: Tensor, keep: Tensor | None
    ) -> Tensor:
        return self._encode_mask(feature_map, logits.sigmoid(), scores, keep)

    def _encode_prompt_memory(
        self, feature_map: Tensor, logits: Tensor, scores: Tensor, keep: Tensor | None
    ) -> Tensor:
        return self._encode_mask(feature_map, (logits > 0).float(), scores, keep)

    def _encode_mask(
        self, feature_map: Tensor, masks: Tensor, scores: Tensor, keep: Tensor | None
    ) -> Tensor:
        model, config = self._model, self._model.config
        masks = masks * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
        memory = run_memory_encoder(model.memory_encoder, feature_map, masks[:, None], keep)
        if model.occlusion_spatial_embedding_parameter is not None:
            absent = (scores <= 0).to(memory.dtype)[:, None, None]
            memory = memory + absent * model.occlusion_spatial_embedding_parameter
        return memory.to(torch.bfloat16)

    def pointer_position(self, ages: Tensor) -> Tensor:
        """
        Return the (..., M) position encodings of object pointers of `ages` (...) in frames.

        Sine encoding (Vaswani et al. 2017) of age / (pointers - 1), then a learned projection.
        """
        model = self._model
        if not model.config.enable_temporal_pos_encoding_for_object_pointers:
            return torch.zeros(*ages.shape, self.memory_size, device=self.device)
        half = self.hidden_size // 2
        channel = torch.arange(half, dtype=torch.float32, device=self.device)
        period = 10000.0 ** (2 * torch.div(channel, 2, rounding_mode='floor') / half)
        angle = (ages.float() / (self.max_pointers - 1))[..., None] / period
        return model.temporal_positional_encoding_projection_layer(
            torch.cat([angle.sin(), angle.cos()], dim=-1))

    def _decode(
        self,
        feature_maps: Tensor,
        fine: Tensor,
        middle: Tensor,
        sparse: Tensor,
        dense: Tensor,
        image_position: Tensor,
        several: bool,
    ) -> tuple[Tensor, ...]:
        """Return the fields of `Decoded` for B targets, each with a leading axis of B."""
        model = self._model
        targets = len(feature_maps)
        masks, ious, tokens, scores = model.mask_decoder(
            image_embeddings=feature_maps,
            image_positional_embeddings=image_position,
            sparse_prompt_embeddings=sparse.expand(targets, -1, -1, -1),
            dense_prompt_embeddings=dense,
            multimask_output=several,
            high_resolution_features=[fine, middle],
        )
        masks, ious, tokens, scores = masks[:, 0], ious[:, 0], tokens[:, 0], scores[:, 0, 0]
        row = torch.arange(targets, device=masks.device)
        best = ious.argmax(dim=1)
        present = scores > 0
        logits = torch.where(present[:, None, None], masks[row, best], ABSENT_LOGIT).float()
        height, width = self.grid
        full_logits = functional.interpolate(
            logits[:, None], size=(16 * height, 16 * width), mode='bilinear',
            align_corners=False)[:, 0]
        pointers = torch.where(
            present[:, None], model.object_pointer_proj(tokens[row, best]),
            model.no_object_pointer)
        return logits, full_logits, scores.float(), ious[row, best].float(), pointers.float()

    def _backbone(self, pixels: Tensor, position: Tensor | None) -> tuple[Tensor, ...]:
        """Return the backbone's maps, (1, h, w, C) each, from fine to coarse."""
        backbone = self._model.vision_encoder.backbone
        if position is None:
            return tuple(backbone(pixels).intermediate_hidden_states)
        return run_hiera(backbone, pixels, position)

    def _neck(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """
        Run the feature pyramid, without position encodings, and the decoder's first projections.

        Returns fine (1, C / 8, 4h, 4w), middle (1, C / 4, 2h, 2w) and coarse (1, C, h, w).
        """
        neck, decoder = self._model.vision_encoder.neck, self._model.mask_decoder
        levels: list[Tensor] = []
        for level in range(len(maps) - 1, -1, -1):
            if level in self._projections:
                out = functional.linear(maps[level], *self._projections[level])
                levels.insert(0, out.permute(0, 3, 1, 2))
                continue
            out = neck.convs[len(maps) - 1 - level](maps[level].permute(0, 3, 1, 2))
            if levels and level in neck.fpn_top_down_levels:
                out = out + functional.interpolate(levels[0], scale_factor=2.0, mode='nearest')
            levels.insert(0, out)
        fine, middle, coarse = levels[:self._model.vision_encoder.num_feature_levels]
        if not self._projections:
            fine, middle = decoder.conv_s0(fine), decoder.conv_s1(middle)
        return fine, middle, coarse

    def _make_projections(self) -> dict[int, tuple[Tensor, Tensor]]:
        """
        Merge the pyramid's and the decoder's 1 x 1 convolutions of the two finer levels.

        Nothing lies between them where the pyramid adds nothing from above, as in every published
        checkpoint, so two matrices are one: 4 GFLOP and a map of 64 MB less at 1024 pixels.
        Returns weight and bias by level; empty where the pyramid adds to these levels.
        """
        neck, decoder = self._model.vision_encoder.neck, self._model.mask_decoder
        pairs = {0: (neck.convs[-1], decoder.conv_s0), 1: (neck.convs[-2], decoder.conv_s1)}
        sizes = {conv.kernel_size for pair in pairs.values() for conv in pair}
        if set(pairs) & set(neck.fpn_top_down_levels) or sizes != {(1, 1)}:
            return {}
        merged = {}
        for level, (lateral, projection) in pairs.items():
            outer = projection.weight[:, :, 0, 0]
            merged[level] = (
                outer @ lateral.weight[:, :, 0, 0], outer @ lateral.bias + projection.bias)
        return merged

    def _make_backbone_position(self) -> Tensor | None:
        backbone = self._model.vision_encoder.backbone
        if not isinstance(backbone, Sam2HieraDetModel):
            return None
        height, width = self._model.config.vision_config.backbone_feature_sizes[0]
        return backbone._get_pos_embed((height, width))

    def _sine_position(self, encoding: nn.Module, channels: int) -> Tensor:
        shape = torch.Size((1, channels, *self.grid))
        return encoding(shape, self.device, torch.float32).flatten(2)[0].T.contiguous()

    def _make_rotary_table(self) -> RotaryTable:
        """
        Tabulate the axial rotary embedding (Heo et al. 2024) in float32.

        The first half of the channel pairs turns with x, the second with y; the frequencies are
        theta ** (-i / pairs) for i = 0, 1, ... of the `pairs` of one axis.
        """
        config = self._model.config
        head_size = config.memory_attention_hidden_size // (
            config.memory_attention_downsample_rate * config.memory_attention_num_attention_heads)
        spatial = head_size // 2
        exponent = torch.arange(0, spatial, 2, dtype=torch.float32) / spatial
        frequency = 1.0 / (config.rope_parameters['rope_theta'] ** exponent)
        y, x = torch.meshgrid(
            torch.arange(self.grid[0]), torch.arange(self.grid[1]), indexing='ij')
        angle = torch.cat(
            [x.flatten()[:, None] * frequency, y.flatten()[:, None] * frequency], dim=1)
        return RotaryTable(torch.stack([angle.cos(), angle.sin()], dim=2).to(self.device))

    @staticmethod
    def _check(model: Sam2VideoModel) -> None:
        config = model.config
        grid = list(config.vision_config.backbone_feature_sizes[-1])
        if not isinstance(model.vision_encoder, Sam2VisionModel):
            raise CheckpointError(
                f'the image encoder is a {type(model.vision_encoder).__name__}: '
                'only Sam2VisionModel with its feature pyramid is supported')
        if config.vision_config.num_feature_levels != 3:
            raise CheckpointError('the feature pyramid must hand on 3 levels (strides 4, 8, 16)')
        if list(config.memory_attention_rope_feat_sizes) != grid:
            raise CheckpointError(
                f'memory_attention_rope_feat_sizes {config.memory_attention_rope_feat_sizes} '
                f'is not the size of the token grid, {grid}')
        if any(config.image_size != 16 * side for side in grid):
            raise CheckpointError(
                f'an image of {config.image_size} pixels does not give {grid} tokens at stride 16')


def _stacked(tensors: list[Tensor]) -> Tensor:
    """Stack tensors along a new first axis, without a copy where there is one."""
    return tensors[0][None] if len(tensors) == 1 else torch.stack(tensors)


def to_pixels(frame: np.ndarray, preprocess: Preprocess, device: torch.device) -> Tensor:
    """
    Turn an (H, W, 3) uint8 RGB frame into the (1, 3, S, S) float32 input of the encoder.

    Bilinear with antialiasing to a square, the aspect is not kept; on the device, to which the
    frame goes as bytes, from pinned memory. Raises InputError for anything but such a frame.
    """
    check_frame(frame)
    image = torch.from_numpy(np.ascontiguousarray(frame))
    if device.type == 'cuda':
        image = image.pin_memory().to(device, non_blocking=True)
    pixels = functional.interpolate(
        image.permute(2, 0, 1)[None].float(), size=(preprocess.image_size,) * 2,
        mode='bilinear', align_corners=False, antialias=True)
    mean, deviation = _statistics(preprocess, device)
    return pixels.div_(255).sub_(mean).div_(deviation)


def to_colours(pixels: Tensor, preprocess: Preprocess, grid: tuple[int, int]) -> Tensor:
    """Return the mean colour of every token's cell, (N, 3) RGB in 0..255, from `to_pixels`."""
    mean, deviation = _statistics(preprocess, pixels.device)
    cells = functional.adaptive_avg_pool2d(pixels, grid) * deviation + mean
    return 255 * cells.flatten(2)[0].T


@lru_cache
def _statistics(preprocess: Preprocess, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return mean and deviation on a device, where they are uploaded once, (1, 3, 1, 1) each."""
    return tuple(torch.tensor(values, device=device).view(1, 3, 1, 1)
                 for values in (preprocess.mean, preprocess.std))


def check_frame(frame: np.ndarray) -> None:
    """Raise InputError unless `frame` is an (H, W, 3) uint8 array with pixels in it."""
    if not isinstance(frame, np.ndarray):
        raise InputError(f'a frame must be a NumPy array, not {type(frame).__name__}')
    if frame.dtype != np.uint8:
        raise InputError(f'a frame must be uint8 RGB in 0..255, not {frame.dtype}')
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.size == 0:
        raise InputError(f'a frame must be (height, width, 3), not {frame.shape}')
