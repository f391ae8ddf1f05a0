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
"""The result of `fast-sam2 evaluate`: its rows, their means, and the files that hold them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
import json
from pathlib import Path
from typing import Any

from fast_sam2_ros.errors import InputError, ParameterError
import numpy as np

MEAN = 'mean'  # in place of a sequence's name
BASELINE = 'repeat-first-mask'
SETTING = ('data', 'model', 'router', 'keep_ratio', 'prompt', 'with_text', 'image_size',
           'memory_frames', 'memory_keep_ratio', 'dense_conditioning', 'dtype', 'roi')
# Of a mean, over sequences. The bank is as large in all of them, and frames are added.
AVERAGED = ('J', 'F', 'JF', 'J_recall', 'J_decay', 'F_recall', 'F_decay', 'found', 'fps',
            'step_ms_median', 'step_ms_p95', 'tokens_retained')


@dataclass(frozen=True)
class Row:
    """
    One line of the result: a setting, and what it gave on one sequence or in the mean.

    The first eleven are those of DESIGN, section 7. J, F, JF and the recalls are in [0, 1], the
    decays in [-1, 1].
    fps, step_ms_median, step_ms_p95: of a frame's way through the session, the first left out.
    tokens_retained: in the mean of the steps that looked at the memory.
    data: the name of the folder of sequences.
    with_text: whether the target was named, also where it was pointed at.
    image_size: pixels a side of the model's input; memory_frames: recent frames remembered;
    memory_keep_ratio: share of their tokens; dense_conditioning: whether the first frame keeps
    all of its own.
    dtype: what the model computed in; roi: side of the window that is encoded, as a share of the
    frame's, 0 for whole frames.
    frames: how many there were; found: the share of them that gave a mask.
    """

    sequence: str
    model: str
    router: str
    keep_ratio: float
    prompt: str
    J: float
    F: float
    JF: float
    fps: float
    tokens_retained: float
    bank_bytes: int
    data: str
    with_text: bool
    image_size: int
    memory_frames: int
    memory_keep_ratio: float
    dense_conditioning: bool
    J_recall: float
    J_decay: float
    F_recall: float
    F_decay: float
    step_ms_median: float
    step_ms_p95: float
    frames: int
    found: float
    dtype: str = 'float32'
    roi: float = 0.0

    @property
    def setting(self) -> tuple:
        """Return what was set: rows of the same belong to one mean."""
        return tuple(getattr(self, key) for key in SETTING)


@dataclass(frozen=True)
class Result:
    """What a run or several gave: where it was measured, its rows, and what could not be run."""

    environment: dict[str, Any]
    rows: list[Row]
    errors: list[dict[str, Any]]


def mean_row(rows: list[Row]) -> Row:
    """Return the mean over the sequences of one setting, each weighed alike."""
    means = {key: float(np.mean([getattr(row, key) for row in rows])) for key in AVERAGED}
    return replace(rows[0], sequence=MEAN, frames=sum(row.frames for row in rows), **means)


def by_setting(rows: list[Row]) -> list[list[Row]]:
    """Sort rows of sequences into lists of one setting each, in the order of their first rows."""
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        if row.sequence != MEAN:
            groups.setdefault(row.setting, []).append(row)
    return list(groups.values())


def same_sequences(rows: list[Row]) -> bool:
    """Tell whether all settings of the same data were run on the same sequences."""
    seen: dict[str, set[str]] = {}
    for group in by_setting(rows):
        names = {row.sequence for row in group}
        if seen.setdefault(group[0].data, names) != names:
            return False
    return True


def write(result: Result, path: Path) -> None:
    """Write a result as JSON, whole or not at all."""
    write_json(asdict(result), path)


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write a result of any command as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + '.partial')
    temporary.write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')
    temporary.replace(path)


def read_json(path: Path) -> Any:
    """Read a result of any command; raise InputError where it is no JSON."""
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise InputError(f'{path} cannot be read: {error}') from error


def read(path: Path) -> Result:
    """Read what `write` wrote; raise InputError for anything else."""
    content = read_json(path)
    try:
        rows = content['rows']
        lacking = {field.name for field in fields(Row)} - set.intersection(*map(set, rows))
        if lacking:
            raise InputError(f'the rows of {path} lack {", ".join(sorted(lacking))}: it is from '
                             'another version of fast-sam2 evaluate, run that again')
        return Result(content['environment'], [Row(**row) for row in rows], content['errors'])
    except (KeyError, TypeError) as error:
        raise InputError(f'{path} is not a result of fast-sam2 evaluate --json') from error


def merge(paths: tuple[Path, ...]) -> Result:
    """
    Put results together as if they were of one run; means are taken anew.

    Settings and sequences may be spread over the files in any way. A row that several files hold
    alike, as the baseline, is taken once. Raises ParameterError where two of them measured the
    same and differ, since neither can be preferred.
    """
    results = [read(path) for path in paths]
    taken: dict[tuple, tuple[Row, Path]] = {}
    for path, result in zip(paths, results):
        for row in result.rows:
            if row.sequence == MEAN:
                continue
            before, source = taken.setdefault((row.setting, row.sequence), (row, path))
            if before != row:
                raise ParameterError(
                    f'{source} and {path} both measured {row.sequence} with {row.model}, '
                    f'{row.router} and keep ratio {row.keep_ratio:g}, and differ: leave one out')
    rows: list[Row] = []
    for group in by_setting([row for row, _ in taken.values()]):
        rows += [*group, mean_row(group)]
    parts = [part for result in results
             for part in result.environment.get('parts', [result.environment])]
    return Result({'parts': parts}, rows, [error for result in results for error in result.errors])
