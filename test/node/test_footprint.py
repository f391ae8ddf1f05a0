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
"""What a process takes, against a process that takes a known amount and against psutil."""

import mmap
import os
from pathlib import Path
import subprocess
import sys
import time

from fast_sam2_ros.node.footprint import footprint, mapped_files, shared_bytes, shared_files
import psutil
import pytest

MIB = 2**20
SCRIPT = """
import sys, threading
sys.stdin.readline()
held = bytearray(64 * 2**20)
for place in range(0, len(held), 4096):
    held[place] = 1
streams = [open('/dev/null') for _ in range(5)]
for _ in range(3):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print('ready', flush=True)
sys.stdin.readline()
"""


def test_memory_threads_and_files_are_told_as_they_grow():
    with subprocess.Popen([sys.executable, '-c', SCRIPT], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        time.sleep(0.5)
        before = footprint(process.pid)
        process.stdin.write('\n')
        process.stdin.flush()
        process.stdout.readline()
        after = footprint(process.pid)
        reference = psutil.Process(process.pid)
        full = reference.memory_full_info()
        assert after.private == pytest.approx(full.uss, abs=MIB)
        assert after.proportional == pytest.approx(full.pss, abs=MIB)
        assert after.resident == pytest.approx(full.rss, abs=MIB)
        assert (after.threads, after.files) == (reference.num_threads(), reference.num_fds())
        process.stdin.close()
    for name in ('own', 'private', 'resident'):
        grown = getattr(after, name) - getattr(before, name)
        assert grown == pytest.approx(64 * MIB, rel=0.05), name
    assert after.own <= after.private < after.resident
    assert (after.threads - before.threads, after.files - before.files) == (3, 5)
    with pytest.raises(OSError):
        footprint(process.pid)


def test_files_in_shared_memory_are_told_with_what_they_take():
    path = Path(f'/dev/shm/fast_sam2_ros_test_{os.getpid()}')
    before = footprint(os.getpid())
    try:
        with path.open('w+b') as stream:
            stream.write(bytes(MIB))
            stream.flush()
            with mmap.mmap(stream.fileno(), MIB):
                assert str(path) in mapped_files(os.getpid())
                after = footprint(os.getpid())
        assert str(path) in shared_files() and shared_bytes() >= MIB
    finally:
        path.unlink()
    assert after.mapped - before.mapped == 1
    assert after.mapped_bytes - before.mapped_bytes == MIB
    assert str(path) not in mapped_files(os.getpid()) | shared_files()
