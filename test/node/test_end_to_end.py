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
"""The node with the real model: the demo scene's photographs in, named targets out."""

import cv2
from diagnostic_msgs.msg import DiagnosticStatus
from fast_sam2_ros.demo.scene import cut_out, fill, Scene
from fast_sam2_ros.grounding.vocabulary import Meaning, Vocabulary
from fast_sam2_ros.msg import TrackerStatus
from lifecycle_msgs.msg import Transition
import numpy as np
from sensor_msgs.msg import RegionOfInterest

TRACKER = 'fast_sam2_ros.node.main'
LOADING = 180.0
"""Seconds that the model may take to load on a busy machine."""


def overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    """Return intersection over union of two (H, W) masks."""
    both, either = np.logical_and(mask, truth).sum(), np.logical_or(mask, truth).sum()
    return both / either if either else 1.0


def test_targets_are_named_found_followed_and_not_found(bench):
    scene = Scene(rate=10.0)
    bench.start_active('-p', 'model:=embedded', '-p', 'device:=cpu', '-p', 'keep_ratio:=0.5',
                       module=TRACKER, loading=LOADING)
    cat, cup, elephant = scene.goals

    def follow(goal, count: int) -> list[float]:
        bench.say(goal.text)
        bench.spin(0.2)
        overlaps = []
        for index in range(goal.index, goal.index + count):
            pixels, truth = scene.frame(index)
            mask = bench.answer(pixels, timeout=60)
            assert mask.shape == pixels.shape[:2] and set(np.unique(mask)) <= {0, 255}
            overlaps.append(overlap(mask, truth.get(goal.text, np.zeros(1))))
        return overlaps

    for goal in (cat, cup):
        overlaps = follow(goal, 5)
        status = bench.statuses[-1]
        assert status.state == TrackerStatus.TRACKING and status.target_text == goal.text
        # Of the path, not of the model's quality, which `fast-sam2 demo` and `evaluate` measure.
        assert np.mean(overlaps) > 0.4, overlaps
        assert 0.4 < status.tokens_retained / status.tokens_total < 0.6
        stages = (status.latency.encode, status.latency.route, status.latency.attend,
                  status.latency.decode, status.latency.remember)
        assert all(stage > 0 for stage in stages)
        assert 0.9 * status.latency.total < sum(stages) <= 1.1 * status.latency.total
    assert len({status.bank_bytes for status in bench.statuses}) == 1

    # The camera changes its resolution and its shape: the masks follow, the target stays.
    for index, size in ((5, (320, 240)), (6, (320, 240)), (7, (427, 480)), (8, (640, 480))):
        whole, truths = scene.frame(cup.index + index)
        pixels, truth = (cv2.resize(each.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
                         for each in (whole, truths[cup.text]))
        mask = bench.answer(pixels, timeout=60)
        assert mask.shape == truth.shape == size[::-1]
        assert overlap(mask, truth) > 0.4
        assert bench.statuses[-1].state == TrackerStatus.TRACKING
        assert bench.statuses[-1].message == status.message  # it was not searched for again

    follow(elephant, 2)
    assert not bench.pixels(bench.masks[-1]).any()
    assert bench.statuses[-1].state == TrackerStatus.SEARCHING
    assert 'elephant' in bench.statuses[-1].message


def test_two_targets_in_one_text_have_a_label_each_and_a_latency_is_held_as_far_as_it_goes(bench):
    cat, motorcycle = (cv2.resize(cut_out(name)[0], (480, 480)) for name in ('cat', 'motorcycle'))
    picture = np.hstack([cat, motorcycle])
    bench.start_active('-p', 'model:=embedded', '-p', 'device:=cpu', '-p', 'mask_format:=label',
                       '-p', 'diagnostics_period:=0.3', module=TRACKER, loading=LOADING)
    bench.say('cat; motorcycle')
    bench.spin(0.2)
    for _ in range(4):
        mask = bench.answer(picture, timeout=60)
    first, second = bench.statuses[-1].targets
    assert (first.id, first.text, second.id, second.text) == (1, 'cat', 2, 'motorcycle')
    assert first.state == second.state == TrackerStatus.TRACKING
    assert first.bank_bytes == second.bank_bytes > 0
    assert bench.statuses[-1].bank_bytes == first.bank_bytes + second.bank_bytes
    for number, columns in ((1, slice(0, 480)), (2, slice(480, 960))):
        shown = mask == number
        assert shown[:, columns].sum() > 0.9 * shown.sum() > 0.05 * 480 * 480
    assert set(np.unique(mask)) == {0, 1, 2}

    # No budget holds a millisecond: the least is taken, and it is said.
    assert bench.set(target_latency_ms=1.0, min_keep_ratio=0.3).successful
    bench.wait(lambda: bench.answer(picture, timeout=60) is not None
               and abs(bench.statuses[-1].keep_ratio - 0.3) < 1e-6, 60, 'the least budget')
    assert {target.state for target in bench.statuses[-1].targets} == {TrackerStatus.TRACKING}

    def warned() -> bool:
        bench.answer(picture, timeout=60)
        task = bench.tasks['tracker: tracker']
        return task.level == DiagnosticStatus.WARN and '1 ms' in task.message

    bench.wait(warned, 60, 'a warning')


def test_a_target_that_is_pointed_at_is_put_in_words(bench):
    pixels, outline = cut_out('cat')
    rows, columns = np.nonzero(fill(outline, *pixels.shape[:2]))
    regions = bench.node.create_publisher(RegionOfInterest, 'target_roi', 10)
    bench.start_active('-p', 'model:=embedded', '-p', 'device:=cpu', module=TRACKER,
                       loading=LOADING)
    bench.wait(lambda: regions.get_subscription_count() == 1, 10, 'regions are heard')
    regions.publish(RegionOfInterest(
        x_offset=int(columns.min()), y_offset=int(rows.min()), width=int(np.ptp(columns)),
        height=int(np.ptp(rows))))
    bench.spin(0.5)
    for _ in range(3):
        bench.answer(pixels, timeout=60)
    first, second, third = bench.statuses[-3:]
    assert {status.state for status in (first, second, third)} == {TrackerStatus.TRACKING}
    assert first.target_text == '' and first.latency.total > 0
    words = Vocabulary().understand(second.target_text)
    assert isinstance(words, Meaning) and set(words.classes) & set(range(281, 286)), 'cats'
    assert second.label == second.target_text == third.target_text


def test_a_damaged_checkpoint_is_mended_and_sigint_ends_a_search(bench, tmp_path):
    damaged = tmp_path / 'damaged.pt'
    damaged.write_bytes(b'not a checkpoint')
    process = bench.start('-p', f'model:={damaged}', module=TRACKER)
    assert not bench.change(Transition.TRANSITION_CONFIGURE, LOADING)
    assert 'configure failed' in process.log and str(damaged) in process.log
    assert 'Traceback' not in process.log
    assert bench.state() == 'unconfigured'

    assert bench.set(model='embedded').successful
    bench.bring_up(LOADING)
    bench.say('cat')
    bench.spin(0.2)
    for index in range(3):
        bench.send(bench.image(Scene(rate=10.0).frame(index)[0]))
    bench.spin(0.1)
    status, seconds = process.interrupt()
    assert status == 0, process.log
    assert seconds < 5 and 'Traceback' not in process.log, process.log
