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
`fast-sam2 train embedded`: train the embedded model on rendered clips.

One process renders clips and runs the frozen backbone, one trains. The stages and the learning
rate follow the clock, so that `--minutes` is what the training takes; a checkpoint is written
every few minutes and `--resume` goes on from it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
import json
import math
from pathlib import Path
import time

from fast_sam2_ros.errors import InputError
from fast_sam2_ros.sam2.efficientnet_lite import EfficientNetLite0, normalise
from fast_sam2_ros.sam2.embedded import build_embedded, load_trained, save_trained, trained_state
from fast_sam2_ros.training.clip_model import clip_loss, ClipModel
from fast_sam2_ros.training.clips import (
    Clip, ClipRenderer, Cutout, load_photos, load_stamps, load_yolo_photos, Photo, PHOTOS_HELD_OUT,
    split, STAMPS_HELD_OUT)
from fast_sam2_ros.trust import load_tensors, weights_limit
import numpy as np
from safetensors.torch import load_file
import torch
from torch import nn, Tensor
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm
from transformers import Sam2VideoModel

PROMPTS = (('mask', 0.35), ('box', 0.25), ('point', 0.1), ('words', 0.3))
STORIES = 0.5  # of the clips: the target is out of view for a while
PEAK_RATE = 5e-4
LAST_RATE = 1e-5
WARM_UP_STEPS = 100
VALIDATION_CLIPS, VALIDATION_FRAMES = 12, 10
VALIDATION_STORIES = 10  # clips for the object score
AVERAGING = 0.998  # of the weights that are shipped, per step


@dataclass(frozen=True)
class Stage:
    """What is trained on until a share of the time is spent."""

    until: float
    image_size: int
    frames: int
    clips: int


# From scratch, and from weights that have learned to follow already (--init).
FIRST_STAGES = (Stage(0.66, 256, 3, 6), Stage(0.82, 256, 6, 4), Stage(1.0, 384, 4, 3))
LATER_STAGES = (Stage(0.4, 256, 5, 4), Stage(0.65, 256, 8, 3), Stage(1.0, 384, 5, 3))


class ClipFeatures(IterableDataset):
    """Endless batches of (backbone maps by frame, masks (T, B, S, S), clip of target (B,))."""

    def __init__(
        self, photos: list[Photo], stamps: list[Cutout], stage: Stage, seed: int
    ) -> None:
        """Take the material and the size of a batch."""
        self.photos, self.stamps, self.stage, self.seed = photos, stamps, stage, seed

    def __iter__(self) -> Iterator[tuple[list[list[Tensor]], Tensor, Tensor]]:
        """Render and encode, for ever."""
        torch.set_num_threads(1)
        stage, rng = self.stage, np.random.default_rng(self.seed)
        renderer = ClipRenderer.of(self.photos, self.stamps, rng, size=stage.image_size)
        network = EfficientNetLite0.pretrained()
        while True:
            clips = [
                renderer.clip(
                    stage.frames, gap=int(rng.choice([0, 0, 0, 5, 15])), stories=STORIES)
                for _ in range(stage.clips)
            ]
            yield encode(network, clips)


@torch.no_grad()
def encode(
    network: EfficientNetLite0, clips: list[Clip]
) -> tuple[list[list[Tensor]], Tensor, Tensor]:
    """Run the backbone on clips of equal length; see `ClipFeatures` for what is returned."""
    maps = []
    for t in range(len(clips[0].frames)):
        levels = [network(_pixels(clip.frames[t])) for clip in clips]
        maps.append([torch.cat(level).permute(0, 2, 3, 1).half() for level in zip(*levels)])
    masks = torch.from_numpy(np.concatenate([clip.masks for clip in clips], 1))
    targets = [index for index, clip in enumerate(clips) for _ in range(clip.masks.shape[1])]
    return maps, masks, torch.tensor(targets)


