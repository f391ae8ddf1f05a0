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
Rendered training clips: a moving camera over real photographs, real cut-outs and shapes before it.

Every clip has a mask for every target in every frame, because the code that moves the pixels moves
the outlines too. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import cv2
from fast_sam2_ros.errors import InputError
import numpy as np

COCO_NAMES = (
    'person|bicycle|car|motorcycle|airplane|bus|train|truck|boat|traffic light|fire hydrant|'
    'stop sign|parking meter|bench|bird|cat|dog|horse|sheep|cow|elephant|bear|zebra|giraffe|'
    'backpack|umbrella|handbag|tie|suitcase|frisbee|skis|snowboard|sports ball|kite|baseball bat|'
    'baseball glove|skateboard|surfboard|tennis racket|bottle|wine glass|cup|fork|knife|spoon|'
    'bowl|banana|apple|sandwich|orange|broccoli|carrot|hot dog|pizza|donut|cake|chair|couch|'
    'potted plant|bed|dining table|toilet|tv|laptop|mouse|remote|keyboard|cell phone|microwave|'
    'oven|toaster|sink|refrigerator|book|clock|vase|scissors|teddy bear|hair drier|toothbrush'
).split('|')

PHOTOS_HELD_OUT = 6  # every sixth photograph with outlines is for validation only
STAMPS_HELD_OUT = 4  # every fourth stamp likewise
DRAWN = ('cartoon', 'clothes', 'seasonal', 'space', 'symbols', 'flags', 'houses')
MAX_STAMP_SIDE = 320
MIN_CUTOUT_PIXELS = 1500
MIN_TARGET_SHARE = 0.004  # of the first frame
MAX_PHOTO_SIDE = 800

Item = TypeVar('Item')


@dataclass(frozen=True)
class Photo:
    """A photograph, (H, W, 3) uint8 RGB, the outlines in it, (H, W) bool each, and their names."""

    image: np.ndarray
    masks: tuple[np.ndarray, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cutout:
    """An object cut out of a photograph: (h, w, 3) uint8 RGB, its (h, w) uint8 mask, 0 or 1."""

    image: np.ndarray
    mask: np.ndarray
    name: str = ''


@dataclass(frozen=True)
class Clip:
    """Frames (T, S, S, 3) uint8 RGB, masks (T, N, S, S) bool of N targets, and their N names."""

    frames: np.ndarray
    masks: np.ndarray
    names: tuple[str, ...]


def load_yolo_photos(root: Path) -> list[Photo]:
    """
    Read photographs with outlines in YOLO's segment layout (`images/**`, `labels/**/*.txt`).

    Classes are those of COCO. Raises InputError where no photograph is found; one without a label
    file has no outlines.
    """
    photos = []
    for path in sorted(root.glob('images/**/*.jpg')):
        image = read_photo(path)
        label = root / 'labels' / path.relative_to(root / 'images').with_suffix('.txt')
        outlines = read_outlines(label, *image.shape[:2])
        photos.append(Photo(
            image, tuple(mask for _, mask in outlines),
            tuple(COCO_NAMES[number] for number, _ in outlines)))
    if not photos:
        raise InputError(f'{root} holds no photograph: expected images/**/*.jpg')
    return photos


def read_outlines(label: Path, height: int, width: int) -> list[tuple[int, np.ndarray]]:
    """
    Read a label file: the class number and the mask, (height, width) bool, of every object.

    A line is a class number and the corners of a polygon, x and y by turns, as shares of the
    width and height. A file that is not there holds none.
    """
    outlines = []
    for line in label.read_text(encoding='utf-8').splitlines() if label.is_file() else ():
        number, *shares = line.split()
        corners = np.array(shares, np.float32).reshape(-1, 2) * (width, height)
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1)
        outlines.append((int(number), mask.astype(bool)))
    return outlines


def load_photos(folder: Path) -> list[Photo]:
    """Read plain photographs (JPEG, PNG), at most 800 pixels a side, to serve as backgrounds."""
    paths = [p for p in sorted(folder.rglob('*')) if p.suffix.lower() in ('.jpg', '.jpeg', '.png')]
    return [Photo(read_photo(path)) for path in paths]


