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
The result of `fast-sam2 benchmark`: its rows, what they say beside each other, and its files.

A row is one stage of one variant (DESIGN, section 7), times in ms. The rows of the stage `total`
compare as well, with what ran in turns with them: see `TOTAL_KEYS`. A result may hold several
runs, each with its own environment; a row's `run` says which one, and nothing compares across.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fast_sam2_ros.errors import InputError
from fast_sam2_ros.evaluation.contenders import HF, OFFICIAL, OURS, Variant
from fast_sam2_ros.evaluation.costs import TOTAL
from fast_sam2_ros.evaluation.rows import read_json
from fast_sam2_ros.latency import STAGES
import numpy as np

KEYS = ('model', 'implementation', 'device', 'dtype', 'compiled', 'keep_ratio', 'targets', 'stage',
        'median_ms', 'p95_ms', 'gflop', 'peak_bytes', 'image_size', 'dense_conditioning', 'run')
ALL_TOKENS = 1.0
PRUNED_STAGES = ('attend', 'route')  # what pruning can make cheaper; the limit has them free
# Of the stage total only, and only where what they compare with ran as well:
TOTAL_KEYS = {
    'weights_bytes': 'the model, with the tables that it keeps',
    'state_bytes': 'what is held of a stream with a full memory (16 frames)',
    'working_bytes': 'the most that a steady step holds besides',
    'graph_bytes': 'what compiled graphs hold: weights rearranged, working memory of CUDA graphs',
    'growth_bytes': 'by which the state grows with every further frame',
    'limit_ms': 'a step that keeps all tokens, less its memory attention and its routing',
    'of_limit': 'limit_ms / median_ms: 1 where nothing is left to gain by pruning',
    'speed': 'throughput over ours with all tokens, of the same dtype, compilation and targets',
    'memory': 'peak_bytes over ours with all tokens, of the same',
    'over_hf': "throughput over transformers' session, of the same dtype and targets, eager",
    'over_official': "throughput over Meta's predictor, of the same dtype and targets, compiled "
                     '(vos_optimized) where this is and that ran, else eager',
    'over_eager': 'throughput of a compiled variant over the same that is not',
    'of_one_target': 'median_ms over that of one target, all else the same',
}


@dataclass(frozen=True)
class Costs:
    """What a variant costs besides time; `flops` by stage, the rest in bytes (`TOTAL_KEYS`)."""

    flops: dict[str, int]
    weights_bytes: int
    state_bytes: int
    working_bytes: int
    graph_bytes: int = 0
    growth_bytes: int = 0

    @property
    def peak_bytes(self) -> int:
        """Return the model, the stream, compiled graphs, and the peak of the working memory."""
        return self.weights_bytes + self.state_bytes + self.graph_bytes + self.working_bytes


@dataclass(frozen=True)
class Measured:
    """A variant's counted `steps`, each milliseconds by stage, and its costs."""

    variant: Variant
    steps: list[dict[str, float]]
    costs: Costs

    def median(self) -> float:
        """Return the median of whole steps, in ms."""
        return float(np.median([step[TOTAL] for step in self.steps]))


def make_rows(measured: list[Measured], common: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Write variants that took turns as rows, in their order, a row a stage.

    `common` has the keys that are the same in all rows: model, device, image_size,
    dense_conditioning. `peak_bytes` is of the whole variant, the same in all of its rows.
    """
    rows = []
    for each in measured:
        variant, costs = each.variant, each.costs
        for stage in each.steps[0]:
            values = [step[stage] for step in each.steps]
            row = {
                **common,
                'implementation': variant.implementation,
                'dtype': variant.dtype,
                'compiled': variant.compiled,
                'keep_ratio': variant.keep_ratio,
                'targets': variant.targets,
                'stage': stage,
                'median_ms': float(np.median(values)),
                'p95_ms': float(np.percentile(values, 95)),
                'gflop': costs.flops.get(stage, 0) / 1e9,
                'peak_bytes': costs.peak_bytes,
                'run': 0,
            }
            row = {key: row[key] for key in KEYS}
            if stage == TOTAL:
                row |= {
                    'weights_bytes': costs.weights_bytes, 'state_bytes': costs.state_bytes,
                    'working_bytes': costs.working_bytes, 'graph_bytes': costs.graph_bytes,
                    'growth_bytes': costs.growth_bytes, **_comparisons(each, measured)}
            rows.append(row)
    return rows


def _comparisons(each: Measured, others: list[Measured]) -> dict[str, float]:
    """Compare a variant with those that ran beside it; leave out what did not run."""
    median = each.median()
    found: dict[str, float] = {}
    variant = each.variant

    def find(**settings: Any) -> Measured | None:
        wanted = replace(variant, **settings)
        return next((other for other in others if other.variant == wanted), None)

    whole = find(implementation=OURS, keep_ratio=ALL_TOKENS)
    if whole is not None:
        limit = float(np.median([
            step[TOTAL] - sum(step[stage] for stage in PRUNED_STAGES) for step in whole.steps]))
        if variant.implementation == OURS:
            found |= {'limit_ms': limit, 'of_limit': limit / median}
        found |= {'speed': whole.median() / median,
                  'memory': each.costs.peak_bytes / whole.costs.peak_bytes}
    official = find(implementation=OFFICIAL, keep_ratio=ALL_TOKENS)
    for key, other in (
        ('over_hf', find(implementation=HF, keep_ratio=ALL_TOKENS, compiled=False)),
        ('over_official', official or find(
            implementation=OFFICIAL, keep_ratio=ALL_TOKENS, compiled=False)),
        ('over_eager', find(compiled=False) if variant.compiled else None),
    ):
        if other is not None:
            found[key] = other.median() / median
    one = find(targets=1)
    if one is not None:
        found['of_one_target'] = median / one.median()
    return found


def read(path: Path) -> dict[str, Any]:
    """Read a file of `fast-sam2 benchmark --json`; raise InputError for anything else."""
    content = read_json(path)
    try:
        lacking = set(KEYS) - set.intersection(*(set(row) for row in content['rows']))
        if lacking:
            raise InputError(f'the rows of {path} lack {", ".join(sorted(lacking))}: it is from '
                             'another version of fast-sam2 benchmark, run that again')
        return {key: content[key] for key in ('environment', 'rows', 'errors')}
    except (KeyError, TypeError) as error:
        raise InputError(f'{path} is not a result of fast-sam2 benchmark --json') from error


def runs(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the environments of a result's runs, in the order of the rows' `run`."""
    return result['environment'].get('parts', [result['environment']])


def merge(paths: tuple[Path, ...]) -> dict[str, Any]:
    """
    Put results together; each run keeps its rows and what they say about each other.

    A run that several files hold is taken once.
    """
    parts: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for path in paths:
        result = read(path)
        for number, environment in enumerate(runs(result)):
            if environment in parts:
                continue
            for kind, taken in (('rows', rows), ('errors', errors)):
                taken += [{**item, 'run': len(parts)} for item in result[kind]
                          if item['run'] == number]
            parts.append(environment)
    return {'environment': {'parts': parts}, 'rows': rows, 'errors': errors}


def stage_times(rows: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, float]]]:
    """Return every variant's row of the stage total, with its median ms by stage."""
    found: list[tuple[dict[str, Any], dict[str, float]]] = []
    times: dict[str, float] = {}
    for row in rows:
        times[row['stage']] = row['median_ms']
        if row['stage'] == TOTAL:
            found.append((row, {stage: times[stage] for stage in STAGES if stage in times}))
            times = {}
    return found
