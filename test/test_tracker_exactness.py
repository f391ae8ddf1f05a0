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
"""At a keep ratio of 1.0 the tracker is `Sam2VideoModel`: the same logits on the same stream."""

from fast_sam2_ros.evaluation.parity import (
    compare, make_frames, make_prompt, PROMPTS, run_tracker, run_transformers, TOLERANCE)
from fast_sam2_ros.evaluation.random_models import random_model
from fast_sam2_ros.pruning import attention
from fast_sam2_ros.sam2.loaded import LoadedModel, Preprocess
import numpy as np
import pytest

FRAMES = 10


def loaded_model(object_score: float | None = None) -> LoadedModel:
    """Return a small model with random weights, its object scores moved by `object_score`."""
    model = random_model('toy')
    if object_score is not None:
        head = model.mask_decoder.pred_obj_score_head.proj_out
        head.weight.mul_(10)  # so that the score differs from frame to frame
        head.bias.fill_(object_score)
    return LoadedModel(model, Preprocess(model.config.image_size), 'random:toy', 'random')


def run_both(loaded: LoadedModel, frames: np.ndarray, kind: str):
    """Return our answers and those of transformers."""
    prompt = make_prompt(kind, loaded.preprocess.image_size)
    return (run_tracker(loaded, frames, prompt),
            run_transformers(loaded.model, loaded.preprocess, frames, prompt))


@pytest.mark.parametrize('kind', PROMPTS)
def test_equals_transformers(kind):
    loaded = loaded_model()
    result = compare(*run_both(loaded, make_frames(128, FRAMES), kind))
    assert result['visible'] == FRAMES
    assert result['max_abs_diff'] <= TOLERANCE
    assert result['max_score_diff'] <= TOLERANCE
    assert result['largest_logit'] > 100 * TOLERANCE


@pytest.mark.parametrize('by_stability', [True, False])
def test_equals_transformers_with_one_mask_a_frame(by_stability):
    # As the embedded model is configured, and as SAM 2 would be without multimask output.
    loaded = loaded_model()
    loaded.model.config.multimask_output_in_sam = False
    loaded.model.mask_decoder.dynamic_multimask_via_stability = by_stability
    result = compare(*run_both(loaded, make_frames(128, FRAMES), 'point'))
    assert result['visible'] == FRAMES
    assert result['max_abs_diff'] <= TOLERANCE


def test_equals_transformers_while_the_target_comes_and_goes():
    # Noise, so that the score changes from frame to frame and crosses zero.
    frames = np.random.default_rng(0).integers(0, 256, (24, 128, 128, 3), dtype=np.uint8)
    scores = [answer.score for answer in run_both(loaded_model(0.0), frames, 'mask')[1][1:]]
    result = compare(*run_both(loaded_model(-float(np.median(scores))), frames, 'mask'))
    assert 5 <= result['visible'] <= 19
    assert result['max_abs_diff'] <= TOLERANCE
    assert result['max_score_diff'] <= 10 * TOLERANCE  # ten times the weight


def test_equals_transformers_when_both_rings_have_wrapped():
    # 6 recent frames and 15 pointers: all slots are overwritten twice and more.
    ours, theirs = run_both(loaded_model(), make_frames(128, 40), 'box')
    result = compare(ours, theirs)
    assert result['visible'] == 40
    # Both round their memory to bfloat16: values on an edge go to either side, by the number of
    # threads for one, and over so many frames a few more do.
    assert result['max_abs_diff'] <= 3 * TOLERANCE
    assert compare(ours[:FRAMES], theirs[:FRAMES])['max_abs_diff'] <= TOLERANCE


def test_the_comparison_would_notice_a_forgotten_frame(monkeypatch):
    # The age of one recent frame is wrong by one: the smallest mistake the memory can make.
    read = attention.memory_tokens

    def off_by_one(parts, bank):
        object.__setattr__(bank, 'age_row', (bank.age_row + 1) % (parts.recent_frames + 1))
        return read(parts, bank)

    monkeypatch.setattr(attention, 'memory_tokens', off_by_one)
    result = compare(*run_both(loaded_model(), make_frames(128, FRAMES), 'box'))
    assert result['max_abs_diff'] > 10 * TOLERANCE