def read_photo(path: Path) -> np.ndarray:
    """Read an image file as (H, W, 3) uint8 RGB, shrunk to 800 pixels a side at most."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f'{path} cannot be read as an image')
    scale = MAX_PHOTO_SIDE / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def load_stamps(folder: Path) -> list[Cutout]:
    """
    Read photographic cut-outs: PNG with transparency, named after the file ("polar_bear.png").

    Folders of drawings (`DRAWN`) are left out, as they lie in the stamps of Tux Paint. Raises
    InputError where none is found.
    """
    stamps = []
    for path in sorted(folder.rglob('*.png')):
        folders = set(path.relative_to(folder).parts[:-1])
        image = None if folders & set(DRAWN) else cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if image is None or image.ndim != 3 or image.shape[2] != 4 or image.dtype != np.uint8:
            continue
        scale = min(1.0, MAX_STAMP_SIDE / max(image.shape[:2]))
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        mask = (image[..., 3] > 127).astype(np.uint8)
        if mask.sum() >= MIN_CUTOUT_PIXELS:
            stamps.append(Cutout(
                cv2.cvtColor(image[..., :3], cv2.COLOR_BGR2RGB), mask, _stamp_name(path.stem)))
    if not stamps:
        raise InputError(f'{folder} holds no cut-out: expected *.png with transparency')
    return stamps


def _stamp_name(stem: str) -> str:
    """Return the words of a file's name, without the numbers that tell variants apart."""
    words = [word.strip('0123456789') for word in stem.lower().replace('-', '_').split('_')]
    return ' '.join(word for word in words if word.isalpha() and len(word) > 1)


def split(items: Sequence[Item], every: int) -> tuple[list[Item], list[Item]]:
    """Return what is for training, and the items number 0, `every`, ... held out from it."""
    kept = [item for index, item in enumerate(items) if index % every]
    return kept, list(items[::every])


def cut_out(photo: Photo) -> list[Cutout]:
    """Cut the larger objects, whole inside the picture, out of a photograph."""
    height, width = photo.image.shape[:2]
    cutouts = []
    for mask, name in zip(photo.masks, photo.names or [''] * len(photo.masks)):
        x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
        inside = x > 1 and y > 1 and x + w < width - 1 and y + h < height - 1
        if mask.sum() >= MIN_CUTOUT_PIXELS and (inside or mask.sum() > 6 * MIN_CUTOUT_PIXELS):
            window = np.s_[y:y + h, x:x + w]
            cutouts.append(Cutout(photo.image[window], mask[window].astype(np.uint8), name))
    return cutouts


