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
"""The command `fast-sam2 info`: what a model is, and whether the tracker is true to it."""

from __future__ import annotations

import argparse
from dataclasses import asdict
import json
import platform
from typing import Any

from fast_sam2_ros.evaluation import parity
from fast_sam2_ros.evaluation.environment import package_version
from fast_sam2_ros.sam2.checkpoint import AUTO, find_in_cache, load_model, LoadedModel
from fast_sam2_ros.sam2.meta import SIZES
from fast_sam2_ros.tracker import Tracker
import torch

KEEP_RATIOS = (1.0, 0.5, 0.3, 0.1)
HUB_IDS = tuple(f'facebook/sam2.1-hiera-{size}' for size in SIZES)


def describe_model(loaded: LoadedModel) -> dict[str, Any]:
    """
    Describe a loaded model in plain numbers and words.

    `parameters` counts the weights, in all and by part; `grid` is the token grid's height and
    width, `tokens` their product; `bank_bytes` is the size of the memory bank for each keep
    ratio; `cached` says where the checkpoints of SAM 2.1 are on this machine, or None.
    """
    trackers = {ratio: Tracker(loaded, keep_ratio=ratio) for ratio in KEEP_RATIOS}
    height, width = trackers[1.0].grid
    parts = {name: sum(weights.numel() for weights in part.parameters())
             for name, part in loaded.model.named_children()}
    total = sum(weights.numel() for weights in loaded.model.parameters())
    return {
        'name': loaded.name,
        'source': loaded.source,
        'fallback': loaded.fallback,
        'device': str(loaded.model.device),
        'parameters': {'total': total, **{
            name: parts[name] for name in (
                'vision_encoder', 'memory_attention', 'memory_encoder', 'prompt_encoder',
                'mask_decoder')}},
        'preprocess': asdict(loaded.preprocess),
        'grid': [height, width],
        'tokens': height * width,
        'bank_bytes': {str(ratio): tracker.bank_bytes for ratio, tracker in trackers.items()},
        'cached': {hub_id: str(folder) if (folder := find_in_cache(hub_id)) else None
                   for hub_id in HUB_IDS},
        'versions': _versions(),
    }


def as_text(description: dict[str, Any]) -> str:
    """Write the result of `describe_model` for people."""
    parameters = dict(description['parameters'])
    total = parameters.pop('total')
    size = description['preprocess']['image_size']
    height, width = description['grid']
    lines = [
        f"model       {description['name']} ({description['source']})",
        f"device      {description['device']}",
        f'parameters  {total / 1e6:.1f} million: ' + ', '.join(
            f"{name.replace('_', ' ')} {count / 1e6:.2f}" for name, count in parameters.items()),
        f"input       {size} x {size} pixels, {height} x {width} = {description['tokens']} tokens",
        'memory bank ' + ', '.join(
            f'{count / 1e6:.2f} MB at keep ratio {ratio}'
            for ratio, count in description['bank_bytes'].items()),
        'versions    ' + ', '.join(
            f'{name} {version}' for name, version in description['versions'].items()),
    ]
    if description['fallback']:
        lines.insert(1, f"note        {description['fallback']}")
    for hub_id, folder in description['cached'].items():
        where = folder or f'not on this machine: fast-sam2 fetch {hub_id}'
        lines.append(f"{'checkpoint':<11} {hub_id}: {where}")
    return '\n'.join(lines)


def _versions() -> dict[str, str]:
    return {'python': platform.python_version(), 'torch': torch.__version__,
            **{name: package_version(name)
               for name in ('transformers', 'huggingface_hub', 'sam2')}}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `fast-sam2 info` takes."""
    parser.add_argument(
        '--model', default=AUTO, metavar='NAME',
        help='auto (default), embedded, a hub id, a folder, a .pt file, or random:tiny')
    parser.add_argument('--device', default='cpu', help='auto, cpu (default), cuda or cuda:0')
    parser.add_argument('--json', action='store_true', help='print JSON')
    parser.add_argument(
        '--check-parity', action='store_true',
        help='compare the tracker with the reference implementations instead')
    parity.add_arguments(parser)
    parser.epilog = (
        'examples:\n'
        '  fast-sam2 info                              the model that a tracker would take\n'
        '  fast-sam2 info --model random:large --json\n'
        '  fast-sam2 info --check-parity --sizes tiny,small,base-plus,large\n'
        '  fast-sam2 info --check-parity --image-size 256 --prompts box,point,mask\n')


def main(args: argparse.Namespace) -> int:
    """Run `fast-sam2 info`; 0 unless a parity check was asked for and failed."""
    if args.check_parity:
        return parity.main(args)
    description = describe_model(load_model(args.model, args.device))
    print(json.dumps(description, indent=2) if args.json else as_text(description))
    return 0
