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
Time every stage of a step: warm, with a full memory, every variant in the same run.

The variants of a model (keep ratios, dtypes, eager and compiled, numbers of targets, and the two
references) take turns step by step, so that what else the machine does slows all of them alike.
Timing does not depend on the weights: random ones in the real shapes are enough, the same for all.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
import gc
from itertools import product
from pathlib import Path
import shlex
import sys
import textwrap
from typing import Any

from fast_sam2_ros.arguments import names, paths, ratios
from fast_sam2_ros.errors import FastSam2Error, ParameterError
from fast_sam2_ros.evaluation import benchmark_report as report
from fast_sam2_ros.evaluation.benchmark_rows import (
    ALL_TOKENS, Costs, make_rows, Measured, merge, TOTAL_KEYS)
from fast_sam2_ros.evaluation.contenders import (
    boxes, Contender, FRAME_SIZE, HF, OFFICIAL, Official, OURS, Ours, REFERENCES, Transformers,
    Variant)
from fast_sam2_ros.evaluation.costs import count_flops, graph_bytes, held_bytes, working_bytes
from fast_sam2_ros.evaluation.environment import environment
from fast_sam2_ros.evaluation.official import official_is_installed, official_pair
from fast_sam2_ros.evaluation.rows import write_json
from fast_sam2_ros.sam2.checkpoint import (
    load_model, LoadedModel, Preprocess, RANDOM_PREFIX, resolve_device)
from fast_sam2_ros.sam2.meta import SIZES
from fast_sam2_ros.sam2.resize import check_image_size
from fast_sam2_ros.sam2.stages import DTYPES
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

FULL_SIZE = 1024  # pixels a side of SAM 2's own input
OFFICIAL_STEP = 64  # image sizes that Meta's predictor takes are multiples of it
FRAMES = 8  # different frames, used again and again
NOT_ALL = 1  # exit code where a variant could not be run and others could
WIDTH = 99  # of the help
COMPILATION = {'off': False, 'on': True}

EPILOG = f"""examples:
  fast-sam2 benchmark --model tiny --keep-ratio 1.0,0.3
  fast-sam2 benchmark --model tiny,small --against hf,official --json speed.json
  fast-sam2 benchmark --model embedded --compile off,on --targets 1,8 --keep-ratio 0.3
  fast-sam2 benchmark --from speed.json,embedded.json --markdown speed.md --plot speed.png

{textwrap.fill(report.DEFINITIONS, WIDTH)}

A row of the JSON is a stage of a variant: times in ms, gflop of one steady step, peak_bytes of the
whole variant. The rows of the stage total have as well:
""" + '\n'.join(
    textwrap.fill(f'  {key + ":":<15} {meaning}', WIDTH, subsequent_indent=' ' * 18)
    for key, meaning in TOTAL_KEYS.items())