class ClipRenderer:
    """
    Renders clips at random from photographs, cut-outs and procedural shapes.

    With the same generator and material it renders the same clips.
    """

    def __init__(
        self, photos: list[Photo], cutouts: list[Cutout], rng: np.random.Generator, *, size: int
    ) -> None:
        """Take material (`photos` not empty) and the side of the square frames, in pixels."""
        self.photos, self.cutouts, self.rng, self.size = photos, cutouts, rng, size
        self._outlined = [photo for photo in photos if photo.masks] or photos

    @classmethod
    def of(
        cls, photos: list[Photo], stamps: list[Cutout], rng: np.random.Generator, *, size: int
    ) -> ClipRenderer:
        """Return a renderer of photographs with what is cut out of them, and of stamps."""
        cutouts = [cutout for photo in photos for cutout in cut_out(photo)]
        return cls(photos, cutouts + stamps, rng, size=size)

    def clip(self, frames: int, max_targets: int = 2, gap: int = 0, stories: float = 0.0) -> Clip:
        """
        Render a clip of `frames` frames with 1 to `max_targets` targets visible in the first.

        `gap` frames are left out after the first: targets then return after a jump in time. With
        the probability `stories` a target leaves the view for a while, or something hides it, or
        the camera looks away; and with half of it a look-alike of a target is in view.
        """
        while True:
            clip = self._try(frames, max_targets, gap, stories)
            if clip is not None:
                return clip

    def _try(self, frames: int, max_targets: int, gap: int, stories: float) -> Clip | None:
        rng, size = self.rng, self.size
        photo = self._background()
        times = np.concatenate([[0], np.arange(1, frames) + gap]).astype(float)
        # the robot's camera squeezes a 4:3 or 16:9 picture into a square
        squeeze = rng.uniform(0.55, 1.1)
        speed = rng.choice([0.2, 1.0, 2.0], p=[0.35, 0.45, 0.2])
        camera = _background_path(rng, photo.image.shape[:2], size, times, squeeze, 0.6 * speed)
        motion = _Motion(times, size, squeeze, speed)
        count = rng.choice(5, p=[0.1, 0.3, 0.3, 0.2, 0.1])
        actors = [_Actor.enter(rng, self._sprite(), motion) for _ in range(count)]
        outlines = [n for n, mask in enumerate(photo.masks) if mask.sum() > 400]
        rng.shuffle(outlines)
        outlines = outlines[:3]
        elsewhere = photo, np.zeros(frames, bool)
        if actors and rng.random() < stories / 2:
            actors.insert(0, _Actor.enter(rng, self._lookalike(actors[0].cutout), motion))
        if rng.random() < stories:
            elsewhere = self._tell(actors, motion, len(outlines))

        images = np.empty((frames, size, size, 3), np.uint8)
        masks = np.zeros((frames, len(outlines) + len(actors), size, size), bool)
        for t in range(frames):
            away = elsewhere[1][t]
            shown = elsewhere[0] if away else photo
            image = _warp(shown.image, camera[t], size, cv2.BORDER_REFLECT_101)
            for n, outline in enumerate(outlines):
                if not away:
                    mask = photo.masks[outline].astype(np.uint8)
                    masks[t, n] = _warp(mask, camera[t], size) > 0
            for n, actor in enumerate(actors, len(outlines)):
                if away and not actor.stays:
                    continue
                pixels, alpha = actor.wobble.bend(actor.cutout, times[t])
                alpha = _warp(alpha * np.float32(1), actor.path[t], size)
                pixels = _warp(pixels, actor.path[t], size, cv2.BORDER_REPLICATE)
                blended = image + alpha[..., None] * (pixels.astype(np.float32) - image)
                image = blended.astype(np.uint8)
                masks[t, :n] &= alpha[None] < 0.5
                masks[t, n] = alpha >= 0.5
            images[t] = image
        images = _photograph(rng, images)
        share = masks[0].mean((1, 2))
        chosen = np.flatnonzero((share > MIN_TARGET_SHARE) & (share < 0.6))
        if not len(chosen):
            return None
        # moving sprites first, most of the time: they are rarer than outlines in photographs
        order = chosen[np.argsort((chosen < len(outlines)) + 0.9 * rng.random(len(chosen)))]
        order = order[:max_targets]
        names = [*((photo.names[n] if photo.names else '') for n in outlines),
                 *(actor.cutout.name for actor in actors)]
        return Clip(images, masks[:, order], tuple(names[n] for n in order))

    def _background(self) -> Photo:
        pool = self._outlined if self.rng.random() < 0.7 else self.photos
        return pool[self.rng.integers(len(pool))]

    def _tell(
        self, actors: list[_Actor], motion: _Motion, outlines: int
    ) -> tuple[Photo, np.ndarray]:
        """
        Take targets out of view for a while: some walk off, one is hidden, or the camera turns.

        Changes `actors`; returns another background and the frames, (T,) bool, that show it.
        """
        rng, frames = self.rng, len(motion.times)
        begin = int(rng.integers(1, frames))
        end = int(rng.integers(begin + 1, frames + 1))
        absent = np.zeros(frames, bool)
        absent[begin:end] = True
        story = rng.choice(['leaves', 'hidden', 'away'], p=[0.35, 0.3, 0.35])
        if story == 'away' or not actors:
            for actor in actors:
                actor.stays = rng.random() < 0.2  # and is no less there
            return self._background(), absent
        if story == 'leaves':
            for n, actor in enumerate(actors):
                if n == 0 or rng.random() < 0.4:
                    angle = rng.uniform(0, 2 * np.pi)
                    actor.path[absent, :, 2] += 1.6 * motion.size * np.array(
                        [np.cos(angle), np.sin(angle)])
        else:
            target = actors[int(rng.integers(len(actors)))]
            actors.append(target.covered_by(rng, self._sprite(), absent))
        return self._background(), np.zeros(frames, bool)

    def _lookalike(self, cutout: Cutout) -> Cutout:
        """Return the same thing in another colour."""
        tint = self.rng.uniform(0.55, 1.15, 3) + self.rng.normal(0, 0.05)
        return replace(cutout, image=np.clip(cutout.image * tint, 0, 255).astype(np.uint8))

    def _sprite(self) -> Cutout:
        if self.cutouts and self.rng.random() < 0.75:
            cutout = self.cutouts[self.rng.integers(len(self.cutouts))]
        else:
            cutout = self._shape()
        if self.rng.random() < 0.5:
            cutout = replace(
                cutout, image=cutout.image[:, ::-1], mask=cutout.mask[:, ::-1])
        return cutout

    def _shape(self) -> Cutout:
        """Fill a random blob, polygon or ring with a piece of a photograph or a plain pattern."""
        rng, side = self.rng, 160
        mask = np.zeros((side, side), np.uint8)
        corners = rng.integers(3, 14)
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        radii = rng.uniform(rng.uniform(0.25, 0.9), 1.0, corners) * 0.48 * side
        points = side / 2 + np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None]
        cv2.fillPoly(mask, [points.astype(np.int32)], 1)
        if rng.random() < 0.5:
            mask = (cv2.GaussianBlur(mask * np.float32(1), (0, 0), 6) > 0.5).astype(np.uint8)
        if rng.random() < 0.3:
            texture = np.empty((side, side, 3), np.uint8)
            texture[:] = rng.integers(0, 256, 3)
            stripes = np.indices((side, side)).sum(0) // rng.integers(6, 40) % 2 == 1
            texture[stripes] = rng.integers(0, 256, 3)
        else:
            photo = self.photos[rng.integers(len(self.photos))].image
            y = rng.integers(max(photo.shape[0] - side, 1))
            x = rng.integers(max(photo.shape[1] - side, 1))
            texture = cv2.resize(photo[y:y + side, x:x + side], (side, side))
        if rng.random() < 0.5:
            texture = (texture * rng.uniform(0.4, 1.0, 3)).astype(np.uint8)
        return Cutout(texture, mask)


