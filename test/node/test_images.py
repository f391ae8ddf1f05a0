# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images from messages and back, against pixels laid out by hand."""

import array
import zlib

import cv2
import numpy as np
import pytest
from fast_sam2_ros.errors import InputError
from fast_sam2_ros.node import images
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

HEIGHT, WIDTH = 3, 5
RGB = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
GREY = RGB[..., :1]
ALPHA = np.full((HEIGHT, WIDTH, 1), 7, np.uint8)
LAYOUTS = {
    'rgb8': (RGB, RGB),
    'bgr8': (RGB[..., [2, 1, 0]], RGB),
    'rgba8': (np.concatenate([RGB, ALPHA], axis=2), RGB),
    'bgra8': (np.concatenate([RGB[..., [2, 1, 0]], ALPHA], axis=2), RGB),
    'mono8': (GREY, np.concatenate([GREY, GREY, GREY], axis=2)),
}


def message_of(pixels: np.ndarray, encoding: str, padding: int = 0, bigendian: int = 0) -> Image:
    """Lay rows out one after the other, each with `padding` bytes of rubbish behind it."""
    rows = [row.tobytes() + b'\xee' * padding for row in pixels]
    return Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding,
                 step=len(rows[0]), is_bigendian=bigendian, data=array.array('B', b''.join(rows)))


@pytest.mark.parametrize('encoding', images.ENCODINGS)
@pytest.mark.parametrize('padding', [0, 1, 11])
@pytest.mark.parametrize('bigendian', [0, 1])
def test_every_encoding_gives_the_same_picture(encoding, padding, bigendian):
    pixels, wanted = LAYOUTS[encoding]
    read = images.to_rgb(message_of(pixels, encoding, padding, bigendian))
    assert read.dtype == np.uint8 and read.flags.c_contiguous
    np.testing.assert_array_equal(read, wanted)


def test_rgb8_is_a_view_of_the_message_and_a_padded_one_is_whole():
    message = message_of(RGB, 'rgb8')
    read = images.to_rgb(message)
    assert np.shares_memory(read, np.frombuffer(message.data, np.uint8))
    message.data[0] = 255 - message.data[0]
    assert read[0, 0, 0] == 255 - RGB[0, 0, 0]
    np.testing.assert_array_equal(images.to_rgb(message_of(RGB, 'rgb8', padding=5)), RGB)


@pytest.mark.parametrize('encoding', images.ENCODINGS)
def test_a_single_column_is_read(encoding):
    pixels, wanted = LAYOUTS[encoding]
    read = images.to_rgb(message_of(pixels[:, :1], encoding, padding=2))
    np.testing.assert_array_equal(read, wanted[:, :1])


def test_a_serialized_message_is_received_or_refused():
    message = message_of(RGB, 'rgb8')
    serialized = serialize_message(message)
    assert images.receive(serialized, Image) == message
    for damaged in (b'', b'junk', serialized[:20], serialized[:-8]):
        with pytest.raises(InputError, match=f'{len(damaged)} bytes are no Image message'):
            images.receive(damaged, Image)


def test_wider_pixels_are_read_in_the_byte_order_of_the_message(monkeypatch):
    """As the encodings of 16 bits that may come: the same picture from both byte orders."""
    wide = images.Encoding(
        1, np.dtype(np.uint16), lambda pixels: np.repeat((pixels >> 8).astype(np.uint8), 3, 2))
    monkeypatch.setitem(images.ENCODINGS, 'wide', wide)
    values = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH, 1) * 4096 + 17
    little = images.to_rgb(message_of(values.astype('<u2'), 'wide', 2, 0))
    big = images.to_rgb(message_of(values.astype('>u2'), 'wide', 2, 1))
    np.testing.assert_array_equal(little[..., 0], (values[..., 0] // 256).astype(np.uint8))
    np.testing.assert_array_equal(little, big)


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'height': 0}, 'empty'),
    ({'width': 0}, 'empty'),
    ({'encoding': 'rgba8'}, 'step is 15'),
    ({'encoding': '8UC7'}, "'8UC7' is not read; send one of rgb8"),
    ({'encoding': ''}, 'is not read'),
    ({'step': 14}, 'step is 14'),
    ({'step': 16}, 'are 48'),
    ({'height': 4}, 'are 60'),
    ({'data': array.array('B', bytes(44))}, '44 bytes'),
    ({'data': array.array('B')}, '0 bytes'),
    ({'data': array.array('B', bytes(46))}, '46 bytes'),
    ({'height': 2**32 - 1, 'width': 2**32 - 1}, 'larger than'),
    ({'height': 9000, 'width': 9000}, 'larger than'),
])
def test_what_does_not_fit_together_is_refused_with_the_reason(changes, reason):
    message = message_of(RGB, 'rgb8')
    for field, value in changes.items():
        setattr(message, field, value)
    with pytest.raises(InputError, match=reason):
        images.to_rgb(message)


def compressed(suffix: str, pixels: np.ndarray) -> CompressedImage:
    """Compress (H, W, 3) uint8 RGB with OpenCV."""
    data = cv2.imencode(suffix, pixels[..., ::-1])[1]
    return CompressedImage(format=suffix[1:], data=array.array('B', data.tobytes()))


def test_png_is_read_exactly_and_jpeg_nearly():
    smooth = np.broadcast_to(np.array([200, 100, 20], np.uint8), (16, 24, 3))
    np.testing.assert_array_equal(images.to_rgb(compressed('.png', RGB)), RGB)
    read = images.to_rgb(compressed('.jpg', smooth)).astype(int)
    assert read.shape == (16, 24, 3)
    assert np.abs(read - smooth).max() <= 4


def test_an_orientation_tag_does_not_turn_the_picture():
    jpeg = cv2.imencode('.jpg', np.zeros((16, 24, 3), np.uint8))[1].tobytes()
    # APP1 with one TIFF entry: tag 0x0112 (orientation), SHORT, value 6 (turn by 90 degrees).
    tiff = (b'MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01'
            b'\x00\x06\x00\x00\x00\x00\x00\x00')
    exif = b'\xff\xe1' + (len(tiff) + 8).to_bytes(2, 'big') + b'Exif\x00\x00' + tiff
    turned = jpeg[:2] + exif + jpeg[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (24, 16, 3)
    message = CompressedImage(format='jpeg', data=array.array('B', turned))
    assert images.to_rgb(message).shape == (16, 24, 3)


@pytest.mark.parametrize('data', [b'', b'\x00', b'not an image at all', b'\xff\xd8\xff\xe0',
                                  b'\x89PNG\r\n\x1a\n' + bytes(20)])
def test_compressed_rubbish_is_refused(data):
    with pytest.raises(InputError, match="'jpeg'"):
        images.to_rgb(CompressedImage(format='jpeg', data=array.array('B', data)))


@pytest.mark.parametrize('side', [9_000, 60_000])
def test_a_small_file_that_claims_a_huge_picture_is_not_decoded(side, monkeypatch):
    png = bytearray(compressed('.png', RGB).data)
    png[16:24] = side.to_bytes(4, 'big') * 2  # width and height in the IHDR chunk
    png[29:33] = zlib.crc32(bytes(png[12:29])).to_bytes(4, 'big')
    monkeypatch.setattr(cv2, 'imdecode', lambda *arguments: pytest.fail('was decoded'))
    with pytest.raises(InputError, match='larger than'):
        images.to_rgb(CompressedImage(format='png', data=array.array('B', bytes(png))))


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
