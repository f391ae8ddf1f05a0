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
"""Faults: what robots do to a node, on real topics between processes."""

import array
from pathlib import Path
import signal
import time

import cv2
from diagnostic_msgs.msg import DiagnosticStatus
from fast_sam2_ros.demo.scene import cut_out
from fast_sam2_ros.msg import TrackerStatus
from lifecycle_msgs.msg import Transition
import numpy as np
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import String

LISTENER = Path(__file__).with_name('listener.py')
TRACKER = 'fast_sam2_ros.node.main'
LOADING = 180.0
"""Seconds that the model may take to load on a busy machine."""
ODD_TEXTS = (
    '', '   ', ';', ' ;; ; ', '\t\r\n', 'x' * 100_000, '\u0436' * 1000, '; '.join('abcdefghijkl'),
    '\u7ea2\u8272\u7684\u676f\u5b50; \u0643\u0648\u0628; \u0915\u092a',  # Chinese, Arabic, Hindi
    '\U0001f986 \U0001f3f3\ufe0f\u200d\U0001f308', 'e' + '\u0301' * 500,
    '\u202eder\u202c \u2066x', 'red\n[ERROR] [0.0] [tracker]: forged', 'a\x1b[2J\x07b\x7f',
    '{0} %s %n', 'red\x00blue')


def assert_counts_add_up(statuses: list[TrackerStatus]) -> None:
    """Assert that every image that was received was either processed or dropped."""
    for status in statuses:
        assert status.received == status.processed + status.dropped


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
    assert bench.masks[-1].header.stamp.sec == 1200
    assert_counts_add_up(bench.statuses)


def test_bad_images_between_good_ones_are_counted_and_do_no_harm(bench):
    process = bench.start_active('-p', 'diagnostics_period:=0.2')
    bench.ask('red')
    before = bench.statuses[-1]
    count = len(bench.masks)
    for changes in ({'height': 0}, {'width': 0}, {'step': 3}, {'encoding': 'unheard_of'},
                    {'encoding': ''}, {'encoding': 'rgba8'}, {'encoding': '16UC1', 'step': 1},
                    {'data': array.array('B', bytes(10))}, {'data': array.array('B')},
                    {'width': 2**32 - 1, 'height': 2**32 - 1, 'step': 2**32 - 1}):
        bench.send(**changes)
        bench.spin(0.1)
    assert len(bench.masks) == count
    assert bench.answer().any()
    after = bench.statuses[-1]
    assert after.dropped == before.dropped + 10
    assert after.processed == before.processed + 1

    whole = serialize_message(bench.image(bench.picture()))
    endless = bytearray(whole)
    data = bench.picture().nbytes
    endless[-data - 4:-data] = b'\xff' * 4  # how long the data are
    for damaged in (whole[:3], whole[:100], whole[:-8], bytes(endless), b'\xff' * 5000):
        bench.send_serialized(damaged)
        bench.spin(0.1)
    bench.wait(lambda: bench.level('tracker: camera') == DiagnosticStatus.WARN, 2, 'a warning')
    assert 'are no Image message' in bench.tasks['tracker: camera'].message

    # Of these some are images, by chance.
    chance = np.random.default_rng(0)
    for number in range(60):
        height, width = (int(side) for side in chance.integers(0, 40, 2))
        bench.send(bench.image(chance.integers(0, 255, (4, 4, 3), np.uint8)), height=height,
                   width=width, step=int(width * chance.integers(0, 4)),
                   encoding=str(chance.choice(['rgb8', 'mono8', 'bgra8', 'mono16', '32FC1'])),
                   is_bigendian=int(chance.integers(0, 2)),
                   data=array.array('B', chance.bytes(height * width * chance.choice([1, 3]))))
        bench.spin(0.02)
        whole = bytearray(serialize_message(bench.image(bench.picture())))
        for place in chance.integers(4, 60, 5):
            whole[place] = chance.integers(0, 255)
        bench.send_serialized(bytes(whole))
        bench.spin(0.02)
    bench.wait(lambda: bench.answer().any(), 5, 'the next good one is tracked')
    assert bench.statuses[-1].target_text == 'red'
    assert bench.statuses[-1].dropped > after.dropped + 30
    assert_counts_add_up(bench.statuses)
    assert process.log.count('image dropped') < 15, 'the log is kept short'
    assert 'Traceback' not in process.log, process.log


def test_a_stamp_that_makes_no_sense_is_passed_through(bench):
    bench.start_active()
    bench.ask('red')
    bench.send(seconds=-5)
    bench.wait(lambda: bench.masks[-1].header.stamp.sec == -5, 5, 'the mask of that image')
    assert bench.pixels(bench.masks[-1]).any()


