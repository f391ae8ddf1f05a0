# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Image messages to arrays and back: the one file that knows both.

Own code on every distribution, instead of cv_bridge: the one on PyPI is of ROS 1, the ones of the
distributions are compiled against the NumPy of their Ubuntu and fail to import beside the newer
one that PyTorch's wheels bring, and what is checked here before memory is touched (sizes, step,
length) is what a robot's other machines may get wrong.

A received image is copied as rarely as can be: rgb8 not at all, the others once, by OpenCV, which
is far quicker than NumPy where channels are reversed or repeated.
"""

from __future__ import annotations

import array
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from PIL import Image as PillowImage
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from fast_sam2_ros.errors import InputError

Message = TypeVar('Message', Image, CompressedImage)
MAX_PIXELS = 64_000_000
"""Larger images are refused: no camera has them, and memory is bounded."""


@dataclass(frozen=True)
class Encoding:
    """How the pixels of one `sensor_msgs/Image` encoding lie in memory.

    `to_rgb` takes (H, W, channels) of `dtype` in this machine's byte order, of which the rows may
    lie apart, and returns (H, W, 3) uint8 RGB, a view where that is possible.
    """

    channels: int
    dtype: np.dtype
    to_rgb: Callable[[np.ndarray], np.ndarray]


_BYTE = np.dtype(np.uint8)
ENCODINGS = {
    'rgb8': Encoding(3, _BYTE, lambda pixels: pixels),
    'bgr8': Encoding(3, _BYTE, lambda pixels: cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)),
    'rgba8': Encoding(4, _BYTE, lambda pixels: cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB)),
    'bgra8': Encoding(4, _BYTE, lambda pixels: cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB)),
    'mono8': Encoding(1, _BYTE, lambda pixels: cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)),
}


def receive(serialized: bytes, kind: type[Message]) -> Message:
    """Return the message of which a raw subscription gave the serialized form.

    Raises InputError where it is damaged.
    """
    try:
        return deserialize_message(serialized, kind)
    except RuntimeError as error:  # RMWError, which rclpy does not export
        raise InputError(f'{len(serialized)} bytes are no {kind.__name__} message') from error


def to_rgb(message: Image | CompressedImage) -> np.ndarray:
    """Return the pixels of a message as contiguous (H, W, 3) uint8 RGB.

    Those of an rgb8 message without padding lie in its own memory. Raises InputError with the
    reason when the message is not a readable image.
    """
    if isinstance(message, CompressedImage):
        return _decode(message)
    return _unpack(message)


def from_rgb(pixels: np.ndarray, header: Header) -> Image:
    """Return (H, W, 3) uint8 RGB as an rgb8 message under the given header."""
    return _pack(pixels, 'rgb8', header)


def from_mono(pixels: np.ndarray, header: Header) -> Image:
    """Return (H, W) uint8 as a mono8 message under the given header."""
    return _pack(pixels, 'mono8', header)


def seconds(stamp: Time) -> float:
    """Return a stamp in seconds; unlike rclpy's Time it takes any, also a negative one."""
    return stamp.sec + 1e-9 * stamp.nanosec


def _unpack(message: Image) -> np.ndarray:
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        raise InputError(f'encoding {message.encoding[:40]!r} is not read; '
                         f'send one of {", ".join(ENCODINGS)}')
    height, width, step = message.height, message.width, message.step
    _check_size(height, width)
    row = width * encoding.channels * encoding.dtype.itemsize
    if step < row:
        raise InputError(f'step is {step} bytes, a row of {width} {message.encoding} pixels '
                         f'takes {row}')
    if len(message.data) != step * height:
        raise InputError(f'data is {len(message.data)} bytes, {height} rows of {step} bytes '
                         f'are {step * height}')
    rows = np.frombuffer(message.data, np.uint8).reshape(height, step)[:, :row]
    dtype = encoding.dtype.newbyteorder('>' if message.is_bigendian else '<')
    pixels = rows.view(dtype).reshape(height, width, encoding.channels)
    return np.ascontiguousarray(encoding.to_rgb(pixels.astype(encoding.dtype, copy=False)))


def _decode(message: CompressedImage) -> np.ndarray:
    data = np.frombuffer(message.data, np.uint8)
    try:
        # Reads the header alone, so that a small file cannot claim a huge picture.
        with PillowImage.open(io.BytesIO(data), formats=('JPEG', 'PNG', 'WEBP')) as picture:
            width, height = picture.size
    except PillowImage.DecompressionBombError as error:
        raise InputError(f'image is larger than {MAX_PIXELS} pixels') from error
    except (OSError, ValueError) as error:
        raise InputError(f'compressed image ({message.format[:40]!r}) cannot be read as JPEG, '
                         f'PNG or WebP') from error
    _check_size(height, width)
    # Orientation tags stay unused: the mask has to lie on the pixels as they are stored.
    pixels = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise InputError(f'compressed image ({message.format[:40]!r}) is damaged')
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _check_size(height: int, width: int) -> None:
    if height == 0 or width == 0:
        raise InputError(f'image is empty ({width} x {height})')
    if height * width > MAX_PIXELS:
        raise InputError(f'image of {width} x {height} is larger than {MAX_PIXELS} pixels')


def _pack(pixels: np.ndarray, encoding: str, header: Header) -> Image:
    height, width = pixels.shape[:2]
    channels = ENCODINGS[encoding].channels
    if pixels.dtype != np.uint8 or pixels.size != height * width * channels:
        raise InputError(f'{pixels.shape} {pixels.dtype} is not a {encoding} image')
    # An array of bytes is taken over as it is; any other type is checked element by element.
    data = array.array('B')
    data.frombytes(np.ascontiguousarray(pixels).data)
    return Image(header=header, height=height, width=width, encoding=encoding,
                 is_bigendian=0, step=width * channels, data=data)
