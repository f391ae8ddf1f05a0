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
"""The node's topics and services as a user sees them: real topics between two processes."""

import array
import time

import cv2
from diagnostic_msgs.msg import DiagnosticStatus
from fast_sam2_ros.msg import TrackerStatus
import numpy as np
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest


def test_a_goal_gives_a_mask_as_large_as_its_image_under_the_same_header(bench):
    bench.start_active()
    red = bench.ask('red')
    assert (red[:, :16] == 255).all() and (red[:, 16:] == 0).all()

    sent = bench.send(bench.image(bench.picture(30, 50)), seconds=77)
    bench.wait(lambda: bench.statuses[-1].header.stamp.sec == 77, 5, 'the status of that image')
    mask, status = bench.masks[-1], bench.statuses[-1]
    assert (mask.height, mask.width, mask.step, mask.encoding) == (30, 50, 50, 'mono8')
    assert mask.header == sent.header and status.header == sent.header
    assert mask.header.frame_id == 'test_camera'

    blue = bench.ask('blue')
    assert (blue[:, -16:] == 255).all() and (blue[:, :-16] == 0).all()


def test_the_status_says_what_the_session_found(bench):
    bench.start_active('-p', 'keep_ratio:=0.25', FAKE_STEP_SECONDS='0.02')
    bench.ask('red')
    status = bench.statuses[-1]
    assert status.state == TrackerStatus.TRACKING
    assert status.target_text == 'red' and status.label == 'red'
    assert status.score == pytest.approx(1.5)
    assert (status.tokens_retained, status.tokens_total) == (100, 400)
    assert status.bank_bytes == 12345
    assert status.latency.encode == pytest.approx(20.0)
    assert status.latency.total == pytest.approx(20.0)
    # Our images carry the stamp 0.25 s, so their age is the time of the day.
    assert status.stamp_age == pytest.approx(time.time(), abs=60)
    assert status.received == status.processed + status.dropped
    assert status.keep_ratio == pytest.approx(0.25)
    assert status.target_latency == 0 and not status.compiled


def test_several_targets_have_one_mask_value_and_one_status_each(bench):
    process = bench.start_active('-p', 'mask_format:=label', '-p', 'label_id:=40')
    mask = bench.ask('red; blue')
    assert (mask[:, :16] == 40).all() and (mask[:, -16:] == 41).all()
    assert (mask[:, 16:-16] == 0).all()
    status = bench.statuses[-1]
    assert status.state == TrackerStatus.TRACKING and status.bank_bytes == 2 * 12345
    red, blue = status.targets
    assert (red.id, red.text, red.label, red.state) == (1, 'red', 'red', TrackerStatus.TRACKING)
    assert (blue.id, blue.text, blue.message) == (2, 'blue', 'blue tracking')
    assert red.bank_bytes == blue.bank_bytes == 12345
    assert red.tokens_retained == 200 and red.score == pytest.approx(1.5)

    without_blue = bench.picture()
    without_blue[:, -16:] = 100
    assert (bench.answer(without_blue)[:, -16:] == 0).all()
    assert [target.state for target in bench.statuses[-1].targets] == [
        TrackerStatus.TRACKING, TrackerStatus.LOST]
    assert bench.statuses[-1].state == TrackerStatus.TRACKING
    assert bench.set(mask_format='binary').successful
    mask = bench.answer()
    assert (mask[:, :16] == 255).all() and (mask[:, -16:] == 255).all()
    refused = bench.set(mask_format='label', label_id=250)
    assert not refused.successful and 'give 248 at most' in refused.reason
    assert 'Traceback' not in process.log


def test_a_latency_target_takes_the_budget_down_and_says_when_it_is_not_held(bench):
    bench.start_active('-p', 'diagnostics_period:=0.2', '-p', 'keep_ratio:=1.0',
                       FAKE_STEP_SECONDS='0.1')
    bench.ask('red')
    assert bench.statuses[-1].keep_ratio == pytest.approx(1.0)
    assert bench.set(target_latency_ms=30).successful
    bench.answer()
    status = bench.statuses[-1]
    assert status.keep_ratio == pytest.approx(0.3) and status.target_latency == 30.0
    assert status.tokens_retained == 120

    refused = bench.set(keep_ratio=0.2, min_keep_ratio=0.5)
    assert not refused.successful and 'at most keep_ratio' in refused.reason
    assert bench.set(min_keep_ratio=0.5).successful

    def tracker_says(words: str) -> bool:
        bench.answer()
        return words in bench.tasks['tracker: tracker'].message

    bench.wait(lambda: tracker_says('30 ms is less than a step takes'), 5, 'a warning')
    assert bench.level('tracker: tracker') == DiagnosticStatus.WARN
    values = {value.key: value.value for value in bench.tasks['tracker: tracker'].values}
    assert values['keep ratio in force'] == '0.50' and values['latency target [ms]'] == '30.0'
    assert bench.set(target_latency_ms=0.0).successful
    bench.wait(lambda: tracker_says('tracking'), 5, 'all is well')
    assert bench.statuses[-1].keep_ratio == pytest.approx(1.0)


@pytest.mark.parametrize(('setting', 'level', 'shown'), [
    ('on', DiagnosticStatus.WARN, 'the test has no compiler'),
    ('auto', DiagnosticStatus.OK, 'the test has no compiler'),
    ('off', DiagnosticStatus.OK, None)])
def test_the_model_task_says_why_nothing_is_compiled(bench, setting, level, shown):
    """The words on and off are booleans to YAML; they are understood without quotes."""
    process = bench.start_active('-p', f'compile:={setting}', '-p', 'model:=embedded',
                                 '-p', 'diagnostics_period:=0.2')
    bench.wait(lambda: bench.level('tracker: model') == level, 3, f'level {level}')
    values = {value.key: value.value for value in bench.tasks['tracker: model'].values}
    assert values['compiled'] == 'no' and values.get('why not compiled') == shown
    assert ('about a minute' in process.log) == (setting != 'off')


