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
"""Where and when figures were taken: what every result file says about itself."""

from __future__ import annotations

from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
import os
from pathlib import Path
import platform

import torch

CPU_INFO = Path('/proc/cpuinfo')


def environment(device: str | torch.device) -> dict[str, str | int]:
    """Name the time (UTC), the device and its model, the system, and the versions that matter."""
    return {
        'date': datetime.now(timezone.utc).isoformat(timespec='seconds'),
        'device': f'{device} ({device_name(torch.device(device))})',
        'machine': platform.machine(),
        'system': platform.system(),
        'cores': os.cpu_count() or 1,
        'threads': torch.get_num_threads(),
        'float32_matmul': torch.get_float32_matmul_precision(),
        'python': platform.python_version(),
        'torch': torch.__version__,
        'transformers': package_version('transformers'),
        'sam2': package_version('sam2'),
    }


def device_name(device: torch.device) -> str:
    """Return the name of a GPU, or of the processor as Linux knows it, else its architecture."""
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    try:
        lines = CPU_INFO.read_text(encoding='utf-8').splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.machine()


def package_version(package: str) -> str:
    """Return the version of an installed package, or the words that it is not."""
    try:
        return version(package)
    except PackageNotFoundError:
        return 'not installed'
