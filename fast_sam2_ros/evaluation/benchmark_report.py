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
"""The result of `fast-sam2 benchmark` for people: a table, Markdown, and a plot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TYPE_CHECKING

from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.evaluation.benchmark_rows import runs, stage_times
from fast_sam2_ros.evaluation.contenders import OURS
from fast_sam2_ros.evaluation.costs import TOTAL
from fast_sam2_ros.evaluation.report import check_drawing, in_words, markdown_line, save_figure
from fast_sam2_ros.latency import STAGES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DEFINITIONS = (
    'Times are medians in ms, warm and with a full memory; the variants of one model took turns. '
    '"GFLOP" counts a multiply-add as 2. "Peak" is the model, what is held of a stream with a '
    'full memory (16 frames), and the most that a steady step holds besides; "growth" what each '
    'further frame adds. "Speed" and "memory" are over ours with all tokens in the same run; "of '
    'limit" is how close the step is to one whose memory attention and routing cost nothing; "x '
    'hf", "x official" and "x eager" are throughput over that implementation, or the same one not '
    'compiled, in the same run, on the same weights; "x one target" the time over that of one.')


def _name(row: dict[str, Any]) -> str:
    words = [row['implementation']]
    if row['implementation'] == OURS:
        words.append(f'keep {row["keep_ratio"]:g}')
        if not row['dense_conditioning']:
            words.append('first frame pruned')
    if row['compiled']:
        words.append('compiled')
    if row['targets'] > 1:
        words.append(f'{row["targets"]} targets')
    return ', '.join(words)


def _number(key: str, form: str, scale: float = 1.0) -> Callable[[dict[str, Any]], str]:
    """Return what writes a number of a row, or nothing where the row lacks it."""
    return lambda row: format(row[key] / scale, form) if key in row else ''


def _stage(stage: str) -> Callable[[dict[str, Any]], str]:
    return lambda row: f'{row["stages"][stage]:.1f}' if stage in row['stages'] else ''


COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    'run': lambda row: str(row['run'] + 1),
    'model': lambda row: row['model'],
    'pixels': lambda row: str(row['image_size']),
    'dtype': lambda row: row['dtype'],
    'variant': _name,
    **{stage: _stage(stage) for stage in STAGES},
    TOTAL: _number('median_ms', '.1f'),
    'p95': _number('p95_ms', '.1f'),
    'GFLOP': _number('gflop', '.1f'),
    'peak MB': _number('peak_bytes', '.0f', 2 ** 20),
    'growth MB': _number('growth_bytes', '.1f', 2 ** 20),
    'memory': _number('memory', '.3f'),
    'speed': _number('speed', '.2f'),
    'of limit': _number('of_limit', '.0%'),
    'x hf': _number('over_hf', '.2f'),
    'x official': _number('over_official', '.2f'),
    'x eager': _number('over_eager', '.2f'),
    'x one target': _number('of_one_target', '.2f'),
}


WORDS = ('model', 'dtype', 'variant')  # to the left on a terminal; numbers to the right
# Left out on a terminal, which is not that wide.
MARKDOWN_ONLY = ('run', 'pixels', 'p95', 'growth MB', 'memory')


def _lines(result: dict[str, Any], left_out: tuple[str, ...] = ()) -> list[list[str]]:
    """Return the heads of the columns that have anything in them, and a line a variant."""
    columns = [
        [head, *(write({**row, 'stages': stages})
                 for row, stages in stage_times(result['rows']))]
        for head, write in COLUMNS.items() if head not in left_out]
    return list(map(list, zip(*(column for column in columns if any(column[1:])))))


def _notes(result: dict[str, Any]) -> list[str]:
    """Say what could not be run, and where the runs were taken."""
    return [
        *(f'not run: {in_words(error)}' for error in result['errors']),
        *(f'run {number}: {in_words(environment)}'
          for number, environment in enumerate(runs(result), start=1))]


def table(result: dict[str, Any]) -> str:
    """Lay a result out for a terminal: a line a variant."""
    lines = _lines(result, MARKDOWN_ONLY)
    widths = [max(map(len, column)) for column in zip(*lines)]
    sides = [str.ljust if head in WORDS else str.rjust for head in (lines or [[]])[0]]
    return '\n'.join([
        *('  '.join(side(cell, width) for cell, side, width in zip(line, sides, widths)).rstrip()
          for line in lines),
        *_notes(result)])


def markdown(result: dict[str, Any]) -> str:
    """Write a result as a table in Markdown, with its definitions and where it is from."""
    lines = _lines(result)
    return '\n'.join([
        DEFINITIONS, '', markdown_line(lines[0]), markdown_line(['---'] * len(lines[0])),
        *(markdown_line(line) for line in lines[1:]), '',
        *(f'- {note}' for note in _notes(result))]) + '\n'


def plot(result: dict[str, Any], path: Path) -> None:
    """
    Draw every variant as a bar of its stages, a panel for each run, model and dtype, with limits.

    Raises ParameterError where matplotlib is missing, or cannot write such a file.
    """
    check_drawing()
    from matplotlib.figure import Figure

    panels: dict[tuple, list[tuple[dict[str, Any], dict[str, float]]]] = {}
    for row, stages in stage_times(result['rows']):
        panels.setdefault(
            (row['run'], row['model'], row['image_size'], row['dtype']), []).append((row, stages))
    if not panels:
        raise ParameterError('there is nothing to plot: no variant was run')
    heights = [len(bars) + 2 for bars in panels.values()]
    figure = Figure(figsize=(11, 0.4 * sum(heights) + 0.5), layout='constrained')
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    names = dict(zip((*STAGES, TOTAL), ('C0', 'C1', 'C2', 'C3', 'C4', 'C7')))
    for panel, ((run, model, size, dtype), bars) in zip(axes, panels.items()):
        for place, (row, stages) in enumerate(bars):
            start = 0.0
            for stage, time in (stages or {TOTAL: row['median_ms']}).items():
                panel.barh(place, time, left=start, color=names[stage])
                start += time
            _mark(panel, place, row['p95_ms'], '-')
            if 'limit_ms' in row:
                _mark(panel, place, row['limit_ms'], ':')
        panel.set_yticks(range(len(bars)), [_name(row) for row, _ in bars], fontsize='small')
        panel.invert_yaxis()
        panel.set_title(f'{model}, {size} px, {dtype} (run {run + 1})', loc='left')
        panel.set_xlabel('median step, ms; line: p95; dotted: the limit of pruning')
    handles = [figure.axes[0].barh(0, 0, color=color, label='whole step' if stage == TOTAL
                                   else stage) for stage, color in names.items()]
    figure.legend(handles=handles, loc='outside upper right', ncols=len(handles), fontsize='small')
    save_figure(figure, path)


def _mark(panel: Axes, place: int, time: float, style: str) -> None:
    panel.plot([time, time], [place - 0.5, place + 0.5], color='black', linestyle=style)