def test_a_region_points_at_the_target_and_the_status_carries_its_words(bench):
    regions = bench.node.create_publisher(RegionOfInterest, 'target_roi', 10)
    process = bench.start_active()
    bench.wait(lambda: regions.get_subscription_count() == 1, 10, 'regions are heard')
    blue = bench.ask('red')[:, ::-1]
    regions.publish(RegionOfInterest(x_offset=50, y_offset=5, width=10, height=20))
    bench.wait(lambda: bench.answer().any() and bench.statuses[-1].target_text == 'blue', 10,
               'what was pointed at is followed')
    assert np.array_equal(bench.answer(), blue)
    assert bench.statuses[-1].label == 'blue'
    assert bench.statuses[-1].state == TrackerStatus.TRACKING

    regions.publish(RegionOfInterest(x_offset=5, y_offset=5))
    bench.wait(lambda: 'no area' in process.log, 10, 'a warning')
    assert bench.answer().any() and bench.statuses[-1].target_text == 'blue'
    bench.say('')
    bench.wait(lambda: not bench.answer().any(), 5, 'an empty text clears it')


def test_no_mask_is_old_when_the_target_is_gone_or_cleared(bench):
    bench.start_active()
    assert bench.ask('red').any()
    grey = np.full((48, 64, 3), 100, np.uint8)
    assert not bench.answer(grey).any()
    assert bench.statuses[-1].state == TrackerStatus.LOST
    assert not bench.ask('green').any()
    assert bench.statuses[-1].state == TrackerStatus.SEARCHING
    assert bench.ask('red').any()
    for blank in ('', '   '):
        bench.say(blank)
        bench.wait(lambda: not bench.answer().any(), 5, 'an empty mask')
        assert bench.statuses[-1].state == TrackerStatus.IDLE
        assert bench.statuses[-1].target_text == ''
        assert bench.ask('red').any()


def test_images_of_a_camera_come_through_best_effort_with_the_shipped_profile(bench):
    camera = bench.node.create_publisher(Image, 'image', QoSProfile(
        depth=5, reliability=ReliabilityPolicy.BEST_EFFORT))
    bench.start_active('-p', 'target_text:=red')
    bench.wait(lambda: camera.get_subscription_count() == 1, 10, 'the camera is heard')
    message = bench.image(bench.picture(480, 640))
    for number in range(1, 41):
        message.header.stamp.sec = number
        camera.publish(message)
        bench.spin(1 / 15)
    bench.spin(0.5)
    # Without the profile one or two of these come through.
    assert len(bench.masks) >= 30
    assert (bench.pixels(bench.masks[-1])[:, :160] == 255).all()


def test_reset_forgets_the_target(bench):
    bench.start_active()
    assert bench.ask('red').any()
    assert bench.reset().success
    bench.wait(lambda: not bench.answer().any(), 5, 'the target is forgotten')
    assert bench.statuses[-1].state == TrackerStatus.IDLE


def test_confidence_and_overlay_come_when_someone_listens(bench):
    bench.start_active('-p', 'overlay_tokens:=true')
    bench.ask('red')
    confidence, overlay = [], []
    bench.hear(Image, 'segmentation/confidence', confidence)
    bench.hear(Image, 'segmentation/overlay', overlay)
    bench.wait(lambda: bench.answer().any() and confidence and overlay, 30, 'both')
    pixels = bench.pixels(confidence[-1])
    assert (pixels[:, :16] == 128).all() and (pixels[:, 16:] == 0).all()
    assert overlay[-1].encoding == 'rgb8'
    assert (overlay[-1].height, overlay[-1].width) == (48, 64)
    assert overlay[-1].header == confidence[-1].header == bench.masks[-1].header


def test_compressed_images_and_label_masks(bench):
    images = bench.node.create_publisher(CompressedImage, 'image/compressed', 1)
    bench.start('-p', 'image_transport:=compressed', '-p', 'mask_format:=label',
                '-p', 'label_id:=42', '-p', 'target_text:=red', '-p', 'autostart:=true')
    data = cv2.imencode('.png', bench.picture()[..., ::-1])[1].tobytes()
    message = CompressedImage(format='png', data=array.array('B', data))

    def answered() -> bool:
        images.publish(message)
        bench.spin(0.1)
        return bool(bench.masks)

    bench.wait(answered, 10, 'a mask')
    mask = bench.pixels(bench.masks[-1])
    assert (mask[:, :16] == 42).all() and (mask[:, 16:] == 0).all()


def test_parameters_change_whole_or_not_at_all_and_take_effect(bench):
    bench.start_active()
    bench.ask('red')
    assert bench.statuses[-1].tokens_retained == 200

    refused = bench.set(keep_ratio=0.1, label_id=999)
    assert not refused.successful and 'label_id' in refused.reason
    refused = bench.set(keep_ratio=0.1, mask_format='colour')
    assert not refused.successful and 'binary, label' in refused.reason
    refused = bench.set(keep_ratio=0.1, model='embedded')
    assert not refused.successful and 'clean it up first' in refused.reason
    assert not bench.set(keep_ratio=7.0).successful
    bench.answer()
    assert bench.statuses[-1].tokens_retained == 200

    accepted = bench.set(keep_ratio=0.1, mask_format='label', label_id=9)
    assert accepted.successful, accepted.reason
    mask = bench.answer()
    assert bench.statuses[-1].tokens_retained == 40
    assert (mask[:, :16] == 9).all()
    assert bench.set(keep_ratio=1).successful
    bench.answer()
    assert bench.statuses[-1].tokens_retained == 400
