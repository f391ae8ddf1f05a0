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
"""Bags to read, made by rosbags' own writers from messages as cameras send them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'


class BagMaker:
    """Makes messages and bags of them; times in nanoseconds."""

    def __init__(self) -> None:
        self.types = get_typestore(Stores.ROS2_JAZZY)

    def header(self, stamp: int, frame_id: str = 'camera'):
        types = self.types.types
        return types['std_msgs/msg/Header'](
            types['builtin_interfaces/msg/Time'](*divmod(stamp, 10**9)), frame_id)

    def image(self, pixels: np.ndarray, stamp: int, encoding: str = 'rgb8'):
        """Pack (H, W, 3) or (H, W) uint8 as it is."""
        height, width = pixels.shape[:2]
        return self.types.types[IMAGE](self.header(stamp), height, width, encoding, 0,
                                       pixels[0].size, pixels.reshape(-1))

    def compressed(self, pixels: np.ndarray, stamp: int):
        """Pack (H, W, 3) uint8 RGB as PNG."""
        data = cv2.imencode('.png', pixels[..., ::-1])[1].reshape(-1)
        return self.types.types[COMPRESSED](self.header(stamp), 'rgb8; png compressed bgr8', data)

    def text(self, words: str):
        return self.types.types['std_msgs/msg/String'](words)

    def write(self, path: Path, messages, storage: str = 'mcap', topics=()) -> Path:
        """
        Write (topic, time, message), or in place of a message (its type, bytes).

        topics: (topic, type) that get no message.
        """
        with Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()]) as writer:
            connections = {}
            for topic, kind in topics:
                writer.add_connection(topic, kind, typestore=self.types)
            for topic, received, message in messages:
                kind, data = (message if isinstance(message, tuple) else
                              (message.__msgtype__, None))
                if data is None:
                    data = self.types.serialize_cdr(message, kind)
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=self.types)
                writer.write(connections[topic], received, data)
        return path

    def write_ros1(self, path: Path, pixels: list[np.ndarray], stamps: list[int]) -> Path:
        """Write rgb8 images on /camera/image_raw, received 5 ms after their stamps."""
        types = get_typestore(Stores.ROS1_NOETIC)
        with Writer1(path) as writer:
            connection = writer.add_connection('/camera/image_raw', IMAGE, typestore=types)
            for number, (image, stamp) in enumerate(zip(pixels, stamps)):
                header = types.types['std_msgs/msg/Header'](
                    number, types.types['builtin_interfaces/msg/Time'](*divmod(stamp, 10**9)),
                    'camera')
                message = types.types[IMAGE](header, *image.shape[:2], 'rgb8', 0, image[0].size,
                                             image.reshape(-1))
                writer.write(connection, stamp + 5_000_000, types.serialize_ros1(message, IMAGE))
        return path


@pytest.fixture
def bags() -> BagMaker:
    return BagMaker()