@dataclass(frozen=True)
class Plan:
    """
    What to time: every combination of the settings, on each of `models`.

    `models` are sizes of SAM 2 (random weights) or what `load_model` takes; `image_size` is None
    for a model's own. `warm_up` steps of each variant do not count, `repeats` do. Raises
    ParameterError for settings that mean nothing.
    """

    models: tuple[str, ...]
    keep_ratios: tuple[float, ...] = (1.0, 0.3)
    against: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ('float32',)
    compiled: tuple[bool, ...] = (False,)
    targets: tuple[int, ...] = (1,)
    router: str = 'analytic'
    dense_conditioning: bool = True
    image_size: int | None = None
    warm_up: int = 2
    repeats: int = 5

    def __post_init__(self) -> None:
        for option, values in (('--model', self.models), ('--keep-ratio', self.keep_ratios),
                               ('--dtype', self.dtypes), ('--compile', self.compiled),
                               ('--targets', self.targets)):
            if not values:
                raise ParameterError(f'{option} needs a value')
        for option, values, known in (('--against', self.against, REFERENCES),
                                      ('--dtype', self.dtypes, DTYPES)):
            unknown = [value for value in values if value not in known]
            if unknown:
                raise ParameterError(
                    f'{option} takes {", ".join(known)}, not {", ".join(unknown)}')
        if self.repeats < 1 or self.warm_up < 1:
            raise ParameterError('--repeats and --warm-up must be at least 1')
        if self.image_size is not None:
            check_image_size(self.image_size)
        for count in self.targets:
            boxes(count)
        if OFFICIAL in self.against and not official_is_installed():
            raise ParameterError(
                "Meta's sam2 is not installed: see requirements/official.txt, or leave official "
                'out of --against')

    def variants(self, device: torch.device) -> list[Variant]:
        """Return what takes turns on one model: ours, and the references beside it."""
        found = []
        for dtype, targets in product(self.dtypes, self.targets):
            found += [Variant(OURS, dtype, compiled, keep, targets)
                      for compiled, keep in product(self.compiled, self.keep_ratios)]
            for name in self.against:
                found.append(Variant(name, dtype, False, ALL_TOKENS, targets))
                if name == OFFICIAL and True in self.compiled and device.type == 'cuda':
                    found.append(Variant(name, dtype, True, ALL_TOKENS, targets))
        return found


class Field:
    """One model in the formats of all implementations, from which contenders are made."""

    def __init__(self, plan: Plan, model: str, device: torch.device, first: np.ndarray) -> None:
        """
        Load `model` on to `device`; `first` is the frame that targets are prompted on.

        Raises FastSam2Error where it cannot be loaded.
        """
        self._plan, self._model, self._first = plan, model, first
        self._predictor: nn.Module | None = None
        size = plan.image_size or FULL_SIZE
        if OFFICIAL in plan.against and model in SIZES and size % OFFICIAL_STEP == 0:
            self._predictor, ours = official_pair(model, size)
            self._predictor.to(device)
            self.loaded = LoadedModel(
                ours.to(device), Preprocess(size), RANDOM_PREFIX + model, 'random weights')
        else:
            self.loaded = load_model(
                RANDOM_PREFIX + model if model in SIZES else model, str(device),
                image_size=plan.image_size)
        # Ours may rearrange the weights of its model: transformers gets its own.
        self._theirs = (replace(self.loaded, model=deepcopy(self.loaded.model))
                        if HF in plan.against else None)
        self._flops: dict[Variant, dict[str, int]] = {}

    def make(self, variant: Variant) -> Contender:
        """Make a contender in its steady state; raise ParameterError where that cannot be."""
        if variant.implementation == OURS:
            return Ours(self.loaded, variant, self._plan.router, self._plan.dense_conditioning,
                        self._first)
        if variant.implementation == HF:
            return Transformers(self._theirs, variant, self._first)
        if self._predictor is None:
            raise ParameterError(
                f"Meta's predictor is timed as {', '.join(SIZES)}, at a multiple of "
                f'{OFFICIAL_STEP} pixels')
        return Official(
            self._predictor, self._model, self.loaded.preprocess, variant, self._first)

    def count(self, variant: Variant, contender: Contender) -> dict[str, int]:
        """
        Return the operations of a step by stage, counted once for all dtypes and compilations.

        Those of a compiled contender are counted in a twin that is not.
        """
        key = replace(variant, dtype=DTYPES[0], compiled=False)
        if key not in self._flops:
            eager = self.make(key) if variant.compiled else contender
            self._flops[key] = count_flops(lambda: eager.step(self._first))
        return self._flops[key]


