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
"""Cameras as they are, on real topics: encodings, sizes that change, compressed images."""

import array

import cv2
from diagnostic_msgs.msg import DiagnosticStatus
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

# The colours of `Bench.picture`: Y, Cb and Cr by ITU-R BT.601 in video range.
COLOURS = {(100, 100, 100): (102, 128, 128), (220, 10, 10): (74, 98, 221),
           (10, 10, 220): (41, 223, 111)}


def as_yuyv(pixels: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) RGB of these three colours as (H, W, 2): Y and, in turn, Cb and Cr."""
    yuv = np.empty(pixels.shape, np.uint8)
    for rgb, values in COLOURS.items():
        yuv[(pixels == rgb).all(axis=2)] = values
    chroma = yuv[..., 1].copy()
    chroma[:, 1::2] = yuv[:, 1::2, 2]
    return np.stack([yuv[..., 0], chroma], axis=2)


def as_rggb(pixels: np.ndarray) -> np.ndarray:
    """Return of each pixel of (H, W, 3) RGB the colour that its place in the mosaic has."""
    stored = pixels[..., 1].copy()
    stored[::2, ::2], stored[1::2, 1::2] = pixels[::2, ::2, 0], pixels[1::2, 1::2, 2]
    return stored[..., None]


LAYOUTS = {
    'rgb8': lambda rgb: rgb,
    'bgr8': lambda rgb: rgb[..., ::-1],
    'bgra8': lambda rgb: np.dstack([rgb[..., ::-1], rgb[..., 0]]),
    'rgb16': lambda rgb: (257 * rgb.astype(np.uint16)).astype('>u2'),
    'yuv422': lambda rgb: as_yuyv(rgb)[..., ::-1],
    'yuyv': as_yuyv,
    'bayer_rggb8': as_rggb,
}


def test_every_kind_of_pixels_and_any_size_gives_the_same_target_in_one_stream(bench):
    """A target on the left, then on the right, so that no answer can be an old one."""
    bench.start_active()
    bench.ask('red')
    sizes = [(48, 64), (30, 50), (240, 320), (31, 64), (480, 270)]
    for number, (encoding, lay_out) in enumerate(LAYOUTS.items()):
        height, width = sizes[number % len(sizes)]
        picture = bench.picture(height, width)
        if number % 2:
            picture = np.ascontiguousarray(picture[:, ::-1])
        rows = [row.tobytes() + b'\xee' * (number % 3) for row in lay_out(picture)]
        count = len(bench.statuses)
        bench.send(Image(height=height, width=width, encoding=encoding, step=len(rows[0]),
                         is_bigendian=1, data=array.array('B', b''.join(rows))))
        bench.wait(lambda: len(bench.statuses) > count, 5, f'a status for {encoding}')
        bench.wait(lambda: len(bench.masks) == len(bench.statuses), 5, 'its mask')
        mask = bench.pixels(bench.masks[-1])
        assert mask.shape == (height, width)
        # Where colours meet, a mosaic and shared colours are blurred by a pixel or two.
        differs = (mask > 0) != (picture[..., 0] == 220)
        blurred = encoding.startswith(('bayer', 'yu'))
        assert differs.sum() <= (2 * height if blurred else 0), encoding
        assert bench.statuses[-1].target_text == 'red'


def test_compressed_images_in_every_form_and_what_is_refused(bench):
    images = bench.node.create_publisher(CompressedImage, 'image/compressed', 1)
    process = bench.start('-p', 'image_transport:=compressed', '-p', 'target_text:=red',
                          '-p', 'autostart:=true')
    bench.wait(lambda: images.get_subscription_count() == 1, 10, 'our camera is heard')
    picture = bench.picture()

    def answer(suffix: str, pixels: np.ndarray, format: str) -> np.ndarray:  # noqa: A002
        count = len(bench.masks)
        data = cv2.imencode(suffix, pixels)[1].tobytes()
        message = CompressedImage(format=format, data=array.array('B', data))

        def answered() -> bool:
            images.publish(message)
            bench.spin(0.1)
            return len(bench.masks) > count
        bench.wait(answered, 10, f'a mask for {format}')
        bench.spin(0.2)
        return bench.pixels(bench.masks[-1]) > 0

    bgr = picture[..., ::-1]
    for suffix, pixels, format in (  # noqa: A001
            ('.png', bgr, 'png'), ('.png', picture, 'rgb8; png compressed rgb8'),
            ('.jpg', bgr, 'rgb8; jpeg compressed bgr8'), ('.webp', bgr, 'webp')):
        mask = answer(suffix, pixels, format)
        differs = mask != (picture[..., 0] == 220)
        assert differs[:, 2:-2].sum() <= (0 if suffix == '.png' else 4 * len(mask)), format
        assert mask[:, :12].all() and not mask[:, 20:].any(), format

    count = len(bench.masks)
    depth = array.array('B', bytes(12) + cv2.imencode('.png', picture)[1].tobytes())
    images.publish(CompressedImage(format='16UC1; compressedDepth png', data=depth))
    bench.wait(lambda: 'is depth; subscribe to the colour image' in process.log, 5, 'the reason')
    bench.wait(lambda: bench.level('tracker: camera') == DiagnosticStatus.WARN
               and 'is depth' in bench.tasks['tracker: camera'].message, 2, 'a warning')
    assert len(bench.masks) == count and 'Traceback' not in process.log
