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
"""
Keep memory that was freed, so that a step on the CPU finds its buffers where the last left them.

PyTorch has no cache for memory of the CPU. By default glibc gives every large buffer back to the
system when it is freed, and the next one comes page by page, zeroed by the kernel.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
import sys
import time

# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8
MOST = 2**31 - 1  # bytes; an int
GROWTH = 64 * 2**20  # bytes by which the heap grows at a time
PERIOD = 60.0  # seconds


@lru_cache
def keep_freed_memory() -> bool:
    """
    Let the process keep what it frees; return whether the C library could be told so.

    To be called before threads are started that allocate much, since each has a place of its own
    by then. The process stays as large as it once had to be; `HeapCare` sees to what comes on top.
    """
    library = _c_library()
    if library is None or not hasattr(library, 'mallopt'):
        return False
    settings = {M_ARENA_MAX: 1, M_MMAP_MAX: 0, M_TRIM_THRESHOLD: MOST, M_TOP_PAD: GROWTH}
    done = [library.mallopt(name, value) == 1 for name, value in settings.items()]
    return all(done)  # of all that were asked for


def give_back_freed_memory() -> bool:
    """
    Give what was freed back to the system; the next steps have to fetch what they need again.

    Return whether the C library could be told so.
    """
    library = _c_library()
    if library is None or not hasattr(library, 'malloc_trim'):
        return False
    library.malloc_trim(0)
    return True


class HeapCare:
    """
    Gives freed memory back once a minute, for a process that is to run for days.

    Images that arrive while a step runs take pieces out of the places of its large buffers, which
    then go elsewhere: the process would grow by some MB whenever that happens, and keep it.
    """

    def __init__(self) -> None:
        """Begin a minute."""
        self._due = time.monotonic() + PERIOD

    def attend(self) -> None:
        """Give back what is free where it is time; to be called between two steps."""
        if time.monotonic() >= self._due:
            give_back_freed_memory()
            self._due = time.monotonic() + PERIOD


def _c_library() -> ctypes.CDLL | None:
    """Return the C library where it may be glibc, which alone has what is asked for here."""
    if not sys.platform.startswith('linux'):
        return None
    try:
        return ctypes.CDLL(None)
    except OSError:
        return None
