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
"""What memory this process takes and the machine has left (Linux, proc(5))."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import shutil

SHARED = '/dev/shm'


@dataclass(frozen=True)
class Memory:
    """
    Memory at one moment.

    process, device: bytes that this process takes, of the machine and of its GPU (None without
    one); free, shared_free: shares of the machine's memory and of /dev/shm, through which images
    come, that are free.
    """

    process: int = 0
    free: float = 1.0
    shared_free: float = 1.0
    device: int | None = None


def read_memory(device: str) -> Memory:
    """Look at the memory of this process on `device`, a name such as cpu or cuda:0."""
    machine = '/proc/meminfo'
    return Memory(
        process=_bytes('/proc/self/status', 'VmRSS'),
        free=_bytes(machine, 'MemAvailable') / _bytes(machine, 'MemTotal'),
        shared_free=_free_share_of(SHARED),
        device=_on_gpu(device) if device.startswith('cuda') else None)


def _bytes(path: str, key: str) -> int:
    for line in Path(path).read_text().splitlines():
        if line.startswith(f'{key}:'):
            return 1024 * int(line.split()[1])
    raise OSError(f'{path} has no {key}')


def _free_share_of(folder: str) -> float:
    try:
        usage = shutil.disk_usage(folder)
    except FileNotFoundError:  # a container may have none; images then come by another way
        return 1.0
    return usage.free / usage.total if usage.total else 1.0


def _on_gpu(device: str) -> int:
    import torch  # here, since a node that has not loaded a model starts without it
    return torch.cuda.memory_allocated(device)
