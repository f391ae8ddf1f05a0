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
"""Whether a folder holds what a command would write there: options.json beside track.json."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
import shutil
from typing import Any

from fast_sam2_ros.files import write_whole

OPTIONS, TRACK, MASKS, OVERLAY = 'options.json', 'track.json', 'masks', 'overlay.mp4'
NO_OPTIONS = {'command', 'words', 'input', 'out', 'json'}  # these do not change what is written


def describe(arguments: argparse.Namespace, source: Path, loaded: list[str]) -> dict[str, Any]:
    """
    Return what the result depends on: the options, the models behind them, the files read.

    source: the video. loaded: names of what was loaded; `auto` may be another one tomorrow.
    """
    options = {name: value for name, value in vars(arguments).items() if name not in NO_OPTIONS}
    described = {'options': options, 'loaded': loaded, 'input': _stamp(source)}
    if arguments.mask is not None:
        described['mask'] = _stamp(arguments.mask)
    return json.loads(json.dumps(described, default=str, sort_keys=True))


def _stamp(path: Path) -> list[int]:
    """Return the number of files in a path, their bytes and the time of the latest in ns."""
    files = [path] if path.is_file() else [file for file in path.iterdir() if file.is_file()]
    states = [file.stat() for file in files]
    return [len(states), sum(state.st_size for state in states),
            max((state.st_mtime_ns for state in states), default=0)]


def begin(out: Path, described: dict[str, Any]) -> None:
    """Make a folder ready for a new result; what an earlier run left there goes."""
    (out / TRACK).unlink(missing_ok=True)  # first: what is not whole has none
    if (out / OPTIONS).is_file():
        shutil.rmtree(out / MASKS, ignore_errors=True)
        (out / OVERLAY).unlink(missing_ok=True)
    (out / MASKS).mkdir(parents=True, exist_ok=True)
    write_whole(out / OPTIONS, json.dumps(described, indent=1) + '\n')


def finished(out: Path, described: dict[str, Any]) -> dict[str, Any] | None:
    """Return the summary of a whole track.json that was made in this very way, else None."""
    try:
        if json.loads((out / OPTIONS).read_text('utf-8')) != described:
            return None
        return json.loads((out / TRACK).read_text('utf-8'))['summary']
    except (OSError, ValueError, KeyError, TypeError):  # none, cut off, or of something else
        return None
