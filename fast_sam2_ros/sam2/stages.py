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
The stages of a step, in the wanted precision, and as compiled graphs where these were prepared.

A stage (encode, attend, decode, remember) is a function of tensors. Whoever calls it does so
through `Stages`: while it records, every new set of shapes is compiled as one full graph (on a GPU
recorded as a CUDA graph); afterwards a call of known shapes runs its graph, and any other, such as
the first frames of a target, runs the code as it is. So nothing is ever compiled in mid-stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from fast_sam2_ros.errors import ParameterError
import torch
from torch import Tensor

# By how much a compiled stage may differ from the code that it was made of, in units of 1 or, of
# larger values, of the largest; beyond it something is wrong with the compiler.
TOLERANCES = {'float32': 1e-3, 'bfloat16': 5e-2}
ROUNDING = {torch.bfloat16: 2.0 ** -7}  # a step of what is stored so
DTYPES = tuple(TOLERANCES)
RUNS_TO_RECORD = 3  # a CUDA graph is recorded at the second run
# Each set of shapes is a graph of its own: a few budgets, one or more targets, two windows.
GRAPHS_OF_A_STAGE = 64


class Stages:
    """Runs stages, compiled where that was prepared; one for all trackers of a model."""

    def __init__(self, device: torch.device, dtype: str) -> None:
        """
        Start without graphs.

        `dtype` is one of `DTYPES`. In bfloat16 matrix products and convolutions are, by autocast;
        position tables, norms and sums stay in float32.
        """
        if dtype not in DTYPES:
            raise ParameterError(f'dtype is {dtype!r}; choose one of {", ".join(DTYPES)}')
        self.dtype = dtype
        self._device = device
        self._graphs: dict[tuple, Callable[..., Any]] = {}
        self._recording = False

    def __call__(self, stage: Callable[..., Any], *arguments: Any) -> Any:
        """
        Return `stage(*arguments)`.

        The arguments are tensors, None, and plain values; whatever varies from one frame to the
        next must be among the tensors.
        """
        with torch.autocast(
                self._device.type, torch.bfloat16, enabled=self.dtype == 'bfloat16'):
            return self._run(stage, *arguments)

    def _run(self, stage: Callable[..., Any], *arguments: Any) -> Any:
        if not (self._graphs or self._recording):
            return stage(*arguments)
        key = (_name(stage), *map(_signature, arguments))
        graph = self._graphs.get(key)
        if graph is not None:
            return graph(*arguments)
        answer = stage(*arguments)
        if self._recording:
            self._graphs[key] = self._compiled(stage, arguments, answer)
        return answer

    def _compiled(
        self, stage: Callable[..., Any], arguments: tuple[Any, ...], expected: Any
    ) -> Callable[..., Any]:
        """Compile a stage for some arguments; raise RuntimeError if it answers otherwise."""
        if self._device.type == 'cuda':
            replay = torch.compile(
                stage, fullgraph=True, dynamic=False, mode='reduce-overhead')

            def graph(*arguments: Any) -> Any:
                # A CUDA graph writes its answers to one place; what is returned may be kept.
                torch.compiler.cudagraph_mark_step_begin()
                answer = replay(*arguments)
                if isinstance(answer, Tensor):
                    return answer.clone()
                return tuple(tensor.clone() for tensor in answer)
        else:
            graph = torch.compile(
                stage, fullgraph=True, dynamic=False, options={'freezing': True})
        for _ in range(RUNS_TO_RECORD):
            answer = graph(*arguments)
        for got, wanted in zip(_flat(answer), _flat(expected)):
            tolerance = max(TOLERANCES[self.dtype], ROUNDING.get(wanted.dtype, 0.0))
            scale = wanted.float().abs().amax().clamp(min=1.0)
            if not (got.float() - wanted.float()).abs().amax() <= tolerance * scale:
                raise RuntimeError(
                    f'{_name(stage)} gives another answer when compiled than when not')
        return graph

    @property
    def compiled(self) -> bool:
        """Return whether there are graphs."""
        return bool(self._graphs)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Compile a graph for every new set of shapes while the context lasts."""
        self._recording = True
        try:
            with torch._dynamo.config.patch(
                    recompile_limit=GRAPHS_OF_A_STAGE, accumulated_recompile_limit=4096):
                yield
        finally:
            self._recording = False

    def clear(self) -> None:
        """Forget the graphs: everything runs as it is."""
        self._graphs.clear()


def _name(stage: Callable[..., Any]) -> str:
    return (stage.func if isinstance(stage, partial) else stage).__qualname__


def _signature(argument: Any) -> Any:
    if isinstance(argument, Tensor):
        return tuple(argument.shape), argument.dtype, argument.stride()
    return argument


def _flat(answer: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (answer,) if isinstance(answer, Tensor) else answer
