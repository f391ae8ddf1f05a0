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
"""Compiled steps: the same answers, and nothing compiled in mid-stream."""

from fast_sam2_ros.demo.scene import Scene
from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.evaluation.parity import make_frames
from fast_sam2_ros.evaluation.random_models import random_model
from fast_sam2_ros.prompt import Prompt
from fast_sam2_ros.sam2 import stages as stages_module
from fast_sam2_ros.sam2.checkpoint import load_model
from fast_sam2_ros.sam2.loaded import LoadedModel, Preprocess
from fast_sam2_ros.sam2.stages import Stages
from fast_sam2_ros.tracker import Tracker
import pytest
import torch

BOX = Prompt(box=(32, 32, 64, 64))
FRAMES = make_frames(128, 40)
CPU = torch.device('cpu')
TOLERANCE = 1e-3


@pytest.fixture(scope='module')
def loaded() -> LoadedModel:
    return LoadedModel(random_model('toy'), Preprocess(128), 'random:toy', 'random')


@pytest.fixture(scope='module')
def compiled(loaded) -> Tracker:
    tracker = Tracker(loaded, keep_ratio=0.5)
    assert tracker.warm_up([0.5, 0.3]) == ''
    return tracker


def test_compiled_equals_eager_and_nothing_is_compiled_after_warm_up(loaded, compiled):
    eager = Tracker(loaded, keep_ratio=0.5)
    for tracker in (eager, compiled):
        tracker.prompt(FRAMES[0], BOX)
    assert compiled.compiled and not eager.compiled
    ran = set()
    graphs = compiled._parts.stages._graphs
    for key, graph in list(graphs.items()):
        graphs[key] = lambda *arguments, key=key, graph=graph: ran.add(key) or graph(*arguments)
    with torch.compiler.set_stance('fail_on_recompile'):
        for index, frame in enumerate(FRAMES[1:]):
            if index == 25:  # a budget that was prepared, and one that was not
                eager.keep_ratio = compiled.keep_ratio = 0.3
            if index == 35:
                eager.keep_ratio = compiled.keep_ratio = 0.7
            got, want = compiled.step(frame), eager.step(frame)
            assert (got.logits - want.logits).abs().max() <= TOLERANCE, index
            assert got.score == pytest.approx(want.score, abs=TOLERANCE)
    # The bank is full from frame 16 on: encode and decode once, the others for two budgets.
    names = [key[0].split('.')[-1] for key in ran]
    assert sorted(names) == ['_attend', '_attend', '_decode', '_encode'] + 2 * ['_encode_memory']


def test_a_further_target_runs_the_same_graphs(compiled):
    other = compiled.another()
    assert other.compiled
    other.prompt(FRAMES[0], BOX)
    with torch.compiler.set_stance('fail_on_recompile'):
        assert torch.isfinite(other.step(FRAMES[1]).logits).all()


def test_warm_up_leaves_the_target_alone(loaded):
    warmed, plain = Tracker(loaded), Tracker(loaded)
    for tracker in (warmed, plain):
        tracker.prompt(FRAMES[0], BOX)
        tracker.step(FRAMES[1])
    assert warmed.warm_up([0.3], compile=False) == ''
    assert not warmed.compiled and warmed.keep_ratio == 0.5
    assert torch.equal(warmed.step(FRAMES[2]).logits, plain.step(FRAMES[2]).logits)


def test_without_a_compiler_the_reason_is_given_and_the_code_runs(loaded, monkeypatch):
    def broken(*arguments, **options):
        raise RuntimeError('no compiler here\nand more lines')

    monkeypatch.setattr(stages_module.torch, 'compile', broken)
    tracker = Tracker(loaded)
    assert 'no compiler here' in tracker.warm_up([0.5])
    assert not tracker.compiled
    tracker.prompt(FRAMES[0], BOX)
    assert torch.isfinite(tracker.step(FRAMES[1]).logits).all()


def test_a_graph_that_answers_otherwise_is_not_used(monkeypatch):
    monkeypatch.setattr(
        stages_module.torch, 'compile', lambda stage, **options: lambda x: stage(x) + 0.1)
    stages = Stages(CPU, 'float32')
    with stages.recording(), pytest.raises(RuntimeError, match='another answer'):
        stages(_double, torch.ones(3))


def test_only_known_shapes_run_as_graphs(monkeypatch):
    calls = []
    monkeypatch.setattr(
        stages_module.torch, 'compile',
        lambda stage, **options: lambda x: calls.append(len(x)) or stage(x))
    stages = Stages(CPU, 'float32')
    with stages.recording():
        stages(_double, torch.ones(3))
    calls.clear()
    assert stages(_double, torch.ones(3)).tolist() == [2, 2, 2]
    assert stages(_double, torch.ones(4)).tolist() == [2, 2, 2, 2]
    assert calls == [3]
    stages.clear()
    stages(_double, torch.ones(3))
    assert calls == [3] and not stages.compiled


def _double(x: torch.Tensor) -> torch.Tensor:
    return 2 * x


def test_bfloat16_is_near_float32_and_keeps_what_is_accumulated_in_float32():
    loaded, scene = load_model('embedded'), Scene()
    exact, rounded = Tracker(loaded), Tracker(loaded, dtype='bfloat16')
    for tracker in (exact, rounded):
        tracker.prompt(scene.frame(0)[0], Prompt(box=(200, 150, 440, 400)))
    for index in range(1, 6):
        frame = scene.frame(index)[0]
        want, got = exact.step(frame), rounded.step(frame)
        assert got.logits.dtype == torch.float32
        assert not torch.equal(got.logits, want.logits)
        masks = got.logits > 0, want.logits > 0
        assert (masks[0] & masks[1]).sum() > 0.97 * (masks[0] | masks[1]).sum() > 0
    assert rounded._parts.rotary.angles.dtype == torch.float32
    assert rounded._parts.token_position.dtype == torch.float32


def test_another_dtype_is_refused(loaded):
    with pytest.raises(ParameterError, match='float16'):
        Tracker(loaded, dtype='float16')