@dataclass(frozen=True)
class _Motion:
    """How things move in a clip: the frames' times, the frames' side, the squeeze, the speed."""

    times: np.ndarray
    size: int
    squeeze: float
    speed: float


@dataclass
class _Actor:
    """A cut-out that moves: its path is a (T, 2, 3) matrix from its pixels to the frame's."""

    cutout: Cutout
    path: np.ndarray
    wobble: _Wobble
    stays: bool = False  # in view while the camera looks away

    @classmethod
    def enter(cls, rng: np.random.Generator, cutout: Cutout, motion: _Motion) -> _Actor:
        shape = cutout.image.shape[:2]
        path = _sprite_path(rng, shape, motion.size, motion.times, motion.squeeze, motion.speed)
        return cls(cutout, path, _Wobble.random(rng, shape))

    def covered_by(self, rng: np.random.Generator, cutout: Cutout, when: np.ndarray) -> _Actor:
        """Return an actor that stands before this one in the frames `when`, (T,) bool."""
        height, width = self.cutout.mask.shape
        rows, columns = cutout.mask.shape
        grow = rng.uniform(1.1, 1.7) * max(height, width) / min(rows, columns)
        onto = np.array([[grow, 0, (width - grow * columns) / 2],
                         [0, grow, (height - grow * rows) / 2], [0, 0, 1]])
        path = self.path @ onto
        path[~when, :, 2] += 1e4  # out of view
        return _Actor(cutout, path, _Wobble.random(rng, (rows, columns)))


