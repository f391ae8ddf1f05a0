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
"""One video, folder of images or bag, from its first frame to track.json."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
import time
from typing import Any, TYPE_CHECKING

from fast_sam2_ros.errors import DeviceMemoryError, InputError
from fast_sam2_ros.governor import BUDGETS
from fast_sam2_ros.offline import resume

if TYPE_CHECKING:
    from fast_sam2_ros.media import Frame, Media
    from fast_sam2_ros.offline.bag_writer import BagWriter
    from fast_sam2_ros.offline.bags import Bag
    from fast_sam2_ros.recording import FrameRecord, Summary
    from fast_sam2_ros.reports import Report
    from fast_sam2_ros.session import Session


def open_input(path: Path, arguments: argparse.Namespace) -> Media | Bag:
    """Open a video, images or a bag; raise InputError where there is nothing to read."""
    from fast_sam2_ros.media import open_media
    from fast_sam2_ros.offline.bags import Bag, is_bag

    return Bag(path, arguments.topic) if is_bag(path) else open_media(path, arguments.fps)


def describe(session: Session, source: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what the result for a video depends on, as `resume` compares it."""
    loaded = [session.loaded.name, str(session.loaded.model.device),
              type(session.grounder).__name__]
    return resume.describe(arguments, source, loaded)


def aim(session: Session, arguments: argparse.Namespace) -> None:
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
    """
    What became of one video.

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
    from fast_sam2_ros.drawing.caption import caption
    from fast_sam2_ros.drawing.overlay import draw
    from fast_sam2_ros.media import VideoWriter, write_grey
    from fast_sam2_ros.recording import record, summarise, write_track
    from tqdm import tqdm

    aim(session, arguments)
    bag = _bag_beside(session, media, out, arguments)
    resume.begin(out, describe(session, media.path, arguments))
    records, spent = [], 0.0
    with VideoWriter(out / resume.OVERLAY, media.fps) as writer, bag or nullcontext():
        for frame in tqdm(media, total=media.count, unit='frame', desc=media.path.name,
                          leave=False, disable=None):
            began = time.perf_counter()
            report = _process(session, frame)
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
    notes = media.remarks() + _on_targets(records, report)
    if session.shortage:
        notes.append(session.shortage)
    return Tracked(out, summary, tracked, notes, media.missing)


def _process(session: Session, frame: Frame) -> Report:
    """Process a frame, again with each smaller budget where the device runs out of memory."""
    for _ in BUDGETS:
        try:
            return session.process(frame.image, frame.stamp)
        except DeviceMemoryError:
            continue
    return session.process(frame.image, frame.stamp)


def _bag_beside(session: Session, media: Media | Bag, out: Path,
                arguments: argparse.Namespace) -> BagWriter | None:
    """Return what writes out/bag, None where the input is no bag."""
    from fast_sam2_ros.offline.bags import Bag

    if not isinstance(media, Bag):
        return None
    from fast_sam2_ros.offline.bag_writer import BagWriter

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
