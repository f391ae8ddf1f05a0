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
"""Depth, mask and camera to a point: by hand, in a scene of known depth, and with faults."""

import cv2
from fast_sam2_ros import distance
from fast_sam2_ros.distance import Camera, locate, NoPosition, Position
from fast_sam2_ros.errors import InputError
import numpy as np
import pytest
from skimage import data

K = [500.0, 0, 320.0, 0, 400.0, 240.0, 0, 0, 1]
P = [250.0, 0, 300.0, 7.0, 0, 200.0, 220.0, 0, 0, 0, 1, 0]
SIZE = 480, 640
# The calibration in the docstring of skimage.data.stereo_motorcycle; pixels and metres.
FOCAL, CENTRE, OFFSET, BASELINE = 994.978, (311.193, 254.877), 31.086, 0.193001


def camera(lens='plumb_bob', coefficients=(0.0,) * 5, *, size=SIZE, k=K, rectified=False,
           **cropping):
    return Camera.calibrated(size, k, P, lens, coefficients, rectified=rectified, **cropping)


def box(left, top, right, bottom, size=SIZE):
    mask = np.zeros(size, np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


def flat(z, size=SIZE):
    return np.full(size, z, np.float32)


# Depth images.

MILLIMETRES = np.array([[0, 1, 1500], [65535, 250, 0]], np.uint16)
IN_METRES = np.array([[np.nan, 0.001, 1.5], [65.535, 0.25, np.nan]], np.float32)


@pytest.mark.parametrize('encoding', ['16UC1', 'mono16'])
@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('padding', [0, 3])
def test_16_bits_are_millimetres_and_0_is_none(encoding, order, padding):
    rows = np.pad(MILLIMETRES.astype(f'{order}u2').view(np.uint8), ((0, 0), (0, padding)))
    depth = distance.depth_metres(encoding, 2, 3, 6 + padding, order == '>', rows.tobytes())
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, IN_METRES, rtol=1e-6)


@pytest.mark.parametrize('order', ['<', '>'])
def test_floats_are_metres_and_what_is_no_distance_is_none(order):
    sent = np.array([[np.nan, np.inf, -np.inf], [-1.0, 0.0, 2.5]], f'{order}f4')
    depth = distance.depth_metres('32FC1', 2, 3, 12, order == '>', sent.tobytes())
    np.testing.assert_array_equal(depth, [[np.nan] * 3, [np.nan, np.nan, 2.5]])
    assert depth.dtype.isnative


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'encoding': 'rgb8'}, "encoding 'rgb8' is not read; send 16UC1"),
    ({'height': 0}, 'empty'),
    ({'width': 2**31, 'height': 2**31}, 'larger than'),
    ({'step': 7}, 'a row takes 8'),
    ({'step': 9}, 'rows of 9'),
    ({'data': bytes(23)}, 'has 23 bytes'),
    ({'data': b''}, 'has 0 bytes')])
def test_what_is_no_depth_image_is_refused_with_the_reason(changes, reason):
    image = {'encoding': '16UC1', 'height': 3, 'width': 4, 'step': 8, 'is_bigendian': False,
             'data': bytes(24)}
    assert distance.depth_metres(**image).shape == (3, 4)
    with pytest.raises(InputError, match=reason):
        distance.depth_metres(**image | changes)


# Cameras.

def test_a_ray_by_hand():
    assert camera().ray(320, 240) == (0.0, 0.0)
    assert camera().ray(420, 140) == pytest.approx((0.2, -0.25))
    assert camera(rectified=True).ray(550, 420) == pytest.approx((1.0, 1.0))
    # Every second pixel of a window that begins at (100, 40): pixel (160, 50) is (420, 140).
    part = camera(binning=(2, 2), region=(100, 40, 200, 100))
    assert part.size == (50, 100)
    assert part.ray(160, 50) == pytest.approx((0.2, -0.25))


