# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Errors that mean that there is no memory left, as PyTorch and NumPy raise them."""

import numpy as np
import pytest
import torch

from fast_sam2_ros.device_memory import free_cache, is_out_of_memory

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
