# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
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
    'hf" and "x official" are throughput over that implementation in the same run, on the same '
    'weights.')


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
}


# Left out on a terminal, which is not that wide.
MARKDOWN_ONLY = ('run', 'pixels', 'p95', 'growth MB', 'memory')


def _lines(result: dict[str, Any], columns: list[str]) -> list[list[str]]:
    return [
        [COLUMNS[column]({**row, 'stages': stages}) for column in columns]
        for row, stages in stage_times(result['rows'])]


def _notes(result: dict[str, Any]) -> list[str]:
    """Say what could not be run, and where the runs were taken."""
    return [
        *(f'not run: {in_words(error)}' for error in result['errors']),
        *(f'run {number}: {in_words(environment)}'
          for number, environment in enumerate(runs(result), start=1))]


def table(result: dict[str, Any]) -> str:
    """Lay a result out for a terminal: a line a variant."""
    columns = [column for column in COLUMNS if column not in MARKDOWN_ONLY]
    lines = [columns, *_lines(result, columns)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(columns))]
    words = columns.index('variant')  # up to there to the left, numbers to the right
    return '\n'.join([
        *('  '.join(
            cell.ljust(width) if column <= words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths))).rstrip()
          for line in lines),
        *_notes(result)])


def markdown(result: dict[str, Any]) -> str:
    """Write a result as a table in Markdown, with its definitions and where it is from."""
    return '\n'.join([
        DEFINITIONS, '', markdown_line(list(COLUMNS)), markdown_line(['---'] * len(COLUMNS)),
        *(markdown_line(line) for line in _lines(result, list(COLUMNS))), '',
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