def _pixels(frame: np.ndarray) -> Tensor:
    pixels = normalise(torch.from_numpy(frame).permute(2, 0, 1)[None])
    return pixels.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def initialise(model: Sam2VideoModel, photos: list[Photo], rng: np.random.Generator) -> None:
    """
    Start the memory as a matcher of appearance, so that training does not have to discover it.

    The neck whitens the backbone's features (principal components of a few photographs). The
    memory keeps 48 of these components and 16 channels of the mask, and the first queries and keys
    of the cross-attention are the same projection of them: before any training a token attends to
    the places in memory that look like it.
    """
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            if module.weight.requires_grad:
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
    network = model.vision_encoder.backbone.network
    size = model.image_size
    renderer = ClipRenderer(photos, [], rng, size=size)
    levels = zip(*(network(_pixels(renderer.clip(1).frames[0])) for _ in range(48)))
    hidden = model.hidden_dim
    half = hidden // 2
    for conv, level, rows in zip(
        reversed(model.vision_encoder.neck.convs), levels,
        (slice(0, hidden), slice(0, hidden), slice(0, half), slice(half, hidden)),
    ):
        _whiten(conv, torch.cat(level), rows)

    memory, kept = model.memory_encoder, 48
    nn.init.zeros_(memory.feature_projection.weight)
    memory.feature_projection.weight[:half, :half, 0, 0] = torch.eye(half)
    nn.init.zeros_(memory.mask_downsampler.final_conv.weight[:half])
    nn.init.zeros_(memory.projection.weight)
    # two thirds of the components from stride 16, the rest from stride 32
    fine, coarse = torch.arange(32), half + torch.arange(16)
    for row, column in enumerate(torch.cat([fine, coarse])):
        memory.feature_projection.weight[row % half, :, 0, 0] = 0
        memory.feature_projection.weight[row, column, 0, 0] = 1
        memory.projection.weight[row, row, 0, 0] = 1
    mask_rows = torch.arange(kept, model.mem_dim)
    mixture = torch.randn(len(mask_rows), half) / half**0.5
    memory.projection.weight[mask_rows, half:, 0, 0] = mixture
    for block in memory.memory_fuser.layers:
        nn.init.constant_(block.scale, 0.05)

    components = torch.zeros(kept, hidden)
    components[torch.arange(kept), torch.cat([fine, coarse])] = 1
    spread = nn.init.orthogonal_(torch.empty(hidden, kept))
    for layer in model.memory_attention.layers:
        attention = layer.cross_attn_image
        attention.q_proj.weight.copy_(3.0 * spread @ components)
        attention.k_proj.weight.zero_()
        attention.k_proj.weight[:, :kept] = spread
        attention.o_proj.weight.mul_(0.5)
        layer.self_attn.o_proj.weight.mul_(0.2)
        layer.linear2.weight.mul_(0.2)
    for table in (
        model.memory_temporal_positional_encoding, model.no_memory_embedding,
        model.occlusion_spatial_embedding_parameter, model.no_object_pointer,
    ):
        nn.init.normal_(table, std=0.02)
    # one code for places, for prompts and for the image: checkpoints of SAM 2 hold it twice
    model.prompt_encoder.shared_embedding.positional_embedding.copy_(
        model.shared_image_embedding.positional_embedding)
    nn.init.constant_(model.mask_decoder.pred_obj_score_head.proj_out.bias, 2.0)
    # a mask prompt passes this convolution once, on its way to the first object pointer
    nn.init.constant_(model.mask_downsample.weight, 20.0 / 16)
    nn.init.constant_(model.mask_downsample.bias, -10.0)


def _whiten(conv: nn.Conv2d, features: Tensor, rows: slice) -> None:
    """Make `rows` of a 1 x 1 convolution the whitened principal components of (B, C, h, w)."""
    flat = features.permute(1, 0, 2, 3).flatten(1).double()
    mean = flat.mean(1, keepdim=True)
    values, vectors = torch.linalg.eigh((flat - mean) @ (flat - mean).T / flat.shape[1])
    count = rows.stop - rows.start
    values, vectors = values.flip(0)[:count], vectors.flip(1)[:, :count].T
    # weak components are noise: do not lift them to full strength
    weight = vectors / (values + 0.03 * values[0]).sqrt()[:, None]
    if len(weight) < count:  # fewer channels than rows: mix them
        weight = nn.init.orthogonal_(torch.empty(count, len(weight))).double() @ weight
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
    conv.weight[rows, :, 0, 0] = weight.float()
    conv.bias[rows] = -(weight @ mean)[:, 0].float()


