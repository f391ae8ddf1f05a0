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
"""The demo without ROS, with a session whose answers the test knows."""

from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
import json
from types import SimpleNamespace

import av
from fast_sam2_ros import cli
from fast_sam2_ros.demo import run
from fast_sam2_ros.demo.footage import SceneFootage, VideoFootage
from fast_sam2_ros.demo.result import Answer, failures, GoalResult, Run
from fast_sam2_ros.demo.scene import Goal, Scene
from fast_sam2_ros.errors import InputError
from fast_sam2_ros.media import read_image, VideoWriter
from fast_sam2_ros.recording import FrameRecord, Summary
from fast_sam2_ros.session import NO_LATENCY, TargetState
import numpy as np
import pytest


@dataclass
class StubSession:
    """Answers 'found' for every text but the missing ones, with the left half as the mask."""

    missing: set[str]
    text: str = ''
    frames: int = 0
    loaded: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(
        name='stub', fallback='the wanted one is not here',
        model=SimpleNamespace(device='cpu')))

    def set_text(self, text):
        self.text = text

    def process(self, frame, stamp):
        self.frames += 1
        found = self.text not in self.missing
        mask = np.zeros(frame.shape[:2], np.uint8)
        mask[:, :frame.shape[1] // 2] = found
        return SimpleNamespace(
            state=TargetState.TRACKING if found else TargetState.SEARCHING,
            target_text=self.text, mask=mask, score=1.0, message='why', tokens_retained=8,
            tokens_total=16, bank_bytes=100, latency=NO_LATENCY, step=None, label=self.text,
            grounded=False, targets=())


def run_demo(out, *words, missing=('elephant',)):
    """Run `fast-sam2 demo --no-ros` with a stub; return exit code, track.json and the output."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as output:
        patch.setattr(run, 'open_session_from', lambda arguments: StubSession(set(missing)))
        code = cli.main(['demo', '--no-ros', '--out', str(out), *words])
    return code, json.loads((out / 'track.json').read_text()), output.getvalue()


@pytest.fixture(scope='module')
def out(tmp_path_factory):
    return tmp_path_factory.mktemp('demo')


@pytest.fixture(scope='module')
def demo(out):
    return run_demo(out, '--rate', '2', '--min-iou', '0.1')


def test_track_json_has_the_iou_with_the_truth_of_each_frame(demo):
    code, track, text = demo
    assert code == 0, text
    frames, summary = track['frames'], track['summary']
    assert [frame['index'] for frame in frames] == list(range(36))
    assert set(frames[0]) == {
        'index', 'stamp', 'state', 'target_text', 'score', 'tokens_retained', 'tokens_total',
        'bank_bytes', 'latency_ms', 'iou', 'targets'}
    assert set(frames[0]['latency_ms']) == {
        'encode', 'route', 'attend', 'decode', 'remember', 'total'}
    assert set(summary) == {'frames', 'mean_iou', 'fps', 'model', 'device', 'keep_ratio'}
    scene = Scene(rate=2)
    left = np.zeros((480, 640), bool)
    left[:, :320] = True
    for index, label in ((0, 'cat'), (20, 'cup and saucer')):
        truth = scene.frame(index)[1][label].astype(bool)
        expected = (truth & left).sum() / (truth | left).sum()
        assert frames[index]['iou'] == pytest.approx(expected)
        assert frames[index]['target_text'] == label
    assert frames[-1]['iou'] is None and frames[-1]['state'] == 'searching'
    known = [frame['iou'] for frame in frames if frame['iou'] is not None]
    assert summary['mean_iou'] == pytest.approx(np.mean(known))
    assert 'not found: why' in text and 'the wanted one is not here' in text


def test_the_video_and_the_contact_sheet_can_be_read(demo, out):
    with av.open(str(out / 'demo.mp4')) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 36
    assert frames[-1].time == pytest.approx(17.5, abs=0.01)
    sheet = read_image(out / 'demo.png')
    assert sheet.shape[1] > 1000 and sheet.std() > 20


def result(text, present, frames, tracked):
    return GoalResult(Goal(0, 0.0, text, present), frames, tracked, None, None, 'because')


@pytest.mark.parametrize('goal, iou, reason', [
    (result('cat', True, 50, 0), 0.9, "'cat' is in view, but was not found: because"),
    (result('dog', False, 50, 3), 0.9, "'dog' is not there, but was tracked in 3 frames"),
    (result('cat', True, 0, 0), 0.9, "no frame was answered after the goal 'cat'"),
    (result('cat', True, 50, 50), 0.4, 'the mean IoU is 0.400, below 0.5'),
])
def test_a_wrong_answer_is_a_failure(goal, iou, reason):
    entry = FrameRecord(0, 0.0, 'tracking', 'cat', 1.0, 1, 2, 3, NO_LATENCY, None)
    run_ = Run({0: Answer.of(entry, np.ones((4, 4)), '', '')}, 1.0, 1, 'm', 'cpu', 0.5, None)
    assert failures(run_, [goal], Summary(50, iou, 1.0, 'm', 'cpu', 0.5), 0.5) == [reason]
    right = [result('cat', True, 50, 50), result('dog', False, 50, 0), result('x', None, 9, 0)]
    assert failures(run_, right, Summary(50, 0.9, 1.0, 'm', 'cpu', 0.5), 0.5) == []
    assert failures(run_, right, Summary(50, None, 1.0, 'm', 'cpu', 0.5), 0.5) == []


def test_a_video_of_the_user_has_no_truth(tmp_path):
    with VideoWriter(tmp_path / 'in.mp4', 20) as writer:
        for index in range(40):
            writer.write(np.full((48, 64, 3), 5 * index, np.uint8), index / 20)
    words = ('--video', str(tmp_path / 'in.mp4'), '--text', 'dog', 'elephant', '--rate', '10')
    code, track, text = run_demo(tmp_path, *words)
    assert code == 0, text
    assert [frame['target_text'] for frame in track['frames']] == ['dog'] * 10 + ['elephant'] * 10
    assert [frame['stamp'] for frame in track['frames']][:3] == pytest.approx([0, 0.1, 0.2])
    assert track['summary']['mean_iou'] is None

    code, track, text = run_demo(tmp_path, *words, '--json')  # for machines
    answer = json.loads(text)
    assert answer['failures'] == [] and answer['sent'] == 20
    assert answer['summary']['frames'] == 20
    assert [goal['goal']['text'] for goal in answer['goals']] == ['dog', 'elephant']


def test_settings_that_make_no_sense_are_refused(tmp_path, capsys):
    assert cli.main(['demo', '--no-ros', '--video', str(tmp_path / 'x.mp4')]) == 2
    assert '--text' in capsys.readouterr().err
    assert cli.main(['demo', '--no-ros', '--rate', '0']) == 2
    assert '--rate' in capsys.readouterr().err
    assert cli.main(['demo', '--no-ros', '--grace', '-1']) == 2
    assert '--grace' in capsys.readouterr().err
    assert cli.main(['demo', '--no-ros', '--text', 'cat', ' ; ']) == 2
    assert 'without words' in capsys.readouterr().err
    with pytest.raises(InputError, match='room for 3'):
        SceneFootage(10, texts=['a', 'b', 'c', 'd'])
    with pytest.raises(InputError, match='does not exist'):
        VideoFootage(tmp_path / 'gone.mp4', 10, ['a'])


def test_texts_of_the_user_replace_the_script():
    footage = SceneFootage(10, texts=['tabby'])
    assert [goal.text for goal in footage.goals] == ['tabby']
    assert footage.goals[0].present is None


def test_a_goal_of_several_targets_is_matched_as_the_session_words_it(tmp_path):
    code, track, text = run_demo(tmp_path, '--rate', '1', '--text', 'red mug ;; Dog')
    assert code == 0, text
    assert {frame['target_text'] for frame in track['frames'][:8]} == {'red mug; Dog'}


def test_without_ros_the_demo_says_what_to_do(monkeypatch, capsys):
    import builtins
    real = builtins.__import__

    def no_ros(name, *args, **kwargs):
        if name == 'rclpy':
            raise ImportError("No module named 'rclpy'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', no_ros)
    assert cli.main(['demo', '--rate', '2']) == 2
    error = capsys.readouterr().err
    assert 'tools/env.sh' in error and '--no-ros' in error and error.count('\n') == 1


def test_a_mask_survives_packing():
    mask = (np.random.default_rng(0).random((47, 63)) > 0.5).astype(np.uint8)
    entry = FrameRecord(0, 0.0, 'tracking', 'cat', 1.0, 1, 2, 3, NO_LATENCY, None)
    answer = Answer.of(entry, 255 * mask, '', '')
    np.testing.assert_array_equal(answer.mask, mask)


def test_no_answer_at_all_is_a_failure():
    run_ = Run({}, 1.0, 10, 'm', 'cpu', 0.5, None)
    goal = GoalResult(Goal(0, 0.0, 'cat', True), 0, 0, None, None, '')
    assert failures(run_, [goal], Summary(0, None, 0.0, 'm', 'cpu', 0.5), 0.5) == [
        'no frame was answered']
