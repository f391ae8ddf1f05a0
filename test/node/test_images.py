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
"""Images from messages and back, against pixels laid out by hand."""

import array

import cv2
from fast_sam2_ros.errors import InputError
from fast_sam2_ros.node import images
import numpy as np
import pytest
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

HEIGHT, WIDTH = 3, 5
RGB = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def message_of(pixels: np.ndarray, encoding: str, bigendian: int = 0) -> Image:
    """Lay rows out one after the other, each with three bytes of rubbish behind it."""
    rows = [row.tobytes() + b'\xee' * 3 for row in pixels]
    return Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding,
                 step=len(rows[0]), is_bigendian=bigendian, data=array.array('B', b''.join(rows)))


def test_every_field_of_a_message_is_heeded():
    np.testing.assert_array_equal(images.to_rgb(message_of(RGB[..., ::-1], 'bgr8')), RGB)
    wide = (256 * RGB.astype(np.uint16)).astype('>u2')
    np.testing.assert_array_equal(images.to_rgb(message_of(wide, 'rgb16', 1)), RGB)
    with pytest.raises(InputError, match='step is 18'):
        images.to_rgb(message_of(RGB, 'rgba8'))


def test_rgb8_without_padding_is_a_view_of_the_message():
    message = images.from_rgb(RGB, Header())
    assert np.shares_memory(images.to_rgb(message), np.frombuffer(message.data, np.uint8))


def test_a_compressed_message_is_read_by_its_format():
    data = array.array('B', cv2.imencode('.png', RGB)[1].tobytes())  # stored as if it were BGR
    read = images.to_rgb(CompressedImage(format='rgb8; png compressed rgb8', data=data))
    np.testing.assert_array_equal(read, RGB)
    with pytest.raises(InputError, match='is depth'):
        images.to_rgb(CompressedImage(format='16UC1; compressedDepth', data=data))


def test_a_serialized_message_is_received_or_refused():
    message = images.from_rgb(RGB, Header())
    serialized = serialize_message(message)
    assert images.receive(serialized, Image) == message
    for damaged in (b'', b'junk', serialized[:20], serialized[:-8]):
        with pytest.raises(InputError, match=f'{len(damaged)} bytes are no Image message'):
            images.receive(damaged, Image)


@pytest.mark.parametrize(('pixels', 'pack', 'encoding'), [
    (RGB, images.from_rgb, 'rgb8'), (RGB[..., 0], images.from_mono, 'mono8')])
def test_messages_carry_the_header_and_every_byte(pixels, pack, encoding):
    header = Header(frame_id='camera')
    header.stamp.sec = 12
    message = pack(pixels, header)
    assert message.header == header
    assert (message.height, message.width) == (HEIGHT, WIDTH)
    assert message.encoding == encoding and message.step * HEIGHT == len(message.data)
    assert message.data.tobytes() == pixels.tobytes()


def test_what_is_no_image_becomes_no_message():
    with pytest.raises(InputError):
        images.from_mono(RGB, Header())
    with pytest.raises(InputError):
        images.from_rgb(RGB.astype(np.float32), Header())
