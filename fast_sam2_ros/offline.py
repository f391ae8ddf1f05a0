# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`fast-sam2 track`: follow one or several targets through a file, without ROS."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from dataclasses import asdict, dataclass
import json
from pathlib import Path
import time
from typing import Any, TYPE_CHECKING

from fast_sam2_ros import resume
from fast_sam2_ros.arguments import add_tracking_arguments, open_session_from
from fast_sam2_ros.errors import InputError

if TYPE_CHECKING:
    from fast_sam2_ros.bag_writer import BagWriter
    from fast_sam2_ros.bags import Bag
    from fast_sam2_ros.media import Media
    from fast_sam2_ros.recording import FrameRecord, Summary
    from fast_sam2_ros.reports import Report
    from fast_sam2_ros.session import Session

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
    from fast_sam2_ros import batch
    from fast_sam2_ros.bags import is_bag

    if not arguments.fps > 0:
        raise InputError(f'--fps is {arguments.fps:g}; it must be above 0')
    if arguments.text is not None and not arguments.text.replace(';', ' ').split():
        raise InputError('--text has no words: name what to look for')
    videos = batch.videos_in(arguments.input)
    media = None if videos else open_input(arguments.input, arguments)
    session = open_session_from(
        arguments, 'none' if arguments.text is not None else arguments.describer)
    if videos:
        _aim(session, arguments)  # what is wrong with the targets is said once
        return batch.track_all(session, videos, arguments)
    try:
        tracked = track(session, media, arguments.out, arguments)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f'{arguments.out} is not complete: no {resume.TRACK}'
                                + (', no bag' if is_bag(arguments.input) else '')) from None
    print(json.dumps(tracked.as_json()) if arguments.json else '\n'.join(tracked.lines()))
    return 0


def open_input(path: Path, arguments: argparse.Namespace) -> Media | Bag:
    """Open a video, images or a bag; raise InputError where there is nothing to read."""
    from fast_sam2_ros.bags import Bag, is_bag
    from fast_sam2_ros.media import open_media

    return Bag(path, arguments.topic) if is_bag(path) else open_media(path, arguments.fps)


def describe(session: Session, source: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what the result for a video depends on, as `resume` compares it."""
    loaded = [session.loaded.name, str(session.loaded.model.device),
              type(session.grounder).__name__]
    return resume.describe(arguments, source, loaded)


def _aim(session: Session, arguments: argparse.Namespace) -> None:
    """Forget earlier targets and take those of the command line."""
    from fast_sam2_ros.media import read_mask
    from fast_sam2_ros.prompt import Prompt

    session.clear()
    if arguments.text is not None:
        session.set_text(arguments.text)
    elif arguments.box is not None:
        session.set_prompt(Prompt(box=arguments.box))
    else:
        session.set_prompt(Prompt(mask=read_mask(arguments.mask)))


@dataclass(frozen=True)
class Tracked:
    """What became of one video.

    tracked: frames on which a target was followed. notes: on single targets, and on what could
    not be read. missing: declared frames that were not there.
    """

    out: Path
    summary: Summary
    tracked: int
    notes: list[str]
    missing: int

    def lines(self) -> list[str]:
        """Say it to a person."""
        summary = self.summary
        return [*self.notes, f'{self.tracked} of {summary.frames} frames tracked at '
                f'{summary.fps:.1f} frames/s ({summary.model}, keep ratio '
                f'{summary.keep_ratio:g}); see {self.out}']

    def as_json(self) -> dict[str, Any]:
        """Say it to a program."""
        return asdict(self.summary) | {'tracked': self.tracked, 'missing': self.missing,
                                       'notes': self.notes}


def track(session: Session, media: Media | Bag, out: Path,
          arguments: argparse.Namespace) -> Tracked:
    """Process every frame; write the masks, the overlay, for a bag a bag, and track.json last."""
    from tqdm import tqdm

    from fast_sam2_ros.media import VideoWriter, write_grey
    from fast_sam2_ros.overlay import caption, draw
    from fast_sam2_ros.recording import record, summarise, write_track

    _aim(session, arguments)
    bag = _bag_beside(session, media, out, arguments)
    resume.begin(out, describe(session, media.path, arguments))
    records, spent = [], 0.0
    with VideoWriter(out / resume.OVERLAY, media.fps) as writer, bag or nullcontext():
        for frame in tqdm(media, total=media.count, unit='frame', desc=media.path.name,
                          leave=False, disable=None):
            began = time.perf_counter()
            report = session.process(frame.image, frame.stamp)
            labels = report.labels()
            spent += time.perf_counter() - began
            records.append(record(frame.index, frame.stamp, report))
            mask = labels if len(report.targets) > 1 else labels * 255
            write_grey(out / resume.MASKS / f'{frame.name}.png', mask)
            if bag:
                bag.write(frame, mask, report)
            kept = report.kept if arguments.tokens else None
            writer.write(draw(frame.image, labels, caption(report), kept), frame.stamp)
    summary = summarise(records, len(records) / spent, session.loaded.name,
                        str(session.loaded.model.device), arguments.keep_ratio)
    write_track(out / resume.TRACK, records, summary)
    tracked = sum(entry.state == 'tracking' for entry in records)
    return Tracked(out, summary, tracked, media.remarks() + _on_targets(records, report),
                   media.missing)


def _bag_beside(session: Session, media: Media | Bag, out: Path,
                arguments: argparse.Namespace) -> BagWriter | None:
    """Return what writes out/bag, None where the input is no bag."""
    from fast_sam2_ros.bags import Bag

    if not isinstance(media, Bag):
        return None
    from fast_sam2_ros.bag_writer import BagWriter

    path = out / 'bag'
    if path.resolve() in (media.path.resolve(), *media.path.resolve().parents):
        raise InputError(f'{path} is what is read; name another --out')
    return BagWriter(path, arguments.bag_format or media.format,
                     arguments.target_latency_ms, session.tracker.compiled)


def _on_targets(records: list[FrameRecord], last: Report) -> list[str]:
    """Say of each of several targets, and of one that was not found, on how many frames it was."""
    notes = []
    for target in last.targets:
        seen = sum(each.id == target.id and each.state == 'tracking'
                   for entry in records for each in entry.targets)
        if not seen:
            notes.append(f'not found: {target.message}')
        elif len(last.targets) > 1:
            notes.append(f'{target.text}: {seen} of {len(records)} frames')
    return notes
