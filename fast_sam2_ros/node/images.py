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
Image messages to arrays and back: the one file that knows both.

What the pixels of a message mean is in encodings.py. Own code on every distribution, instead of
cv_bridge: the one on PyPI is of ROS 1, the ones of the distributions are compiled against the
NumPy of their Ubuntu and fail to import beside the newer one that PyTorch's wheels bring, and what
is checked here before memory is touched (sizes, step, length) is what a robot's other machines may
get wrong.
"""

from __future__ import annotations

import array
from typing import TypeVar

from builtin_interfaces.msg import Time
from fast_sam2_ros import encodings
from fast_sam2_ros.errors import InputError
import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

Message = TypeVar('Message', Image, CompressedImage)


def receive(serialized: bytes, kind: type[Message]) -> Message:
    """
    Return the message of which a raw subscription gave the serialized form.

    Raises InputError where it is damaged.
    """
    try:
        return deserialize_message(serialized, kind)
    except RuntimeError as error:  # RMWError, which rclpy does not export
        raise InputError(f'{len(serialized)} bytes are no {kind.__name__} message') from error


def to_rgb(message: Image | CompressedImage) -> np.ndarray:
    """
    Return the pixels of a message as contiguous (H, W, 3) uint8 RGB.

    Those of an rgb8 message without padding lie in its own memory. Raises InputError with the
    reason when the message is not a readable image.
    """
    if isinstance(message, CompressedImage):
        return encodings.decode(message.data, message.format)
    return encodings.to_rgb(message.encoding, message.height, message.width, message.step,
                            bool(message.is_bigendian), message.data)


def from_rgb(pixels: np.ndarray, header: Header) -> Image:
    """Return (H, W, 3) uint8 RGB as an rgb8 message under the given header."""
    return _pack(pixels, 'rgb8', header)


def from_mono(pixels: np.ndarray, header: Header) -> Image:
    """Return (H, W) uint8 as a mono8 message under the given header."""
    return _pack(pixels, 'mono8', header)


def look(message: Image | CompressedImage, pixels: np.ndarray) -> str:
    """Return the size and encoding of an image of which `to_rgb` gave the pixels."""
    height, width = pixels.shape[:2]
    words = message.format if isinstance(message, CompressedImage) else message.encoding
    return f'{width} x {height} {words[:40]}'


def seconds(stamp: Time) -> float:
    """Return a stamp in seconds; unlike rclpy's Time it takes any, also a negative one."""
    return stamp.sec + 1e-9 * stamp.nanosec


def _pack(pixels: np.ndarray, encoding: str, header: Header) -> Image:
    height, width = pixels.shape[:2]
    channels = encodings.ENCODINGS[encoding].channels
    if pixels.dtype != np.uint8 or pixels.size != height * width * channels:
        raise InputError(f'{pixels.shape} {pixels.dtype} is not a {encoding} image')
    # An array of bytes is taken over as it is; any other type is checked element by element.
    data = array.array('B')
    data.frombytes(np.ascontiguousarray(pixels).data)
    return Image(header=header, height=height, width=width, encoding=encoding,
                 is_bigendian=0, step=width * channels, data=data)
