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
SAM 2 over a short clip with gradients: the training-time twin of `Tracker`.

The same parts of `Sam2VideoModel` in the same order, batched over the targets of several clips and
differentiable through the memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from fast_sam2_ros.pruning.attention import POSITION_SCALE
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import Sam2VideoModel
from transformers.models.sam2_video.modeling_sam2_video import get_1d_sine_pe

PRUNED_SHARE = 0.5  # of the clips train with tokens left out of memory attention
TRUTH_SHARE = 0.3  # of the boxes and clicks are remembered by the true mask all the same
FIRST_FRAME_WEIGHT = 2.0  # in the loss: no other frame trains prompts
ABSENT_WEIGHT = 3.0  # in the loss of presence: frames without the target are the rarer ones
ACTIVATION_GRID = 48  # cells a side, of the maps that an outline by words comes from


@dataclass
class FrameOutput:
    """Per target: mask logits (B, 4h, 4w), predicted IoU (B,), object score logits (B,)."""

    logits: Tensor
    iou: Tensor
    score: Tensor


@dataclass
class _Features:
    tokens: Tensor  # (B, C, h, w)
    fine: list[Tensor]  # (B, C / 8, 4h, 4w) and (B, C / 4, 2h, 2w)
    position: Tensor  # (h * w, 1, C)


@dataclass
class _Memory:
    features: Tensor  # (h * w, B, 64)
    position: Tensor  # (h * w, 1, 64)
    pointer: Tensor  # (B, C)


