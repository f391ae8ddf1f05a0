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
"""`target_pose` as a robot sees it: real topics between two processes."""

import array
import math
import time

from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import Transition
import numpy as np
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, Image

# The picture of the bench is of 64 x 48 pixels; red are columns 0 to 15, blue are 48 to 63.
FOCAL, CENTRE = 64.0, (32.0, 24.0)
RED, BLUE = (7 - 32) / FOCAL, (55 - 32) / FOCAL
"""x / z of the middle of a target, which is within a pixel of this."""
PIXEL = 1.01 / FOCAL


class Robot:
    """The rest of the robot: its depth camera, and who follows the target."""

    def __init__(self, bench):
        self.bench = bench
        sensor = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._depth = bench.node.create_publisher(Image, 'depth', sensor)
        self._info = bench.node.create_publisher(CameraInfo, 'camera_info', sensor)
        self.poses = []
        self._listener = None

    def listen(self):
        """Subscribe as Nav2's FollowObject does, and wait until the node hears our depth."""
        self._listener = self.bench.node.create_subscription(
            PoseStamped, 'target_pose', self.poses.append,
            QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE))
        self.bench.wait(lambda: self.is_heard, 10, 'depth and camera_info are heard')

    def leave(self):
        self.bench.node.destroy_subscription(self._listener)

    @property
    def is_heard(self):
        return (self._depth.get_subscription_count() == 1
                and self._info.get_subscription_count() == 1)

    def send_info(self, **changes):
        message = CameraInfo(
            height=48, width=64, distortion_model='plumb_bob', d=[0.0] * 5,
            k=[FOCAL, 0.0, CENTRE[0], 0.0, FOCAL, CENTRE[1], 0.0, 0.0, 1.0])
        message.header.frame_id = 'test_camera'
        for field, value in changes.items():
            setattr(message, field, value)
        self._info.publish(message)

    def send_depth(self, metres, second, late=0.0, encoding='32FC1', frame_id='test_camera',
                   raw=False, **changes):
        """Send a wall `metres` away, so many seconds later than the image of that second."""
        pixels = (np.full((48, 64), metres, np.float32) if encoding == '32FC1'
                  else np.full((48, 64), round(1e3 * metres), np.uint16))
        message = Image(height=48, width=64, encoding=encoding, step=64 * pixels.itemsize,
                        data=array.array('B', pixels.tobytes()))
        message.header.frame_id = frame_id
        nanoseconds = round(1e9 * (second + 0.25 + late))
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(nanoseconds, 10**9)
        for field, value in changes.items():
            setattr(message, field, value)
        self._depth.publish(serialize_message(message)[:60] if raw else message)

    def send_image(self, second, pixels=None):
        """Send an image and wait for its mask."""
        sent = self.bench.send(
            self.bench.image(self.bench.picture() if pixels is None else pixels), seconds=second)
        self.bench.wait(lambda: self.bench.masks and self.bench.masks[-1].header == sent.header,
                        10, f'the mask of second {second}')

    def follow(self, text):
        """Name the target and wait until it is followed; no depth goes with these images."""
        self.bench.ask(text)
        self.poses.clear()

    def pose(self, second):
        """Wait for the one pose of a second's image."""
        self.bench.wait(lambda: self.poses, 5, f'the pose of second {second}')
        self.bench.spin(0.1)
        found = self.poses.pop()
        assert not self.poses and found.header.stamp.sec == second
        return found

    def no_pose(self):
        self.bench.spin(0.4)
        return not self.poses

    def outcome(self):
        """Return what the diagnostics say of the pose."""
        task = self.bench.tasks.get('tracker: tracker')
        return {value.key: value.value for value in task.values}['target pose'] if task else ''


@pytest.fixture
def robot(bench):
    return Robot(bench)


