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
"""10,000 frames: nothing grows."""

import gc
from pathlib import Path
import resource

from fast_sam2_ros.evaluation.random_models import random_model
from fast_sam2_ros.prompt import Prompt
from fast_sam2_ros.sam2.loaded import LoadedModel, Preprocess
from fast_sam2_ros.tracker import Tracker
import numpy as np
import pytest
import torch

EARLY, LATE = 200, 10_000


def resident_bytes() -> int:
    """Return the memory that the process holds (Linux)."""
    return int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize()


def live_tensors() -> int:
    """Return the number of tensors that Python still refers to."""
    gc.collect()
    return sum(1 for thing in gc.get_objects() if type(thing) is torch.Tensor)


def test_ten_thousand_frames_take_no_more_memory_than_two_hundred():
    tracker = Tracker(LoadedModel(random_model('micro'), Preprocess(64), 'random:micro', 'random'))
    frames = np.random.default_rng(0).integers(0, 256, (16, 64, 64, 3), dtype=np.uint8)
    tracker.prompt(frames[0], Prompt(box=(10, 10, 40, 40)))
    seen = {}
    for index in range(1, LATE + 1):
        result = tracker.step(frames[index % len(frames)])
        if index in (EARLY, LATE):
            seen[index] = (result.bank_bytes, resident_bytes(), live_tensors())
    assert torch.isfinite(result.logits).all()
    for early, late in zip(seen[EARLY], seen[LATE]):
        assert late == pytest.approx(early, rel=0.02)