def test_of_a_thousand_texts_in_a_second_the_last_one_wins_and_odd_ones_do_no_harm(bench):
    process = bench.start_active(FAKE_STEP_SECONDS='0.05')
    overlays = []
    bench.hear(Image, 'segmentation/overlay', overlays)
    bench.answer()
    begin = time.monotonic()
    for number in range(1000):
        bench.say('red' if number % 2 else 'green')
        if number % 100 == 0:
            bench.send()
    bench.say('blue')
    assert time.monotonic() - begin < 2
    bench.wait(lambda: bench.answer()[:, -16:].all(), 10, 'the last goal is followed')
    assert bench.statuses[-1].target_text == 'blue'

    for text in ODD_TEXTS:
        bench.say(text)
        bench.spin(0.1)
        bench.answer()
        status = bench.statuses[-1]
        assert len(status.target_text) <= 1000
        assert status.target_text.replace('\u200d', '').isprintable()
    bench.wait(lambda: bench.answer()[:, :16].all(), 5, 'of the last a C string ends at its zero')
    assert 'a target_text of 100000 characters was refused' in process.log

    message = serialize_message(String(data='blue'))
    for damaged in (message[:6], message[:8] + b'\xff\xfe\xc3\x28\x00',
                    message[:4] + b'\xff' * 4 + message[8:], b'\xff' * 3000):
        bench.say_serialized(damaged)
        bench.spin(0.1)
        bench.answer()
    bench.wait(lambda: bench.ask('red').any() and overlays, 10, 'it is well')
    assert max(map(len, process.log.splitlines())) < 600
    assert not {'\x1b', '\x07', '\u202e', '\u2066'} & set(process.log)
    assert 'forged' not in [line.split(': ')[-1] for line in process.log.splitlines()
                            if line.startswith('[ERROR]')]


def test_a_goal_that_is_too_long_is_refused_and_the_old_one_stays(bench):
    process = bench.start_active()
    bench.ask('red')
    bench.say('blue; ' * 20_000)
    bench.wait(lambda: 'was refused' in process.log, 5, 'a warning')
    assert bench.answer()[:, :16].all() and bench.statuses[-1].target_text == 'red'


def test_a_text_from_after_the_node_is_the_goal_and_one_that_nobody_heard_is_not(bench):
    bench.say('blue')
    bench.start_active()
    assert not bench.answer().any()
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


def test_goals_that_come_while_the_model_is_being_loaded_are_kept(bench):
    bench.start('-p', 'autostart:=true', wait=False, FAKE_LOAD_SECONDS='4')
    bench.wait(lambda: bench.texts_are_heard, 15, 'it configures')
    bench.say('red')
    bench.spin(0.2)
    assert bench.node.count_subscribers('image') == 0, 'it was too late to test anything'
    bench.wait_joined()
    assert bench.answer().any()


@pytest.mark.parametrize(('number', 'step'), [
    (signal.SIGINT, '0'), (signal.SIGINT, '30'), (signal.SIGTERM, '30')])
def test_told_to_end_it_ends_with_0_within_5_s_even_in_mid_step(bench, number, step):
    process = bench.start_active(FAKE_STEP_SECONDS=step)
    bench.send()
    bench.spin(0.5)
    status, seconds = process.interrupt(number)
    assert status == 0, process.log
    assert seconds < 5
    assert 'Traceback' not in process.log, process.log


def test_sigint_ends_it_while_the_model_is_being_loaded(bench):
    process = bench.start('-p', 'autostart:=true', wait=False, FAKE_LOAD_SECONDS='90')
    bench.wait(lambda: bench.node.count_publishers('segmentation/mask') == 1, 60, 'it configures')
    status, seconds = process.interrupt()
    assert status == 0, process.log
    assert seconds < 5


def test_killed_and_started_again_it_publishes_without_cleaning_up(bench):
    picture = bench.picture(480, 640)

    def masks_come() -> bool:
        bench.send(bench.image(picture))
        bench.spin(0.05)
        return len(bench.masks) > count + 5 and bench.pixels(bench.masks[-1])[:, :160].all()

    for _ in range(2):
        count = len(bench.masks)
        process = bench.start('-p', 'autostart:=true', '-p', 'target_text:=red', wait=False)
        bench.wait(masks_come, 30, 'masks come')
        process.kill()


