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
"""`fast-sam2 demo` over real topics; only the model is replaced by one that answers at once."""

import json
import os
from pathlib import Path
import runpy
import subprocess
import sys

from fast_sam2_ros.demo.scene import Scene
import pytest

STUB = Path(__file__).with_name('stub_demo.py')
RATE = 4.0


def run_demo(out: Path, *words: str) -> subprocess.CompletedProcess:
    environment = os.environ | {'ROS_DOMAIN_ID': str(1 + os.getpid() % 100)}
    return subprocess.run(
        [sys.executable, str(STUB), 'demo', '--out', str(out), '--rate', str(RATE), *words],
        capture_output=True, text=True, timeout=150, env=environment)


@pytest.fixture(scope='module')
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp('live')
    return run_demo(out, '--min-iou', '0.2', '--json'), out


def test_every_goal_is_answered_over_topics(demo):
    result, out = demo
    assert result.returncode == 0, result.stdout + result.stderr
    answer = json.loads(result.stdout.splitlines()[-1])
    assert answer['failures'] == [] and answer['sent'] == len(Scene(rate=RATE))
    cat, cup, elephant = answer['goals']
    assert cat['tracked'] > 10 and cup['tracked'] > 10
    assert elephant['frames'] > 3 and elephant['tracked'] == 0
    assert elephant['message'] == 'no elephant in view'
    for name in ('demo.mp4', 'demo.png'):
        assert (out / name).stat().st_size > 10_000


def test_masks_are_matched_with_the_truth_by_their_stamp(demo):
    # The stub's mask is as wide as the noise of its frame says: compared with the truth of
    # another frame it would give another IoU.
    _, out = demo
    frames = json.loads((out / 'track.json').read_text())['frames']
    assert len(frames) > 0.5 * len(Scene(rate=RATE))
    mask_of = runpy.run_path(str(STUB))['mask_of']

    scene = Scene(rate=RATE)
    for frame in frames[5::10]:
        image, masks = scene.frame(frame['index'])
        assert frame['stamp'] == pytest.approx(frame['index'] / RATE)
        truth = masks.get(frame['target_text'])
        if truth is None or not truth.any():
            assert frame['iou'] is None
            continue
        mask = mask_of(image)
        expected = (mask & truth).sum() / (mask | truth).sum()
        assert frame['iou'] == pytest.approx(expected)


def test_a_model_that_cannot_be_opened_ends_the_demo_with_its_reason(tmp_path):
    result = run_demo(tmp_path, '--model', 'broken')
    assert result.returncode == 2
    assert 'fast-sam2 demo: the stub has no model called broken' in result.stderr
