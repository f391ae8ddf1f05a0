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
"""`fast-sam2 track`: follow one or several targets through a file, without ROS."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from fast_sam2_ros.arguments import add_tracking_arguments, open_session_from
from fast_sam2_ros.errors import InputError

EXAMPLES = """examples:
  fast-sam2 track dog.mp4 --text "dog" --out out/dog
  fast-sam2 track street.mp4 --text "bus; red car" --target-latency-ms 100
  fast-sam2 track frames/ --fps 24 --box 120,80,310,260 --out out/box
  fast-sam2 track clip.mp4 --mask first.png --model facebook/sam2.1-hiera-tiny --out out/mask
  fast-sam2 track run1/ --topic /camera/image_raw --text "cup" --out out    a bag; out/bag
  fast-sam2 track videos/ --text "dog" --out out     each in videos/ that is not done; out/NAME
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
    parser.add_argument('input', type=Path,
                        help='a video file, a folder of images, an image or a bag (rosbag2 as '
                             'mcap or SQLite, or ROS 1); or a folder of several videos, bags or '
                             'folders of images: those that are not done yet are tracked')
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument('--text', help='the target in words; several with ; between them')
    target.add_argument('--box', type=box, metavar='X0,Y0,X1,Y1',
                        help='the target on the first frame, in pixels')
    target.add_argument('--mask', type=Path, metavar='PNG',
                        help='the target on the first frame, not black, as large as the frame')
    parser.add_argument('--out', type=Path, default=Path('out'), metavar='DIR',
                        help='where masks/, overlay.mp4 and track.json go, and for a bag bag/ '
                             'with masks and statuses (default: out); for a folder of videos, a '
                             'folder for each; the masks are 255 on the target, or for several '
                             'the id of each')
    parser.add_argument('--fps', type=float, default=30.0,
                        help='of a folder of images (default: %(default)s)')
    parser.add_argument('--topic', help='of a bag: the images; needed where it has several such '
                                        'topics')
    parser.add_argument('--bag-format', choices=('mcap', 'sqlite3'),
                        help='of the bag that is written (default: that of the bag that is read, '
                             'mcap for ROS 1)')
    parser.add_argument('--tokens', action='store_true',
                        help='draw the kept tokens as a faint grid in the overlay')
    parser.add_argument('--json', action='store_true', help='print the summary as JSON')
    parser.add_argument('--describer', default='embedded',
                        help='puts the target of --box or --mask in words, by which it is '
                             'searched for once it is lost: embedded, none, or the hub id or '
                             'folder of CLIP, SigLIP, BLIP, GIT or Florence-2 '
                             '(default: %(default)s)')
    add_tracking_arguments(parser)


def main(arguments: argparse.Namespace) -> int:
    """Run `fast-sam2 track`; return 0 also where the target was not found."""
    from fast_sam2_ros.offline import batch, resume, track
    from fast_sam2_ros.offline.bags import is_bag

    if not arguments.fps > 0:
        raise InputError(f'--fps is {arguments.fps:g}; it must be above 0')
    if arguments.text is not None and not arguments.text.replace(';', ' ').split():
        raise InputError('--text has no words: name what to look for')
    videos = batch.videos_in(arguments.input)
    media = None if videos else track.open_input(arguments.input, arguments)
    session = open_session_from(
        arguments, 'none' if arguments.text is not None else arguments.describer)
    if videos:
        track.aim(session, arguments)  # what is wrong with the targets is said once
        return batch.track_all(session, videos, arguments)
    try:
        tracked = track.track(session, media, arguments.out, arguments)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f'{arguments.out} is not complete: no {resume.TRACK}'
                                + (', no bag' if is_bag(arguments.input) else '')) from None
    print(json.dumps(tracked.as_json()) if arguments.json else '\n'.join(tracked.lines()))
    return 0
