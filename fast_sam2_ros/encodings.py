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
Pixels as cameras send them, raw or compressed, to RGB: arrays only, for the node and for bags.

Names and byte order are those of sensor_msgs/image_encodings.hpp. A raw picture is copied as
rarely as can be: rgb8 not at all, the others once, by OpenCV, which is far quicker than NumPy
where channels are reversed or repeated. Nothing is allocated before all sizes fit together.

- Of 16 bits a channel the upper 8 count (65535 becomes 255); a camera that fills only the lower
  12 or 14 of them looks dark and should send 8 bits.
- YUV is BT.601 in video range (16 to 235), as OpenCV and cv_bridge take it.
- Bayer mosaics are interpolated bilinearly.
- 8UC1, 8UC3 and 8UC4 say nothing about colour; they are read as OpenCV lays them out: mono8,
  bgr8 and bgra8. 16UC1 and 32FC1 are depth and are refused, as are nv24, 8UC2 and signed ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import io

import cv2
from fast_sam2_ros.errors import InputError
import numpy as np
from PIL import Image as PillowImage

Buffer = bytes | bytearray | memoryview | np.ndarray
"""Or whatever else has one byte after the other, such as an array.array('B')."""
MAX_PIXELS = 64_000_000
"""Larger images are refused: no camera has them, and memory is bounded."""
DEPTH = ('16UC1', '32FC1')
GREY_MODES = ('L', 'I', 'I;16')
"""Pillow's names for one channel."""


@dataclass(frozen=True)
class Encoding:
    """
    How the pixels of one encoding lie in memory.

    channels: samples in a pixel of a row; wide: samples of 16 bits; even: (width, height) divide
    by these; least: least width and height; rows: rows in memory for each two of the picture;
    to_rgb: takes (rows, W, channels) uint8, of which the rows may lie apart, and returns
    (H, W, 3) uint8 RGB, the same memory where that is possible.
    """

    channels: int
    to_rgb: Callable[[np.ndarray], np.ndarray]
    wide: bool = False
    even: tuple[int, int] = (1, 1)
    least: int = 1
    rows: int = 2