@pytest.mark.parametrize(('lens', 'coefficients'), [
    ('plumb_bob', [-0.3, 0.1, 0.001, -0.002, 0.01]),
    ('rational_polynomial', [0.5, -0.1, 0.0003, -0.0002, 0.01, 0.8, -0.05, 0.02]),
    ('equidistant', [0.05, -0.01, 0.003, -0.0005])])
def test_a_ray_comes_back_through_the_lens(lens, coefficients):
    k = np.array(K).reshape(3, 3)
    point = np.array([[[0.3, -0.2, 1.0]]])
    project = cv2.fisheye.projectPoints if lens == 'equidistant' else cv2.projectPoints
    pixels, _ = project(point, np.zeros(3), np.zeros(3), k, np.array(coefficients))
    x, y = pixels.ravel()
    assert camera(lens, coefficients).ray(x, y) == pytest.approx((0.3, -0.2), abs=1e-4)
    assert camera().ray(x, y) != pytest.approx((0.3, -0.2), abs=1e-3)


def test_beyond_the_lens_model_there_is_no_ray():
    # r (1 - r^2) has its maximum at r = 0.58: no ray leads to a pixel further out.
    narrow = camera('plumb_bob', [-1.0, 0, 0, 0, 0])
    assert narrow.ray(320 + 500 * 0.3, 240) is not None
    assert narrow.ray(320 + 500 * 0.6, 240) is None
    found = locate(flat(2.0), box(600, 220, 640, 260), narrow)
    assert not found and 'lens model' in found.reason


@pytest.mark.parametrize(('arguments', 'reason'), [
    ({'k': [0.0] * 9}, 'not calibrated .k of camera_info'),
    ({'k': [float('nan')] * 9}, 'damaged'),
    ({'k': [1.0] * 8}, 'damaged'),
    ({'lens': 'magic', 'coefficients': [0.1]}, "'magic' is not known: rectify"),
    ({'lens': 'equidistant', 'coefficients': [0.1] * 5}, '5 coefficients; equidistant takes 4'),
    ({'coefficients': [float('nan')] * 5}, 'coefficients')])
def test_a_camera_that_cannot_be_used_is_refused_with_the_reason(arguments, reason):
    with pytest.raises(InputError, match=reason):
        camera(**arguments)


def test_images_that_are_rectified_need_p():
    with pytest.raises(InputError, match='p of camera_info .* or unset image_rectified'):
        Camera.calibrated(SIZE, K, [0.0] * 12, '', [], rectified=True)


# Positions.

def test_a_position_by_hand():
    # Columns 400 to 440 and rows 100 to 120: the middle pixel is (420, 110).
    found = locate(flat(2.0), box(400, 100, 441, 121), camera())
    assert (found.x, found.y, found.z) == pytest.approx((0.4, -0.65, 2.0))


@pytest.mark.parametrize('scale', [0.5, 2])
def test_depth_may_have_another_scale_than_the_image(scale):
    scaled = locate(flat(2.0, (round(480 * scale), round(640 * scale))),
                    box(400, 100, 442, 142), camera())
    # The middle is (420.5, 120.5); a third of a pixel is 1.3 mm and 1.7 mm there.
    assert scaled.x == pytest.approx(2 * 100.5 / 500, abs=0.0013)
    assert scaled.y == pytest.approx(2 * -119.5 / 400, abs=0.0017)
    assert scaled.z == 2.0


def test_other_shapes_are_refused_with_what_to_do():
    found = locate(flat(2.0, (400, 640)), box(0, 0, 50, 50), camera())
    assert not found and 'not registered' in found.reason and '640 x 400' in found.reason
    found = locate(flat(2.0), box(0, 0, 50, 50), camera(size=(480, 800)))
    assert not found and 'camera_info is for images of 800 x 480' in found.reason
    assert locate(flat(2.0), box(0, 0, 50, 50), camera(size=(0, 0)))