def test_twenty_lives_leave_threads_and_memory_as_they_were(bench):
    process = bench.start('-p', 'target_text:=red')
    threads, resident = [], []
    for life in range(20):
        assert bench.change(Transition.TRANSITION_CONFIGURE), process.log
        assert bench.change(Transition.TRANSITION_ACTIVATE), process.log
        if life % 5 == 4:
            bench.wait_joined()
            assert bench.answer().any()
        assert bench.change(Transition.TRANSITION_DEACTIVATE), process.log
        assert bench.change(Transition.TRANSITION_CLEANUP), process.log
        threads.append(process.threads)
        resident.append(process.resident)
    # One that has just ended may still be counted.
    assert max(threads[5:]) <= max(threads[:5]), threads
    assert resident[-1] - resident[4] < 4 * 2**20, resident
    assert 'Traceback' not in process.log


def test_a_bad_checkpoint_fails_configure_with_a_reason_and_can_be_mended(bench):
    process = bench.start('-p', 'model:=/no/such/checkpoint.pt', '-p', 'diagnostics_period:=0.2')
    assert not bench.change(Transition.TRANSITION_CONFIGURE)
    assert bench.state() == 'unconfigured'
    assert 'configure failed: /no/such/checkpoint.pt is not here; fetch it' in process.log
    assert 'Traceback' not in process.log
    bench.wait(lambda: bench.level('tracker: model') == DiagnosticStatus.ERROR, 3, 'an error')
    assert 'fetch it' in bench.tasks['tracker: model'].message

    assert bench.set(model='embedded').successful
    bench.bring_up()
    assert bench.ask('red').any()
    bench.wait(lambda: bench.level('tracker: model') == DiagnosticStatus.OK, 3, 'mended')


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


def test_time_that_jumps_stops_no_search_and_gives_nothing_stale(bench):
    """A bag in a loop, with the model and the grounder as they are."""
    clock = bench.node.create_publisher(Clock, '/clock', 10)
    bench.start_active('-p', 'use_sim_time:=true', '-p', 'model:=embedded', '-p', 'device:=cpu',
                       '-p', 'reground_period:=30.0', '-p', 'lost_after:=2',
                       '-p', 'target_text:=cat', module=TRACKER, loading=LOADING)
    cat = cv2.resize(cut_out('cat')[0], (320, 320))
    grey = np.full_like(cat, 100)

    def show(pixels: np.ndarray, seconds: int) -> TrackerStatus:
        now = Clock()
        now.clock.sec = seconds
        clock.publish(now)
        bench.spin(0.05)
        count = len(bench.masks)
        bench.send(bench.image(pixels), seconds=seconds)
        bench.wait(lambda: len(bench.masks) > count and len(bench.statuses) == len(bench.masks),
                   60, 'a mask and its status')
        status = bench.statuses[-1]
        assert bench.masks[-1].header.stamp.sec == status.header.stamp.sec == seconds
        assert abs(status.stamp_age) < 1
        assert bench.pixels(bench.masks[-1]).any() == (pixels is cat and status.state
                                                       == TrackerStatus.TRACKING)
        return status

    assert show(grey, 5000).state == TrackerStatus.SEARCHING
    assert show(cat, 5010).state == TrackerStatus.SEARCHING, 'it waits for 30 s'
    assert show(cat, 100).state == TrackerStatus.TRACKING, 'time jumped back: it searches at once'
    assert show(cat, 101).state == TrackerStatus.TRACKING
    assert [show(grey, seconds).state for seconds in (102, 103, 104)][-1] == TrackerStatus.LOST
    assert show(cat, 2_000_000).state == TrackerStatus.TRACKING, 'and forward'
    assert [show(grey, seconds).state for seconds in (7, 8, 9)][-1] == TrackerStatus.LOST
    assert show(cat, 3).state == TrackerStatus.TRACKING, 'and back again'


def test_out_of_device_memory_it_keeps_fewer_tokens_and_says_so(bench):
    process = bench.start_active('-p', 'keep_ratio:=1.0', '-p', 'diagnostics_period:=0.2',
                                 '-p', 'model:=embedded', '-p', 'target_text:=red',
                                 FAKE_MEMORY='0.25')

    def tracked() -> bool:
        bench.send()
        bench.spin(0.1)
        return bool(bench.masks)

    bench.wait(tracked, 10, 'a mask with fewer tokens')
    assert bench.pixels(bench.masks[-1])[:, :16].all()
    first = bench.statuses[0]
    assert first.keep_ratio == pytest.approx(0.2) and first.tokens_retained == 80
    assert first.dropped >= 4 and first.processed == 1
    assert first.message.endswith('; no memory for 0.3')
    assert 'image dropped: no memory for 1' in process.log and 'Traceback' not in process.log
    bench.wait(lambda: bench.level('tracker: memory') == DiagnosticStatus.WARN, 3, 'a warning')
    assert bench.tasks['tracker: memory'].message == 'no memory for 0.3'


