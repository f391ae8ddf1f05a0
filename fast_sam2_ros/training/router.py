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
`fast-sam2 train router`: train the learned router of a checkpoint, with and without the last mask.

The segmentation model and the text encoder are frozen. A sample is a frame, the words for a target
in it, the masks of the two frames before, and the tokens that the target covers now; the loss is
the cross-entropy of the last. Both variants learn from the same samples: rendered clips, or videos
in the layout of DAVIS with a table of expressions.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
import itertools
import json
from pathlib import Path
import time

import cv2
from fast_sam2_ros.errors import InputError
from fast_sam2_ros.evaluation.davis import load_davis, read_expressions, Sequence
from fast_sam2_ros.grounding.text import load_text_encoder, TextEncoder
from fast_sam2_ros.pruning.budget import tokens_to_keep
from fast_sam2_ros.pruning.cues import Cues, FrameCues, MaskHistory
from fast_sam2_ros.pruning.learned import RouterNetwork, RouterSettings
from fast_sam2_ros.pruning.routers import best_tokens
from fast_sam2_ros.sam2.checkpoint import load_model, resolve_device
from fast_sam2_ros.sam2.loaded import LoadedModel
from fast_sam2_ros.sam2.parts import Decoded, Sam2Parts, to_pixels
from fast_sam2_ros.training.clips import (
    ClipRenderer, load_photos, load_stamps, load_yolo_photos, PHOTOS_HELD_OUT, split,
    STAMPS_HELD_OUT)
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

FILES = {False: 'router.safetensors', True: 'router_prior.safetensors'}  # by `with_prior`
CLIP_FRAMES = 3
STORIES = 0.3  # of the clips: the target is out of view for a while
WORDLESS = 0.15  # of the samples: the target has no words
ROUND, EPOCHS, BATCH = 384, 6, 32  # samples are used that often before new ones are made
RATE, DECAY = 2e-3, 1e-2
VALIDATION_SAMPLES = 160
KEEP_RATIOS = (0.5, 0.3, 0.1)
LEAST_TOKENS = 2  # that a target covers, for the frame to be a sample
CERTAIN = 10.0  # the logit of a true mask


@dataclass(frozen=True, eq=False)
class Example:
    """A frame (H, W, 3) uint8 RGB, the target's (H, W) mask, two masks before, and its words."""

    frame: np.ndarray
    mask: np.ndarray
    before: tuple[np.ndarray, np.ndarray]
    text: str


@dataclass(frozen=True, eq=False)
class Sample:
    """
    An example as the router sees it.

    features: (C, h, w) float16.  variance, prior, covered: (h, w) in [0, 1].  text: (T,) the
    embedding, or None.
    """

    features: Tensor
    variance: Tensor
    prior: Tensor
    covered: Tensor
    text: Tensor | None


def rendered_examples(renderer: ClipRenderer) -> Iterator[Example]:
    """Yield the last frame of rendered clips, once for each target, for ever."""
    while True:
        clip = renderer.clip(CLIP_FRAMES, max_targets=3, stories=STORIES)
        last = clip.frames[-1]
        for n, name in enumerate(clip.names):
            yield Example(last, clip.masks[-1, n],
                          (clip.masks[-3, n], clip.masks[-2, n]), name)


def video_examples(
    sequences: list[Sequence], expressions: dict[str, str], rng: np.random.Generator
) -> Iterator[Example]:
    """Yield random frames of videos with masks, for ever."""
    while True:
        sequence = sequences[rng.integers(len(sequences))]
        index = int(rng.integers(2, len(sequence.frames)))
        (frame,) = itertools.islice(sequence.images(), index, index + 1)
        yield Example(frame, sequence.truth(index),
                      (sequence.truth(index - 2), sequence.truth(index - 1)),
                      expressions.get(sequence.name, ''))


