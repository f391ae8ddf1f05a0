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
"""`fast-sam2 track` on a folder of videos: one after the other, and on from where it stopped."""

from __future__ import annotations

import argparse
from collections import Counter
import json
from pathlib import Path
import sys
from typing import Any, TYPE_CHECKING

from fast_sam2_ros.errors import FastSam2Error
from fast_sam2_ros.media import is_image, is_video, natural_order
from fast_sam2_ros.offline import resume, track
from fast_sam2_ros.offline.bags import is_bag

if TYPE_CHECKING:
    from fast_sam2_ros.session import Session

DONE, SKIPPED, FAILED = 'done', 'skipped', 'failed'


def videos_in(folder: Path) -> list[Path]:
    """
    Return the videos, bags and folders of images in a folder, in natural order.

    There are none in a folder that is a bag, or a video in images, itself.
    """
    if not folder.is_dir() or is_bag(folder) or _holds_images(folder):
        return []
    return sorted((entry for entry in folder.iterdir() if not entry.name.startswith('.')
                   and (is_video(entry) or is_bag(entry) or _holds_images(entry))),
                  key=natural_order)


def _holds_images(path: Path) -> bool:
    return path.is_dir() and any(map(is_image, path.iterdir()))


def places(videos: list[Path], out: Path) -> list[Path]:
    """Return the folder for each video: its name, with the suffix only where two share it."""
    shared = Counter(video.stem for video in videos)
    return [out / (video.stem if shared[video.stem] == 1 else video.name) for video in videos]


def track_all(session: Session, videos: list[Path], arguments: argparse.Namespace) -> int:
    """Track in every video that is not done yet; return 1 where some cannot be read, else 0."""
    results: list[dict[str, Any]] = []
    try:
        for video, out in zip(videos, places(videos, arguments.out)):
            result = _track_one(session, video, out, arguments)
            results.append({'input': str(video), 'out': str(out)} | result)
            if not arguments.json:
                print(f'{video.name}: {result["message"]}', flush=True)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f'{len(results)} of {len(videos)} videos are through; the same '
                                'command goes on with the others') from None
    counts = {status: sum(result['status'] == status for result in results)
              for status in (DONE, SKIPPED, FAILED)}
    if arguments.json:
        print(json.dumps(counts | {'videos': results}))
    else:
        print(f'{len(videos)} videos: '
              + ', '.join(f'{count} {status}' for status, count in counts.items()))
    if counts[FAILED]:
        print('not tracked: ' + ', '.join(Path(result['input']).name for result in results
                                          if result['status'] == FAILED), file=sys.stderr)
    return int(counts[FAILED] > 0)


def _track_one(session: Session, video: Path, out: Path, arguments: argparse.Namespace
               ) -> dict[str, Any]:
    """Return the status, a message for a person and, where there is one, the summary."""
    try:
        summary = resume.finished(out, track.describe(session, video, arguments))
        if summary is not None:
            return {'status': SKIPPED, 'message': f'skipped, {out} has it already'} | summary
        tracked = track.track(session, track.open_input(video, arguments), out, arguments)
    except (FastSam2Error, OSError) as error:
        return {'status': FAILED, 'message': ' '.join(f'failed: {error}'.split())}
    return {'status': DONE, 'message': '; '.join(tracked.lines())} | tracked.as_json()