def test_with_too_little_device_memory_for_anything_it_lives_and_says_so(bench):
    process = bench.start_active('-p', 'diagnostics_period:=0.2', '-p', 'target_text:=red',
                                 FAKE_MEMORY='0.01')
    for _ in range(40):
        bench.send()
        bench.spin(0.05)
    bench.wait(lambda: bench.level('tracker: tracker') == DiagnosticStatus.ERROR, 3, 'an error')
    assert 'no memory for 0.1 at least' in bench.tasks['tracker: tracker'].message
    assert not bench.masks and process.log.count('image dropped') <= 3
    assert bench.state() == 'active'


def test_a_model_that_fails_on_every_image_does_not_end_it_nor_fill_the_log(bench):
    process = bench.start_active('-p', 'diagnostics_period:=0.2')
    bench.ask('red')
    bench.say('crash')
    bench.spin(0.2)
    count, length = len(bench.masks), len(process.log)
    for _ in range(60):
        bench.send()
        bench.spin(0.02)
    bench.wait(lambda: bench.level('tracker: tracker') == DiagnosticStatus.ERROR, 5, 'an error')
    assert 'scripted crash' in bench.tasks['tracker: tracker'].message
    assert 'scripted crash' in process.log and len(process.log) - length < 5000
    assert len(bench.masks) == count
    bench.say('blue')
    bench.spin(0.2)
    assert bench.answer().any()
    bench.wait(lambda: bench.level('tracker: tracker') == DiagnosticStatus.OK, 3, 'all is well')


def test_a_camera_may_die_and_come_back_as_another(bench):
    bench.start_active('-p', 'diagnostics_period:=0.2', '-p', 'target_text:=red')
    assert bench.answer().any()
    count = len(bench.masks)
    bench.unplug()
    bench.wait(lambda: bench.level('tracker: camera') == DiagnosticStatus.ERROR, 3, 'it is gone')
    bench.spin(0.5)
    assert len(bench.masks) == count, 'nothing old is published'
    camera = bench.node.create_publisher(Image, 'image', QoSProfile(
        depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    message = bench.image(bench.picture(120, 160))

    def masks_come() -> bool:
        camera.publish(message)
        bench.spin(0.1)
        return len(bench.masks) > count and bench.masks[-1].height == 120

    bench.wait(masks_come, 10, 'masks of the other camera')
    assert bench.pixels(bench.masks[-1])[:, :40].all()
    bench.wait(lambda: masks_come() and bench.level('tracker: camera') != DiagnosticStatus.ERROR,
               5, 'it is back')


def test_a_subscriber_that_hangs_holds_nobody_up(bench):
    bench.start_active('-p', 'target_text:=red')
    listener = bench.start(script=LISTENER, wait=False)
    bench.wait(lambda: bench.node.count_subscribers('segmentation/mask') == 2, 15, 'it listens')
    bench.spin(0.5)
    listener.process.send_signal(signal.SIGSTOP)
    picture = bench.image(bench.picture(480, 640))
    count = len(bench.masks)
    waits = []
    for number in range(100):
        begin = time.monotonic()
        bench.send(picture, seconds=number)
        bench.wait(lambda: bench.masks and bench.masks[-1].header.stamp.sec == number
                   or time.monotonic() - begin > 1, 2, 'a mask')
        waits.append(time.monotonic() - begin)
    listener.process.send_signal(signal.SIGCONT)
    assert len(bench.masks) - count >= 95
    assert np.median(waits) < 0.2, waits


def test_switched_off_in_mid_step_it_is_silent_and_switched_on_it_goes_on(bench):
    bench.start_active(FAKE_STEP_SECONDS='0.5')
    bench.ask('red')
    for off, on in ((lambda: bench.enable(False).success, lambda: bench.enable(True).success),
                    (lambda: bench.change(Transition.TRANSITION_DEACTIVATE),
                     lambda: bench.change(Transition.TRANSITION_ACTIVATE))):
        count = len(bench.masks)
        bench.send()
        bench.spin(0.1)
        assert off()
        for _ in range(5):
            bench.send()
            bench.spin(0.2)
        assert len(bench.masks) == len(bench.statuses) == count
        assert on()
        bench.wait_joined()
        assert bench.answer().any()
        assert bench.statuses[-1].target_text == 'red'
    assert_counts_add_up(bench.statuses)
