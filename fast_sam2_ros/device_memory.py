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
"""What to do when the device that the model runs on has no memory left."""

from __future__ import annotations

import torch

# PyTorch has an error of its own for the allocator of a GPU; CUDA and its libraries, when they
# find no memory by themselves, and the allocator of a CPU raise plain ones.
SIGNS = ('out of memory', 'STATUS_ALLOC_FAILED', "can't allocate memory")


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error says that the device, or the machine, has no memory left."""
    return (isinstance(error, (torch.OutOfMemoryError, MemoryError))
            or any(sign in str(error) for sign in SIGNS))


def free_cache() -> None:
    """Give back the memory of GPUs that PyTorch keeps for later; it is in pieces by then."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
