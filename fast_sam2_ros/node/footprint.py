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
"""What a process takes, read from outside (Linux, proc(5))."""

from __future__ import annotations

from dataclasses import dataclass
import os
from pathlib import Path

SHARED = '/dev/shm'
KIB = 1024


@dataclass(frozen=True)
class Footprint:
    """
    What a process takes at one moment.

    own: bytes that it allocated (RssAnon): heaps and stacks, and so what a leak adds to.
    resident: all that it has in memory (RSS), such as libraries and shared images as well.
    private, proportional: of that, what no other process has (USS), and with its part of what
    others have too (PSS): both change with the other processes of the machine. None where
    another user's process may not be looked at.
    files: open ones; mapped: distinct files of /dev/shm that it uses, and their bytes.
    """

    own: int
    resident: int
    private: int | None
    proportional: int | None
    threads: int
    files: int
    mapped: int
    mapped_bytes: int


def footprint(process: int) -> Footprint:
    """Look at a process by its id; raises OSError where there is none."""
    folder = Path('/proc') / str(process)
    status = _fields(folder / 'status')
    try:
        memory = _fields(folder / 'smaps_rollup')
    except PermissionError:
        memory = None
    mapped = mapped_files(process)
    return Footprint(
        own=status['RssAnon'], resident=status['VmRSS'],
        private=memory and memory['Private_Clean'] + memory['Private_Dirty'],
        proportional=memory and memory['Pss'], threads=status['Threads'] // KIB,
        files=len(list((folder / 'fd').iterdir())), mapped=len(mapped),
        mapped_bytes=sum(_size(path) for path in mapped))


def mapped_files(process: int) -> set[str]:
    """Return the files of /dev/shm that a process uses; raises OSError where there is none."""
    lines = Path(f'/proc/{process}/maps').read_text().splitlines()
    places = (line.split(maxsplit=5) for line in lines)
    return {words[5] for words in places if len(words) == 6 and words[5].startswith(SHARED + '/')}


def shared_files() -> set[str]:
    """Return the files of /dev/shm, of all processes of the machine."""
    with os.scandir(SHARED) as entries:
        return {entry.path for entry in entries}


def shared_bytes() -> int:
    """Return what they take."""
    return sum(map(_size, shared_files()))


def _fields(path: Path) -> dict[str, int]:
    """Return the numbers of lines such as `VmRSS: 12 kB`, times 1024."""
    fields = {}
    for line in path.read_text(errors='replace').splitlines():
        name, _, rest = line.partition(':')
        words = rest.split()
        if words and words[0].isdigit():
            fields[name] = KIB * int(words[0])
    return fields


def _size(path: str) -> int:
    """Return the bytes that a file takes, 0 where it has just gone or was deleted."""
    try:
        return 512 * os.stat(path, follow_symlinks=False).st_blocks
    except OSError:
        return 0