class Sampler:
    """Turns examples into samples with the frozen model and the frozen text encoder."""

    def __init__(
        self, loaded: LoadedModel, encoder: TextEncoder, rng: np.random.Generator
    ) -> None:
        """Take what is frozen, and the generator of the disturbances."""
        self.parts, self.preprocess = Sam2Parts(loaded.model), loaded.preprocess
        self.encoder, self.rng = encoder, rng
        self._texts: dict[str, Tensor | None] = {}
        self._seen: tuple[np.ndarray, Tensor] | None = None  # the last frame and its features

    @torch.no_grad()
    def __call__(self, example: Example) -> Sample | None:
        """Return the sample of an example; None where the target covers too little to count."""
        parts = self.parts
        covered = MaskHistory.begin(self._decoded(example.mask, True), parts.grid).seed
        if covered.sum() < LEAST_TOKENS:
            return None
        feature_map = self._encode(example.frame)
        history = MaskHistory.begin(self._drifted(example.before[0]), parts.grid)
        history = history.then(self._drifted(example.before[1]))
        cues = Cues(FrameCues(feature_map), feature_map.new_zeros(parts.grid), history)
        text = None if self.rng.random() < WORDLESS else self._embed(example.text)
        return Sample(feature_map[0].half(), cues.variance, cues.prior, covered, text)

    def _encode(self, frame: np.ndarray) -> Tensor:
        """Return the features of a frame, (1, C, h, w), once for all the targets in it."""
        if self._seen is None or self._seen[0] is not frame:
            pixels = to_pixels(frame, self.preprocess, self.parts.device)
            self._seen = frame, self.parts.encode(pixels).feature_map
        return self._seen[1]

    def _embed(self, text: str) -> Tensor | None:
        if text not in self._texts:
            embedding = self.encoder.encode(text) if text else None
            # a copy, since autograd takes nothing that was made for inference only
            self._texts[text] = None if embedding is None else embedding.clone()
        return self._texts[text]

    def _drifted(self, mask: np.ndarray) -> Decoded:
        """Return a mask as a tracker would have given it: a bit off, sometimes not at all."""
        rng = self.rng
        kernel = np.ones((int(rng.integers(1, 1 + max(3, min(mask.shape) // 32))),) * 2)
        change = cv2.dilate if rng.random() < 0.5 else cv2.erode
        shift = rng.normal(0, 0.01, 2) * min(mask.shape)
        moved = cv2.warpAffine(
            change(mask.astype(np.uint8), kernel), np.array([[1, 0, shift[0]], [0, 1, shift[1]]]),
            mask.shape[::-1])
        return self._decoded(moved > 0, bool(moved.any()) and rng.random() > 0.05)

    def _decoded(self, mask: np.ndarray, seen: bool) -> Decoded:
        """Return a mask the way the mask decoder gives one."""
        side = [4 * length for length in self.parts.grid]
        share = torch.from_numpy(mask.astype(np.float32)).to(self.parts.device)
        logits = functional.interpolate(share[None, None], side, mode='area')[0, 0]
        score = logits.new_tensor(CERTAIN if seen else -CERTAIN)
        logits = torch.where(logits > 0.5, CERTAIN, -CERTAIN)
        return Decoded(logits, logits, score, score, score)


class Training:
    """Both variants of a router, trained side by side."""

    def __init__(self, loaded: LoadedModel, encoder: TextEncoder, seed: int) -> None:
        """Start with random weights."""
        torch.manual_seed(seed)
        device = loaded.model.device
        self.networks = {
            with_prior: RouterNetwork(RouterSettings(
                loaded.name, loaded.model.config.vision_config.fpn_hidden_size, encoder.name,
                encoder.size, with_prior)).to(device)
            for with_prior in (False, True)}
        self._rng = np.random.default_rng(seed)
        parameters = [p for network in self.networks.values() for p in network.parameters()]
        self._optimizer = torch.optim.AdamW(parameters, RATE, weight_decay=DECAY)

    def learn(self, samples: list[Sample], progress: float) -> dict[str, float]:
        """Go over samples a few times; `progress` in [0, 1] lowers the rate. Return the losses."""
        for group in self._optimizer.param_groups:
            group['lr'] = RATE * (1 + np.cos(np.pi * min(progress, 1))) / 2 + 1e-5
        losses: dict[str, list[float]] = {}
        for _ in range(EPOCHS):
            order = self._rng.permutation(len(samples))
            for start in range(0, len(order) - BATCH + 1, BATCH):
                batch = [samples[index] for index in order[start:start + BATCH]]
                covered = torch.stack([sample.covered for sample in batch])
                total = torch.zeros(())
                for with_prior, network in self.networks.items():
                    loss = cross_entropy(logits_of(network, batch), covered)
                    total = total + loss
                    losses.setdefault(FILES[with_prior], []).append(loss.item())
                self._optimizer.zero_grad()
                total.backward()
                self._optimizer.step()
        return {name: float(np.mean(values)) for name, values in losses.items()}


def logits_of(network: RouterNetwork, samples: list[Sample], words: bool = True) -> Tensor:
    """Return the logits (B, h, w) of samples, with their texts or as if they had none."""
    goals = [network.project(sample.text if words else None) for sample in samples]
    prior = None
    if network.settings.with_prior:
        prior = torch.stack([sample.prior for sample in samples])
    return network(
        torch.stack([sample.features for sample in samples]).float(), torch.stack(goals),
        torch.stack([sample.variance for sample in samples]), prior)


def cross_entropy(logits: Tensor, covered: Tensor) -> Tensor:
    """Return the mean over samples (B, h, w); covered and other tokens weigh the same in each."""
    loss = functional.binary_cross_entropy_with_logits(logits, covered, reduction='none')
    share = covered.mean((1, 2), keepdim=True)
    weight = covered / share.clamp(min=1e-6) + (1 - covered) / (1 - share).clamp(min=1e-6)
    return 0.5 * (loss * weight).mean()


def kept_share(scores: Tensor, covered: Tensor, ratio: float) -> float:
    """Return the share of the covered tokens, of (h, w), that the best tokens hold."""
    best = best_tokens(scores, tokens_to_keep(ratio, scores.numel()))
    return (covered.flatten()[best].sum() / covered.sum()).item()


@torch.inference_mode()
def validate(
    networks: dict[bool, RouterNetwork], samples: list[Sample]
) -> list[dict[str, str | float]]:
    """Return, for each way to score tokens, the mean share of the target's tokens it keeps."""
    named = [sample for sample in samples if sample.text is not None]
    generator = torch.Generator().manual_seed(0)
    ways = {
        'learned': [logits_of(networks[False], [sample])[0] for sample in named],
        'learned, without words': [
            logits_of(networks[False], [sample], words=False)[0] for sample in named],
        'learned-prior': [logits_of(networks[True], [sample])[0] for sample in named],
        'learned-prior, without words': [
            logits_of(networks[True], [sample], words=False)[0] for sample in named],
        'prior-only': [sample.prior for sample in named],
        'random': [torch.rand(sample.prior.shape, generator=generator) for sample in named],
    }
    return [
        {'router': name, **{
            str(ratio): float(np.mean([
                kept_share(score, sample.covered, ratio)
                for score, sample in zip(scores, named)]))
            for ratio in KEEP_RATIOS}}
        for name, scores in ways.items()]


def take(examples: Iterator[Example], sampler: Sampler, count: int) -> list[Sample]:
    """Return `count` samples."""
    samples: list[Sample] = []
    while len(samples) < count:
        sample = sampler(next(examples))
        if sample is not None:
            samples.append(sample)
    return samples


def open_examples(args: argparse.Namespace, size: int) -> tuple[Iterator[Example], ...]:
    """Return the examples to train on and those held out; raise InputError without material."""
    rngs = [np.random.default_rng(seed) for seed in (args.seed, args.seed + 1)]
    if args.videos:
        expressions = read_expressions(args.expressions or args.videos / 'expressions.csv')
        parts = split(load_davis(args.videos), PHOTOS_HELD_OUT)
        if not all(parts):
            raise InputError(f'{args.videos} holds one sequence; two are needed, one to validate')
        return tuple(video_examples(part, expressions, rng) for part, rng in zip(parts, rngs))
    photos = split(load_yolo_photos(args.data), PHOTOS_HELD_OUT)
    stamps = split(load_stamps(args.stamps), STAMPS_HELD_OUT) if args.stamps else ([], [])
    backgrounds = load_photos(args.backgrounds) if args.backgrounds else []
    return tuple(
        rendered_examples(ClipRenderer.of(some + more, cutouts, rng, size=size))
        for some, more, cutouts, rng in zip(photos, (backgrounds, []), stamps, rngs))


def card(
    settings: RouterSettings, networks: dict[bool, RouterNetwork],
    rows: list[dict[str, str | float]], samples: int, minutes: float,
) -> str:
    """Return the model card, in Markdown."""
    sizes = ' and '.join(
        f'{sum(p.numel() for p in network.parameters()):,}' for network in networks.values())
    table = '\n'.join(
        f'| {row["router"]} | ' + ' | '.join(f'{row[str(r)]:.3f}' for r in KEEP_RATIOS) + ' |'
        for row in rows)
    return f"""# Learned routers: `{FILES[False]}`, `{FILES[True]}`

The network of arXiv 2512.21333, section on routing, as `pruning/learned.py` builds it: local
visual context, comparison with the text embedding, local variance; the second file with the last
mask as one more input. For the tokens of `{settings.model}` ({settings.channels} channels) and
the text encoder `{settings.text_encoder}` ({settings.text_size} numbers); {sizes} parameters,
float16.

Made by `fast-sam2 train router` in {minutes:.0f} minutes from {samples:,} samples; loss: the
cross-entropy of whether the target covers a token, with covered and other tokens weighing the
same. Frozen: the segmentation model and the text encoder.

## Sources and licences
As the training command was given them: for the files in this package those of
[embedded.md](embedded.md), without the photographs and cut-outs held out there.

## Held-out figures
Rendered from photographs and cut-outs that training never saw: the mean share of the target's
tokens among the best K, {len(KEEP_RATIOS)} keep ratios, {VALIDATION_SAMPLES} samples, those with
words.

| scores by | {' | '.join(str(r) for r in KEEP_RATIOS)} |
|---|{'---|' * len(KEEP_RATIOS)}
{table}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `fast-sam2 train router`."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        '--data', type=Path,
        help='photographs with outlines, in the layout of YOLO segments (images/, labels/)')
    source.add_argument(
        '--videos', type=Path, help='videos with masks, in the layout of DAVIS (480p)')
    parser.add_argument('--expressions', type=Path,
                        help='the words for the videos (default: expressions.csv in --videos)')
    parser.add_argument('--stamps', type=Path, help='with --data: cut-outs, as for train embedded')
    parser.add_argument('--backgrounds', type=Path, help='with --data: photographs to move over')
    parser.add_argument('--model', default='embedded', help='whose tokens (default: %(default)s)')
    parser.add_argument(
        '--text-encoder', default='embedded',
        help='embedded, or the hub id or folder of a CLIP or SigLIP (default: %(default)s)')
    parser.add_argument('--device', default='auto', help='auto, cpu or cuda (default: auto)')
    parser.add_argument('--minutes', type=float, default=12.0,
                        help='how long to train (default: %(default)g)')
    parser.add_argument('--out', type=Path, default=Path('out/train'), metavar='DIR',
                        help='where the routers and their card go (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='of the samples and the weights')


def main(args: argparse.Namespace) -> int:
    """Train; two routers, their card and their curve are left in `--out`."""
    if args.minutes <= 0:
        raise InputError('--minutes must be above 0')
    device = str(resolve_device(args.device))
    loaded = load_model(args.model, device)
    encoder = load_text_encoder(args.text_encoder, device)
    examples, held_out = open_examples(args, loaded.preprocess.image_size)
    sampler = Sampler(loaded, encoder, np.random.default_rng(args.seed))
    validation = take(held_out, sampler, VALIDATION_SAMPLES)
    training = Training(loaded, encoder, args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    begin, count, progress = time.monotonic(), 0, 0.0
    with tqdm(unit='sample', desc='router') as bar:
        while progress < 1:
            samples = take(examples, sampler, ROUND)
            losses = training.learn(samples, progress)
            count += len(samples)
            progress = (time.monotonic() - begin) / (60 * args.minutes)
            bar.update(len(samples))
            bar.set_postfix({k: f'{v:.3f}' for k, v in losses.items()})
    rows = validate(training.networks, validation)
    for with_prior, network in training.networks.items():
        network.save(args.out / FILES[with_prior])
    text = card(training.networks[False].settings, training.networks, rows, count, args.minutes)
    (args.out / 'router.md').write_text(text, encoding='utf-8')
    for row in rows:
        print(json.dumps(row))
    return 0