def test_a_target_has_one_pose_under_the_header_of_its_image(bench, robot):
    bench.start_active()
    robot.listen()
    robot.follow('red')
    robot.send_info()

    robot.send_depth(2.0, 1)  # before the mask
    robot.send_image(1)
    found = robot.pose(1)
    assert found.header == bench.masks[-1].header and found.header.frame_id == 'test_camera'
    position, turn = found.pose.position, found.pose.orientation
    assert position.z == pytest.approx(2.0)
    assert position.x == pytest.approx(2 * RED, abs=2 * PIXEL)
    assert position.y == pytest.approx(0.0, abs=2 * PIXEL)
    assert (turn.x, turn.y, turn.z, turn.w) == (0.0, 0.0, 0.0, 1.0)

    robot.send_image(2)  # after the mask, in millimetres
    assert robot.no_pose()
    robot.send_depth(3.0, 2, encoding='16UC1')
    assert robot.pose(2).pose.position.z == pytest.approx(3.0)
    robot.send_depth(4.0, 2)
    assert robot.no_pose()

    robot.send_depth(5.0, 3, late=-0.02)  # the next one may be nearer, and is
    robot.send_image(3)
    assert robot.no_pose()
    robot.send_depth(6.0, 3, late=0.01)
    assert robot.pose(3).pose.position.z == pytest.approx(6.0)

    robot.send_depth(5.0, 4, late=0.2)
    robot.send_image(4)
    assert robot.no_pose()
    assert bench.set(depth_tolerance=0.3).successful
    robot.send_depth(5.0, 4, late=0.2)
    assert robot.pose(4).pose.position.z == pytest.approx(5.0)

    for second in range(11, 16):  # depth comes later than the next images
        robot.send_image(second)
    robot.send_depth(2.0, 12)
    assert robot.pose(12).pose.position.z == pytest.approx(2.0)
    robot.send_depth(4.0, 14)
    assert robot.pose(14).pose.position.z == pytest.approx(4.0)
    robot.send_depth(3.0, 13)  # older than the last pose
    assert robot.no_pose()
    time.sleep(1.1)  # a mask does not wait for ever
    robot.send_depth(5.0, 15)
    assert robot.no_pose()


def test_of_several_targets_the_first_that_is_tracked_has_the_pose(bench, robot):
    bench.start_active('-p', 'diagnostics_period:=0.2')
    robot.listen()
    robot.follow('red; blue')
    robot.send_info()
    without_red = bench.picture()
    without_red[:, :16] = 100
    for second, pixels, expected in ((1, None, RED), (2, without_red, BLUE), (3, None, RED)):
        robot.send_depth(2.0, second)
        robot.send_image(second, pixels)
        assert robot.pose(second).pose.position.x == pytest.approx(2 * expected, abs=2 * PIXEL)
    bench.wait(lambda: robot.outcome() == 'published', 5, 'the diagnostics say so')

    robot.send_depth(2.0, 4)
    robot.send_image(4, np.full_like(without_red, 100))
    assert robot.no_pose()
    bench.wait(lambda: robot.outcome() == 'no target is tracked', 5, 'the diagnostics say so')


def test_a_slow_model_gets_the_depth_of_its_own_image(bench, robot):
    bench.start_active(FAKE_STEP_SECONDS='1.2')
    robot.listen()
    robot.follow('red')
    robot.send_info()
    bench.send(seconds=100)
    for step in range(60):  # 30 Hz, two seconds
        robot.send_depth(1.0 + step, 100, late=step / 30)
        bench.spin(1 / 30)
    assert robot.pose(100).pose.position.z == pytest.approx(1.0)