def _cv(code: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda pixels: cv2.cvtColor(pixels, code)


def _eight_and_sixteen(name: str, channels: int, to_rgb: Callable[[np.ndarray], np.ndarray],
                       **limits: int) -> dict[str, Encoding]:
    return {f'{name}8': Encoding(channels, to_rgb, **limits),
            f'{name}16': Encoding(channels, to_rgb, wide=True, **limits)}


_BGR, _BGRA, _MONO = _cv(cv2.COLOR_BGR2RGB), _cv(cv2.COLOR_BGRA2RGB), _cv(cv2.COLOR_GRAY2RGB)
_UYVY = Encoding(2, _cv(cv2.COLOR_YUV2RGB_UYVY), even=(2, 1))
_YUYV = Encoding(2, _cv(cv2.COLOR_YUV2RGB_YUYV), even=(2, 1))
ENCODINGS = {
    **_eight_and_sixteen('rgb', 3, lambda pixels: pixels),
    **_eight_and_sixteen('bgr', 3, _BGR),
    **_eight_and_sixteen('rgba', 4, _cv(cv2.COLOR_RGBA2RGB)),
    **_eight_and_sixteen('bgra', 4, _BGRA),
    **_eight_and_sixteen('mono', 1, _MONO),
    'yuv422': _UYVY, 'uyvy': _UYVY,
    'yuv422_yuy2': _YUYV, 'yuyv': _YUYV,
    'nv12': Encoding(1, _cv(cv2.COLOR_YUV2RGB_NV12), even=(2, 2), rows=3),
    'nv21': Encoding(1, _cv(cv2.COLOR_YUV2RGB_NV21), even=(2, 2), rows=3),
    # ROS names a mosaic by its first two rows, OpenCV by the second pixels of the next two.
    **_eight_and_sixteen('bayer_rggb', 1, _cv(cv2.COLOR_BayerBG2RGB), least=3),
    **_eight_and_sixteen('bayer_bggr', 1, _cv(cv2.COLOR_BayerRG2RGB), least=3),
    **_eight_and_sixteen('bayer_gbrg', 1, _cv(cv2.COLOR_BayerGR2RGB), least=3),
    **_eight_and_sixteen('bayer_grbg', 1, _cv(cv2.COLOR_BayerGB2RGB), least=3),
    '8UC1': Encoding(1, _MONO), '8UC3': Encoding(3, _BGR), '8UC4': Encoding(4, _BGRA),
}


def to_rgb(encoding: str, height: int, width: int, step: int, is_bigendian: bool,
           data: Buffer) -> np.ndarray:
    """
    Return a raw picture as contiguous (H, W, 3) uint8 RGB.

    `step` is the length of a row in bytes, padding included; the fields are those of
    sensor_msgs/Image. The pixels of rgb8 without padding lie in the memory of `data` (and cannot
    be written where that cannot). Raises InputError with the reason when the fields do not fit
    together or the encoding is not read.
    """
    known = _find(encoding)
    _check_size(height, width)
    _check_shape(encoding, known, height, width)
    row = width * known.channels * (2 if known.wide else 1)
    rows = height * known.rows // 2
    if step < row:
        raise InputError(f'step is {step} bytes, a row of {width} {encoding} pixels takes {row}')
    memory = np.frombuffer(data, np.uint8)
    if len(memory) != step * rows:
        raise InputError(f'data is {len(memory)} bytes, {rows} rows of {step} bytes are '
                         f'{step * rows}')
    samples = memory.reshape(rows, step)[:, :row]
    if known.wide:
        samples = cv2.extractChannel(samples.reshape(rows, -1, 2), 0 if is_bigendian else 1)
    return np.ascontiguousarray(known.to_rgb(samples.reshape(rows, width, known.channels)))


def decode(data: Buffer, format: str) -> np.ndarray:  # noqa: A002
    """
    Return a JPEG, PNG or WebP file as (H, W, 3) uint8 RGB.

    `format` is that of sensor_msgs/CompressedImage. What the file is, its first bytes say;
    `format` only tells what compressed_image_transport did to the picture before: "compressed
    rgb8" was stored with red and blue exchanged, a Bayer mosaic as a grey picture. Raises
    InputError with the reason when it cannot be read.
    """
    shown = format[:40]
    source, _, coding = (part.strip() for part in format.partition(';'))
    if 'compressedDepth' in format or source in DEPTH:
        raise InputError(f'compressed image ({shown!r}) is depth; subscribe to the colour image')
    height, width, grey = _look_into(data, shown)
    _check_size(height, width)
    mosaic = grey and source.startswith('bayer_')
    # Orientation tags stay unused: the mask has to lie on the pixels as they are stored.
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_IGNORE_ORIENTATION | (
        cv2.IMREAD_GRAYSCALE if mosaic else cv2.IMREAD_COLOR))
    if pixels is None:
        raise InputError(f'compressed image ({shown!r}) is damaged')
    if mosaic:
        return to_rgb(source.replace('16', '8'), height, width, width, False, pixels.reshape(-1))
    return pixels if 'compressed rgb' in coding else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _find(encoding: str) -> Encoding:
    if encoding in DEPTH:
        raise InputError(f'encoding {encoding!r} is depth; subscribe to the colour image')
    if encoding not in ENCODINGS:
        raise InputError(f'encoding {encoding[:40]!r} is not read; '
                         f'send one of {", ".join(ENCODINGS)}')
    return ENCODINGS[encoding]


def _look_into(data: Buffer, shown: str) -> tuple[int, int, bool]:
    """
    Return height, width and whether the file is grey; only its header is read.

    So a small file cannot claim a huge picture.
    """
    try:
        with PillowImage.open(io.BytesIO(data), formats=('JPEG', 'PNG', 'WEBP')) as picture:
            return picture.height, picture.width, picture.mode in GREY_MODES
    except PillowImage.DecompressionBombError as error:
        raise InputError(f'image is larger than {MAX_PIXELS} pixels') from error
    except (OSError, ValueError) as error:
        raise InputError(
            f'compressed image ({shown!r}) cannot be read as JPEG, PNG or WebP') from error


def _check_size(height: int, width: int) -> None:
    if height <= 0 or width <= 0:
        raise InputError(f'image is empty ({width} x {height})')
    if height * width > MAX_PIXELS:
        raise InputError(f'image of {width} x {height} is larger than {MAX_PIXELS} pixels')


def _check_shape(encoding: str, known: Encoding, height: int, width: int) -> None:
    for side, name, even in ((width, 'width', known.even[0]), (height, 'height', known.even[1])):
        if side % even:
            raise InputError(f'{name} is {side}; {encoding} shares colour between two pixels, so '
                             f'it has to be even')
        if side < known.least:
            raise InputError(f'{name} is {side}; {encoding} needs at least {known.least}')
