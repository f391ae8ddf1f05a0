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
A camera moving along a wall of real photographs, with the true mask of every frame.

The photographs come from the wheel of scikit-image, the outlines of what they show were drawn by
hand once (``outlines.json``). A pinhole camera pans, approaches, tilts and rolls in front of the
wall; cut-outs of other photographs fly past, also in front of the target, and what they hide is
taken from the truth. Exposure drifts, motion blurs and the sensor is noisy. The same seed gives
the same frames. Needs neither ROS nor torch.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
import json
from pathlib import Path

import cv2
from fast_sam2_ros.errors import InputError, ParameterError
import numpy as np

OUTLINES = Path(__file__).with_name('outlines.json')
WALL = (2250, 1100)  # units, width and height; one unit is one pixel at a distance of FOCAL
FOCAL = 554.0  # pixels for a frame 640 wide: a horizontal field of view of 60 degrees
NOISE = 3.0  # standard deviation of the sensor's noise, grey levels
SUBFRAMES = 3  # renderings averaged into one exposure
EXPOSURE = 1 / 60  # seconds


@dataclass(frozen=True)
class Goal:
    """
    A text goal of the script: from frame `index` on the user asks for `text`.

    `present` is False for a thing that is not there, to which the right answer is 'not found', and
    None where nobody knows.
    """

    index: int
    stamp: float
    text: str
    present: bool | None


@dataclass(frozen=True)
class _Picture:
    """A photograph on the wall: centre in units, scale in units per pixel of the photograph."""

    label: str
    centre: tuple[float, float]
    scale: float


@dataclass(frozen=True)
class _Passer:
    """A cut-out that crosses the view from `start` to `end` (fractions of width and height)."""

    label: str
    begin: float
    finish: float
    start: tuple[float, float]
    end: tuple[float, float]
    scale: float
    turn: float  # degrees a second
    angle: float = 0.0


PICTURES = (
    _Picture('cat', (400, 550), 1.30),
    _Picture('cup and saucer', (1125, 550), 1.0),
    _Picture('motorcycle', (1850, 550), 0.85),
)
PASSERS = (
    _Passer('motorcycle', 1.2, 3.4, (-0.2, 0.80), (1.2, 0.86), 0.30, 0.0),
    _Passer('rocket', 3.6, 5.4, (0.25, 1.3), (0.72, -0.35), 0.75, 0.0, 16.0),
    _Passer('shuttle', 9.0, 11.2, (1.2, 0.75), (-0.2, 0.45), 0.55, 12.0, -35.0),
    _Passer('cat', 11.4, 13.4, (-0.2, 0.10), (1.2, 0.16), 0.30, 0.0),
    _Passer('rocket', 15.0, 17.0, (-0.15, 0.3), (1.15, 0.45), 0.6, 0.0, 80.0),
)
# The camera's stops: time in seconds, x and y on the wall in units, distance from it in units.
PATH = (
    (0.0, 380, 545, 620), (2.2, 425, 560, 520), (4.4, 400, 535, 800), (6.2, 420, 555, 580),
    (8.0, 1100, 550, 620), (10.0, 1150, 535, 500), (12.0, 1105, 570, 780), (13.6, 1140, 550, 560),
    (15.4, 1830, 550, 640), (18.0, 1880, 555, 520),
)
SCRIPT = ((0.0, 'cat', True), (8.2, 'cup and saucer', True), (15.6, 'elephant', False))
DURATION = 18.0  # seconds


def photograph_path(name: str) -> Path:
    """
    Find a photograph in the data folder of the installed scikit-image, without importing it.

    Raise InputError where scikit-image or the file is missing.
    """
    spec = find_spec('skimage')
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            'the demo scene needs the photographs in scikit-image: pip install scikit-image')
    path = Path(spec.submodule_search_locations[0]) / 'data' / name
    if not path.is_file():
        raise InputError(f'{path} is missing: install scikit-image 0.26 again')
    return path


def read_outlines() -> dict:
    """Return outlines.json: ``{'photographs': {file: {...}}, 'outlines': {label: {...}}}``."""
    return json.loads(OUTLINES.read_text(encoding='utf-8'))


@lru_cache(maxsize=None)
def cut_out(label: str) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the photograph that shows `label` and its outline.

    The photograph is (H, W, 3) uint8 RGB, the outline (n, 2) float64 in its pixels.
    """
    outline = read_outlines()['outlines'][label]
    image = cv2.imread(str(photograph_path(outline['photograph'])), cv2.IMREAD_COLOR)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.array(outline['polygon'], dtype=np.float64)


def fill(polygon: np.ndarray, height: int, width: int) -> np.ndarray:
    """Rasterise a polygon, (n, 2) in pixels, to a mask (height, width) uint8 of 0 and 1."""
    mask = np.zeros((height, width), dtype=np.uint8)
    cv2.fillPoly(mask, [np.round(polygon * 16).astype(np.int32)], 1, shift=4)
    return mask


def _ease(times: np.ndarray, values: np.ndarray, time: float) -> np.ndarray:
    """Interpolate the camera's stops with zero speed at each (smoothstep)."""
    right = int(np.clip(np.searchsorted(times, time, side='right'), 1, len(times) - 1))
    begin, finish = times[right - 1], times[right]
    s = float(np.clip((time - begin) / (finish - begin), 0, 1))
    s = s * s * (3 - 2 * s)
    return values[right - 1] * (1 - s) + values[right] * s


