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
"""The result of `fast-sam2 evaluate` for people: a table, Markdown, and a plot."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import mode
from typing import Any, TYPE_CHECKING

from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.evaluation.rows import (
    BASELINE, by_setting, mean_row, Result, Row, same_sequences)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ('data', 'model', 'pixels', 'router', 'keep', 'keep in memory', 'memory frames',
           'prompt', 'J&F', 'J', 'J recall', 'J decay', 'F', 'F recall', 'F decay', 'found',
           'tokens', 'bank MB', 'step ms (p95)', 'frames/s')
DEFINITIONS = (
    'J, F, their recall (share of frames above 0.5) and their decay (first quarter of the frames '
    'less the last) are those of the DAVIS benchmark; the first and the last frame do not count. '
    'A mean weighs sequences alike. "Found" is the share of frames that gave a mask. "Step" is a '
    "frame's whole way through the session, the first frame of a sequence left out.")
UNEQUAL = 'Not all settings were run on the same sequences: their means do not compare.'


def table(rows: list[Row]) -> str:
    """Lay rows out for a terminal."""
    lines = [f'{"sequence":<16} {"model":<12} {"router":<18} {"keep":>5} {"prompt":<6} {"J":>6} '
             f'{"F":>6} {"J&F":>6} {"found":>6} {"frames/s":>8} {"tokens":>7} {"bank MB":>8}']
    for row in rows:
        lines.append(
            f'{row.sequence:<16} {row.model:<12} {row.router:<18} {row.keep_ratio:>5.2f} '
            f'{row.prompt:<6} {row.J:>6.3f} {row.F:>6.3f} {row.JF:>6.3f} {row.found:>6.3f} '
            f'{row.fps:>8.2f} {row.tokens_retained:>7.0f} {row.bank_bytes / 2**20:>8.2f}')
    return '\n'.join(lines)


def markdown(result: Result) -> str:
    """Write two tables in Markdown, the means and then every sequence, and where they are from."""
    groups = by_setting(result.rows)
    lines = [DEFINITIONS, '']
    if not same_sequences(result.rows):
        lines += [f'**{UNEQUAL}**', '']
    lines += _header('sequences')
    lines += [_line(str(len(group)), mean_row(group)) for group in groups]
    lines += ['', *_header('sequence')]
    lines += [_line(row.sequence, row) for group in groups for row in group]
    lines += ['', *(f'- not run: {in_words(error)}' for error in result.errors)]
    for part in result.environment.get('parts', [result.environment]):
        lines.append(f'- measured by: {in_words(part)}')
    return '\n'.join(lines) + '\n'


def _header(first: str) -> list[str]:
    names = (first, *COLUMNS)
    return [markdown_line(names), markdown_line(['---'] * len(names))]


def _line(first: str, row: Row) -> str:
    cells = [first, row.data]
    if row.router == BASELINE:
        cells += ['', '', row.router, '', '', '']
    else:
        remembered = f'{row.memory_keep_ratio:g}'
        if not row.dense_conditioning:
            remembered += ', also of the first frame'
        model = row.model if row.dtype == 'float32' else f'{row.model}, {row.dtype}'
        pixels = f'{row.image_size}, window {row.roi:g}' if row.roi else str(row.image_size)
        cells += [model, pixels, row.router, f'{row.keep_ratio:g}', remembered,
                  str(row.memory_frames)]
    cells.append('text' if row.prompt == 'text' else
                 f'{row.prompt} and text' if row.with_text else row.prompt)
    cells += [f'{value:.3f}' for value in (
        row.JF, row.J, row.J_recall, row.J_decay, row.F, row.F_recall, row.F_decay, row.found)]
    if row.router == BASELINE:
        cells += [''] * 4
    else:
        cells += [f'{row.tokens_retained:.0f}', f'{row.bank_bytes / 2**20:.2f}',
                  f'{row.step_ms_median:.1f} ({row.step_ms_p95:.1f})', f'{row.fps:.2f}']
    return markdown_line(cells)


def markdown_line(values: tuple[str, ...] | list[str]) -> str:
    """Write one line of a table in Markdown."""
    return '| ' + ' | '.join(value.replace('|', '\\|') for value in values) + ' |'


def in_words(items: dict[str, Any]) -> str:
    """Write keys and values in one line."""
    return ', '.join(f'{key} {value}' for key, value in items.items())


def check_drawing() -> None:
    """Raise ParameterError where the package that draws is missing."""
    if find_spec('matplotlib') is None:
        raise ParameterError('--plot draws with matplotlib, which is not installed: '
                             'run pip install matplotlib')


def plot(result: Result, path: Path) -> None:
    """
    Draw J&F over the keep ratio and over the time of a step, a line a router, into `path`.

    Every data set with every prompt is a row of two panels. Whatever else than the router and the
    keep ratio was varied has lines of its own. Raises ParameterError where matplotlib is missing,
    or cannot write such a file.
    """
    check_drawing()
    from matplotlib.figure import Figure

    means = [mean_row(group) for group in by_setting(result.rows)]
    panels: dict[tuple[str, str], list[Row]] = {}
    for row in means:
        if row.router != BASELINE:
            panels.setdefault((row.data, row.prompt), []).append(row)
    if not panels:
        raise ParameterError('there is nothing to plot: no setting was run')
    figure = Figure(figsize=(13, 4.2 * len(panels)), layout='constrained')
    axes = figure.subplots(len(panels), 2, sharey='row', squeeze=False)
    for (over_keep, over_time), ((data, prompt), rows) in zip(axes, panels.items()):
        baseline = [row for row in means if row.router == BASELINE and row.data == data]
        _draw(over_keep, rows, baseline, 'keep_ratio', 'keep ratio')
        _draw(over_time, rows, baseline, 'step_ms_median', 'median step, ms')
        over_keep.set_title(f'{data}, prompt: {prompt}', loc='left')
        over_keep.set_ylabel('J&F')
        over_time.legend(fontsize='small', loc='upper left', bbox_to_anchor=(1.02, 1.0))
    save_figure(figure, path)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure to a file; raise ParameterError where it cannot be one of that kind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        figure.savefig(path, dpi=120)
    except ValueError as error:
        raise ParameterError(f'cannot write the plot: {error}') from error


def _draw(axes: Axes, rows: list[Row], baseline: list[Row], key: str, label: str) -> None:
    for (name, line), marker in zip(_lines(rows).items(), 'osD^v<>pPX*hd' * len(rows)):
        points = sorted((getattr(row, key), row.JF) for row in line)
        axes.plot(*zip(*points), marker=marker, markersize=5, label=name)
    for row in baseline:
        axes.axhline(row.JF, color='grey', linestyle='--', label=row.router)
    axes.set_xlabel(label)
    axes.grid(alpha=0.3)


def _lines(rows: list[Row]) -> dict[str, list[Row]]:
    """Sort the means of one panel into lines, named by the router and by what is unusual."""
    several_models = len({row.model for row in rows}) > 1
    lines: dict[str, list[Row]] = {}
    for row in rows:
        alike = [other for other in rows if other.model == row.model]
        words = [row.router, row.model if several_models else '', *_unusual(row, alike)]
        lines.setdefault(', '.join(filter(None, words)), []).append(row)
    return lines


def _unusual(row: Row, alike: list[Row]) -> Iterator[str]:
    """Say what sets a row apart, besides its router, from most rows of the same model."""
    if row.image_size != mode(other.image_size for other in alike):
        yield f'{row.image_size} px'
    if row.memory_frames != mode(other.memory_frames for other in alike):
        yield f'{row.memory_frames} memory frames'
    if row.memory_keep_ratio != row.keep_ratio:
        yield f'{row.memory_keep_ratio:g} in memory'
    if not row.dense_conditioning:
        yield 'first frame pruned'
    if row.dtype != mode(other.dtype for other in alike):
        yield row.dtype
    if row.roi:
        yield f'window {row.roi:g}'
    if row.with_text and row.prompt != 'text':
        yield 'named'
