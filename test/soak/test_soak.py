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
"""Minutes of the node as users run it, and what a soak says of a node that leaks."""

import json
import os
from pathlib import Path
import subprocess
import sys
import textwrap

from fast_sam2_ros.evaluation.rows import read_json
import pytest

FAKE = Path(__file__).parents[1] / 'node' / 'fake_session_node.py'
MINUTES = 8
MOST_A_MINUTE = 6.0
"""MB that may be added a minute in a few minutes; a heap still finds its size, a leaked image a
second is 55."""
LEAK_BYTES = 100_000
LEAK = f"""
import json, sys
import numpy as np
import rclpy
from fast_sam2_ros.node.soak import Film, Plan, soak
from fast_sam2_ros.node.soak_client import Goal

NODE = '''
import runpy
fake = runpy.run_path({str(FAKE)!r})
class Session(fake['ColourSession']):
    held = []
    def process(self, frame, stamp):
        self.held.append(b'x' * {LEAK_BYTES})
        return super().process(frame, stamp)
fake['main'](lambda: fake['TrackerNode'](session_factory=Session))
'''
frames = np.full((2, 48, 64, 3), (220, 10, 10), np.uint8)
rclpy.init()
plan = Plan(40.0, goals=(Goal('red'), Goal('blue')), goal_seconds=2.0, loses=False,
            settings={{'model': 'embedded'}}, command=(sys.executable, '-c', NODE))
result = soak(plan, Film(frames))
print('RESULT', json.dumps(result))
"""


def run(*command: str, folder: Path, timeout: float) -> subprocess.CompletedProcess:
    """Run Python in a ROS domain of its own."""
    return subprocess.run(
        [sys.executable, *command], cwd=folder, timeout=timeout, capture_output=True, text=True,
        env=os.environ | {'ROS_DOMAIN_ID': str(1 + os.getpid() % 100)})


@pytest.mark.timeout(60 * MINUTES + 600)
def test_minutes_of_the_embedded_model_at_camera_rate(tmp_path):
    file = tmp_path / 'soak.json'
    ended = run('-m', 'fast_sam2_ros.node.soak', '--minutes', str(MINUTES), '--goal-seconds', '15',
                '--json', str(file), folder=tmp_path, timeout=60 * MINUTES + 500)
    print(ended.stdout, ended.stderr)
    result = read_json(file)
    checks = {check['name']: check for check in result['checks']}
    bad = {name: check['text'] for name, check in checks.items()
           if not check['ok'] and 'memory' not in name}
    assert not bad
    for name in ('own', 'resident'):
        assert result['summary']['memory'][name]['mb_per_hour'] < 60 * MOST_A_MINUTE, name
    summary = result['summary']
    assert summary['minutes'] == pytest.approx(MINUTES, abs=0.1)
    assert summary['in_view_tracked'] > 0.7 * summary['in_view'] > 50
    assert summary['iou_tracked'] > 0.6
    assert summary['out_of_view_masked'] < 0.1 * summary['out_of_view']
    assert (ended.returncode == 0) == (result['verdict'] == 'passed')


def test_a_node_that_leaks_is_found_out(tmp_path):
    ended = run('-c', textwrap.dedent(LEAK), folder=tmp_path, timeout=200)
    line = next((line for line in ended.stdout.splitlines() if line.startswith('RESULT ')), None)
    assert line is not None, ended.stderr
    result = json.loads(line.removeprefix('RESULT '))
    summary = result['summary']
    failed = {check['name'] for check in result['checks'] if not check['ok']}
    assert {'own memory', 'resident memory'} <= failed and result['verdict'] == 'failed'
    leaked = LEAK_BYTES * summary['masks_per_second'] * 3600 / 1e6
    assert summary['memory']['own']['mb_per_hour'] == pytest.approx(leaked, rel=0.2)
    assert summary['memory']['own']['mb_low'] > 0.5 * leaked
