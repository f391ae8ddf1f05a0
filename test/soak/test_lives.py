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
"""The real model, loaded and let go of many times by one node."""

from statistics import median

import cv2
from fast_sam2_ros.demo.scene import cut_out
from lifecycle_msgs.msg import Transition

LIVES = 20
SETTLED = 5
"""Lives after which the heap has found its size."""
LOADING = 180.0
"""Seconds that the model may take to load on a busy machine."""


def test_twenty_lives_of_the_embedded_model_leave_threads_and_memory_as_they_were(bench):
    process = bench.start('-p', 'model:=embedded', '-p', 'device:=cpu', '-p', 'target_text:=cat',
                          module='fast_sam2_ros.node.main')
    cat = cv2.resize(cut_out('cat')[0], (320, 320))
    threads, resident = [], []
    for _ in range(LIVES):
        bench.bring_up(LOADING)
        assert bench.answer(cat, timeout=60).any()
        assert bench.change(Transition.TRANSITION_DEACTIVATE), process.log
        assert bench.change(Transition.TRANSITION_CLEANUP, 60), process.log
        threads.append(process.threads)
        resident.append(process.resident)
    figures = f'threads {threads}, MB {[round(size / 1e6) for size in resident]}'
    print(figures)
    # One that has just ended may still be counted.
    assert max(threads[SETTLED:]) <= max(threads[:SETTLED]), figures
    # What is left varies by a buffer of 29 MB, wherever the heap has holes; nothing may add up.
    early, late = resident[SETTLED:2 * SETTLED], resident[-SETTLED:]
    assert median(late) - median(early) < 50e6, figures