def run(plan: Plan, device: torch.device, command: str) -> Iterator[dict[str, Any]]:
    """
    Time one model after the other; yield all there is after each, as it is written to a file.

    The result has `environment`, `rows` (`benchmark_rows`) and `errors`, which names what could
    not be run.
    """
    rows: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    about = {**environment(device), 'command': command, 'repeats': plan.repeats,
             'warm_up': plan.warm_up, 'router': plan.router}
    for model in plan.models:
        common = {'model': model, 'device': device.type,
                  'dense_conditioning': plan.dense_conditioning}
        try:
            more, failed = time_model(plan, model, device, common)
        except FastSam2Error as error:
            more, failed = [], [{'error': _one_line(error)}]
        rows += more
        errors += [{'model': model, **each, 'run': 0} for each in failed]
        gc.collect()
        yield {'environment': about, 'rows': rows, 'errors': errors}


def time_model(
    plan: Plan, model: str, device: torch.device, common: dict[str, Any]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """
    Time all variants of one model in turns; return their rows and what could not be run.

    `common` has what is the same in all rows. Raises FastSam2Error where the model cannot be
    loaded.
    """
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, *FRAME_SIZE, 3), dtype=np.uint8)
    field = Field(plan, model, device, frames[0])
    contenders: dict[Variant, Contender] = {}
    costs: dict[Variant, Costs] = {}
    errors: list[dict[str, Any]] = []
    variants = plan.variants(device)
    for variant in tqdm(variants, desc=f'{model}: warm up', leave=False, disable=None):
        try:
            contender, costs[variant] = _prepare(field, variant, frames, plan.warm_up)
        except (FastSam2Error, RuntimeError) as error:  # RuntimeError: out of memory
            errors.append({**asdict(variant), 'error': _one_line(error)})
            tqdm.write(f'{model}, {variant}: {errors[-1]["error"]}', file=sys.stderr)
        else:
            contenders[variant] = contender
    steps = take_turns(contenders, frames, plan.repeats, f'{model}: measure')
    measured = []
    for variant, taken in steps.items():
        grown = held_bytes(contenders[variant].held()) - (
            costs[variant].weights_bytes + costs[variant].state_bytes)
        measured.append(Measured(
            variant, taken, replace(costs[variant], growth_bytes=round(grown / plan.repeats))))
    size = field.loaded.preprocess.image_size
    return make_rows(measured, {**common, 'image_size': size}), errors


def _prepare(
    field: Field, variant: Variant, frames: np.ndarray, steps: int
) -> tuple[Contender, Costs]:
    """Make a contender, step it until it is warm, and count what it costs in the last `steps`."""
    device = field.loaded.model.device
    before = graph_bytes(device, field) if variant.compiled else 0
    contender = field.make(variant)
    for turn in range(1, steps):
        contender.step(frames[turn % len(frames)])
    frame = frames[steps % len(frames)]
    working = working_bytes(lambda: contender.step(frame), device)
    after = graph_bytes(device, field, contender.held()) if variant.compiled else 0
    weights = held_bytes(contender.model)
    return contender, Costs(
        flops=field.count(variant, contender), weights_bytes=weights,
        state_bytes=held_bytes(contender.held()) - weights, working_bytes=working,
        graph_bytes=max(0, after - before))


def take_turns(
    contenders: dict[Variant, Contender], frames: np.ndarray, repeats: int, words: str = ''
) -> dict[Variant, list[dict[str, float]]]:
    """
    Step every contender `repeats` times, in turns, forth and back; return ms by stage.

    Forth and back, so that none always follows the same one.
    """
    steps: dict[Variant, list[dict[str, float]]] = {variant: [] for variant in contenders}
    for turn in tqdm(range(repeats), desc=words, leave=False, disable=None):
        order = list(contenders)[::-1 if turn % 2 else 1]
        for variant in order:
            steps[variant].append(contenders[variant].step(frames[turn % len(frames)]))
    return steps


