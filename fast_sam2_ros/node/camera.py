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
"""
A camera for where there is none: frames of a video, a folder or the demo scene on `image`.

    camera_node --ros-args -p source:=/data/video.mp4 -p rate:=30.0 -p loop:=true
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
import sys
from typing import Any

from fast_sam2_ros.demo.scene import Scene
from fast_sam2_ros.errors import FastSam2Error, ParameterError
from fast_sam2_ros.media import open_media
from fast_sam2_ros.node import images
from fast_sam2_ros.node.running import begin, spin
import numpy as np
from rcl_interfaces.msg import ParameterDescriptor
import rclpy
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.time import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

RATES = (0.1, 240.0)
"""Least and greatest number of frames a second."""


class CameraNode(Node):
    """The node `camera`: sends images on `image` (sensor-data QoS), one by one or by itself."""

    def __init__(self, *, name: str = 'camera', **node_arguments: object) -> None:
        """Create the publisher; `publish` or `play` sends."""
        super().__init__(name, **node_arguments)
        self._frame_id = self.fixed_parameter(
            'frame_id', 'camera_optical_frame', 'The frame_id of the images.')
        self._frames: Iterator[np.ndarray] = iter(())
        self._output = self.create_publisher(
            Image, 'image', QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT),
            qos_overriding_options=QoSOverridingOptions.with_default_policies())

    @property
    def subscribers(self) -> int:
        """Return how many subscriptions hear the images."""
        return self._output.get_subscription_count()

    def publish(self, pixels: np.ndarray, stamp: Time | None = None) -> Time:
        """Publish one image, (H, W, 3) uint8 RGB, and return its stamp: `stamp`, or now."""
        stamp = stamp or self.get_clock().now()
        header = Header(stamp=stamp.to_msg(), frame_id=self._frame_id)
        self._output.publish(images.from_rgb(pixels, header))
        return stamp

    def play(self, open_frames: Callable[[], Iterable[np.ndarray]], *, rate: float,
             loop: bool = False) -> None:
        """
        Publish what `open_frames` returns, `rate` frames a second, once or for ever.

        Raises ParameterError for a rate outside `RATES`.
        """
        if not RATES[0] <= rate <= RATES[1]:
            raise ParameterError(f'rate is {rate}; give {RATES[0]} to {RATES[1]} frames a second')
        self._frames = _repeat(open_frames, loop)
        self._timer = self.create_timer(1.0 / rate, self._send_next)

    def fixed_parameter(self, name: str, default: Any, text: str) -> Any:
        """Declare a parameter that is read at start only, and return its value."""
        # A float is not statically typed, so that `rate:=30` works.
        descriptor = ParameterDescriptor(
            description=text, read_only=True, dynamic_typing=isinstance(default, float))
        return type(default)(self.declare_parameter(name, default, descriptor).value)

    def _send_next(self) -> None:
        frame = next(self._frames, None)
        if frame is None:
            self._timer.cancel()
            self.get_logger().info('the last frame was sent')
        else:
            self.publish(frame)


def _repeat(open_frames: Callable[[], Iterable[np.ndarray]], loop: bool) -> Iterator[np.ndarray]:
    yield from open_frames()
    while loop:
        yield from open_frames()


def _frames_of(source: str, rate: float) -> Callable[[], Iterable[np.ndarray]]:
    if source:
        media = open_media(source, rate)
        return lambda: (frame.image for frame in media)
    scene = Scene(rate=rate)
    return lambda: (scene.frame(index)[0] for index in range(len(scene)))


def main() -> None:
    """Run the camera node until SIGINT or SIGTERM, then exit with 0; 1 for an unusable source."""
    begin()
    try:
        node = CameraNode()
        source = node.fixed_parameter(
            'source', '', 'A video file, a folder of images, or empty for the demo scene.')
        rate = node.fixed_parameter('rate', 30.0, 'Frames a second.')
        loop = node.fixed_parameter('loop', True, 'Start again after the last frame.')
        node.play(_frames_of(source, rate), rate=rate, loop=loop)
    except (FastSam2Error, ParameterException, ValueError) as error:
        sys.exit(f'camera_node: {error}')
    spin(node)
    rclpy.try_shutdown()


if __name__ == '__main__':
    main()