def test_a_mask_that_bleeds_and_has_holes_gives_the_target_and_not_the_wall():
    """A frame of 20 pixels around a hole, in a mask 8 pixels too large; the wall has 60 %."""
    depth = flat(4.0)
    depth[100:220, 300:420] = 1.0
    depth[120:200, 320:400] = 4.0
    mask = box(292, 92, 428, 228)
    assert np.median(depth[mask > 0]) == 4.0
    found = locate(depth, mask, camera())
    assert found.z == 1.0
    assert (found.x, found.y) == pytest.approx(((360 - 320) / 500, (160 - 240) / 400), abs=0.05)


def test_a_mask_that_bleeds_to_what_stands_before_the_target_gives_the_target():
    depth = flat(0.5)
    depth[100:130, 300:330] = 3.0
    mask = box(295, 95, 335, 135)  # 900 pixels of the target and 700 around it
    assert locate(depth, mask, camera()).z == 3.0


def test_a_little_before_the_target_is_not_the_target():
    depth = flat(3.0)
    depth[100:200, 300:330] = 0.5  # a hand over a quarter of it
    assert locate(depth, box(300, 100, 420, 200), camera()).z == 3.0


@pytest.mark.parametrize('width', [1, 2, 3])
def test_a_thin_target_is_found(width):
    depth = flat(4.0)
    depth[100:300, 300:300 + width] = 1.0
    assert locate(depth, box(300, 100, 300 + width, 300), camera()).z == 1.0


def test_mixed_pixels_between_two_surfaces_do_not_join_them():
    depth = flat(4.0)
    depth[100:200, 300:400] = 1.0
    depth[100:200, 400:404] = np.linspace(1.2, 3.8, 4)  # as a time-of-flight camera's
    depth[100:200, 404:450] = 4.0
    assert locate(depth, box(300, 100, 450, 200), camera()).z == 1.0


def test_a_surface_that_leads_away_is_one_target():
    depth = np.tile(np.linspace(1.0, 3.0, 640, dtype=np.float32), (480, 1))
    assert locate(depth, box(160, 100, 480, 200), camera()).z == pytest.approx(2.0, abs=0.01)


def test_so_it_is_where_only_every_third_centimetre_has_a_depth():
    depth = flat(np.nan)
    depth[150, 200:237] = 1.03 ** np.arange(37)
    assert locate(depth, box(200, 150, 237, 152), camera()).z == pytest.approx(1.03 ** 18)


def test_holes_in_the_depth_and_noise_of_2_percent_move_it_little():
    numbers = np.random.default_rng(0)
    depth = flat(2.0) * numbers.normal(1.0, 0.02, SIZE).astype(np.float32)
    depth[numbers.random(SIZE) < 0.6] = np.nan
    found = locate(depth, box(300, 200, 340, 280), camera())
    assert (found.x, found.y, found.z) == pytest.approx((0, 0, 2.0), abs=0.02)


def test_the_edge_of_the_image_is_no_edge_of_the_target():
    depth = flat(2.0)
    assert locate(depth, np.ones(SIZE, np.uint8), camera()).z == 2.0
    depth[:, 6:] = 4.0
    # Half of what is seen, at the edge of the image: were it weighed less, the wall would win.
    assert locate(depth, box(0, 100, 12, 300), camera()).z == 2.0


@pytest.mark.parametrize(('depth', 'mask', 'reason'), [
    (flat(2.0), box(0, 0, 0, 0), 'the mask is empty'),
    (flat(np.nan), box(0, 0, 50, 50), 'too little of the mask has a depth: 0 pixels, 0%'),
    (flat(2.0), box(0, 0, 3, 3), 'too little of the mask has a depth: 9 pixels, 100%'),
    (np.where(box(0, 0, 50, 4), 2.0, np.nan), box(0, 0, 50, 100), 'too little of the mask'),
    (np.random.default_rng(0).uniform(0.3, 10.0, SIZE), box(0, 0, 300, 300), 'scattered'),
    (np.geomspace(0.1, 1e5, 480 * 640).reshape(SIZE)[:, ::-1], box(0, 0, 640, 480),
     'scattered')])
