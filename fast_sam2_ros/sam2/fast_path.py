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
"""What is fast on which device: the meaning of `auto` for the precision and for compiling."""

from __future__ import annotations

from importlib.util import find_spec

from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.sam2.stages import DTYPES
import torch

AUTO, ON, OFF = 'auto', 'on', 'off'


def choose_dtype(wanted: str, device: torch.device) -> str:
    """
    Return 'float32' or 'bfloat16'.

    'auto' takes bfloat16 where the device has matrix units for it: GPUs since Ampere, and CPUs
    with AMX. Raises ParameterError for another word.
    """
    if wanted not in (AUTO, *DTYPES):
        raise ParameterError(f'dtype is {wanted!r}; it must be {AUTO}, {" or ".join(DTYPES)}')
    if wanted != AUTO:
        return wanted
    if device.type == 'cuda':
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.cpu._is_amx_tile_supported()
    return 'bfloat16' if fast else 'float32'


def choose_compile(wanted: str, device: torch.device) -> bool:
    """
    Return whether to compile the steady step at start.

    'auto' compiles on a GPU where Triton is installed, and not on a CPU, where a minute of
    compiling at the first start buys a sixth of a step. Raises ParameterError for another word.
    """
    if wanted not in (AUTO, ON, OFF):
        raise ParameterError(f'compile is {wanted!r}; it must be {AUTO}, {ON} or {OFF}')
    if wanted != AUTO:
        return wanted == ON
    return device.type == 'cuda' and find_spec('triton') is not None
