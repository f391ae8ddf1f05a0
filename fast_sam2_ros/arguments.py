# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Options that several subcommands share. Imports neither torch nor ROS."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fast_sam2_ros.session import Session


def ratio(text: str) -> float:
    """Parse a keep ratio, over 0 and at most 1."""
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f'{text} is not in (0, 1]')
    return value


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
    """Add what a session needs: the model's options, --keep-ratio and --router."""
    add_model_arguments(parser)
    parser.add_argument('--keep-ratio', type=ratio, default=0.5, metavar='R',
                        help='share of the tokens to keep, in (0, 1] (default: %(default)s)')
    parser.add_argument('--router', default='analytic',
                        help='analytic, learned, learned-prior, prior-only, random, or the '
                             '.safetensors file of a trained one (default: %(default)s)')


def open_session_from(arguments: argparse.Namespace, describer: str = 'none') -> Session:
    """Open the session that these options ask for; `describer` is that of `open_session`."""
    from fast_sam2_ros.session import open_session

    return open_session(
        model=arguments.model, device=arguments.device, grounder=arguments.grounder,
        keep_ratio=arguments.keep_ratio, router=arguments.router, describer=describer)
