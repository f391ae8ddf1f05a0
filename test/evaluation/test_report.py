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
"""What an evaluation tells people: Markdown and a plot."""

from dataclasses import replace
import sys

from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.evaluation import report
from fast_sam2_ros.evaluation.rows import Result, Row
import pytest

ROW = Row(
    sequence='a', model='m', router='analytic', keep_ratio=0.5, prompt='mask', J=0.2, F=0.4,
    JF=0.3, fps=10.0, tokens_retained=8.0, bank_bytes=2**20, data='d', with_text=False,
    image_size=64, memory_frames=6, memory_keep_ratio=0.5, dense_conditioning=True, J_recall=0.0,
    J_decay=0.1, F_recall=0.5, F_decay=-0.1, step_ms_median=100.0, step_ms_p95=120.0, frames=5,
    found=1.0)
BASELINE = replace(ROW, model='none', router='repeat-first-mask', keep_ratio=0.0, JF=0.123)


def result(*rows: Row, errors=()) -> Result:
    return Result({'torch': '2.11'}, list(rows), list(errors))


def cells(text: str) -> list[list[str]]:
    """Return the rows of the tables in Markdown, split into cells."""
    return [[cell.strip() for cell in line.strip('|').split(' | ')]
            for line in text.splitlines() if line.startswith('| ')]


def test_markdown_has_the_means_and_then_the_sequences():
    other = replace(ROW, sequence='b', JF=0.5, J_recall=1.0)
    text = report.markdown(result(BASELINE, ROW, other))
    rows = cells(text)
    assert len({len(row) for row in rows}) == 1  # as many cells in each
    names = rows[0]
    assert names[:4] == ['sequences', 'data', 'model', 'pixels']
    baseline, mean = (dict(zip(names, row)) for row in rows[2:4])
    assert (baseline['router'], baseline['J&F'], baseline['step ms (p95)']) == (
        'repeat-first-mask', '0.123', '')
    assert (mean['sequences'], mean['J&F'], mean['J recall'], mean['F decay']) == (
        '2', '0.400', '0.500', '-0.100')
    assert (mean['tokens'], mean['bank MB']) == ('8', '1.00')
    assert mean['step ms (p95)'] == '100.0 (120.0)'
    assert [row[0] for row in rows[4:]] == ['sequence', '---', 'a', 'a', 'b']
    assert 'torch 2.11' in text


def test_markdown_tells_settings_apart():
    text = report.markdown(result(
        ROW, replace(ROW, dense_conditioning=False, memory_keep_ratio=0.05),
        replace(ROW, with_text=True), replace(ROW, prompt='text', with_text=True)))
    rows = [dict(zip(cells(text)[0], row)) for row in cells(text)[2:6]]
    assert [row['keep in memory'] for row in rows[:2]] == ['0.5', '0.05, also of the first frame']
    assert [row['prompt'] for row in rows] == ['mask', 'mask', 'mask and text', 'text']


def test_markdown_warns_and_names_what_was_not_run():
    text = report.markdown(result(
        ROW, replace(ROW, sequence='b'), replace(ROW, keep_ratio=0.3),
        errors=[{'model': 'gone', 'error': 'is missing'}]))
    assert report.UNEQUAL in text
    assert '- not run: model gone, error is missing' in text
    assert report.UNEQUAL not in report.markdown(result(ROW))


@pytest.fixture
def drawn(monkeypatch):
    """Keep what is drawn on each panel: its label, and the points of every line."""
    from matplotlib.axes import Axes

    panels: dict = {}

    def remember(axes, label, real=Axes.set_xlabel):
        lines = {line.get_label(): list(zip(*line.get_data())) for line in axes.get_lines()}
        panels.setdefault(label, []).append(lines)
        return real(axes, label)

    monkeypatch.setattr(Axes, 'set_xlabel', remember)
    return panels


def test_the_plot_has_a_line_for_each_router(drawn, tmp_path):
    rows = [replace(ROW, router=router, keep_ratio=keep, memory_keep_ratio=keep, JF=score,
                    step_ms_median=ms)
            for router, keep, score, ms in (
                ('analytic', 1.0, 0.8, 90.0), ('analytic', 0.3, 0.7, 50.0),
                ('random', 1.0, 0.8, 91.0), ('random', 0.3, 0.4, 49.0))]
    report.plot(result(BASELINE, *rows), tmp_path / 'new' / 'x.png')
    (over_keep,), (over_time,) = drawn['keep ratio'], drawn['median step, ms']
    assert over_keep['analytic'] == [(0.3, 0.7), (1.0, 0.8)]
    assert over_keep['random'] == [(0.3, 0.4), (1.0, 0.8)]
    assert over_time['random'] == [(49.0, 0.4), (91.0, 0.8)]
    assert {y for _, y in over_time['repeat-first-mask']} == {0.123}
    assert (tmp_path / 'new' / 'x.png').read_bytes().startswith(b'\x89PNG')


def test_what_varies_besides_has_lines_of_its_own(drawn, tmp_path):
    report.plot(result(
        ROW, replace(ROW, image_size=32), replace(ROW, memory_frames=1),
        replace(ROW, memory_keep_ratio=0.05), replace(ROW, dense_conditioning=False),
        replace(ROW, with_text=True), replace(ROW, data='e', JF=0.9),
        replace(ROW, data='e', model='other', image_size=32)), tmp_path / 'x.svg')
    first, second = drawn['keep ratio']
    assert set(first) == {
        'analytic', 'analytic, 32 px', 'analytic, 1 memory frames', 'analytic, 0.05 in memory',
        'analytic, first frame pruned', 'analytic, named'}
    assert second == {'analytic, m': [(0.5, 0.9)], 'analytic, other': [(0.5, 0.3)]}


def test_without_matplotlib_the_user_is_told_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'matplotlib', None)
    with pytest.raises(ParameterError, match='pip install matplotlib'):
        report.plot(result(ROW), tmp_path / 'x.png')


def test_a_plot_that_cannot_be_drawn_is_refused(tmp_path):
    with pytest.raises(ParameterError, match='nothing to plot'):
        report.plot(result(BASELINE), tmp_path / 'x.png')
    with pytest.raises(ParameterError, match='cannot write the plot'):
        report.plot(result(ROW), tmp_path / 'x.nothing')
