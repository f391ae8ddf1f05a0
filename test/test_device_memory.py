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
"""Errors that mean that there is no memory left, as PyTorch and NumPy raise them."""

from fast_sam2_ros.device_memory import free_cache, is_out_of_memory
import numpy as np
import pytest
import torch

TOO_MUCH = 2**50


@pytest.mark.parametrize('allocate', [
    lambda: torch.empty(TOO_MUCH, dtype=torch.uint8), lambda: np.ones(TOO_MUCH, np.uint8)])
def test_a_real_allocation_that_is_too_large_is_understood(allocate):
    with pytest.raises((RuntimeError, MemoryError)) as raised:
        allocate()
    assert is_out_of_memory(raised.value)


@pytest.mark.parametrize('error, expected', [
    (torch.OutOfMemoryError('Allocation on device'), True),
    (torch.cuda.OutOfMemoryError(), True),
    (RuntimeError('CUDA error: out of memory'), True),
    (RuntimeError('CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`'), True),
    (RuntimeError('shape mismatch'), False)])
def test_other_errors_are_told_apart(error, expected):
    assert is_out_of_memory(error) == expected


def test_without_a_gpu_there_is_no_cache_to_free():
    free_cache()