class Scene:
    """
    The frames, their truth and the script of text goals.

    Parameters: `rate` in frames a second of scene time (the scene always lasts `DURATION`
    seconds), `size` = (width, height) of a frame in pixels, `seed` of noise and camera shake.
    """

    def __init__(self, rate: float = 30.0, size: tuple[int, int] = (640, 480), seed: int = 0):
        if not 1.0 <= rate <= 240.0:
            raise ParameterError(f'rate is {rate:g} frames a second; it must be 1 to 240')
        if min(size) < 64:
            raise ParameterError(
                f'a frame of {size[0]} x {size[1]} is too small: 64 x 64 at least')
        self.rate, self.size, self.seed = float(rate), (int(size[0]), int(size[1])), int(seed)
        self._wall = _paint_wall()
        self._outlines = {p.label: _on_wall(p, cut_out(p.label)[1]) for p in PICTURES}
        rng = np.random.default_rng(seed)
        self._phase = rng.uniform(0, 2 * np.pi, 8)
        # Larger than a frame: each frame takes its noise from a place of its own.
        self._noise = NOISE * rng.standard_normal((self.size[1] + 64, self.size[0] + 64, 3),
                                                  dtype=np.float32)
        path = np.array(PATH, dtype=np.float64)
        self._times, self._stops = path[:, 0], path[:, 1:]

    def __len__(self) -> int:
        """Return the number of frames."""
        return int(round(DURATION * self.rate))

    def stamp(self, index: int) -> float:
        """Return the time of a frame in seconds; the first frame has 0."""
        return index / self.rate

    @property
    def goals(self) -> tuple[Goal, ...]:
        """Return the script: what the user asks for, from which frame on."""
        return tuple(Goal(int(np.ceil(time * self.rate)), time, text, present)
                     for time, text, present in SCRIPT)

    def goal_at(self, index: int) -> Goal:
        """Return the goal that is in force at a frame."""
        return [goal for goal in self.goals if goal.index <= index][-1]

    def frame(self, index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """
        Render one frame.

        Return the image (H, W, 3) uint8 RGB and, for every picture on the wall, the true mask of
        the thing that it shows, (H, W) uint8 of 0 and 1, all zero where it is out of view.
        Raise InputError for an index outside the scene.
        """
        if not 0 <= index < len(self):
            raise InputError(f'the scene has frames 0 to {len(self) - 1}, not {index}')
        time = self.stamp(index)
        offsets = (np.arange(SUBFRAMES) - (SUBFRAMES - 1) / 2) * EXPOSURE / SUBFRAMES
        light = np.zeros((self.size[1], self.size[0], 3), dtype=np.float32)
        for offset in offsets:
            cv2.accumulate(self._render(time + offset), light)
        light /= SUBFRAMES
        return self._expose(light, index), self._truth(time)

    def _homography(self, time: float) -> np.ndarray:
        """Map the wall (units) to the frame (pixels), (3, 3), for a pinhole camera at `time`."""
        width, height = self.size
        x, y, distance = _ease(self._times, self._stops, time)
        wave = np.sin(2 * np.pi * time / np.array([3.1, 2.3, 4.7, 3.7, 5.3, 1.3, 1.1, 1.7])
                      + self._phase)
        x, y = x + 9 * wave[0] + 1.5 * wave[5], y + 7 * wave[1] + 1.5 * wave[6]
        yaw, pitch, roll = np.radians([7 * wave[2], 5 * wave[3], 4 * wave[4] + 0.5 * wave[7]])
        rotation = (cv2.Rodrigues(np.array([0.0, 0.0, roll]))[0]
                    @ cv2.Rodrigues(np.array([pitch, 0.0, 0.0]))[0]
                    @ cv2.Rodrigues(np.array([0.0, yaw, 0.0]))[0])
        focal = FOCAL * width / 640
        camera = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        # The camera turns about the point of the wall that it looks at.
        plane = np.column_stack([rotation[:, 0], rotation[:, 1],
                                 rotation @ np.array([-x, -y, 0]) + np.array([0, 0, distance])])
        return camera @ plane

    def _passers(self, time: float) -> list[tuple[_Passer, np.ndarray]]:
        """Return the cut-outs in flight and their affine maps (2, 3), photograph to frame."""
        width, height = self.size
        flying = []
        for passer in PASSERS:
            if not passer.begin <= time <= passer.finish:
                continue
            s = (time - passer.begin) / (passer.finish - passer.begin)
            centre = ((np.array(passer.start) * (1 - s) + np.array(passer.end) * s)
                      * np.array([width, height]))
            outline = cut_out(passer.label)[1]
            middle = (outline.min(axis=0) + outline.max(axis=0)) / 2
            angle = passer.angle + passer.turn * (time - passer.begin)
            affine = cv2.getRotationMatrix2D(tuple(middle), -angle, passer.scale * width / 640)
            affine[:, 2] += centre - middle
            flying.append((passer, affine))
        return flying

    def _render(self, time: float) -> np.ndarray:
        """Render what the sensor sees at one instant, (H, W, 3) uint8."""
        width, height = self.size
        image = cv2.warpPerspective(
            self._wall, self._homography(time), self.size, flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE)
        for passer, affine in self._passers(time):
            photograph, outline = cut_out(passer.label)
            outline = _apply(affine, outline)
            left, top = np.clip(np.floor(outline.min(axis=0)).astype(int) - 3, 0, self.size)
            right, bottom = np.clip(np.ceil(outline.max(axis=0)).astype(int) + 4, 0, self.size)
            if left >= right or top >= bottom:
                continue  # out of view
            corner, size = np.array([left, top]), (int(right - left), int(bottom - top))
            cover = fill(outline - corner, size[1], size[0]).astype(np.float32)
            cover = cv2.GaussianBlur(cover, (0, 0), 0.7)[..., None]
            cut = cv2.warpAffine(photograph, affine - np.outer(corner, [0, 0, 1]), size,
                                 flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
            area = image[top:bottom, left:right]
            area[:] = (area + cover * (cut.astype(np.float32) - area) + 0.5).astype(np.uint8)
        return image

    def _truth(self, time: float) -> dict[str, np.ndarray]:
        """Return label to mask at one instant, less what flies in front."""
        width, height = self.size
        homography = self._homography(time)
        hidden = np.zeros((height, width), dtype=np.uint8)
        for passer, affine in self._passers(time):
            hidden |= fill(_apply(affine, cut_out(passer.label)[1]), height, width)
        return {label: fill(cv2.perspectiveTransform(outline[None], homography)[0],
                            height, width) & (1 - hidden)
                for label, outline in self._outlines.items()}

    def _expose(self, light: np.ndarray, index: int) -> np.ndarray:
        """Turn light into grey levels: a drifting exposure and white balance, and noise."""
        time = self.stamp(index)
        gain = 1 + 0.10 * np.sin(2 * np.pi * time / 6.1 + self._phase[0])
        warm = 0.03 * np.sin(2 * np.pi * time / 9.7 + self._phase[1])
        light *= np.array([gain + warm, gain, gain - warm], dtype=np.float32)
        rng = np.random.default_rng((self.seed, index))
        top, left = rng.integers(0, 64, 2)
        light += self._noise[top:top + light.shape[0], left:left + light.shape[1]]
        return np.clip(light + 0.5, 0, 255).astype(np.uint8)


def _apply(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map points (n, 2) by an affine map (2, 3)."""
    return points @ affine[:, :2].T + affine[:, 2]


def _corner(picture: _Picture) -> np.ndarray:
    """Return the top left corner of a picture on the wall, (2,) in units."""
    height, width = cut_out(picture.label)[0].shape[:2]
    return np.array(picture.centre) - picture.scale * np.array([width, height]) / 2


def _on_wall(picture: _Picture, points: np.ndarray) -> np.ndarray:
    """Map points of a photograph (pixels) to the wall (units)."""
    return points * picture.scale + _corner(picture)


def _paint_wall() -> np.ndarray:
    """Paint the wall: bricks, and each photograph in a frame; (H, W, 3) uint8 RGB."""
    brick = cv2.imread(str(photograph_path('brick.png')), cv2.IMREAD_GRAYSCALE)
    width, height = WALL
    brick = np.hstack([brick, brick[:, ::-1]])  # mirrored, so that the tiles meet
    brick = np.vstack([brick, brick[::-1]])
    tiles = np.tile(brick, (height // brick.shape[0] + 1, width // brick.shape[1] + 1))
    grey = tiles[:height, :width, None].astype(np.float32)
    wall = np.clip(grey * np.array([1.05, 0.97, 0.90]) + 25, 0, 255).astype(np.uint8)
    for picture in PICTURES:
        photograph = cut_out(picture.label)[0]
        size = np.round(np.array(photograph.shape[1::-1]) * picture.scale).astype(int)
        left, top = np.round(_corner(picture)).astype(int)
        right, bottom = left + size[0], top + size[1]
        cv2.rectangle(wall, (left - 26, top - 26), (right + 25, bottom + 25), (38, 30, 26), -1)
        cv2.rectangle(wall, (left - 16, top - 16), (right + 15, bottom + 15), (236, 233, 226), -1)
        wall[top:bottom, left:right] = cv2.resize(
            photograph, tuple(int(n) for n in size),
            interpolation=cv2.INTER_CUBIC if picture.scale > 1 else cv2.INTER_AREA)
    return wall
