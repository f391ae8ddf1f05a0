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
"""The verdict on a soak that went well, and on one thing after the other that did not."""

from collections import Counter
from dataclasses import replace

from fast_sam2_ros.node.footprint import Footprint
from fast_sam2_ros.node.soak_client import Asked, Log
from fast_sam2_ros.node.soak_report import (
    Ending, judge, minutes, report, Sample, summarise, warm_up)
import numpy as np
import pytest

SECONDS = 3600.0
CYCLE = 240.0
END = Ending('', 0, 0.4, ())


def samples(change=lambda time, print: print) -> list[Sample]:
    """Return an hour of samples; memory comes up in 5 minutes and follows the goals after that."""
    noise = np.random.default_rng(1).normal(0, 3e5, 720)
    return [Sample(time, change(time, Footprint(
        own=int(6e8 + 5e7 * min(1, time / 300) + 2e6 * (time % CYCLE > 120) + noise[index]),
        resident=int(8e8 + 5e7 * min(1, time / 300) + noise[index]), private=int(7e8),
        proportional=int(7.5e8), threads=19, files=23, mapped=12, mapped_bytes=10**8)), 10**8)
        for index, time in enumerate(np.arange(0, SECONDS, 5.0))]


def log() -> Log:
    """Return an hour of what a client hears: 10 masks a second, a goal every 30 s."""
    times = np.arange(0.05, SECONDS, 0.1)
    states = ['tracking', 'lost', 'searching', 'idle']
    return Log(
        masks=[(time, 80.0 + index % 2 * 10) for index, time in enumerate(times)],
        steps=[(time, 70.0, states[int(time // 60 % 4)]) for time in times],
        looks=[(1.0, 0.9, True), (2.0, 0.7, True), (3.0, 0.0, False), (4.0, None, False)],
        losses=[70.0, 310.0], recoveries=[75.0, 320.0],
        goals=[Asked('cat', False, at, 0.2) for at in np.arange(0, SECONDS, 30.0)],
        bank={1: {321712}, 2: {643424}},
        tasks=Counter({('tracker', 'WARN', 'lost: cat'): 12}), reports=3600, watched=100,
        counts={'received': 100, 'processed': 40, 'dropped': 60})


def checks(heard=None, looked=None, errors=(), ending=END, **options):
    looked = samples() if looked is None else looked
    summary = summarise(heard or log(), looked, SECONDS, CYCLE)
    return {check.name: check
            for check in judge(summary, looked, SECONDS, list(errors), ending, **options)}


def failed(*arguments, **options) -> list[str]:
    return [name for name, check in checks(*arguments, **options).items() if not check.ok]


def test_a_good_hour_passes_and_its_figures_are_right():
    assert failed() == []
    text = checks()['own memory'].text
    assert 'indistinguishable from zero' in text and 'MB an hour (95% interval -' in text
    summary = summarise(log(), samples(), SECONDS, CYCLE)
    assert summary['masks_per_second'] == pytest.approx(10, rel=0.01)
    assert (summary['age_ms_median'], summary['age_ms_p95']) == (85.0, 90.0)
    assert summary['step_ms_median'] == 70.0 and summary['states']['tracking'] == 9000
    assert (summary['in_view'], summary['in_view_tracked'], summary['out_of_view']) == (3, 2, 1)
    assert summary['iou_tracked'] == pytest.approx(0.8)
    assert summary['memory']['own']['mb_begin'] == pytest.approx(651, abs=2)
    assert summary['longest_silence_s'] == pytest.approx(0.1, abs=0.06)


def test_minutes_have_their_own_figures():
    rows = minutes(log(), samples())
    assert len(rows) == 60 and all(row['masks'] == 600 for row in rows)
    assert (rows[0]['tracking'], rows[1]['lost'], rows[1]['tracking']) == (600, 600, 0)
    assert rows[0]['step_ms_median'] == 70.0 and rows[1]['step_ms_median'] is None
    assert (rows[1]['losses'], rows[1]['recoveries'], rows[0]['losses']) == (1, 1, 0)
    assert rows[59]['own_mb'] > rows[0]['own_mb'] > 600


@pytest.mark.parametrize('rate, words', [(1e6, 'more than the 100 MB that a night'),
                                         (1e5, 'not zero, but less than the 100 MB')])
def test_a_leak_is_told_from_a_trickle(rate, words):
    leaking = samples(lambda time, before: replace(
        before, own=int(before.own + rate * time / 60)))
    found = checks(looked=leaking)
    assert words in found['own memory'].text
    assert [name for name, check in found.items() if not check.ok] == (
        ['own memory'] if rate > 5e5 else [])


@pytest.mark.parametrize('name, check', [('threads', 'threads'), ('files', 'files'),
                                         ('mapped', 'files mapped from /dev/shm')])
def test_one_thread_or_file_more_at_the_end_fails(name, check):
    def more(after):
        return samples(lambda time, before: replace(
            before, **{name: getattr(before, name) + (time > after)}))
    assert failed(looked=more(2500)) == [check]
    assert failed(looked=more(500)) == [], 'the warm-up does not count'


@pytest.mark.parametrize('change, names', [
    ({'bank': {1: {321712, 321713}}}, ['bank']),
    ({'bank': {}}, ['bank']),
    ({'tasks': Counter({('camera', 'ERROR', 'no image for # s'): 1})}, ['diagnostics']),
    ({'tasks': Counter({('model', 'WARN', 'embedded runs instead'): 1})}, ['diagnostics']),
    ({'reports': 0}, ['diagnostics']),
    ({'masks': [(time, 80.0) for time in range(0, 3000)]}, ['masks']),
    ({'backwards': 1}, ['masks']),
    ({'counts': {'received': 100, 'processed': 40, 'dropped': 59}}, ['counts']),
    ({'goals': [Asked('cat', False, 10.0, 0.2), Asked('cat', False, 40.0, None)]}, ['goals']),
    ({'goals': [Asked('cat', False, 10.0, 6.0)]}, ['goals']),
    ({'recoveries': []}, ['targets'])])
def test_each_thing_that_went_wrong_fails_its_check(change, names):
    assert failed(replace(log(), **change)) == names


def test_errors_and_bad_ends_fail():
    assert failed(errors=['[ERROR] bad']) == ['log']
    for ending in (Ending('the node ended with status -9'), replace(END, status=1),
                   replace(END, seconds=5.1), replace(END, left=('fastdds_1',))):
        assert failed(ending=ending) == ['end']
    assert failed(replace(log(), losses=[]), loses=False) == []


def test_while_it_goes_on_the_last_goal_may_wait():
    waiting = replace(log(), goals=[*log().goals, Asked('dog', False, 3599.0, None)])
    assert failed(waiting, ending=None) == [] and failed(waiting) == ['goals']


def test_a_soak_that_never_began_passes_nothing():
    names = failed(Log(), [], ending=Ending('the tracker refused'))
    assert {'own memory', 'threads', 'bank', 'diagnostics', 'counts', 'goals', 'targets',
            'end'} <= set(names)


def test_the_warm_up_is_a_fifth_and_ten_minutes_at_most():
    assert (warm_up(300), warm_up(3600), warm_up(36000)) == (60, 600, 600)


def test_the_report_has_the_figures_and_each_check():
    summary = summarise(log(), samples(), SECONDS, CYCLE)
    found = judge(summary, samples(), SECONDS, ['[ERROR] bad'], END)
    text = report({
        'environment': {'device': 'cpu', 'cores': 2, 'date': 'then', 'python': '3', 'torch': '2'},
        'rate': 30.0, 'summary': summary, 'checks': [vars(check) for check in found]})
    assert '| Masks | 36000 (10.0 a second) |' in text
    assert '| Age of a mask, median and p95 | 85.0 ms, 90.0 ms |' in text
    assert '| log | FAILED | 1 errors, the first: [ERROR] bad |' in text
    assert '| Diagnostics that were not OK | of 3600 reports 12 tracker WARN: lost |' in text
    assert text.count('| ok |') == len(found) - 1
