# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Rendered training clips: a moving camera over real photographs, real cut-outs and shapes before it.

Every clip has a mask for every target in every frame, because the code that moves the pixels moves
the outlines too. Nothing here needs torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fast_sam2_ros.errors import InputError

MIN_CUTOUT_PIXELS = 1500
MIN_TARGET_SHARE = 0.004  # of the first frame
MAX_PHOTO_SIDE = 800


@dataclass(frozen=True)
class Photo:
    """A photograph, (H, W, 3) uint8 RGB, and the outlines in it, (H, W) bool each."""

    image: np.ndarray
    masks: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class Cutout:
    """An object cut out of a photograph: (h, w, 3) uint8 RGB and its (h, w) uint8 mask, 0 or 1."""

    image: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class Clip:
    """Frames (T, S, S, 3) uint8 RGB and masks (T, N, S, S) bool of N targets."""

    frames: np.ndarray
    masks: np.ndarray


def load_yolo_photos(root: Path) -> list[Photo]:
    """
    Read photographs with outlines in YOLO's segment layout (`images/**`, `labels/**/*.txt`).

    Raises InputError where no photograph is found; one without a label file has no outlines.
    """
    photos = []
    for path in sorted(root.glob('images/**/*.jpg')):
        image = read_photo(path)
        label = root / 'labels' / path.relative_to(root / 'images').with_suffix('.txt')
        masks = [mask for _, mask in read_outlines(label, *image.shape[:2])]
        photos.append(Photo(image, tuple(masks)))
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


def cut_out(photo: Photo) -> list[Cutout]:
    """Cut the larger objects, whole inside the picture, out of a photograph."""
    height, width = photo.image.shape[:2]
    cutouts = []
    for mask in photo.masks:
        x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
        inside = x > 1 and y > 1 and x + w < width - 1 and y + h < height - 1
        if mask.sum() >= MIN_CUTOUT_PIXELS and (inside or mask.sum() > 6 * MIN_CUTOUT_PIXELS):
            window = np.s_[y:y + h, x:x + w]
            cutouts.append(Cutout(photo.image[window], mask[window].astype(np.uint8)))
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

    def clip(self, frames: int, max_targets: int = 2, gap: int = 0) -> Clip:
        """
        Render a clip of `frames` frames with 1 to `max_targets` targets visible in the first.

        `gap` frames are left out after the first: targets then return after a jump in time.
        """
        while True:
            clip = self._try(frames, max_targets, gap)
            if clip is not None:
                return clip

    def _try(self, frames: int, max_targets: int, gap: int) -> Clip | None:
        rng, size = self.rng, self.size
        pool = self._outlined if rng.random() < 0.7 else self.photos
        photo = pool[rng.integers(len(pool))]
        times = np.concatenate([[0], np.arange(1, frames) + gap]).astype(float)
        # the robot's camera squeezes a 4:3 or 16:9 picture into a square
        squeeze = rng.uniform(0.55, 1.1)
        speed = rng.choice([0.2, 1.0, 2.0], p=[0.35, 0.45, 0.2])
        camera = _background_path(rng, photo.image.shape[:2], size, times, squeeze, 0.6 * speed)
        count = rng.choice(5, p=[0.1, 0.3, 0.3, 0.2, 0.1])
        sprites = [self._sprite() for _ in range(count)]
        paths = [
            _sprite_path(rng, s.image.shape[:2], size, times, squeeze, speed) for s in sprites]
        wobbles = [_Wobble.random(rng, s.image.shape[:2]) for s in sprites]
        targets = [mask for mask in photo.masks if mask.sum() > 400]
        rng.shuffle(targets)
        targets = targets[:3]

        images = np.empty((frames, size, size, 3), np.uint8)
        masks = np.zeros((frames, len(targets) + len(sprites), size, size), bool)
        for t in range(frames):
            image = _warp(photo.image, camera[t], size, cv2.BORDER_REFLECT_101)
            for n, target in enumerate(targets):
                masks[t, n] = _warp(target.astype(np.uint8), camera[t], size) > 0
            for n, (sprite, path, wobble) in enumerate(zip(sprites, paths, wobbles), len(targets)):
                pixels, alpha = wobble.bend(sprite, times[t])
                alpha = _warp(alpha * np.float32(1), path[t], size)
                pixels = _warp(pixels, path[t], size, cv2.BORDER_REPLICATE)
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
        order = chosen[np.argsort((chosen < len(targets)) + 0.9 * rng.random(len(chosen)))]
        return Clip(images, masks[:, order[:max_targets]])

    def _sprite(self) -> Cutout:
        if self.cutouts and self.rng.random() < 0.75:
            cutout = self.cutouts[self.rng.integers(len(self.cutouts))]
        else:
            cutout = self._shape()
        if self.rng.random() < 0.5:
            cutout = Cutout(cutout.image[:, ::-1], cutout.mask[:, ::-1])
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