def test_what_is_wrong_is_said_and_the_next_good_one_works(bench, robot):
    process = bench.start_active('-p', 'diagnostics_period:=0.2')
    robot.listen()
    robot.follow('red')
    bench.spin(2.0)  # as long is nothing said of what has not come yet
    seconds = iter(range(1, 100))

    def wrong(what, send, reason):
        """Send what is wrong with an image; it has no pose, and the reason is shown."""
        end = time.monotonic() + 10
        while reason not in robot.outcome() or 'published' in robot.outcome():
            assert time.monotonic() < end, (what, robot.outcome(), process.log)
            second = next(seconds)
            send(second)
            robot.send_image(second)
            bench.spin(0.3)
        assert not robot.poses, what

    def right():
        second = next(seconds)
        robot.send_info()
        robot.send_depth(2.0, second)
        robot.send_image(second)
        assert robot.pose(second).pose.position.z == pytest.approx(2.0)

    wrong('no camera_info', lambda second: None, 'no camera_info came on /camera_info')
    wrong('not calibrated', lambda second: robot.send_info(k=[0.0] * 9), 'not calibrated')
    wrong('no depth', lambda second: robot.send_info(), 'no depth image came on /depth')
    right()
    for fault, reason in (({'encoding': 'rgb8'}, "encoding 'rgb8' is not read"),
                          ({'height': 2**31, 'width': 2**31}, 'larger than'),
                          ({'raw': True}, 'are no Image message')):
        wrong(fault, lambda second: robot.send_depth(2.0, second, **fault), reason)
        right()
    wrong('another time', lambda second: robot.send_depth(2.0, second, late=0.5),
          'the nearest depth image is 0.500 s away')
    wrong('nothing valid', lambda second: robot.send_depth(math.nan, second),
          'too little of the mask has a depth')
    wrong('another camera', lambda second: robot.send_depth(2.0, second, frame_id='left'),
          "depth has the frame 'left', the image 'test_camera': it is not registered")
    right()
    robot.send_info(height=40)
    wrong('another size', lambda second: robot.send_depth(2.0, second),
          'camera_info is for images of 64 x 40')
    right()
    assert bench.set(image_rectified=True).successful
    wrong('no p', lambda second: robot.send_depth(2.0, second), 'or unset image_rectified')
    assert bench.set(image_rectified=False).successful
    right()
    assert 'unusable messages dropped' in robot.outcome()
    assert 'camera_info dropped: the camera is not calibrated' in process.log
    assert 'no target_pose: ' in process.log and 'Traceback' not in process.log


def test_it_is_quiet_while_nobody_listens_or_the_node_is_not_active(bench, robot):
    process = bench.start_active('-p', 'diagnostics_period:=0.2')
    robot.follow('red')
    assert bench.node.count_publishers('target_pose') == 1
    bench.wait(lambda: robot.outcome() == 'nobody listens', 5, 'the diagnostics say so')
    assert bench.node.count_subscribers('depth') == bench.node.count_subscribers(
        'camera_info') == 0
    robot.listen()
    robot.send_info()
    robot.send_depth(2.0, 50)
    robot.send_image(50)
    robot.pose(50)

    robot.send_image(51)  # waits for its depth, and is dropped
    assert bench.change(Transition.TRANSITION_DEACTIVATE)
    bench.wait(lambda: not robot.is_heard, 5, 'depth is not subscribed to')
    assert bench.change(Transition.TRANSITION_ACTIVATE)
    bench.wait_joined()
    bench.wait(lambda: robot.is_heard, 5, 'depth is heard again')
    robot.send_info()
    robot.send_depth(2.0, 51)
    assert robot.no_pose()

    robot.send_depth(3.0, 10)  # the time jumps back
    robot.send_image(10)
    assert robot.pose(10).pose.position.z == pytest.approx(3.0)

    robot.send_image(11)
    assert bench.enable(False).success
    robot.send_depth(2.0, 11)
    assert robot.no_pose()
    assert bench.enable(True).success

    robot.leave()
    bench.wait(lambda: not robot.is_heard, 5, 'nobody listens any more')
    assert bench.change(Transition.TRANSITION_DEACTIVATE)
    assert bench.change(Transition.TRANSITION_CLEANUP)
    bench.wait(lambda: bench.node.count_publishers('target_pose') == 0, 5, 'it is gone')
    bench.bring_up()
    robot.listen()
    robot.send_info()
    robot.follow('red')
    robot.send_depth(4.0, 20)
    robot.send_image(20)
    assert robot.pose(20).pose.position.z == pytest.approx(4.0)
    assert 'Traceback' not in process.log
