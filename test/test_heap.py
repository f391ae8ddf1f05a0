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
"""Memory that is freed stays with the process."""

import subprocess
import sys

from fast_sam2_ros import heap

FAULTS = """
import resource, sys
import torch
from fast_sam2_ros.heap import keep_freed_memory
if sys.argv[1] == 'keep':
    assert keep_freed_memory()
def work():
    for _ in range(5):
        torch.ones(16, 2**20).add(1)
for _ in range(5):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode: str) -> int:
    """Return the page faults of ten large buffers that come and go."""
    done = subprocess.run([sys.executable, '-c', FAULTS, mode], capture_output=True, text=True,
                          check=True)
    return int(done.stdout.split()[-1])


def test_large_buffers_are_found_where_the_last_were():
    # 10 buffers of 64 MB: 16,384 pages each, unless the system gives huge ones.
    usual, kept = faults('usual'), faults('keep')
    assert kept < 1000
    assert kept < usual / 10


GIVE_BACK = """
import torch
from pathlib import Path
from fast_sam2_ros.heap import give_back_freed_memory, keep_freed_memory
def resident():
    return 4096 * int(Path('/proc/self/statm').read_text().split()[1])
assert keep_freed_memory()
blocks = [torch.ones(2**20) for _ in range(100)]
last = torch.ones(1)  # the end of the heap stays in use
del blocks
before = resident()
assert give_back_freed_memory()
print(before - resident())
"""


def test_what_was_freed_can_be_given_back_for_once():
    done = subprocess.run([sys.executable, '-c', GIVE_BACK], capture_output=True, text=True,
                          check=True)
    assert int(done.stdout) > 350e6  # of 419 MB


def test_once_a_minute_what_is_free_is_given_back(monkeypatch):
    now, given = [100.0], []
    monkeypatch.setattr(heap.time, 'monotonic', lambda: now[0])
    monkeypatch.setattr(heap, 'give_back_freed_memory', lambda: given.append(now[0]))
    care = heap.HeapCare()
    for now[0] in (100.1, 159.9, 160.0, 160.1, 219.9, 300.0, 301.0, 360.0):
        care.attend()
    assert given == [160.0, 300.0, 360.0]


def test_elsewhere_than_on_linux_nothing_is_done(monkeypatch):
    heap.keep_freed_memory.cache_clear()
    monkeypatch.setattr(heap.sys, 'platform', 'darwin')
    assert heap.keep_freed_memory() is False
    assert heap.give_back_freed_memory() is False
    heap.keep_freed_memory.cache_clear()
