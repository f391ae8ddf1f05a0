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
"""The camera node: files and the demo scene as images on a topic."""

import cv2
import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

CAMERA = 'fast_sam2_ros.node.camera'


def listen(bench) -> list[Image]:
    """Take what the camera sends, as a sensor-data subscriber does."""
    taken = []
    bench.node.create_subscription(Image, 'image', taken.append, QoSProfile(
        depth=50, reliability=ReliabilityPolicy.BEST_EFFORT))
    return taken


def test_a_folder_is_sent_in_order_at_its_rate_and_again(bench, tmp_path):
    for number in range(12):
        cv2.imwrite(str(tmp_path / f'{number}.png'), np.full((20, 30, 3), 20 * number, np.uint8))
    images = listen(bench)
    bench.start('-p', f'source:={tmp_path}', '-p', 'rate:=20', '-p', 'frame_id:=mast',
                module=CAMERA, wait=False)
    bench.wait(lambda: len(images) >= 30, 20, '30 images')
    assert {(image.width, image.height, image.encoding) for image in images} == {(30, 20, 'rgb8')}
    assert {image.header.frame_id for image in images} == {'mast'}
    numbers = [image.data[0] // 20 for image in images]
    assert all((after - before) % 12 == 1 for before, after in zip(numbers, numbers[1:]))
    stamps = [image.header.stamp.sec + 1e-9 * image.header.stamp.nanosec for image in images]
    assert 0.8 * 0.05 < np.median(np.diff(stamps)) < 1.2 * 0.05


def test_without_a_source_it_is_the_demo_scene_and_sigint_ends_it(bench):
    images = listen(bench)
    camera = bench.start('-p', 'rate:=5.0', module=CAMERA, wait=False)
    bench.wait(lambda: len(images) >= 2, 30, 'two images')
    assert (images[0].width, images[0].height) == (640, 480)
    assert images[0].data != images[1].data
    status, seconds = camera.interrupt()
    assert status == 0 and seconds < 5 and 'Traceback' not in camera.log


def test_once_through_it_says_so_and_what_cannot_be_read_ends_it(bench, tmp_path):
    cv2.imwrite(str(tmp_path / 'one.png'), np.zeros((20, 30, 3), np.uint8))
    camera = bench.start('-p', f'source:={tmp_path}', '-p', 'loop:=false', module=CAMERA,
                         wait=False)
    bench.wait(lambda: 'the last frame was sent' in camera.log, 20, 'the end')
    assert camera.process.poll() is None
    for setting, reason in (('source:=/no/such/video.mp4', 'does not exist'),
                            ('rate:=1000.0', 'rate is 1000')):
        refused = bench.start('-p', setting, module=CAMERA, wait=False)
        assert refused.process.wait(20) == 1
        assert 'camera_node: ' in refused.log and reason in refused.log
        assert 'Traceback' not in refused.log
