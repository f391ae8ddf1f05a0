# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node's topics and services as a user sees them: real topics between two processes."""

import array
import time

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from fast_sam2_ros.msg import TrackerStatus
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest
from std_msgs.msg import String


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


def test_a_goal_that_is_too_long_is_refused_and_the_old_one_stays(bench):
    process = bench.start_active()
    bench.ask('red')
    bench.say('blue; ' * 20_000)
    bench.wait(lambda: 'was refused' in process.log, 5, 'a warning')
    assert bench.answer()[:, :16].all() and bench.statuses[-1].target_text == 'red'


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


def test_a_latched_text_from_before_the_node_is_the_goal(bench):
    latched = bench.latched()
    latched.publish(String(data='blue'))
    bench.start_active()
    bench.wait(lambda: bench.answer().any(), 10, 'the latched goal is followed')
    assert bench.statuses[-1].target_text == 'blue'

    latched.publish(String(data='red'))
    bench.wait(lambda: bench.answer() is not None and bench.statuses[-1].target_text == 'red', 10,
               'a later text of the same publisher is followed')
    assert bench.ask('blue').any()


def test_a_latched_subscription_is_there_only_for_latched_publishers(bench):
    """Otherwise every plain `ros2 topic pub` would warn that it is not served."""
    bench.start_active()
    bench.spin(1.0)
    assert bench.node.count_subscribers('target_text') == 1
    latched = bench.latched()
    bench.wait(lambda: bench.node.count_subscribers('target_text') == 2, 5, 'it is there')
    bench.node.destroy_publisher(latched)
    bench.wait(lambda: bench.node.count_subscribers('target_text') == 1, 5, 'it is gone')


def test_a_latched_text_heard_live_does_not_come_back_over_a_later_one(bench):
    bench.start_active()
    latched = bench.latched()
    bench.wait(lambda: latched.get_subscription_count() >= 1, 5, 'it is heard')
    latched.publish(String(data='red'))
    bench.spin(0.1)
    bench.say('blue')
    bench.spin(1.5)
    assert bench.answer()[:, -16:].all()
    assert bench.statuses[-1].target_text == 'blue'


def test_of_many_texts_the_last_one_wins(bench):
    bench.start_active(FAKE_STEP_SECONDS='0.05')
    bench.answer()
    for number in range(1000):
        bench.say('red' if number % 2 else 'green')
        if number % 100 == 0:
            bench.send()
    bench.say('blue')
    bench.wait(lambda: bench.answer()[:, -16:].all(), 10, 'the last goal is followed')
    assert bench.statuses[-1].target_text == 'blue'


def test_an_unreadable_image_is_counted_and_the_next_good_one_is_tracked(bench):
    process = bench.start_active()
    bench.ask('red')
    before = bench.statuses[-1]
    count = len(bench.masks)
    for changes in ({'step': 3}, {'encoding': 'unheard_of'}, {'height': 0},
                    {'data': array.array('B', bytes(10))}):
        bench.send(**changes)
        bench.spin(0.1)
    assert len(bench.masks) == count
    assert bench.answer().any()
    after = bench.statuses[-1]
    assert after.dropped == before.dropped + 4
    assert after.processed == before.processed + 1
    assert after.received == after.processed + after.dropped
    assert "'unheard_of' is not read" in process.log or 'step is 3' in process.log


def test_a_message_that_is_damaged_in_itself_is_counted_as_dropped(bench):
    process = bench.start_active('-p', 'diagnostics_period:=0.2')
    bench.ask('red')
    before = bench.statuses[-1]
    whole = serialize_message(bench.image(bench.picture()))
    endless = bytearray(whole)
    data = bench.picture().nbytes
    endless[-data - 4:-data] = b'\xff' * 4  # how long the data are
    for damaged in (whole[:3], whole[:100], whole[:-8], bytes(endless), b'\xff' * 5000):
        bench.send_serialized(damaged)
        bench.spin(0.1)
    bench.wait(lambda: bench.level('tracker: camera') == DiagnosticStatus.WARN, 2, 'a warning')
    assert 'are no Image message' in bench.tasks['tracker: camera'].message
    assert bench.answer().any()
    after = bench.statuses[-1]
    assert after.dropped == before.dropped + 5 and after.processed == before.processed + 1
    assert 'Traceback' not in process.log


