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
Where a target is: from a depth image, the target's mask and the camera to a point in metres.

Frames are the camera's optical one (REP-103): x to the right, y down, z away from the camera.

What a mask holds besides the target nearly always lies behind it: the edge is some pixels off, and
the wall shows through a chair. Little lies before it. So the pixels are parted by depth where
there is a gap, and of the parts that are large enough the nearest is the target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
from fast_sam2_ros.encodings import Buffer, MAX_PIXELS
from fast_sam2_ros.errors import InputError
import numpy as np

LEAST_PIXELS = 12
"""A position rests on so many pixels at least."""
LEAST_SHARE = 0.1
"""So much of the mask must have a depth, and be at the target's."""
MOST_PIXELS = 20_000
"""Of more pixels every second, third ... is looked at: the time is bounded."""
EDGE = 0.3
"""The share of the mask's half width over which a pixel counts the less the nearer the edge."""
WIDEST_EDGE = 12.0
"""... in pixels, at most."""
BIN = 0.02
"""Depths are counted in steps of 2 %: as the noise of depth cameras, they grow with the depth."""
GAP = 0.05
"""Steps with less than this share of the fullest hold only mixed pixels: they part surfaces."""
NEARER = 0.5
"""A nearer part of the mask is the target where it has so much of the largest part's weight."""
WIDEST = 0.6
"""The middle half of the depths may span so much of their median; wider is noise."""
ROUNDS = 20
"""So often is a pixel looked for behind a lens."""
CLOSE = 0.01
"""... until the ray leads back to it within so many pixels."""
LENSES = {'plumb_bob': (4, 5), 'rational_polynomial': (8,), 'equidistant': (4,)}
"""Distortion models of REP-102 and sensor_msgs, and how many coefficients they take."""
_DEPTHS = {'16UC1': np.dtype(np.uint16), 'mono16': np.dtype(np.uint16),
           '32FC1': np.dtype(np.float32)}


@dataclass(frozen=True)
class Position:
    """A point in metres in the camera's optical frame."""

    x: float
    y: float
    z: float


@dataclass(frozen=True)
class NoPosition:
    """There is no value to trust; false where a position is true."""

    reason: str

    def __bool__(self) -> bool:
        """Return False."""
        return False


