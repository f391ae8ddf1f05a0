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
"""Rows of a benchmark: what they say of each other, and files, alone and put together."""

import json

from fast_sam2_ros.errors import InputError
from fast_sam2_ros.evaluation.benchmark_rows import (
    Costs, make_rows, Measured, merge, read, runs, stage_times)
from fast_sam2_ros.evaluation.contenders import HF, OFFICIAL, OURS, Variant
from fast_sam2_ros.evaluation.rows import write_json
import pytest

COMMON = {'model': 'm', 'device': 'cpu', 'image_size': 64, 'dense_conditioning': True}
DESIGNED = ['model', 'implementation', 'device', 'dtype', 'compiled', 'keep_ratio', 'targets',
            'stage', 'median_ms', 'p95_ms', 'gflop', 'peak_bytes']
STAGES = ['encode', 'route', 'attend', 'decode', 'remember', 'total']


def step(route, attend, total):
    """Make a step of ours; what is neither routing nor attention is split evenly."""
    rest = (total - route - attend) / 3
    return {'encode': rest, 'route': route, 'attend': attend, 'decode': rest, 'remember': rest,
            'total': total}


def measured(variant, steps, working=0, flops=None):
    costs = Costs(flops=flops or {'total': 10 ** 9}, weights_bytes=70, state_bytes=10,
                  working_bytes=working, growth_bytes=3)
    return Measured(variant, steps, costs)


def ours(keep, dtype='float32', compiled=False, targets=1):
    return Variant(OURS, dtype, compiled, keep, targets)


def totals(rows):
    return [row for row in rows if row['stage'] == 'total']


WHOLE = measured(ours(1.0), [step(0, 50, 100), step(0, 60, 108), step(0, 40, 104)], 20)
PRUNED = measured(ours(0.3), [step(1, 9, 60), step(1, 9, 64), step(1, 9, 80)], 0)


def test_a_stage_is_a_row_with_the_keys_of_the_design():
    flops = {'encode': 3 * 10 ** 9, 'attend': 5 * 10 ** 8, 'total': 35 * 10 ** 8}
    rows = make_rows([measured(ours(0.3), PRUNED.steps, 20, flops)], COMMON)
    assert [row['stage'] for row in rows] == STAGES
    assert list(rows[0])[:12] == DESIGNED
    assert [row['gflop'] for row in rows] == [3.0, 0.0, 0.5, 0.0, 0.0, 3.5]
    assert {row['peak_bytes'] for row in rows} == {100}
    total = rows[-1]
    assert total['median_ms'] == 64 and total['p95_ms'] == pytest.approx(78.4)
    assert (total['weights_bytes'], total['state_bytes'], total['working_bytes'],
            total['growth_bytes']) == (70, 10, 20, 3)


def test_the_limit_is_a_step_without_attention_and_routing():
    """Without them the steps of keep 1 take 50, 48 and 64: the median is 50."""
    whole, pruned = totals(make_rows([WHOLE, PRUNED], COMMON))
    assert whole['limit_ms'] == pruned['limit_ms'] == 50
    assert (whole['of_limit'], pruned['of_limit']) == pytest.approx((50 / 104, 50 / 64))
    assert (whole['speed'], pruned['speed']) == pytest.approx((1.0, 104 / 64))
    assert (whole['memory'], pruned['memory']) == pytest.approx((1.0, 80 / 100))


def test_without_keep_ratio_1_there_is_no_limit():
    [row] = totals(make_rows([PRUNED], COMMON))
    assert not {'limit_ms', 'of_limit', 'speed', 'memory', 'over_hf', 'over_official'} & set(row)