@dataclass(frozen=True)
class _Wobble:
    """A bending that changes with time, so that targets are not rigid."""

    amplitude: float
    waves: np.ndarray  # (2,) waves over the height and the width
    phase: float
    speed: float

    @classmethod
    def random(cls, rng: np.random.Generator, shape: tuple[int, int]) -> _Wobble:
        amplitude = rng.choice([0.0, 0.03, 0.07]) * min(shape)
        waves, phase = rng.uniform(0.5, 2.0, 2), rng.uniform(0, 2 * np.pi)
        return cls(amplitude, waves, phase, rng.uniform(0.1, 0.7))

    def bend(self, cutout: Cutout, time: float) -> tuple[np.ndarray, np.ndarray]:
        if self.amplitude == 0:
            return cutout.image, cutout.mask
        height, width = cutout.mask.shape
        y, x = np.indices((height, width), np.float32)
        swing = self.amplitude * np.sin(self.phase + self.speed * time)
        shift_x = swing * np.sin(2 * np.pi * self.waves[0] * y / height + self.phase)
        shift_y = swing * np.sin(2 * np.pi * self.waves[1] * x / width)
        maps = (x + shift_x).astype(np.float32), (y + shift_y).astype(np.float32)
        image = cv2.remap(cutout.image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return image, cv2.remap(cutout.mask, *maps, cv2.INTER_NEAREST)


def _smooth(rng: np.random.Generator, times: np.ndarray, rate: float, sway: float) -> np.ndarray:
    """Return a smooth random curve over `times` that starts at 0: a drift and a sway."""
    phase, frequency = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.6)
    swing = np.sin(phase + frequency * times) - np.sin(phase)
    return rng.normal() * rate * times + rng.normal() * sway * swing


def _affine(scale_x, scale_y, angle, centre_from, centre_to) -> np.ndarray:
    """Return the (2, 3) matrix that turns and scales about one point and moves it to another."""
    c, s = np.cos(angle), np.sin(angle)
    turn = np.diag([scale_x, scale_y]) @ np.array([[c, -s], [s, c]])
    return np.hstack([turn, (np.asarray(centre_to) - turn @ centre_from)[:, None]])


def _background_path(rng, shape, size, times, squeeze, speed) -> np.ndarray:
    height, width = shape
    scale = size / min(height, width * squeeze) * rng.uniform(0.9, 1.8)
    centre = np.array([width, height]) * rng.uniform(0.3, 0.7, 2)
    zoom = np.exp(_smooth(rng, times, 0.008 * speed, 0.05 * speed))
    angle = rng.normal() * 0.08 + _smooth(rng, times, 0.006 * speed, 0.04 * speed)
    x = size / 2 + size * _smooth(rng, times, 0.012 * speed, 0.05 * speed)
    y = size / 2 + size * _smooth(rng, times, 0.008 * speed, 0.03 * speed)
    flip = rng.choice([-1, 1])
    return np.stack([
        _affine(flip * scale * squeeze * zoom[t], scale * zoom[t], angle[t], centre, (x[t], y[t]))
        for t in range(len(times))
    ])


def _sprite_path(rng, shape, size, times, squeeze, speed) -> np.ndarray:
    height, width = shape
    scale = size * np.exp(rng.uniform(np.log(0.12), np.log(0.75))) / np.sqrt(height * width)
    zoom = np.exp(_smooth(rng, times, 0.015 * speed, 0.08 * speed))
    angle = rng.normal() * 0.25 + _smooth(rng, times, 0.02 * speed, 0.12 * speed)
    start = rng.uniform(0.12, 0.88, 2) * size
    x = start[0] + size * _smooth(rng, times, 0.025 * speed, 0.08 * speed)
    y = start[1] + size * _smooth(rng, times, 0.015 * speed, 0.05 * speed)
    return np.stack([
        _affine(scale * squeeze * zoom[t], scale * zoom[t], angle[t], (width / 2, height / 2),
                (x[t], y[t]))
        for t in range(len(times))
    ])


def _warp(image: np.ndarray, matrix: np.ndarray, size: int, border=cv2.BORDER_CONSTANT):
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border)


def _photograph(rng: np.random.Generator, frames: np.ndarray) -> np.ndarray:
    """Add what a camera adds: exposure that drifts, colour cast, blur, noise."""
    gain = rng.uniform(0.7, 1.25) * rng.uniform(0.9, 1.1, 3)
    drift = 1 + rng.normal() * 0.01 * np.arange(len(frames))
    blur = rng.choice([0.0, 0.6, 1.2], p=[0.6, 0.25, 0.15])
    noise = rng.choice([0.0, 4.0, 9.0], p=[0.5, 0.35, 0.15])
    result = np.empty_like(frames)
    for t, frame in enumerate(frames):
        frame = frame * (gain * drift[t]).astype(np.float32)
        if blur:
            frame = cv2.GaussianBlur(frame, (0, 0), blur)
        if noise:
            frame = frame + rng.normal(0, noise, frame.shape[:2] + (1,)).astype(np.float32)
        result[t] = np.clip(frame, 0, 255)
    return result