class ClipModel:
    """Runs a model over clips whose backbone features are given."""

    def __init__(self, model: Sam2VideoModel) -> None:
        """Take the model to train; its backbone is not used."""
        self.model = model
        self.grid = tuple(model.backbone_feature_sizes[-1])

    def __call__(
        self, maps: list[list[Tensor]], masks: Tensor, clip_of_target: Tensor, prompt: str,
        generator: torch.Generator,
    ) -> list[FrameOutput]:
        """
        Track B targets through T frames.

        `maps`: for each frame the backbone's four maps, (clips, h, w, C). `masks`: (T, B, S, S)
        truth, of which only the first frame is used. `clip_of_target`: (B,) index of each target's
        clip. `prompt`: 'mask', 'box', 'point' or 'words', made from the first mask.
        """
        features = self._features(maps[0], clip_of_target)
        output, pointer, memory_mask = self._prompted(features, masks[0], prompt, generator)
        outputs = [output]
        first = self._remember(features, memory_mask, pointer, torch.ones_like(output.score))
        recent: list[_Memory] = []
        pruned = torch.rand((), generator=generator) < PRUNED_SHARE
        for t in range(1, len(maps)):
            features = self._features(maps[t], clip_of_target)
            attended = self._attend(features, first, recent, t)
            if pruned:
                kept = self._kept(outputs[-1].logits.detach(), generator)
                attended = torch.where(kept, attended, self._unattended(features))
            output, pointer = self._decode(attended, features.fine)
            outputs.append(output)
            logits = self._full_size(output.logits)
            recent.append(self._remember(features, logits.sigmoid(), pointer, output.score))
        return outputs

    def _features(self, maps: list[Tensor], clip_of_target: Tensor) -> _Features:
        model = self.model
        levels, positions = model.vision_encoder.neck(maps)
        tokens, s1, s0 = levels[-3:]
        fine = [model.mask_decoder.conv_s0(s0), model.mask_decoder.conv_s1(s1)]
        return _Features(
            tokens[clip_of_target],
            [level[clip_of_target] for level in fine],
            positions[-3][:1].flatten(2).permute(2, 0, 1),
        )

    def _prompted(self, features, mask, prompt, generator):
        """
        Answer the first frame; return its output, the target's pointer and the mask to remember.

        A mask is taken as it is. A box, a click or what a map of activation tells becomes a rough
        mask, and the model looks at the frame through the memory of just that: it learns to mend
        the mask (see `Tracker`).
        """
        model = self.model
        rough = mask if prompt == 'mask' else _rough_mask(mask, prompt, generator)
        low = model.mask_downsample(rough[:, None])
        output, pointer = self._decode(features.tokens, features.fine, masks=low)
        memory = self._remember(features, rough, pointer, torch.ones_like(output.score))
        attended = self._attend(features, memory, [], 1)
        output, mended_pointer = self._decode(attended, features.fine)
        if prompt == 'mask':
            return output, pointer, mask
        truth = torch.rand(len(mask), 1, 1, generator=generator) < TRUTH_SHARE
        mended = (self._full_size(output.logits) > 0).to(mask.dtype)
        return output, mended_pointer, torch.where(truth, mask, mended)

    def _decode(self, tokens, fine, masks=None):
        model, batch = self.model, len(tokens)
        points = tokens.new_zeros(batch, 1, 1, 2)
        labels = torch.full((batch, 1, 1), -1, dtype=torch.int32)  # no point
        sparse, dense = model.prompt_encoder(points, labels, None, masks)
        logits, iou, token, score = model.mask_decoder(
            image_embeddings=tokens,
            image_positional_embeddings=model.get_image_wide_positional_embeddings().expand(
                batch, -1, -1, -1),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense.expand(batch, -1, -1, -1),
            multimask_output=False,
            high_resolution_features=fine,
        )
        score = score[:, 0, 0]
        appears = (score.detach() > 0).to(tokens.dtype)[:, None]
        pointer = model.object_pointer_proj(token[:, 0, 0])
        pointer = appears * pointer + (1 - appears) * model.no_object_pointer
        return FrameOutput(logits[:, 0, 0], iou[:, 0, 0], score), pointer

    def _kept(self, logits: Tensor, generator: torch.Generator) -> Tensor:
        """Draw tokens near the last mask and some at random: (B, 1, h, w) bool."""
        near = F.adaptive_max_pool2d(logits[:, None], self.grid)
        reach = 2 * int(torch.randint(1, 5, (), generator=generator)) + 1
        near = F.max_pool2d(near, reach, stride=1, padding=reach // 2) > 0
        return near | (torch.rand(near.shape, generator=generator) < 0.2)

    def _unattended(self, features: _Features) -> Tensor:
        """Return what a pruned position keeps (see pruning/attention.py), (B, C, h, w)."""
        position = features.position.transpose(0, 1).transpose(1, 2).unflatten(2, self.grid)
        stream = (features.tokens + POSITION_SCALE * position).permute(0, 2, 3, 1)
        return self.model.memory_attention.layer_norm(stream).permute(0, 3, 1, 2)

    def _full_size(self, logits: Tensor) -> Tensor:
        size = (self.model.image_size,) * 2
        return F.interpolate(logits[:, None], size, mode='bilinear', align_corners=False)[:, 0]

    def _remember(self, features, mask, pointer, score) -> _Memory:
        model, config = self.model, self.model.config
        appears = (score.detach() > 0).to(mask.dtype)[:, None, None]
        mask = mask * appears  # an absent target is remembered by an empty mask
        mask = mask * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
        memory, position = model.memory_encoder(features.tokens, mask[:, None])
        memory = memory + (1 - appears[..., None]) * (
            model.occlusion_spatial_embedding_parameter[..., None, None])
        return _Memory(
            memory.flatten(2).permute(2, 0, 1), position[:1].flatten(2).permute(2, 0, 1), pointer)

    def _attend(self, features, first: _Memory, recent: list[_Memory], time: int) -> Tensor:
        model = self.model
        temporal = model.memory_temporal_positional_encoding[:, 0]  # (num_maskmem, 1, 64)
        memories, positions = [first.features], [first.position + temporal[-1]]
        for age, memory in enumerate(reversed(recent[-(model.num_maskmem - 1):]), 1):
            memories.append(memory.features)
            positions.append(memory.position + temporal[age - 1])
        span = model.config.max_object_pointers_in_encoder - 1
        pointers = [first.pointer] + [memory.pointer for memory in reversed(recent[-span:])]
        ages = torch.tensor([time, *range(1, len(pointers))], dtype=torch.float32) / span
        channels, width = features.tokens.shape[1], model.mem_dim
        ages = model.temporal_positional_encoding_projection_layer(get_1d_sine_pe(ages, channels))
        splits = channels // width
        tokens = torch.stack(pointers).unflatten(2, (splits, width)).transpose(1, 2).flatten(0, 1)
        memories.append(tokens)
        positions.append(ages.repeat_interleave(splits, 0)[:, None])
        batch = features.tokens.shape[0]
        attended = model.memory_attention(
            current_vision_features=features.tokens.flatten(2).permute(2, 0, 1),
            memory=torch.cat(memories),
            current_vision_position_embeddings=features.position,
            memory_posision_embeddings=torch.cat([p.expand(-1, batch, -1) for p in positions]),
            num_object_pointer_tokens=len(tokens),
        )
        return attended[0].transpose(1, 2).unflatten(2, self.grid)


def _rough_mask(mask: Tensor, prompt: str, generator: torch.Generator) -> Tensor:
    """
    Return what a box, a click or an activation map tells of (B, S, S) masks.

    The box is jittered by some per cent of its size and filled whole or by its ellipse; the
    disc's radius is a share of the frame; the activation is blurred and uneven.
    """
    if prompt == 'words':
        outline = _activated(mask, generator)
        empty = outline.amax((1, 2), keepdim=True) < 0.5
        return torch.where(empty, _rough_mask(mask, 'box', generator), outline)
    size = mask.shape[-1]
    steps = torch.arange(size, dtype=torch.float32)
    centres, radii = [], []
    for axis in (1, 2):  # columns, then rows
        hit = mask.amax(axis) > 0.5
        low = torch.where(hit, steps, size).amin(1)
        high = torch.where(hit, steps + 1, 0).amax(1)
        jitter = 0.06 * (high - low)[:, None] * torch.randn(len(mask), 2, generator=generator)
        low, high = low + jitter[:, 0], high + jitter[:, 1]
        centres.append((low + high) / 2)
        radii.append(((high - low) / 2).clamp(min=2))
    if prompt == 'point':
        flat = torch.multinomial(mask.flatten(1) + 1e-8, 1, generator=generator)[:, 0]
        centres = [(flat % size).float(), (flat // size).float()]
        radius = size * (0.03 + 0.07 * torch.rand(len(mask), generator=generator))
        radii = [radius, radius]
    x = (steps[None] - centres[0][:, None]) / radii[0][:, None]
    y = (steps[None] - centres[1][:, None]) / radii[1][:, None]
    box = torch.maximum(x.abs()[:, None], y.abs()[:, :, None]) <= 1
    ellipse = x.square()[:, None] + y.square()[:, :, None] <= 1
    filled = (torch.rand(len(mask), 1, 1, generator=generator) < 0.5) & (prompt == 'box')
    return torch.where(filled, box, ellipse).float()


def _activated(mask: Tensor, generator: torch.Generator) -> Tensor:
    """Blur (B, S, S) masks, make them uneven and cut them at a threshold, like a map of words."""
    grid, size = (ACTIVATION_GRID,) * 2, mask.shape[-2:]
    cells = F.interpolate(mask[:, None], grid, mode='area')
    near = F.avg_pool2d(cells, 3, 1, 1)
    wide = F.avg_pool2d(F.avg_pool2d(cells, 7, 1, 3), 5, 1, 2)
    wide = wide / wide.amax((2, 3), keepdim=True).clamp(min=1e-6)
    uneven = torch.randn(len(mask), 1, 7, 7, generator=generator)
    uneven = F.interpolate(uneven, grid, mode='bicubic', align_corners=False)
    roughness = 0.35 * torch.rand(len(mask), 1, 1, 1, generator=generator)
    threshold = 0.3 + 0.3 * torch.rand(len(mask), 1, 1, 1, generator=generator)
    level = (0.5 * near + 0.5 * wide + roughness * uneven) * (wide > 0.1)
    full = F.interpolate(level - threshold, size, mode='bilinear', align_corners=False)
    return (full[:, 0] > 0).to(mask.dtype)


def clip_loss(outputs: list[FrameOutput], masks: Tensor) -> tuple[Tensor, dict[str, float]]:
    """
    Return the loss of SAM 2 (focal 20, dice 1, IoU 1, presence 1) and its parts, by frame means.

    `masks`: (T, B, S, S) truth in [0, 1]. Frames without the target count for presence only.
    """
    logits = torch.stack([output.logits for output in outputs])
    side = 2 * logits.shape[-1]
    logits = F.interpolate(logits, (side, side), mode='bilinear', align_corners=False)
    truth = F.interpolate(masks, (side, side), mode='area')
    present = (masks.flatten(2).sum(2) >= 16).float()
    shown = present.clone()
    shown[0] *= FIRST_FRAME_WEIGHT
    bce = F.binary_cross_entropy_with_logits(logits, truth, reduction='none')
    probability = logits.sigmoid()
    miss = (probability - truth).abs()
    focal = (0.5 * miss.square() * bce).mean((2, 3))
    overlap = (probability * truth).sum((2, 3))
    dice = 1 - (2 * overlap + 1) / (probability.sum((2, 3)) + truth.sum((2, 3)) + 1)
    with torch.no_grad():
        hard, real = logits > 0, truth > 0.5
        union = (hard | real).sum((2, 3)).clamp(min=1)
        iou = (hard & real).sum((2, 3)) / union
    predicted = torch.stack([output.iou for output in outputs])
    score = torch.stack([output.score for output in outputs])
    count = shown.sum().clamp(min=1)
    parts = {
        'focal': 20 * (focal * shown).sum() / count,
        'dice': (dice * shown).sum() / count,
        'iou': ((predicted - iou).abs() * shown).sum() / count,
        'presence': F.binary_cross_entropy_with_logits(
            score, present, weight=torch.where(present > 0, 1.0, ABSENT_WEIGHT)),
    }
    figures = {name: value.item() for name, value in parts.items()}
    tracked = present[1:]
    figures['J'] = ((iou[1:] * tracked).sum() / tracked.sum().clamp(min=1)).item()
    figures['J_prompt'] = iou[0].mean().item()
    figures['seen'] = (((score > 0) * present).sum() / present.sum().clamp(min=1)).item()
    absent = 1 - present
    if absent.any():
        figures['absence_seen'] = (((score < 0) * absent).sum() / absent.sum()).item()
    return sum(parts.values()), figures
