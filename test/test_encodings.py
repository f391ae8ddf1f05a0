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
"""Pixels of cameras to RGB, against pixels that are laid out and worked out by hand here."""

import array
from pathlib import Path
import zlib

import cv2
from fast_sam2_ros import encodings
from fast_sam2_ros.encodings import decode, ENCODINGS, to_rgb
from fast_sam2_ros.errors import InputError
import numpy as np
import pytest

HEIGHT, WIDTH = 4, 6
RANDOM = np.random.default_rng(0)
RGB = RANDOM.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
GREY = RGB[..., :1]
ALPHA = np.full((HEIGHT, WIDTH, 1), 7, np.uint8)
BGR = RGB[..., ::-1]
GREY_RGB = np.concatenate([GREY, GREY, GREY], axis=2)
EIGHT_BITS = {
    'rgb8': (RGB, RGB),
    'bgr8': (BGR, RGB),
    'rgba8': (np.concatenate([RGB, ALPHA], axis=2), RGB),
    'bgra8': (np.concatenate([BGR, ALPHA], axis=2), RGB),
    'mono8': (GREY, GREY_RGB),
    '8UC1': (GREY, GREY_RGB),
    '8UC3': (BGR, RGB),
    '8UC4': (np.concatenate([BGR, ALPHA], axis=2), RGB),
}
SIXTEEN_BITS = ('rgb16', 'bgr16', 'rgba16', 'bgra16', 'mono16')
BAYER = ('rggb', 'bggr', 'gbrg', 'grbg')
# Y of each pixel; Cb and Cr of each two beside each other.
LUMA = RANDOM.integers(16, 236, (HEIGHT, WIDTH), np.uint8)
CHROMA = RANDOM.integers(90, 170, (HEIGHT, WIDTH // 2, 2), np.uint8)


def lay_out(pixels: np.ndarray, padding: int = 0) -> tuple[int, int, int, bytes]:
    """Return height, width, step and data of (H, W, C), with rubbish at the end of each row."""
    rows = [row.tobytes() + b'\xee' * padding for row in pixels]
    return len(rows), pixels.shape[1], len(rows[0]), b''.join(rows)


def read(encoding: str, pixels: np.ndarray, padding: int = 0, big: bool = False) -> np.ndarray:
    height, width, step, data = lay_out(pixels, padding)
    rgb = to_rgb(encoding, height, width, step, big, array.array('B', data))
    assert rgb.dtype == np.uint8 and rgb.flags.c_contiguous
    return rgb


def bt601(luma: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """Return RGB of Y (H, W) and CbCr (H, W, 2) in video range, by ITU-R BT.601."""
    y = (luma.astype(float) - 16) / 219
    cb, cr = ((chroma.astype(float) - 128) / 224).transpose(2, 0, 1)
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=2)
    return np.clip(255 * rgb, 0, 255)


def mosaic(rgb: np.ndarray, pattern: str) -> np.ndarray:
    """Return (H, W, 1): of each pixel the colour that the 2 x 2 pattern names."""
    channels = np.array(['rgb'.index(letter) for letter in pattern]).reshape(2, 2)
    height, width = rgb.shape[:2]
    y, x = np.mgrid[:height, :width]
    return rgb[y, x, channels[y % 2, x % 2]][..., None]


def test_every_encoding_is_tested_here():
    assert set(ENCODINGS) == {
        *EIGHT_BITS, *SIXTEEN_BITS, 'yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv', 'nv12', 'nv21',
        *(f'bayer_{pattern}{bits}' for pattern in BAYER for bits in (8, 16))}


@pytest.mark.parametrize('encoding', EIGHT_BITS)
@pytest.mark.parametrize('padding', [0, 1, 11])
@pytest.mark.parametrize('columns', [1, WIDTH])
@pytest.mark.parametrize('big', [False, True])
def test_eight_bits_give_the_same_picture(encoding, padding, columns, big):
    pixels, wanted = EIGHT_BITS[encoding]
    np.testing.assert_array_equal(
        read(encoding, pixels[:, :columns], padding, big), wanted[:, :columns])


@pytest.mark.parametrize('encoding', SIXTEEN_BITS)
@pytest.mark.parametrize('padding', [0, 1, 10])
@pytest.mark.parametrize('columns', [1, WIDTH])
def test_sixteen_bits_give_their_upper_eight_in_both_byte_orders(encoding, padding, columns):
    eight, wanted = EIGHT_BITS[encoding.replace('16', '8')]
    low = RANDOM.integers(0, 256, eight.shape, np.uint16)
    pixels = (256 * eight.astype(np.uint16) + low)[:, :columns]
    for order, big in (('<u2', False), ('>u2', True)):
        np.testing.assert_array_equal(
            read(encoding, pixels.astype(order), padding, big), wanted[:, :columns])


@pytest.mark.parametrize(('encoding', 'luma_first'), [
    ('yuv422', False), ('uyvy', False), ('yuv422_yuy2', True), ('yuyv', True)])
@pytest.mark.parametrize('padding', [0, 3])
@pytest.mark.parametrize('columns', [2, WIDTH])
def test_yuv422_shares_colour_between_two_pixels(encoding, luma_first, padding, columns):
    chroma = CHROMA.reshape(HEIGHT, WIDTH)  # Cb Cr Cb Cr ...
    pixels = np.stack([LUMA, chroma] if luma_first else [chroma, LUMA], axis=2)[:, :columns]
    wanted = bt601(LUMA, CHROMA.repeat(2, axis=1))[:, :columns]
    np.testing.assert_allclose(read(encoding, pixels, padding), wanted, atol=1.5)


@pytest.mark.parametrize('encoding', ['nv12', 'nv21'])
@pytest.mark.parametrize('padding', [0, 2])
def test_nv_shares_colour_between_four_pixels(encoding, padding):
    chroma = CHROMA[::2]  # one row of Cb Cr for two of the picture
    stored = chroma if encoding == 'nv12' else chroma[..., ::-1]
    planes = np.concatenate([LUMA, stored.reshape(HEIGHT // 2, WIDTH)])
    _, _, step, data = lay_out(planes[..., None], padding)
    rgb = to_rgb(encoding, HEIGHT, WIDTH, step, False, data)
    wanted = bt601(LUMA, chroma.repeat(2, axis=0).repeat(2, axis=1))
    np.testing.assert_allclose(rgb, wanted, atol=1.5)


@pytest.mark.parametrize('pattern', BAYER)
@pytest.mark.parametrize('padding', [0, 5])
def test_a_mosaic_of_one_colour_is_that_colour(pattern, padding):
    """Red, green and blue differ, so that a pattern that is shifted gives another colour."""
    rgb = np.broadcast_to(np.array([200, 100, 30], np.uint8), (8, 10, 3))
    stored = mosaic(rgb, pattern)
    np.testing.assert_array_equal(read(f'bayer_{pattern}8', stored, padding), rgb)
    wide = 256 * stored.astype(np.uint16) + 99
    for order, big in (('<u2', False), ('>u2', True)):
        np.testing.assert_array_equal(
            read(f'bayer_{pattern}16', wide.astype(order), 2 * padding, big), rgb)


@pytest.mark.parametrize('pattern', BAYER)
def test_a_mosaic_of_a_smooth_picture_is_that_picture_inside(pattern):
    """Bilinear interpolation is exact on a slope; a picture turned or shifted would show."""
    y, x = np.mgrid[:10, :12]
    rgb = np.stack([8 * x + 40, 6 * y + 60, 200 - 4 * x - 4 * y], axis=2).astype(np.uint8)
    inside = np.s_[2:-2, 2:-2]
    got = read(f'bayer_{pattern}8', mosaic(rgb, pattern))
    np.testing.assert_allclose(got[inside].astype(int), rgb[inside], atol=1)


@pytest.mark.parametrize('data', [bytearray, array.array, np.frombuffer])
def test_rgb8_lies_in_the_memory_of_its_message(data):
    height, width, step, raw = lay_out(RGB)
    memory = (np.frombuffer(raw, np.uint8).copy() if data is np.frombuffer
              else array.array('B', raw) if data is array.array else bytearray(raw))
    rgb = to_rgb('rgb8', height, width, step, False, memory)
    memory[0] = 255 - memory[0]
    assert rgb[0, 0, 0] == 255 - RGB[0, 0, 0]
    np.testing.assert_array_equal(rgb[1:], RGB[1:])


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'height': 0}, 'empty'),
    ({'width': 0}, 'empty'),
    ({'encoding': 'rgba8'}, 'step is 18 bytes, a row of 6 rgba8 pixels takes 24'),
    ({'encoding': 'rgb16'}, 'takes 36'),
    ({'encoding': '8UC7'}, "'8UC7' is not read; send one of rgb8"),
    ({'encoding': ''}, 'is not read'),
    ({'encoding': 'nv24'}, 'is not read'),
    ({'encoding': '16UC1'}, 'is depth'),
    ({'encoding': '32FC1'}, 'is depth'),
    ({'encoding': 'yuv422', 'width': 5}, 'width is 5; yuv422 shares .* has to be even'),
    ({'encoding': 'nv12', 'height': 3}, 'height is 3; nv12 shares'),
    ({'encoding': 'bayer_rggb8', 'width': 1}, 'width is 1; bayer_rggb8 needs at least 3'),
    ({'encoding': 'bayer_rggb16', 'height': 2}, 'height is 2'),
    ({'encoding': 'nv12'}, 'data is 72 bytes, 6 rows of 18 bytes are 108'),
    ({'step': 17}, 'step is 17'),
    ({'step': 19}, 'are 76'),
    ({'height': 5}, 'are 90'),
    ({'data': bytes(71)}, '71 bytes'),
    ({'data': b''}, '0 bytes'),
    ({'data': bytes(73)}, '73 bytes'),
    ({'height': 2**32 - 1, 'width': 2**32 - 1}, 'larger than'),
    ({'height': 9000, 'width': 9000, 'step': 27000}, 'larger than'),
])
def test_what_does_not_fit_together_is_refused_with_the_reason(changes, reason):
    height, width, step, data = lay_out(RGB)
    fields = {'encoding': 'rgb8', 'height': height, 'width': width, 'step': step,
              'is_bigendian': False, 'data': data} | changes
    with pytest.raises(InputError, match=reason):
        to_rgb(**fields)


def compressed(suffix: str, pixels: np.ndarray, *settings: int) -> bytes:
    """Compress (H, W) or (H, W, 3) RGB with OpenCV."""
    return cv2.imencode(suffix, pixels[..., ::-1] if pixels.ndim == 3 else pixels,
                        settings)[1].tobytes()


@pytest.mark.parametrize('format', [
    'png', 'bgr8; png compressed bgr8', 'rgb8; png compressed bgr8', '8UC3; png compressed ', ''])
def test_png_is_read_exactly(format):  # noqa: A002
    np.testing.assert_array_equal(decode(compressed('.png', RGB), format), RGB)


@pytest.mark.parametrize(('suffix', 'settings', 'format'), [
    ('.jpg', (cv2.IMWRITE_JPEG_QUALITY, 98), 'rgb8; jpeg compressed bgr8'),
    ('.jpg', (cv2.IMWRITE_JPEG_QUALITY, 98), 'jpeg'),
    ('.webp', (cv2.IMWRITE_WEBP_QUALITY, 98), 'webp')])
def test_jpeg_and_webp_are_read_nearly(suffix, settings, format):  # noqa: A002
    smooth = np.broadcast_to(np.array([200, 100, 20], np.uint8), (16, 24, 3))
    pixels = decode(compressed(suffix, smooth, *settings), format).astype(int)
    assert pixels.shape == (16, 24, 3)
    assert np.abs(pixels - smooth).max() <= 4


def test_what_was_compressed_as_rgb_has_red_and_blue_exchanged_in_the_file():
    """So compressed_image_transport wrote it, when it gave OpenCV, which takes BGR, an RGB."""
    data = compressed('.png', BGR)
    for source in ('rgb8', 'bgr8'):
        np.testing.assert_array_equal(decode(data, f'{source}; png compressed rgb8'), RGB)


def test_grey_pictures_and_those_of_16_bits_are_read_as_their_raw_ones():
    grey = np.full((16, 16), 77, np.uint8)
    for data, format in ((compressed('.png', grey), 'mono8; png compressed '),  # noqa: A001
                         (compressed('.jpg', grey), 'mono8; jpeg compressed ')):
        assert (decode(data, format) == 77).all() and decode(data, format).shape == (16, 16, 3)
    wide = 256 * grey.astype(np.uint16) + 99
    assert (decode(compressed('.png', wide), 'mono16; png compressed ') == 77).all()


@pytest.mark.parametrize('pattern', BAYER)
@pytest.mark.parametrize('bits', [8, 16])
def test_a_compressed_mosaic_is_read_in_colour(pattern, bits):
    rgb = np.broadcast_to(np.array([200, 100, 30], np.uint8), (8, 10, 3))
    stored = mosaic(rgb, pattern)[..., 0]
    data = compressed('.png', stored if bits == 8 else 256 * stored.astype(np.uint16) + 99)
    np.testing.assert_array_equal(decode(data, f'bayer_{pattern}{bits}; png compressed '), rgb)


@pytest.mark.parametrize('format', [
    '16UC1; compressedDepth', '32FC1; compressedDepth png', '16UC1; png compressed '])
def test_compressed_depth_is_refused_for_what_it_is(format):  # noqa: A002
    with pytest.raises(InputError, match='is depth; subscribe to the colour image'):
        decode(bytes(12) + compressed('.png', RGB[..., 0].astype(np.uint16)), format)


def test_an_orientation_tag_does_not_turn_the_picture():
    jpeg = compressed('.jpg', np.zeros((16, 24, 3), np.uint8))
    # APP1 with one TIFF entry: tag 0x0112 (orientation), SHORT, value 6 (turn by 90 degrees).
    tiff = (b'MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01'
            b'\x00\x06\x00\x00\x00\x00\x00\x00')
    exif = b'\xff\xe1' + (len(tiff) + 8).to_bytes(2, 'big') + b'Exif\x00\x00' + tiff
    turned = jpeg[:2] + exif + jpeg[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (24, 16, 3)
    assert decode(turned, 'jpeg').shape == (16, 24, 3)


@pytest.mark.parametrize('data', [b'', b'\x00', b'not an image at all', b'\xff\xd8\xff\xe0',
                                  b'\x89PNG\r\n\x1a\n' + bytes(20)])
def test_compressed_rubbish_is_refused(data):
    with pytest.raises(InputError, match="'jpeg'"):
        decode(data, 'jpeg')


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.webp'])
def test_a_damaged_file_is_refused_or_read_and_nothing_else(suffix):
    whole = compressed(suffix, RANDOM.integers(0, 256, (32, 32, 3), np.uint8))
    for number in range(200):
        damaged = bytearray(whole[:RANDOM.integers(1, len(whole) + 1)])
        for place in RANDOM.integers(0, len(damaged), number % 5):
            damaged[place] = RANDOM.integers(0, 256)
        try:
            assert decode(damaged, 'any').dtype == np.uint8
        except InputError:
            continue


@pytest.mark.parametrize('side', [9_000, 60_000])
def test_a_small_file_that_claims_a_huge_picture_is_not_decoded(side, monkeypatch):
    png = bytearray(compressed('.png', RGB))
    png[16:24] = side.to_bytes(4, 'big') * 2  # width and height in the IHDR chunk
    png[29:33] = zlib.crc32(bytes(png[12:29])).to_bytes(4, 'big')
    monkeypatch.setattr(encodings.cv2, 'imdecode', lambda *_: pytest.fail('was decoded'))
    with pytest.raises(InputError, match='larger than'):
        decode(png, 'png')


def test_the_guide_names_every_encoding():
    guide = (Path(__file__).parents[1] / 'docs' / 'CAMERAS.md').read_text()
    for encoding in ENCODINGS:
        named = encoding.replace('16', '8') if encoding.startswith('bayer_') else encoding
        assert f'`{named}`' in guide, encoding
