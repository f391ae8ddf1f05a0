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
What a step costs besides time: floating-point operations by stage, and memory.

Operations are those that `torch.utils.flop_counter` counts, the multiplications of matrices,
convolutions and attention; a multiply-add counts 2. Bytes are those of tensors: what a library
keeps for itself beside PyTorch's allocators is not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
import gc
import json
import os
from pathlib import Path
import tempfile
from unittest import mock

from fast_sam2_ros.latency import StageClock
import torch
from torch import nn, Tensor
from torch.profiler import profile, ProfilerActivity
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

TOTAL = 'total'
# Whose objects are looked into for tensors.
PACKAGES = ('fast_sam2_ros', 'sam2', 'transformers')
MEMORY_EVENT = '[memory]'


def count_flops(step: Callable[[], object]) -> dict[str, int]:
    """
    Count the operations of one eager `step`: those of each stage of a `StageClock`, and all.

    A step without such a clock has the entry `total` only. Compiled code cannot be counted: the
    counter does not see into it.
    """
    stages: dict[str, int] = {}
    counter = FlopCounterMode(display=False, custom_mapping={
        # What scaled_dot_product_attention becomes on a CPU; the counter knows those of GPUs only.
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops})
    lap = StageClock.lap

    def count_and_lap(clock: StageClock, stage: str) -> None:
        earlier = sum(stages.values())
        stages[stage] = stages.get(stage, 0) + counter.get_total_flops() - earlier
        lap(clock, stage)

    with mock.patch.object(StageClock, 'lap', count_and_lap), counter:
        step()
    return {**stages, TOTAL: counter.get_total_flops()}


def _attention_flops(
    query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object
) -> int:
    """Count an attention of (B, heads, K, D) queries over (B, heads, T, D) keys and values."""
    return sdpa_flop_count(query, key, value)


def working_bytes(step: Callable[[], object], device: torch.device) -> int:
    """
    Return the most bytes that `step` holds at any time of what was not held before it.

    On a GPU that is the allocator's own peak, less what was allocated when the step began; on a
    CPU the allocations and releases of the step, added up in their order. The working memory of a
    CUDA graph was allocated when it was captured and does not count.
    """
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    os.environ.setdefault('KINETO_LOG_LEVEL', '99')  # else it tells the terminal of every start
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'trace.json'
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding='utf-8'))['traceEvents']
    changes = sorted(
        (event for event in events if event['name'] == MEMORY_EVENT),
        key=lambda event: event['ts'])
    held = peak = 0
    for change in changes:
        held += change['args']['Bytes']
        peak = max(peak, held)
    return peak


def graph_bytes(device: torch.device, *known: object) -> int:
    """
    Return the bytes that compiled graphs hold for themselves.

    On a GPU that is the working memory of CUDA graphs; on a CPU the weights as graphs keep them,
    rearranged for the processor: all tensors that Python knows of, less those within `known`.
    Whatever else holds tensors counts as well, so take the difference of two calls.
    """
    if device.type == 'cuda':
        return sum(
            segment['total_size'] for segment in torch.cuda.memory_snapshot()
            if tuple(segment['segment_pool_id']) != (0, 0))
    gc.collect()
    tensors = [item for item in gc.get_objects()
               if type(item) in (Tensor, nn.Parameter) and item.device == device]
    rearranged = sum(tensor.nbytes for tensor in tensors if tensor.layout != torch.strided)
    plain = _storages(tensor for tensor in tensors if tensor.layout == torch.strided)
    told = _storages(known)
    return rearranged + sum(
        nbytes for address, nbytes in plain.items() if address not in told)


def held_bytes(*roots: object) -> int:
    """
    Return the bytes of all tensors within `roots`, each storage once.

    Looked into are containers, modules, and objects of this package, of transformers and of sam2.
    """
    return sum(_storages(roots).values())


def _storages(roots: Iterable[object]) -> dict[int, int]:
    """Find the storages of all tensors within `roots`: bytes by address."""
    found: dict[int, int] = {}
    seen: set[int] = set()
    left = list(roots)
    while left:
        item = left.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, Tensor):
            storage = item.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
        elif isinstance(item, dict):
            left += item.values()
        elif isinstance(item, (list, tuple, set)):
            left += item
        elif isinstance(item, nn.Module) or type(item).__module__.partition('.')[0] in PACKAGES:
            left += getattr(item, '__dict__', {}).values()
    return found
