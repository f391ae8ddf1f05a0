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
"""Options that several subcommands share. Imports neither torch nor ROS."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fast_sam2_ros.session import Session


def ratio(text: str) -> float:
    """Parse a keep ratio, over 0 and at most 1."""
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f'{text} is not in (0, 1]')
    return value


def positive(text: str) -> int:
    """Parse a whole number, 1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{text} is not 1 or more')
    return value


def milliseconds(text: str) -> float:
    """Parse a time in ms, 0 or more."""
    value = float(text)
    if not 0 <= value < float('inf'):
        raise argparse.ArgumentTypeError(f'{text} is not 0 ms or more')
    return value


def names(text: str) -> tuple[str, ...]:
    """Parse a list with commas between its parts; blanks around them and empty ones go."""
    return tuple(part.strip() for part in text.split(',') if part.strip())


def numbers(text: str) -> tuple[float, ...]:
    """Parse a list of numbers with commas between them."""
    return tuple(float(part) for part in names(text))


def ratios(text: str) -> tuple[float, ...]:
    """Parse a list of keep ratios with commas between them."""
    return tuple(ratio(part) for part in names(text))


def paths(text: str) -> tuple[Path, ...]:
    """Parse a list of files with commas between them."""
    return tuple(Path(part) for part in names(text))


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --model, --device and --grounder."""
    parser.add_argument(
        '--model', default='auto',
        help='embedded, a hub id, a folder or a .pt file; auto takes facebook/sam2.1-hiera-tiny '
             'where it was fetched, else embedded (default: %(default)s)')
    parser.add_argument('--device', default='auto', help='auto, cpu or cuda (default: auto)')
    parser.add_argument(
        '--grounder', default='auto',
        help='what finds a named target: embedded, or the hub id or folder of a zero-shot '
             'detector (default: %(default)s)')


def add_tracking_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a session needs: the model's options, and how it is to track."""
    add_model_arguments(parser)
    parser.add_argument('--keep-ratio', type=ratio, default=0.5, metavar='R',
                        help='share of the tokens to keep, in (0, 1] (default: %(default)s)')
    parser.add_argument('--router', default='analytic',
                        help='analytic, learned, learned-prior, prior-only, random, or the '
                             '.safetensors file of a trained one (default: %(default)s)')
    parser.add_argument('--target-latency-ms', type=milliseconds, default=0.0, metavar='MS',
                        help='what a step may usually take: fewer tokens than --keep-ratio are '
                             'kept where it takes longer; 0 keeps --keep-ratio always (default: '
                             '%(default)g)')
    parser.add_argument('--min-keep-ratio', type=ratio, default=0.2, metavar='R',
                        help='share of the tokens that --target-latency-ms keeps at least '
                             '(default: %(default)s)')
    parser.add_argument('--max-targets', type=positive, default=8, metavar='N',
                        help='targets that are followed at once, with ; between them in the '
                             'text; what is named beyond is refused (default: %(default)s)')
    parser.add_argument('--compile', choices=('auto', 'on', 'off'), default='auto',
                        help='compile the model before the first frame, which takes long; auto '
                             'does so on a GPU (default: %(default)s)')
    parser.add_argument('--dtype', choices=('auto', 'float32', 'bfloat16'), default='auto',
                        help='what the model computes in; auto is bfloat16 where the GPU or the '
                             'CPU has matrix units for it (default: %(default)s)')
    parser.add_argument('--roi', type=float, default=0.0, metavar='R',
                        help='encode only a window around the target, of this share of the '
                             "frame's sides or, for larger targets, half-way to all of it; in "
                             '(0, 1], 0 for whole frames (default: %(default)g)')
    parser.add_argument('--roi-refresh', type=positive, default=10, metavar='N',
                        help='then encode the whole frame every N frames (default: %(default)s)')


def open_session_from(arguments: argparse.Namespace, describer: str = 'none') -> Session:
    """Open the session that these options ask for; `describer` is that of `open_session`."""
    from fast_sam2_ros.session import open_session

    return open_session(
        model=arguments.model, device=arguments.device, grounder=arguments.grounder,
        keep_ratio=arguments.keep_ratio, router=arguments.router, describer=describer,
        target_latency_ms=arguments.target_latency_ms, min_keep_ratio=arguments.min_keep_ratio,
        max_targets=arguments.max_targets, compile=arguments.compile, dtype=arguments.dtype,
        roi=arguments.roi, roi_refresh=arguments.roi_refresh)
