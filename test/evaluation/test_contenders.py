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
"""What is timed side by side: in a steady state, with the same targets, on the same weights."""

from functools import lru_cache

from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.evaluation.contenders import (
    boxes, FRAME_SIZE, HF, OFFICIAL, Official, OURS, Ours, Transformers, Variant)
from fast_sam2_ros.evaluation.costs import count_flops, held_bytes
from fast_sam2_ros.evaluation.official import official_is_installed, official_pair
from fast_sam2_ros.evaluation.random_models import random_model
from fast_sam2_ros.prompt import Prompt
from fast_sam2_ros.sam2.loaded import LoadedModel, Preprocess
from fast_sam2_ros.tracker import Tracker
import numpy as np
import pytest
import torch

SIZE = 64
FRAMES = np.random.default_rng(0).integers(0, 256, (20, *FRAME_SIZE, 3), dtype=np.uint8)
needs_official = pytest.mark.skipif(
    not official_is_installed(), reason="Meta's sam2 is not installed")


@lru_cache(maxsize=1)
def pair():
    """Meta's predictor, and the same weights for the others."""
    predictor, model = official_pair('tiny', SIZE)
    return predictor, LoadedModel(model, Preprocess(SIZE), 'random:tiny', 'random')


def make(implementation: str, targets: int = 1, keep_ratio: float = 1.0):
    predictor, loaded = pair()
    variant = Variant(implementation, 'float32', False, keep_ratio, targets)
    if implementation == OURS:
        return Ours(loaded, variant, 'analytic', True, FRAMES[0])
    if implementation == HF:
        return Transformers(loaded, variant, FRAMES[0])
    return Official(predictor, 'tiny', loaded.preprocess, variant, FRAMES[0])


def remembered(contender) -> list[dict]:
    """Return what a reference remembers of each target."""
    held = contender.held()[1]
    by_target = held['output_dict_per_obj'] if isinstance(held, dict) else (
        held.output_dict_per_obj)
    return list(by_target.values())


def test_every_target_has_a_box_of_its_own():
    found = boxes(8)
    assert found.shape == (8, 4) and (boxes(3) == found[:3]).all()
    assert (found[:, :2] > 0).all() and (found[:, 2:] < FRAME_SIZE[::-1]).all()
    covered = np.zeros(FRAME_SIZE, dtype=int)
    for left, top, right, bottom in found.astype(int):
        covered[top:bottom, left:right] += 1
    assert covered.max() == 1 and covered.sum() == 8 * 120 * 80
    for count in (0, 9):
        with pytest.raises(ParameterError, match='1 to 8'):
            boxes(count)


def test_a_filled_bank_is_as_large_as_one_that_has_run():
    loaded = LoadedModel(random_model('toy'), Preprocess(128), 'random:toy', 'random')
    filled, run = Tracker(loaded, keep_ratio=0.3), Tracker(loaded, keep_ratio=0.3)
    for tracker in (filled, run):
        tracker.prompt(FRAMES[0], Prompt(box=(20, 20, 160, 160)))
    filled.bank.fill()
    for frame in FRAMES[1:]:
        run.step(frame)
    got, expected = filled.bank.read(), run.bank.read()
    assert got.features.shape == expected.features.shape
    assert got.pointers.shape == expected.pointers.shape
    assert sorted(got.age_row.flatten().tolist()) == sorted(expected.age_row.flatten().tolist())
    assert filled.bank.is_full and run.bank.is_full


@pytest.mark.parametrize('implementation', [
    OURS, HF, pytest.param(OFFICIAL, marks=needs_official)])
def test_a_contender_is_in_its_steady_state(implementation):
    """One step works as much as another, and only the references hold more after it."""
    contender = make(implementation)
    work, held = [], []
    for frame in FRAMES[1:5]:
        work.append(count_flops(lambda: contender.step(frame))['total'])
        held.append(held_bytes(contender.held()))
        assert contender.step(frame)['total'] > 0
    assert len(set(work)) == 1 and work[0] > 0
    growth = np.diff(held)[1:]  # the first steps of ours make a few tables
    if implementation == OURS:
        assert (growth == 0).all()
    else:
        assert growth[0] == growth[1] > 3 * 4 * SIZE ** 2  # two frames, and what was made of them


@pytest.mark.parametrize('implementation', [HF, pytest.param(OFFICIAL, marks=needs_official)])
def test_made_up_frames_weigh_as_much_as_tracked_ones(implementation):
    contender = make(implementation)
    contender.step(FRAMES[1])
    [outputs] = remembered(contender)
    tracked = outputs['non_cond_frame_outputs']
    assert sorted(tracked) == list(range(1, 17))  # 15 that were there, and the step's
    sizes = {index: held_bytes(output) for index, output in tracked.items()}
    assert sizes[2] == sizes[15] == sizes[16] > 0
    alone = held_bytes(tracked)
    del tracked[15]
    made_up = alone - held_bytes(tracked)
    del tracked[16]
    assert made_up == alone - made_up - held_bytes(tracked) > 0


@needs_official
def test_all_have_the_same_targets_on_the_same_weights():
    """Before memory comes in: the masks of the prompted frame, of two targets."""
    theirs = [
        torch.cat([outputs['cond_frame_outputs'][0]['pred_masks'].flatten()
                   for outputs in remembered(make(name, targets=2))])
        for name in (HF, OFFICIAL)]
    assert theirs[0].shape == theirs[1].shape == (2 * (SIZE // 4) ** 2,)
    assert theirs[0].std() > 0.01
    torch.testing.assert_close(theirs[0], theirs[1], atol=1e-4, rtol=0)
    tracker = Tracker(pair()[1], keep_ratio=1.0)
    ours = torch.cat([tracker.prompt(FRAMES[0], Prompt(box=tuple(box))).logits.flatten()
                      for box in boxes(2)])
    torch.testing.assert_close(theirs[0], ours, atol=1e-4, rtol=0)


@needs_official
def test_all_work_equally_hard_at_keep_ratio_1():
    """Ours leaves out what tables save, which is little; the references differ by less."""
    work = {}
    for name in (OURS, HF, OFFICIAL):
        contender = make(name)
        work[name] = count_flops(lambda: contender.step(FRAMES[1]))
    totals = {name: flops['total'] for name, flops in work.items()}
    assert totals[HF] == pytest.approx(totals[OFFICIAL], rel=0.01)
    assert 0.9 * totals[HF] < totals[OURS] <= totals[HF]
    assert sum(work[OURS].values()) == 2 * totals[OURS]  # the stages are all of it
    assert set(work[HF]) == {'total'}