class Trainer:
    """The state of a training run: model, averaged weights, optimiser, clock."""

    def __init__(
        self, photos: list[Photo], backgrounds: list[Photo], stamps: list[Cutout],
        args: argparse.Namespace,
    ) -> None:
        """Split the material and start anew, from given weights, or from a checkpoint."""
        self.args = args
        self.photos, held_out = split(photos, PHOTOS_HELD_OUT)
        self.held_out = [photo for photo in held_out if photo.masks]
        self.photos += backgrounds
        self.stamps, self.stamps_held_out = split(stamps, STAMPS_HELD_OUT)
        self.stages = LATER_STAGES if args.init else FIRST_STAGES
        self.generator = torch.Generator().manual_seed(args.seed)
        self.step, self.seconds = 0, 0.0
        self.model = self._trainable(build_embedded(self.stages[0].image_size))
        self.optimizer = self._optimizer()
        if args.resume and args.checkpoint.exists():
            state = load_tensors(
                args.checkpoint, weights_limit(), 'start anew, without --resume')
            load_trained(self.model, state['model'])
            self.optimizer.load_state_dict(state['optimizer'])
            self.average, self.step = state['average'], state['step']
            self.seconds = state['seconds']
            return
        if args.init:
            load_trained(self.model, load_file(args.init))
        else:
            initialise(self.model, self.photos, np.random.default_rng(args.seed))
        self.average = {k: v.clone() for k, v in trained_state(self.model).items()}

    @staticmethod
    def _trainable(model: Sam2VideoModel) -> Sam2VideoModel:
        model.requires_grad_(True)
        model.vision_encoder.backbone.requires_grad_(False)
        return model

    def _optimizer(self) -> torch.optim.Optimizer:
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        return torch.optim.AdamW(
            [{'params': [p for p in parameters if p.ndim > 1], 'weight_decay': 0.01},
             {'params': [p for p in parameters if p.ndim <= 1], 'weight_decay': 0.0}],
            betas=(0.9, 0.99),
        )

    @property
    def progress(self) -> float:
        """Return the share of the time that is spent."""
        return self.seconds / (60 * self.args.minutes)

    def run(self) -> None:
        """Train through the stages, with a validation after each checkpoint."""
        for stage in self.stages:
            if self.progress < stage.until:
                self._enter(stage)
                self._train(stage)
        self._checkpoint()

    def _enter(self, stage: Stage) -> None:
        """Move the weights and the optimiser's state to a model of the stage's image size."""
        if self.model.image_size != stage.image_size:
            model = self._trainable(build_embedded(stage.image_size))
            load_trained(model, trained_state(self.model))
            self.model, state = model, self.optimizer.state_dict()
            self.optimizer = self._optimizer()
            self.optimizer.load_state_dict(state)

    def _train(self, stage: Stage) -> None:
        clip_model = ClipModel(self.model)
        loader = DataLoader(
            ClipFeatures(self.photos, self.stamps, stage, self.args.seed + self.step),
            batch_size=None, num_workers=1, prefetch_factor=4,
        )
        saved = self.seconds
        figures: dict[str, float] = {}
        bar = tqdm(loader, desc=f'{stage.frames} frames of {stage.image_size} px', mininterval=30)
        begin = time.monotonic()
        for maps, masks, targets in bar:
            if self.progress >= stage.until:
                break
            latest = self._update(clip_model, maps, masks.float(), targets)
            figures = {k: 0.97 * figures.get(k, v) + 0.03 * v for k, v in latest.items()}
            bar.set_postfix({k: f'{v:.3f}' for k, v in figures.items()}, refresh=False)
            now = time.monotonic()
            self.seconds, begin = self.seconds + now - begin, now
            if self.seconds - saved > 60 * self.args.checkpoint_minutes:
                self._checkpoint(figures)
                saved, begin = self.seconds, time.monotonic()

    def _update(self, clip_model, maps, masks, targets) -> dict[str, float]:
        pick = torch.rand((), generator=self.generator).item()
        prompt = next(name for name, share in _cumulative(PROMPTS) if pick <= share)
        maps = [[level.float() for level in levels] for levels in maps]
        outputs = clip_model(maps, masks, targets, prompt, self.generator)
        loss, figures = clip_loss(outputs, masks)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        rate = LAST_RATE + (PEAK_RATE - LAST_RATE) * (1 + math.cos(math.pi * self.progress)) / 2
        for group in self.optimizer.param_groups:
            group['lr'] = rate * min(1, (self.step + 1) / WARM_UP_STEPS)
        self.optimizer.step()
        self.step += 1
        keep = min(AVERAGING, self.step / (self.step + 10))
        with torch.no_grad():
            for name, value in trained_state(self.model).items():
                self.average[name].lerp_(value, 1 - keep)
        return {'loss': loss.item(), **figures}

    def _checkpoint(self, figures: dict[str, float] | None = None) -> None:
        """Write the checkpoint, the shipped weights, and a line of the curve."""
        args = self.args
        args.out.mkdir(parents=True, exist_ok=True)
        state = {
            'model': trained_state(self.model), 'average': self.average,
            'optimizer': self.optimizer.state_dict(), 'step': self.step, 'seconds': self.seconds,
        }
        temporary = args.checkpoint.with_suffix('.partial')
        torch.save(state, temporary)
        temporary.replace(args.checkpoint)
        averaged = build_embedded(self.model.image_size)
        load_trained(averaged, self.average)
        save_trained(averaged, args.out / 'embedded.safetensors')
        line = {'minutes': round(self.seconds / 60, 1), 'step': self.step,
                'image_size': self.model.image_size, **(figures or {}),
                **self._validate(averaged)}
        line = {k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}
        with (args.out / 'embedded_curve.jsonl').open('a') as curve:
            curve.write(json.dumps(line) + '\n')
        tqdm.write(json.dumps(line))

    @torch.no_grad()
    def _validate(self, model: Sam2VideoModel) -> dict[str, float]:
        """Return the mean J on held-out photographs by prompt, and of repeating the first mask."""
        renderer = ClipRenderer.of(
            self.held_out, [], np.random.default_rng(7), size=model.image_size)
        network, clip_model = model.vision_encoder.backbone.network, ClipModel(model)
        totals = dict.fromkeys(
            ('val_J_mask', 'val_J_box', 'val_J_words', 'val_J_prompt', 'val_J_first_mask'), 0.0)
        for _ in range(VALIDATION_CLIPS):
            maps, masks, targets = encode(network, [renderer.clip(VALIDATION_FRAMES)])
            maps, masks = [[m.float() for m in level] for level in maps], masks.float()
            for prompt in ('mask', 'box', 'words'):
                outputs = clip_model(
                    maps, masks, targets, prompt, torch.Generator().manual_seed(1))
                figures = clip_loss(outputs, masks)[1]
                totals[f'val_J_{prompt}'] += figures['J']
            totals['val_J_prompt'] += figures['J_prompt']  # by words
            still, shown = masks[:1] > 0, masks[1:].flatten(2).sum(2) >= 16
            union = ((masks[1:] > 0) | still).sum((2, 3)).clamp(min=1)
            repeat = ((masks[1:] > 0) & still).sum((2, 3)) / union
            totals['val_J_first_mask'] += ((repeat * shown).sum() / shown.sum()).item()
        figures = {name: total / VALIDATION_CLIPS for name, total in totals.items()}
        return {**figures, **self._validate_presence(network, clip_model)}

    def _validate_presence(
        self, network: EfficientNetLite0, clip_model: ClipModel
    ) -> dict[str, float]:
        """Return how often the object score is right, with the target in view and without."""
        size = clip_model.model.image_size
        renderer = ClipRenderer.of(
            self.held_out, self.stamps_held_out, np.random.default_rng(8), size=size)
        rates: dict[str, list[float]] = {'seen': [], 'absence_seen': []}
        for _ in range(VALIDATION_STORIES):
            clip = renderer.clip(VALIDATION_FRAMES, stories=1.0)
            maps, masks, targets = encode(network, [clip])
            maps, masks = [[m.float() for m in level] for level in maps], masks.float()
            outputs = clip_model(maps, masks, targets, 'mask', torch.Generator().manual_seed(1))
            figures = clip_loss(outputs, masks)[1]
            for name in rates.keys() & figures.keys():
                rates[name].append(figures[name])
        return {f'val_{name}': float(np.mean(values)) for name, values in rates.items()}