@dataclass(frozen=True, eq=False)
class Camera:
    """
    A calibrated camera, for the pixels of the image that it sends.

    matrix: (3, 3), focal lengths and principal point in pixels.
    lens: one of LENSES, or empty where pixels are not distorted; coefficients: (n,) of the lens.
    size: (H, W) of the image, or None where it is not known.
    """

    matrix: np.ndarray
    lens: str
    coefficients: np.ndarray
    size: tuple[int, int] | None

    @classmethod
    def calibrated(cls, size: tuple[int, int], k: Sequence[float], p: Sequence[float],
                   lens: str, coefficients: Sequence[float], *, rectified: bool,
                   binning: tuple[int, int] = (1, 1),
                   region: tuple[int, int, int, int] = (0, 0, 0, 0)) -> Camera:
        """
        Make a camera of what sensor_msgs/CameraInfo says, whose words these are.

        size: (H, W) of the calibrated, full image; 0 where it is not known.
        k: (9,) of raw images, row by row; p: (12,) of rectified ones.
        rectified: whether the images are; else they are raw.
        binning: (x, y), where 0 is 1; region: (x offset, y offset, width, height) in pixels of
            the full image, with no width and height for all of it.
        Raises InputError where the camera is not calibrated, or its lens not known.
        """
        name = 'p' if rectified else 'k'
        values = np.asarray(p if rectified else k, float)
        if values.shape != ((12,) if rectified else (9,)) or not np.isfinite(values).all():
            raise InputError(f'{name} of camera_info is damaged')
        matrix = values.reshape(3, -1)[:, :3].copy()
        if matrix[0, 0] <= 0.0 or matrix[1, 1] <= 0.0:
            raise InputError(f'the camera is not calibrated ({name} of camera_info has no focal '
                             f'length): calibrate it' + (
                                 ', or unset image_rectified' if rectified else ''))
        coefficients = np.asarray(coefficients, float)
        if rectified or not coefficients.any():
            lens, coefficients = '', np.zeros(0)
        elif lens not in LENSES:
            raise InputError(f'distortion model {lens[:40]!r} is not known: rectify the images '
                             f'and set image_rectified')
        elif len(coefficients) not in LENSES[lens] or not np.isfinite(coefficients).all():
            raise InputError(f'd of camera_info has {len(coefficients)} coefficients; {lens} '
                             f'takes {" or ".join(map(str, LENSES[lens]))}')
        steps = np.maximum(binning, 1)
        x, y, width, height = region
        if not (width and height):
            x, y, (height, width) = 0, 0, size
        matrix[:2, 2] -= x, y
        matrix[:2] /= steps[:, None]
        known = (int(height // steps[1]), int(width // steps[0]))
        return cls(matrix, lens, coefficients, known if all(known) else None)

    def ray(self, x: float, y: float) -> tuple[float, float] | None:
        """
        Return where the ray of a pixel meets the plane z = 1.

        None where the lens model has no answer that leads back to the pixel.
        """
        lens = cv2.fisheye if self.lens == 'equidistant' else cv2
        pixel = np.array([[[x, y]]], float)
        aim, error = pixel, 0.0
        for _ in range(ROUNDS):  # OpenCV's own rounds are few: aim again by what they miss
            aim = aim + error
            ray = lens.undistortPoints(aim, self.matrix, self.coefficients)
            back, _ = lens.projectPoints(np.dstack((ray, np.ones((1, 1)))), np.zeros(3),
                                         np.zeros(3), self.matrix, self.coefficients)
            error = pixel - back
            if not np.isfinite(error).all():
                return None
            if np.abs(error).max() < CLOSE:
                return float(ray[0, 0, 0]), float(ray[0, 0, 1])
        return None


def depth_view(encoding: str, height: int, width: int, step: int, is_bigendian: bool,
               data: Buffer) -> np.ndarray:
    """
    Return the pixels of a depth image, (H, W) uint16 mm or float32 m, in the data's memory.

    step: bytes from row to row. Raises InputError with the reason where it is not a depth image.
    """
    if encoding not in _DEPTHS:
        raise InputError(f'depth of encoding {encoding[:40]!r} is not read; send 16UC1 (mm) or '
                         f'32FC1 (m)')
    dtype = _DEPTHS[encoding].newbyteorder('>' if is_bigendian else '<')
    if height == 0 or width == 0:
        raise InputError(f'depth image is empty ({width} x {height})')
    if height * width > MAX_PIXELS:
        raise InputError(f'depth image of {width} x {height} is larger than {MAX_PIXELS} pixels')
    row = width * dtype.itemsize
    bytes_there = memoryview(data).nbytes
    if step < row or bytes_there != step * height:
        raise InputError(f'depth image of {width} x {height} {encoding} has {bytes_there} bytes '
                         f'in rows of {step}; a row takes {row}')
    rows = np.frombuffer(data, np.uint8).reshape(height, step)[:, :row]
    return rows.view(dtype)


def metres(view: np.ndarray) -> np.ndarray:
    """Return depths as (H, W) float32 metres, NaN where there is none (REP-117, REP-118)."""
    depth = view.astype(np.float32)
    if view.dtype.kind == 'u':
        depth *= np.float32(1e-3)
    depth[~(np.isfinite(depth) & (depth > 0.0))] = np.nan
    return depth


def depth_metres(encoding: str, height: int, width: int, step: int, is_bigendian: bool,
                 data: Buffer) -> np.ndarray:
    """Return a depth image as (H, W) float32 metres; as `depth_view`, then `metres`."""
    return metres(depth_view(encoding, height, width, step, is_bigendian, data))


def locate(depth: np.ndarray, mask: np.ndarray, camera: Camera) -> Position | NoPosition:
    """
    Return the middle of the visible surface of a target.

    depth: (h, w) float32 metres along the optical axis, NaN where there is none, registered to
        the image: the same view, of any scale.
    mask: (H, W) uint8, not zero on the target.
    camera: that of the image.
    """
    if not _same_shape(depth.shape, mask.shape):
        return NoPosition(f'depth of {_words(depth.shape)} is not registered to an image of '
                          f'{_words(mask.shape)}: let the camera align its depth to the image')
    size = camera.size or mask.shape
    if not _same_shape(size, mask.shape):
        return NoPosition(f'camera_info is for images of {_words(size)}, the image is of '
                          f'{_words(mask.shape)}: give the one of this camera')
    if mask.shape != depth.shape:
        mask = cv2.resize(mask, depth.shape[::-1], interpolation=cv2.INTER_NEAREST)
    rows, columns, weights = _weigh(mask)
    if not len(rows):
        return NoPosition('the mask is empty')
    depths = depth[rows, columns]
    near = _nearest_part(depths, weights)
    if isinstance(near, NoPosition):
        return near
    weights = weights[near]
    low, z, high = _quantiles(depths[near], weights, (0.25, 0.5, 0.75))
    if high - low > WIDEST * z:
        return NoPosition(f'the depths in the mask are scattered: half of them from {low:.2f} to '
                          f'{high:.2f} m')
    x, y = (_quantiles(pixels[near], weights, (0.5,))[0] for pixels in (columns, rows))
    # Pixels of one view at two scales share their edges, not their centres.
    scale_x, scale_y = size[1] / depth.shape[1], size[0] / depth.shape[0]
    ray = camera.ray((x + 0.5) * scale_x - 0.5, (y + 0.5) * scale_y - 0.5)
    if ray is None:
        return NoPosition('the target is where the lens model of camera_info does not hold')
    return Position(ray[0] * z, ray[1] * z, z)


def _weigh(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Return rows, columns (N,) and weights (N,) in (0, 1] of a mask's pixels.

    Those near the edge weigh less; in a thin mask all weigh the same.
    """
    left, top, width, height = cv2.boundingRect(mask)
    # With one pixel around it, but the edge of the image is none of the target.
    top, left, bottom, right = (max(top - 1, 0), max(left - 1, 0), top + height + 1,
                                left + width + 1)
    inside = cv2.distanceTransform(mask[top:bottom, left:right], cv2.DIST_L2, 3)
    pixels = np.flatnonzero(inside)
    if not len(pixels):
        return pixels, pixels, np.zeros(0)
    pixels = pixels[::-(-len(pixels) // MOST_PIXELS)]
    rows, columns = np.divmod(pixels, inside.shape[1])
    distances = inside[rows, columns]
    edge = min(max(EDGE * distances.max(), 1.0), WIDEST_EDGE)
    return rows + top, columns + left, np.minimum(distances / edge, 1.0)


def _nearest_part(depths: np.ndarray, weights: np.ndarray) -> np.ndarray | NoPosition:
    """Return which of the pixels (N,) lie on the target, (N,) bool."""
    valid = np.isfinite(depths)
    share = weights[valid].sum() / weights.sum()
    if valid.sum() < LEAST_PIXELS or share < LEAST_SHARE:
        return NoPosition(f'too little of the mask has a depth: {valid.sum()} pixels, '
                          f'{share:.0%}')
    steps = np.floor(np.log(depths[valid]) / BIN).astype(int)
    steps -= steps.min()
    counts = np.convolve(np.bincount(steps, weights[valid]), np.ones(3), 'same')
    full = counts > GAP * counts.max()
    parts = np.cumsum(np.diff(full, prepend=False) & full)  # the steps' parts, from 1 on
    parts[~full] = 0
    part_of = parts[steps]
    sizes = np.bincount(part_of, weights[valid])
    sizes[0] = 0.0
    target = int(np.argmax(sizes >= NEARER * sizes.max()))
    near = np.zeros(len(depths), bool)
    near[valid] = part_of == target
    share = weights[near].sum() / weights.sum()
    if near.sum() < LEAST_PIXELS or share < LEAST_SHARE:
        return NoPosition(f'the depths in the mask are scattered: {near.sum()} pixels, '
                          f'{share:.0%}, lie at one depth')
    return near


def _quantiles(values: np.ndarray, weights: np.ndarray, shares: Sequence[float]) -> list[float]:
    """Return the values (of N) up to which the shares of the weight (N,) lie."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return [float(values[order[np.searchsorted(total, share * total[-1])]]) for share in shares]


def _same_shape(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Return whether two sizes are one picture at two scales, but for a rounded pixel."""
    return abs(one[0] * other[1] - one[1] * other[0]) <= max(*one, *other)


def _words(size: tuple[int, ...]) -> str:
    return f'{size[1]} x {size[0]}'
