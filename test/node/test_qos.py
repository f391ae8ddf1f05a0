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
"""Quality of service on real topics: by parameter, by ROS's overrides, and what cannot match."""

from diagnostic_msgs.msg import DiagnosticStatus
from fast_sam2_ros.msg import TrackerStatus
from lifecycle_msgs.msg import Transition
import pytest
from rcl_interfaces.srv import GetParameters
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

BEST_EFFORT, RELIABLE = ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE


def camera(bench, reliability: ReliabilityPolicy, topic: str = 'image', kind: type = Image):
    """Return a publisher of images."""
    return bench.node.create_publisher(kind, topic, QoSProfile(depth=1, reliability=reliability))


def hear(bench, kind: type, topic: str, reliability: ReliabilityPolicy) -> list:
    """Return a list that is filled from a topic."""
    heard = []
    bench.node.create_subscription(
        kind, topic, heard.append, QoSProfile(depth=10, reliability=reliability))
    return heard


def offered(bench, topic: str) -> list[ReliabilityPolicy]:
    """Return what the tracker's publishers of a topic offer."""
    return [each.qos_profile.reliability for each in bench.node.get_publishers_info_by_topic(topic)
            if each.node_name == 'tracker']


def asked(bench, topic: str) -> list[ReliabilityPolicy]:
    """Return what the tracker's subscriptions to a topic ask for."""
    return [each.qos_profile.reliability
            for each in bench.node.get_subscriptions_info_by_topic(topic)
            if each.node_name == 'tracker']


@pytest.mark.parametrize('setting', ['sensor_data', 'reliable'])
def test_cameras_and_listeners_of_both_kinds_are_served_or_told_why_not(bench, setting):
    eager, lazy = (hear(bench, Image, 'segmentation/mask', each)
                   for each in (RELIABLE, BEST_EFFORT))
    process = bench.start_active('-p', f'image_qos:={setting}', '-p', 'target_text:=red')
    assert asked(bench, 'image') == [RELIABLE if setting == 'reliable' else BEST_EFFORT]

    def comes_from(publisher) -> bool:
        eager.clear(), lazy.clear()
        for _ in range(10):
            publisher.publish(bench.image(bench.picture()))
            bench.spin(0.1)
        return bool(eager) and bool(lazy)

    reliable = camera(bench, RELIABLE)
    bench.spin(0.5)
    assert comes_from(reliable)
    bench.node.destroy_publisher(reliable)
    best_effort = camera(bench, BEST_EFFORT)
    bench.spin(0.5)
    assert comes_from(best_effort) == (setting == 'sensor_data')
    if setting == 'sensor_data':
        return

    # The bench itself publishes images, too, reliably; its silence must not hide the reason.
    reason = '/bench offers best effort on /image, and reliable delivery was asked for; ' \
        'set image_qos to sensor_data'
    bench.wait(lambda: bench.level('tracker: camera') == DiagnosticStatus.ERROR
               and reason in bench.tasks['tracker: camera'].message, 3, 'the reason')
    bench.wait(lambda: reason in process.log, 2, 'the reason in the log')
    assert process.log.count(reason) == 1
    # What it says is what helps.
    for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP):
        assert bench.change(transition)
    assert bench.set(image_qos='sensor_data').successful
    bench.bring_up()
    bench.wait(lambda: comes_from(best_effort), 10, 'masks of the best-effort camera')


def test_why_no_image_comes_is_said_where_the_graph_tells(bench):
    process = bench.start('-r', 'image:=/front/image_raw', '-p', 'autostart:=true')

    def says(words: str) -> None:
        bench.wait(lambda: bench.level('tracker: camera') == DiagnosticStatus.ERROR
                   and words in bench.tasks['tracker: camera'].message, 10, words)
        bench.wait(lambda: words in process.log, 1, f'{words} in the log')

    says('nobody publishes /front/image_raw')
    packed = camera(bench, RELIABLE, '/front/image_raw', CompressedImage)
    says('/bench publishes sensor_msgs/msg/CompressedImage on /front/image_raw; '
         'set image_transport to compressed')
    bench.node.destroy_publisher(packed)
    words = camera(bench, RELIABLE, '/front/image_raw', String)
    says('publishes std_msgs/msg/String on /front/image_raw, not an image')
    bench.node.destroy_publisher(words)
    images = camera(bench, BEST_EFFORT, '/front/image_raw')
    says('1 publisher(s) of /front/image_raw send nothing')
    bench.wait(lambda: (images.publish(bench.image(bench.picture())), bench.spin(0.1),
                        'images come again' in process.log)[-1], 5, 'that they come again')
    assert 'Traceback' not in process.log


def test_the_overrides_of_ros_take_effect_and_stay(bench, tmp_path):
    """As ROS documents them: by the names that topics have after remapping."""
    settings = tmp_path / 'overrides.yaml'
    settings.write_text("""
/tracker:
  ros__parameters:
    target_text: red
    qos_overrides:
      /front/image_raw:
        subscription: {reliability: reliable, depth: 3}
      /segmentation/mask:
        publisher: {reliability: best_effort, depth: 2}
      /segmentation/status:
        publisher: {reliability: best_effort}
""")
    masks = hear(bench, Image, 'segmentation/mask', BEST_EFFORT)
    statuses = hear(bench, TrackerStatus, 'segmentation/status', BEST_EFFORT)
    process = bench.start('--params-file', str(settings), '-r', 'image:=/front/image_raw')
    for _ in range(2):
        assert bench.change(Transition.TRANSITION_CONFIGURE)
        assert bench.change(Transition.TRANSITION_ACTIVATE)
        bench.wait(lambda: asked(bench, '/front/image_raw') == [RELIABLE], 5, 'a reliable input')
        bench.wait(lambda: offered(bench, 'segmentation/mask') == [BEST_EFFORT], 5, 'the mask')
        assert offered(bench, 'segmentation/status') == [BEST_EFFORT]
        assert offered(bench, 'segmentation/overlay') == [RELIABLE]
        assert bench.change(Transition.TRANSITION_DEACTIVATE)
        assert bench.change(Transition.TRANSITION_CLEANUP)
    names = ['/front/image_raw.subscription.depth', '/segmentation/mask.publisher.depth',
             '/segmentation/status.publisher.depth']
    told = bench.call(GetParameters, '/tracker/get_parameters', GetParameters.Request(
        names=[f'qos_overrides.{name}' for name in names]))
    assert [value.integer_value for value in told.values] == [3, 2, 5]

    assert bench.change(Transition.TRANSITION_CONFIGURE)
    assert bench.change(Transition.TRANSITION_ACTIVATE)
    images = camera(bench, RELIABLE, '/front/image_raw')

    def answered() -> bool:
        images.publish(bench.image(bench.picture()))
        bench.spin(0.1)
        return bool(masks and statuses)

    bench.wait(answered, 5, 'a mask and its status')
    # The bench listens reliably, too, and is not served by best effort; that is told.
    assert not bench.masks and not bench.statuses
    assert "topic 'segmentation/mask', requesting incompatible QoS" in process.log


def test_an_override_that_means_nothing_fails_with_its_name(bench):
    process = bench.start('-p', 'qos_overrides./image.subscription.reliability:=certainly')
    assert bench.change(Transition.TRANSITION_CONFIGURE)
    assert not bench.change(Transition.TRANSITION_ACTIVATE)
    assert 'activate failed' in process.log and '`reliability`: `certainly`' in process.log
    assert bench.state() == 'inactive'