def test_where_nothing_can_be_trusted_the_reason_is_given(depth, mask, reason):
    found = locate(depth.astype(np.float32), mask, camera())
    assert isinstance(found, NoPosition) and not found
    assert reason in found.reason


# A real scene: the garage of Middlebury 2014, with its true depth.

@pytest.fixture(scope='module')
def garage():
    """Return the left and the right picture, (H, W, 3) uint8, and the depth, (H, W) in m."""
    left, right, disparity = data.stereo_motorcycle()
    depth = (BASELINE * FOCAL / (disparity + OFFSET)).astype(np.float32)
    depth[~(np.isfinite(disparity) & (disparity > 0))] = np.nan
    return left, right, depth


@pytest.fixture(scope='module')
def garage_camera():
    k = [FOCAL, 0, CENTRE[0], 0, FOCAL, CENTRE[1], 0, 0, 1]
    return Camera.calibrated((500, 741), k, [0.0] * 12, 'plumb_bob', [0.0] * 5, rectified=False)


def triangulate(left, right, x, y, reach):
    """Return the point at a pixel, from where the right picture shows the same patch."""
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (left, right)]
    patch = grey[0][y - reach:y + reach + 1, x - reach:x + reach + 1]
    match = cv2.matchTemplate(grey[1][y - reach:y + reach + 1], patch, cv2.TM_CCOEFF_NORMED)[0]
    assert match.max() > 0.9
    z = BASELINE * FOCAL / (x - reach - int(match.argmax()) + OFFSET)
    return Position((x - CENTRE[0]) / FOCAL * z, (y - CENTRE[1]) / FOCAL * z, z)


def paint(picture, x, y):
    """Return the mask of the red paint that a pixel lies in, by its colour alone."""
    red, green, blue = (picture[..., channel] for channel in range(3))
    mask = ((red > 110) & (green < 60) & (blue < 60)).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, parts = cv2.connectedComponents(mask)
    assert parts[y, x]
    return (parts == parts[y, x]).astype(np.uint8)


def test_the_tank_of_the_motorcycle_is_where_its_two_pictures_say(garage, garage_camera):
    """The mask is the red paint of the tank, the truth its lettering, found in both pictures."""
    left, right, depth = garage
    truth = triangulate(left, right, 424, 201, 14)
    found = locate(depth, paint(left, 380, 230), garage_camera)
    # The lettering is a fifth of a metre from the middle of the tank, on its side.
    assert found.z == pytest.approx(truth.z, abs=0.1)
    lettering = locate(depth, box(410, 187, 439, 216, (500, 741)), garage_camera)
    for axis in 'xyz':
        assert getattr(lettering, axis) == pytest.approx(getattr(truth, axis), abs=0.02)


@pytest.mark.parametrize('grown', [5, 9])
def test_a_mask_that_is_too_large_moves_the_fender_by_centimetres(garage, garage_camera, grown):
    left, _, depth = garage
    mask = paint(left, 587, 290)
    exact = locate(depth, mask, garage_camera)
    larger = cv2.dilate(mask, np.ones((2 * grown + 1,) * 2, np.uint8))
    found = locate(depth, larger, garage_camera)
    for axis in 'xyz':
        assert getattr(found, axis) == pytest.approx(getattr(exact, axis), abs=0.02)
    assert np.nanmean(depth[larger > 0]) > exact.z + 0.2


def test_a_mirror_before_the_shelf_is_not_on_the_shelf(garage, garage_camera):
    """A careless box around a mirror, most of it shelf: the median is off by a metre and more."""
    _, _, depth = garage
    mask = box(325, 95, 375, 145, (500, 741))
    mirror = depth[118:132, 340:364]
    assert np.nanmedian(depth[mask > 0]) > 3.5
    assert locate(depth, mask, garage_camera).z == pytest.approx(np.nanmedian(mirror), abs=0.1)