def test_a_stamp_that_makes_no_sense_is_passed_through(bench):
    bench.start_active()
    bench.ask('red')
    bench.send(seconds=-5)
    bench.wait(lambda: bench.masks[-1].header.stamp.sec == -5, 5, 'the mask of that image')
    assert bench.pixels(bench.masks[-1]).any()


def test_no_backlog_at_60_hz_into_a_slow_model(bench):
    bench.start_active('-p', 'image_qos:=reliable', FAKE_STEP_SECONDS='0.1')
    bench.ask('red')
    bench.spin(0.3)
    before = bench.statuses[-1]
    for number in range(1, 201):
        bench.send(seconds=1000 + number)
        bench.spin(1 / 60)
    bench.wait(lambda: bench.statuses[-1].header.stamp.sec == 1200, 1.0,
               'the last image is worked on at once')
    bench.spin(0.3)
    assert bench.statuses[-1].header.stamp.sec == 1200
    stamps = [status.header.stamp.sec for status in bench.statuses]
    after = bench.statuses[-1]
    assert [stamp for stamp in stamps if stamp > 1000] == sorted(set(stamps) - {0})
    assert after.processed - before.processed == len([s for s in stamps if s > 1000])
    assert after.dropped > before.dropped + 100
    assert 150 <= after.received - before.received <= 200
    for status in bench.statuses:
        assert status.received == status.processed + status.dropped


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


def test_disabled_it_is_silent_and_enabled_it_goes_on_with_the_target(bench):
    bench.start_active()
    bench.ask('red')
    assert bench.enable(False).success
    count = len(bench.masks)
    for _ in range(5):
        bench.send()
        bench.spin(0.05)
    assert len(bench.masks) == len(bench.statuses) == count
    assert bench.enable(True).success
    assert bench.answer().any()
    assert bench.statuses[-1].target_text == 'red'


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


def test_a_frame_that_fails_is_dropped_and_reported_and_the_node_goes_on(bench):
    process = bench.start_active('-p', 'diagnostics_period:=0.2')
    bench.ask('red')
    bench.say('crash')
    bench.spin(0.2)
    count = len(bench.masks)
    bench.send()
    bench.wait(lambda: bench.level('tracker: tracker') == DiagnosticStatus.ERROR, 5, 'an error')
    assert 'scripted crash' in bench.tasks['tracker: tracker'].message
    assert 'scripted crash' in process.log
    assert len(bench.masks) == count
    bench.say('blue')
    bench.spin(0.2)
    assert bench.answer().any()


def test_two_instances_in_namespaces_do_not_hear_each_other(bench):
    left, right = [], []
    for side, statuses in (('left', left), ('right', right)):
        bench.start('-r', f'__ns:=/{side}', '-p', 'autostart:=true', wait=False)
        bench.hear(TrackerStatus, f'/{side}/segmentation/status', statuses)
    images = {side: bench.node.create_publisher(Image, f'/{side}/image', 1)
              for side in ('left', 'right')}
    texts = {side: bench.latched(f'/{side}/target_text') for side in ('left', 'right')}
    texts['left'].publish(String(data='red'))
    texts['right'].publish(String(data='blue'))

    def send(side: str) -> None:
        images[side].publish(bench.image(bench.picture()))
        bench.spin(0.1)

    def both() -> bool:
        send('left')
        send('right')
        return (left and left[-1].target_text == 'red'
                and right and right[-1].target_text == 'blue')

    bench.wait(both, 20, 'each follows its own goal')
    count = len(right)
    for _ in range(3):
        send('left')
    assert len(right) == count
    assert not bench.statuses
    bench.wait(lambda: {'left/tracker: camera', 'right/tracker: camera'} <= set(bench.tasks), 3,
               'each has its own diagnostics')