def test_only_the_same_dtype_and_number_of_targets_are_compared():
    rows = totals(make_rows([
        WHOLE, PRUNED,
        measured(ours(0.3, dtype='bfloat16'), [step(1, 9, 40)]),
        measured(ours(0.3, targets=2), [step(1, 9, 90)]),
        measured(Variant(HF, 'float32', False, 1.0, 1), [{'total': 128.0}]),
        measured(Variant(HF, 'float32', False, 1.0, 2), [{'total': 180.0}]),
    ], COMMON))
    _, pruned, half, double, hf, _ = rows
    assert pruned['over_hf'] == 2.0 and 'speed' in pruned
    assert 'over_hf' not in half and 'speed' not in half
    assert double['over_hf'] == 2.0 and 'speed' not in double
    assert (pruned['of_one_target'], double['of_one_target']) == pytest.approx((1.0, 90 / 64))
    assert 'of_one_target' not in totals(make_rows([measured(ours(0.3, targets=2), [
        step(1, 9, 90)])], COMMON))[0]
    assert hf['speed'] == pytest.approx(104 / 128) and hf['over_hf'] == 1.0
    assert 'limit_ms' not in hf and 'of_limit' not in hf


def test_compiled_is_compared_with_the_compiled_official_where_that_ran():
    compiled = measured(ours(1.0, compiled=True), [step(0, 10, 50)])
    eager_official = measured(Variant(OFFICIAL, 'float32', False, 1.0, 1), [{'total': 200.0}])
    their_compiled = measured(Variant(OFFICIAL, 'float32', True, 1.0, 1), [{'total': 150.0}])
    ran = totals(make_rows([WHOLE, compiled, eager_official, their_compiled], COMMON))
    assert [row['over_official'] for row in ran[:2]] == pytest.approx([200 / 104, 3.0])
    assert ran[1]['speed'] == 1.0 and ran[1]['limit_ms'] == 40
    assert ran[1]['over_eager'] == pytest.approx(104 / 50) and 'over_eager' not in ran[0]
    alone = totals(make_rows([WHOLE, compiled, eager_official], COMMON))
    assert alone[1]['over_official'] == 4.0


def result(date, rows, errors=()):
    return {'environment': {'date': date}, 'rows': rows, 'errors': list(errors)}


def test_results_are_read_as_written_and_put_together(tmp_path):
    first = result('1', make_rows([WHOLE, PRUNED], COMMON))
    second = result('2', make_rows([PRUNED], COMMON), [{'run': 0, 'error': 'no memory'}])
    for name, content in (('a', first), ('b', second)):
        write_json(content, tmp_path / name)
    assert read(tmp_path / 'a') == first
    both = merge([tmp_path / 'a', tmp_path / 'b'])
    assert runs(both) == [{'date': '1'}, {'date': '2'}]
    assert [row['run'] for row in both['rows']] == [0] * 12 + [1] * 6
    assert both['errors'] == [{'run': 1, 'error': 'no memory'}]
    assert [{**row, 'run': 0} for row in both['rows']] == first['rows'] + second['rows']
    write_json(both, tmp_path / 'both')
    assert merge([tmp_path / 'both', tmp_path / 'a']) == both, 'a run is taken once'


def test_a_file_that_is_no_result_is_refused(tmp_path):
    path = tmp_path / 'x.json'
    with pytest.raises(InputError, match='cannot be read'):
        read(path)
    for content in ('[]', '{"rows": []}', '{"rows": [3]}', '{"frames": 1}'):
        path.write_text(content)
        with pytest.raises(InputError, match='not a result of fast-sam2 benchmark'):
            read(path)
    old = result('1', make_rows([PRUNED], COMMON))
    del old['rows'][3]['image_size']
    path.write_text(json.dumps(old))
    with pytest.raises(InputError, match='lack image_size.*run that again'):
        read(path)


def test_stages_belong_to_the_total_that_follows_them():
    hf = measured(Variant(HF, 'float32', False, 1.0, 1), [{'total': 128.0}])
    found = stage_times(make_rows([hf, PRUNED], COMMON))
    assert [(row['implementation'], list(stages)) for row, stages in found] == [
        ('hf', []), ('ours', STAGES[:-1])]
    assert found[1][1]['attend'] == 9
