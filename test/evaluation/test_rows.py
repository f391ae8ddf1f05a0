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
"""Rows of an evaluation: means, files, and several files put together."""

from dataclasses import replace
import json

from fast_sam2_ros.errors import InputError, ParameterError
from fast_sam2_ros.evaluation.rows import (
    by_setting, mean_row, merge, read, Result, Row, same_sequences, write)
import pytest

ROW = Row(
    sequence='a', model='m', router='analytic', keep_ratio=0.5, prompt='mask', J=0.2, F=0.4,
    JF=0.3, fps=10.0, tokens_retained=8.0, bank_bytes=100, data='d', with_text=False,
    image_size=64, memory_frames=6, memory_keep_ratio=0.5, dense_conditioning=True, J_recall=0.0,
    J_decay=0.1, F_recall=0.5, F_decay=-0.1, step_ms_median=100.0, step_ms_p95=120.0, frames=5,
    found=1.0)
OTHER = replace(ROW, sequence='b', J=0.6, F=0.8, JF=0.7, fps=20.0, J_recall=1.0, J_decay=0.3,
                step_ms_median=50.0, frames=7, found=0.5)


def save(path, *rows, environment=None, errors=()):
    write(Result(environment or {'torch': '2'}, list(rows), list(errors)), path)
    return path


def test_the_mean_weighs_sequences_alike():
    mean = mean_row([ROW, OTHER])
    assert (mean.sequence, mean.router, mean.bank_bytes) == ('mean', 'analytic', 100)
    assert (mean.J, mean.F, mean.JF, mean.fps) == pytest.approx((0.4, 0.6, 0.5, 15.0))
    assert (mean.J_recall, mean.J_decay, mean.found) == pytest.approx((0.5, 0.2, 0.75))
    assert (mean.step_ms_median, mean.step_ms_p95, mean.frames) == (75, 120, 12)


def test_a_result_is_read_as_it_was_written(tmp_path):
    result = Result({'torch': '2'}, [ROW, OTHER, mean_row([ROW, OTHER])], [{'error': 'x'}])
    write(result, tmp_path / 'new' / 'x.json')
    assert read(tmp_path / 'new' / 'x.json') == result
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['x.json']


def test_a_file_that_is_no_result_is_refused(tmp_path):
    path = tmp_path / 'x.json'
    with pytest.raises(InputError, match='x.json cannot be read'):
        read(path)
    path.write_text('{"rows": ')
    with pytest.raises(InputError, match='x.json cannot be read'):
        read(path)
    for content in ('[]', '{"rows": []}', '{"frames": [1]}', '{"rows": [3]}'):
        path.write_text(content)
        with pytest.raises(InputError, match='not a result of fast-sam2 evaluate'):
            read(path)
    save(path, ROW)
    content = json.loads(path.read_text())
    del content['rows'][0]['J_decay']
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match='lack J_decay.*run that again'):
        read(path)


def test_merging_takes_means_anew_and_what_is_alike_once(tmp_path):
    pruned = replace(ROW, keep_ratio=0.3)
    first = save(tmp_path / '1.json', ROW, mean_row([ROW]), errors=[{'error': 'x'}])
    second = save(tmp_path / '2.json', ROW, OTHER, mean_row([ROW, OTHER]), pruned,
                  environment={'torch': '3'})
    merged = merge([first, second])
    assert [(row.sequence, row.keep_ratio) for row in merged.rows] == [
        ('a', 0.5), ('b', 0.5), ('mean', 0.5), ('a', 0.3), ('mean', 0.3)]
    assert merged.rows[2] == mean_row([ROW, OTHER])
    assert merged.environment == {'parts': [{'torch': '2'}, {'torch': '3'}]}
    assert merged.errors == [{'error': 'x'}]
    write(merged, tmp_path / 'all.json')
    assert merge([tmp_path / 'all.json']) == merged  # and again


def test_merging_refuses_two_measurements_of_the_same(tmp_path):
    first = save(tmp_path / '1.json', ROW)
    second = save(tmp_path / '2.json', replace(ROW, fps=11.0))
    with pytest.raises(ParameterError, match='1.json and .*2.json both measured a with m'):
        merge([first, second])


@pytest.mark.parametrize('change', [
    {'data': 'x'}, {'model': 'x'}, {'router': 'x'}, {'keep_ratio': 0.1}, {'prompt': 'x'},
    {'with_text': True}, {'image_size': 96}, {'memory_frames': 1}, {'memory_keep_ratio': 0.1},
    {'dense_conditioning': False}])
def test_whatever_is_set_makes_a_mean_of_its_own(change):
    assert len(by_setting([ROW, replace(OTHER, **change)])) == 2
    assert len(by_setting([ROW, OTHER])) == 1


def test_it_is_seen_where_settings_were_run_on_different_sequences():
    pruned = [replace(row, keep_ratio=0.3) for row in (ROW, OTHER)]
    elsewhere = replace(ROW, data='x', sequence='c')
    assert same_sequences([ROW, OTHER, mean_row([ROW, OTHER]), *pruned, elsewhere])
    assert not same_sequences([ROW, OTHER, pruned[0]])
