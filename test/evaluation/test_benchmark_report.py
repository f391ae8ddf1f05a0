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
"""A benchmark for people: what stands in the tables, and what is left out."""

from fast_sam2_ros.evaluation.benchmark_report import DEFINITIONS, markdown, table
from fast_sam2_ros.evaluation.benchmark_rows import Costs, make_rows, Measured
from fast_sam2_ros.evaluation.contenders import HF, OURS, Variant

STEP = {'encode': 30.0, 'route': 1.0, 'attend': 9.0, 'decode': 5.0, 'remember': 5.0, 'total': 50.0}
COSTS = Costs({'total': 2 * 10 ** 9}, 2 ** 20, 2 ** 20, 2 ** 20, growth_bytes=2 ** 19)


def result(*variants, dense_conditioning=True):
    common = {'model': 'm', 'device': 'cpu', 'image_size': 64,
              'dense_conditioning': dense_conditioning}
    rows = make_rows([
        Measured(variant, [STEP if variant.implementation == OURS else {'total': 100.0}], COSTS)
        for variant in variants], common)
    return {'environment': {'date': 'today'}, 'rows': rows,
            'errors': [{'model': 'n', 'error': 'no memory', 'run': 0}]}


def ours(keep, compiled=False, targets=1):
    return Variant(OURS, 'float32', compiled, keep, targets)


def test_a_line_says_what_was_timed_and_how_it_compares():
    text = table(result(ours(1.0), ours(0.3, compiled=True, targets=2),
                        Variant(HF, 'float32', False, 1.0, 1)))
    head, whole, pruned, hf, *notes = text.splitlines()
    assert head.split() == [
        'model', 'dtype', 'variant', 'encode', 'route', 'attend', 'decode', 'remember', 'total',
        'GFLOP', 'peak', 'MB', 'speed', 'of', 'limit', 'x', 'hf', 'x', 'one', 'target']
    assert whole.split() == ['m', 'float32', 'ours,', 'keep', '1', '30.0', '1.0', '9.0', '5.0',
                             '5.0', '50.0', '2.0', '3', '1.00', '80%', '2.00', '1.00']
    assert pruned.split()[2:] == ['ours,', 'keep', '0.3,', 'compiled,', '2', 'targets', '30.0',
                                  '1.0', '9.0', '5.0', '5.0', '50.0', '2.0', '3']
    assert hf.split() == ['m', 'float32', 'hf', '100.0', '2.0', '3', '0.50', '1.00', '1.00']
    assert notes == ['not run: model n, error no memory, run 0', 'run 1: date today']
    assert len({line.index('50.0') for line in (whole, pruned)}) == 1


def test_markdown_has_the_definitions_and_every_column_with_something_in_it():
    text = markdown(result(ours(1.0), dense_conditioning=False)).splitlines()
    assert text[0] == DEFINITIONS
    cells = [[cell.strip() for cell in line.strip('|').split('|')] for line in text[2:5]]
    line = dict(zip(cells[0], cells[2]))
    assert set(cells[1]) == {'---'} and len(cells[0]) == len(cells[1]) == len(cells[2])
    assert line['variant'] == 'ours, keep 1, first frame pruned'
    assert (line['run'], line['pixels'], line['p95'], line['growth MB'], line['memory']) == (
        '1', '64', '50.0', '0.5', '1.000')
    assert 'x hf' not in line and 'x eager' not in line
    assert text[-1] == '- run 1: date today'


def test_nothing_run_is_a_table_of_notes():
    empty = {'environment': {'date': 'today'}, 'rows': [], 'errors': []}
    assert table(empty) == 'run 1: date today'