def _cumulative(shares):
    total = 0.0
    for name, share in shares:
        total += share
        yield name, total + 1e-6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `fast-sam2 train embedded`."""
    parser.add_argument(
        '--data', type=Path, required=True,
        help='photographs with outlines, in the layout of YOLO segments (images/, labels/)')
    parser.add_argument('--backgrounds', type=Path, help='more photographs, without outlines')
    parser.add_argument(
        '--stamps', type=Path, help='cut-outs: PNG with transparency, named by their files')
    parser.add_argument(
        '--init', type=Path, metavar='SAFETENSORS',
        help='go on from these weights, with new stages')
    parser.add_argument('--out', type=Path, default=Path('out/train'), metavar='DIR',
                        help='where checkpoints and the log go (default: %(default)s)')
    parser.add_argument('--minutes', type=float, default=90.0,
                        help='how long to train (default: %(default)g)')
    parser.add_argument('--checkpoint-minutes', type=float, default=5.0,
                        help='time between two checkpoints (default: %(default)g)')
    parser.add_argument('--resume', action='store_true', help='go on from the checkpoint in --out')
    parser.add_argument('--seed', type=int, default=0, help='of the clips and the weights')


def main(args: argparse.Namespace) -> int:
    """Train; the weights to ship and their curve are left in `--out`."""
    if args.minutes <= 0:
        raise InputError('--minutes must be above 0')
    args.checkpoint = args.out / 'embedded.checkpoint'
    photos = load_yolo_photos(args.data)
    backgrounds = load_photos(args.backgrounds) if args.backgrounds else []
    stamps = load_stamps(args.stamps) if args.stamps else []
    torch.manual_seed(args.seed)
    Trainer(photos, backgrounds, stamps, args).run()
    return 0


if __name__ == '__main__':
    argument_parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(argument_parser)
    raise SystemExit(main(argument_parser.parse_args()))
