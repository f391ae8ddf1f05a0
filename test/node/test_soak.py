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
"""The soak on a scripted model: what it counts, and that it survives a node that dies."""

from pathlib import Path
import sys
import time

from fast_sam2_ros.evaluation.rows import read_json
from fast_sam2_ros.node.soak import ErrorLines, Film, parse, Plan, soak
from fast_sam2_ros.node.soak_client import Goal, Truth
from fast_sam2_ros.node.soak_report import report
import numpy as np
import pytest
import rclpy

FAKE = str(Path(__file__).with_name('fake_session_node.py'))
DYING = """
import os, runpy, signal
fake = runpy.run_path({!r})
class Session(fake['ColourSession']):
    frames = 0
    def process(self, frame, stamp):
        self.frames += 1
        if self.frames == 150:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().process(frame, stamp)
fake['main'](lambda: fake['TrackerNode'](session_factory=Session))
"""
GOALS = (Goal('red', watch=True), Goal('blue'), Goal(point=True), Goal(''))


def film() -> Film:
    """Return two seconds in which something red leaves the view; seen to and fro it returns."""
    frames = np.full((60, 120, 160, 3), 100, np.uint8)
    masks = np.zeros((60, 120, 160), np.uint8)
    for index in range(40):
        masks[index, 30:80, 4 * index:4 * index + 50] = 1
    frames[masks == 1] = (220, 10, 10)
    return Film(frames, Truth({'red': masks}))


@pytest.fixture(autouse=True)
def _ros(monkeypatch):
    domain = 1 + int(1e3 * time.monotonic()) % 100
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    monkeypatch.setenv('FAKE_STEP_SECONDS', '0.02')
    rclpy.init(domain_id=domain)
    yield
    rclpy.try_shutdown()


def plan(seconds: float, *command: str) -> Plan:
    return Plan(seconds, goals=GOALS, goal_seconds=3.0, settings={'model': 'embedded'},
                command=command)


def test_a_soak_counts_what_happened_and_ends_the_node(tmp_path):
    result = soak(plan(12.0, sys.executable, FAKE), film(), tmp_path / 'soak.json')
    summary = result['summary']
    checks = {check['name']: check for check in result['checks']}
    # Twelve seconds are too few to judge memory by: a page more would be megabytes an hour.
    bad = [check for name, check in checks.items() if not check['ok'] and 'memory' not in name]
    assert not bad, bad
    assert {'resident memory', 'own memory', 'threads', 'files'} <= set(checks)
    assert read_json(tmp_path / 'soak.json') == result
    assert [asked['text'] for asked in result['asked']] == ['red', 'blue', 'blue', '']
    assert summary['goals_taken'] == 4 and summary['losses'] >= 1 <= summary['recoveries']
    assert summary['bank_bytes'] == {'1': [12345]} and summary['watched'] > 20
    assert summary['iou_tracked'] == 1.0 and summary['in_view_tracked'] == summary['in_view'] > 3
    assert summary['out_of_view'] > 3 and summary['out_of_view_masked'] == 0
    assert summary['masks'] == sum(summary['states'].values()) > 100
    assert all(summary['states'].values()), 'every state was seen'
    assert 20 <= summary['age_ms_median'] < 1000 and summary['step_ms_median'] == 20.0
    assert len(result['samples']) >= 30 and result['minutes'][0]['masks'] == summary['masks']
    assert str(Path.home()) not in (tmp_path / 'soak.json').read_text()
    text = report(result)
    assert '| targets | ok | lost' in text and 'FAILED' in text or result['verdict'] == 'passed'


def test_a_node_that_dies_fails_the_soak_and_the_figures_stay(tmp_path):
    script = tmp_path / 'dying_node.py'
    script.write_text(DYING.format(FAKE))
    result = soak(plan(60.0, sys.executable, str(script)), film(), tmp_path / 'soak.json')
    assert result['verdict'] == 'failed'
    end = next(check for check in result['checks'] if check['name'] == 'end')
    assert not end['ok'] and end['text'].startswith('the node ended with status -9 after ')
    assert 50 < result['summary']['masks'] < 150 and result['samples'][-1]['time'] < 50
    assert read_json(tmp_path / 'soak.json') == result


def test_a_node_that_does_not_come_up_fails_the_soak(tmp_path):
    broken = Plan(60.0, goals=GOALS, settings={'model': 'missing'},
                  command=(sys.executable, FAKE))
    result = soak(broken, film())
    assert result['verdict'] == 'failed'
    assert 'refused the lifecycle transition 1' in result['checks'][-1]['text']
    assert any('missing is not here' in line for line in result['errors'])


def test_error_lines_are_found_once_as_the_log_grows(tmp_path):
    path = tmp_path / 'node.log'
    path.write_text('[INFO] [1.0] [tracker]: no ERROR here\n[ERROR] [1.1] [tracker]: bad\n[ERR')
    errors = ErrorLines(path)
    errors.read()
    assert errors.found == ['[ERROR] [1.1] [tracker]: bad']
    with path.open('a') as stream:
        stream.write('OR] [1.2] [tracker]: worse\n[RTPS_TRANSPORT_SHM Error] port\n[WARN] x\n')
    errors.read()
    assert errors.found[1:] == ['[ERROR] [1.2] [tracker]: worse',
                                '[RTPS_TRANSPORT_SHM Error] port']


@pytest.mark.parametrize('words', [['--source', 'video.mp4'], ['--goal', 'cat'],
                                   ['--minutes', '0'], ['--goal-seconds', '-1']])
def test_options_that_make_no_sense_are_refused(words, capsys):
    with pytest.raises(SystemExit) as ended:
        parse(words)
    assert ended.value.code == 2 and 'error: ' in capsys.readouterr().err
