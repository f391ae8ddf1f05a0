# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`fast-sam2 track`: follow one or several targets through a file, without ROS."""

from __future__ import annotations

import argparse
from dataclasses import asdict
import json
from pathlib import Path
import time
from typing import TYPE_CHECKING

from fast_sam2_ros.arguments import add_tracking_arguments, open_session_from
from fast_sam2_ros.errors import InputError

if TYPE_CHECKING:
    from fast_sam2_ros.media import Media
    from fast_sam2_ros.session import Session
    from fast_sam2_ros.prompt import Prompt

EXAMPLES = """examples:
  fast-sam2 track dog.mp4 --text "dog" --out out/dog
  fast-sam2 track street.mp4 --text "bus; red car" --target-latency-ms 100
  fast-sam2 track frames/ --fps 24 --box 120,80,310,260 --out out/box
  fast-sam2 track clip.mp4 --mask first.png --model facebook/sam2.1-hiera-tiny --out out/mask
"""


def box(text: str) -> tuple[float, float, float, float]:
    """Parse a box, x0,y0,x1,y1 in pixels."""
    parts = text.split(',')
    if len(parts) != 4:
        raise argparse.ArgumentTypeError(f'{text} is not x0,y0,x1,y1')
    return tuple(float(part) for part in parts)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `fast-sam2 track`."""
    parser.epilog = EXAMPLES
    parser.add_argument('input', type=Path, help='a video file, a folder of images or an image')
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument('--text', help='the target in words; several with ; between them')
    target.add_argument('--box', type=box, metavar='X0,Y0,X1,Y1',
                        help='the target on the first frame, in pixels')
    target.add_argument('--mask', type=Path, metavar='PNG',
                        help='the target on the first frame, not black, as large as the frame')
    parser.add_argument('--out', type=Path, default=Path('out'), metavar='DIR',
                        help='where masks/, overlay.mp4 and track.json go (default: out); the '
                             'masks are 255 on the target, or for several the id of each')
    parser.add_argument('--fps', type=float, default=30.0,
                        help='of a folder of images (default: %(default)s)')
    parser.add_argument('--tokens', action='store_true',
                        help='dim the tokens that were not kept in the overlay')
    parser.add_argument('--json', action='store_true', help='print the summary as JSON')
    parser.add_argument('--describer', default='embedded',
                        help='puts the target of --box or --mask in words, by which it is '
                             'searched for once it is lost: embedded, none, or the hub id or '
                             'folder of CLIP, SigLIP, BLIP, GIT or Florence-2 '
                             '(default: %(default)s)')
    add_tracking_arguments(parser)


def main(arguments: argparse.Namespace) -> int:
    """Run `fast-sam2 track`; return 0 also where the target was not found."""
    from fast_sam2_ros.media import open_media

    if not arguments.fps > 0:
        raise InputError(f'--fps is {arguments.fps:g}; it must be above 0')
    media = open_media(arguments.input, arguments.fps)
    named = arguments.text is not None
    session = open_session_from(arguments, 'none' if named else arguments.describer)
    if named:
        session.set_text(arguments.text)
    else:
        session.set_prompt(_prompt(arguments))
    track(session, media, arguments)
    return 0


def _prompt(arguments: argparse.Namespace) -> Prompt:
    from fast_sam2_ros.media import read_mask
    from fast_sam2_ros.prompt import Prompt

    if arguments.box is not None:
        return Prompt(box=arguments.box)
    return Prompt(mask=read_mask(arguments.mask))


def track(session: Session, media: Media, arguments: argparse.Namespace) -> None:
    """Process every frame; write the masks, the overlay and track.json to `arguments.out`."""
    from tqdm import tqdm

    from fast_sam2_ros.media import VideoWriter, write_labels, write_mask
    from fast_sam2_ros.overlay import caption, draw
    from fast_sam2_ros.recording import record, summarise, write_track

    masks = arguments.out / 'masks'
    masks.mkdir(parents=True, exist_ok=True)
    records, spent = [], 0.0
    with VideoWriter(arguments.out / 'overlay.mp4', media.fps) as writer:
        for frame in tqdm(media, total=media.count, unit='frame', desc='track', leave=False,
                          disable=None):
            began = time.perf_counter()
            report = session.process(frame.image, frame.stamp)
            labels = report.labels()
            spent += time.perf_counter() - began
            records.append(record(frame.index, frame.stamp, report))
            write = write_labels if len(report.targets) > 1 else write_mask
            write(masks / f'{frame.name}.png', labels)
            kept = report.kept if arguments.tokens else None
            writer.write(draw(frame.image, labels, caption(report), kept), frame.stamp)
    summary = summarise(records, len(records) / spent, session.loaded.name,
                        str(session.loaded.model.device), arguments.keep_ratio)
    write_track(arguments.out / 'track.json', records, summary)
    tracked = sum(entry.state == 'tracking' for entry in records)
    if arguments.json:
        print(json.dumps(asdict(summary) | {'tracked': tracked, 'missing': media.missing}))
        return
    if media.missing:
        print(f'{arguments.input} is cut short: {media.missing} of {media.count} frames could not '
              'be read')
    for target in report.targets:
        seen = sum(each.id == target.id and each.state == 'tracking'
                   for entry in records for each in entry.targets)
        if not seen:
            print(f'not found: {target.message}')
        elif len(report.targets) > 1:
            print(f'{target.text}: {seen} of {len(records)} frames')
    print(f'{tracked} of {len(records)} frames tracked at {summary.fps:.1f} frames/s '
          f'({summary.model}, keep ratio {summary.keep_ratio:g}); see {arguments.out}')