def _one_line(error: Exception) -> str:
    return ' '.join(str(error).split())[:300]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `fast-sam2 benchmark`."""
    parser.epilog = EPILOG
    parser.add_argument(
        '--model', type=names, default=('embedded',), metavar='A,B',
        help=f'{", ".join(SIZES)} (random weights in the real shapes, {FULL_SIZE} pixels), or '
             'embedded, a hub id, a folder or a .pt file (default: embedded)')
    parser.add_argument(
        '--keep-ratio', type=ratios, default=(1.0, 0.3), metavar='R,R',
        help='shares of the tokens to keep, each in (0, 1]; the limit and all comparisons with '
             'keeping all need 1.0 among them (default: 1.0,0.3)')
    parser.add_argument(
        '--against', type=names, default=(), metavar='A,B',
        help="also time hf (transformers' own session) and official (Meta's sam2)")
    parser.add_argument(
        '--dtype', type=names, default=('float32',), metavar='A,B',
        help=f'{", ".join(DTYPES)} (autocast) or both (default: float32)')
    parser.add_argument(
        '--compile', type=_compilation, default=(False,), metavar='A,B',
        help="off, on or both; on a GPU also Meta's vos_optimized, transformers' never "
             '(default: off)')
    parser.add_argument(
        '--targets', type=_counts, default=(1,), metavar='N,N',
        help='how many targets to follow at once, up to 8 (default: 1)')
    parser.add_argument('--router', default='analytic',
                        help='of our own steps (default: %(default)s)')
    parser.add_argument(
        '--prune-conditioning', action='store_true',
        help='prune the prompted frame in the memory as well, as published; the tracker itself '
             'keeps it whole')
    parser.add_argument(
        '--image-size', type=int, metavar='N',
        help="pixels a side of the input, to try things out (default: the model's own)")
    parser.add_argument('--device', default='auto', help='auto, cpu or cuda (default: auto)')
    parser.add_argument(
        '--repeats', type=int, default=5, help='counted steps of each (default: %(default)s)')
    parser.add_argument(
        '--warm-up', type=int, default=2,
        help='steps of each that do not count (default: %(default)s)')
    group = parser.add_argument_group('report')
    group.add_argument('--json', type=Path, metavar='OUT',
                       help='write the rows there, anew after every model')
    group.add_argument('--markdown', type=Path, metavar='OUT', help='write a table there')
    group.add_argument('--plot', type=Path, metavar='OUT',
                       help='draw the stages of every variant (PNG, PDF or SVG)')
    group.add_argument('--from', dest='sources', type=paths, metavar='A,B',
                       help='run nothing: report on these JSON files, put together')


def main(arguments: argparse.Namespace) -> int:
    """Run `fast-sam2 benchmark`: print a table, and write what was asked for."""
    if arguments.plot is not None:
        report.check_drawing()
    if arguments.sources is not None:
        results = iter([merge(arguments.sources)])
    else:
        results = run(
            _plan(arguments), resolve_device(arguments.device),
            shlex.join(['fast-sam2', *arguments.words]))
    for result in results:
        if arguments.json is not None:
            write_json(result, arguments.json)
    print(report.table(result))
    if arguments.markdown is not None:
        arguments.markdown.parent.mkdir(parents=True, exist_ok=True)
        arguments.markdown.write_text(report.markdown(result), encoding='utf-8')
    if not result['rows']:
        raise ParameterError('nothing could be run')
    if arguments.plot is not None:
        report.plot(result, arguments.plot)
    return NOT_ALL if result['errors'] and arguments.sources is None else 0


def _plan(arguments: argparse.Namespace) -> Plan:
    return Plan(
        models=arguments.model, keep_ratios=arguments.keep_ratio, against=arguments.against,
        dtypes=arguments.dtype, compiled=arguments.compile, targets=arguments.targets,
        router=arguments.router, dense_conditioning=not arguments.prune_conditioning,
        image_size=arguments.image_size, warm_up=arguments.warm_up, repeats=arguments.repeats)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in names(text))


def _compilation(text: str) -> tuple[bool, ...]:
    unknown = [part for part in names(text) if part not in COMPILATION]
    if unknown:
        raise argparse.ArgumentTypeError(
            f'takes {", ".join(COMPILATION)}, not {", ".join(unknown)}')
    return tuple(COMPILATION[part] for part in names(text))
