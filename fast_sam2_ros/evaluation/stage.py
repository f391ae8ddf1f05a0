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
A stage for validation clips: a photograph, cut-outs before it, and a moving camera that films.

All places are in pixels of the background photograph. Needs neither torch nor a model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
from fast_sam2_ros.training.clips import Cutout
import numpy as np

HEIGHT, WIDTH = 480, 640  # of the camera's frames
EDGE = 0.9  # pixels of the cut-out over which it blends with what is behind it
LIGHT, CAST = 0.35, 0.2  # how far a cut-out takes over the brightness and tint of its background
LEAST_GAIN, MOST_GAIN = 0.7, 1.4


@dataclass(frozen=True, eq=False)
class Actor:
    """
    A cut-out on the stage.

    path: (T, 2, 3), what takes the cut-out's pixels to the background's.
    light: (3,) what its colours are multiplied with.
    """

    cutout: Cutout
    path: np.ndarray
    light: np.ndarray


@dataclass(frozen=True, eq=False)
class Stage:
    """
    What is filmed.

    background: (H, W, 3) uint8 RGB.  camera: (T, 2, 3), from the background's pixels to the
    frame's.  outline: (H, W) bool, a thing in the background that is a target, or None.
    actors: from the farthest to the nearest.
    """

    background: np.ndarray
    camera: np.ndarray
    outline: np.ndarray | None
    actors: tuple[Actor, ...]


@dataclass(frozen=True, eq=False)
class Shot:
    """
    One frame (480, 640, 3) uint8 RGB and what is seen in it.

    outline: (480, 640) bool, the visible part of the background's outline.
    actors: (N, 480, 640) bool, the visible part of each actor.
    areas: (1 + N,) pixels that the outline and each actor would cover if nothing cut them off.
    """

    frame: np.ndarray
    outline: np.ndarray
    actors: np.ndarray
    areas: np.ndarray


def film(stage: Stage, rng: np.random.Generator) -> Iterator[Shot]:
    """Film every frame of a stage; `rng` draws what the camera adds."""
    alphas = [_soft(actor.cutout.mask) for actor in stage.actors]
    pixels = [_lit(actor) for actor in stage.actors]
    outline = np.zeros(stage.background.shape[:2], np.uint8)
    if stage.outline is not None:
        outline = stage.outline.astype(np.uint8)
    lens = _Lens.random(rng)
    for time, camera in enumerate(stage.camera):
        frame = _warp(stage.background, camera, cv2.BORDER_REFLECT_101).astype(np.float32)
        seen = _warp(outline, camera, cv2.BORDER_CONSTANT) > 0
        masks = np.zeros((len(stage.actors), HEIGHT, WIDTH), bool)
        areas = [outline.sum() * _enlargement(camera)]
        for n, actor in enumerate(stage.actors):
            onto = after(camera, actor.path[time])
            alpha = _warp(alphas[n], onto, cv2.BORDER_CONSTANT)
            colours = _warp(pixels[n], onto, cv2.BORDER_REPLICATE)
            frame += alpha[..., None] * (colours - frame)
            masks[:n] &= alpha < 0.5
            seen &= alpha < 0.5
            masks[n] = alpha >= 0.5
            areas.append(actor.cutout.mask.sum() * _enlargement(onto))
        yield Shot(lens.expose(frame, time, rng), seen, masks, np.array(areas))


def after(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Return the (2, 3) map that does `inner` and then `outer`."""
    return outer @ np.vstack([inner, [0, 0, 1]])


def look_at(centre: np.ndarray, zoom: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """
    Return a camera's (T, 2, 3) maps.

    centre: (T, 2) the place in the background that is in the middle of the frame.
    zoom: (T,) pixels of the frame for one of the background.  roll: (T,) radians.
    """
    middle = np.array([WIDTH, HEIGHT]) / 2
    return np.stack([_map(z, r, c, middle) for z, r, c in zip(zoom, roll, centre)])


def place(cutout: Cutout, centre: np.ndarray, scale: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """
    Return a cut-out's (T, 2, 3) maps to the background.

    centre: (T, 2) where its middle is.  scale: (T,) pixels of the background for one of its own.
    angle: (T,) radians.
    """
    middle = np.array(cutout.mask.shape[::-1]) / 2
    return np.stack([_map(s, a, middle, c) for s, a, c in zip(scale, angle, centre)])


def light_for(cutout: Cutout, surroundings: np.ndarray) -> np.ndarray:
    """Return how a cut-out is lit, (3,), before (H, W, 3) surroundings: a little like them."""
    own = cutout.image[cutout.mask > 0].mean(0) + 1.0
    there = surroundings.reshape(-1, 3).mean(0) + 1.0
    brightness = (there.mean() / own.mean()) ** LIGHT
    tint = (there / there.mean()) ** CAST
    return np.clip(brightness * tint, LEAST_GAIN, MOST_GAIN)


def mirrored(cutout: Cutout) -> Cutout:
    """Return a cut-out as a mirror shows it."""
    return Cutout(np.ascontiguousarray(cutout.image[:, ::-1]),
                  np.ascontiguousarray(cutout.mask[:, ::-1]), cutout.name)


def recoloured(cutout: Cutout, turn: int) -> Cutout:
    """Return a cut-out with all hues turned by `turn` degrees."""
    hsv = cv2.cvtColor(cutout.image, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + turn // 2) % 180  # OpenCV halves the degrees
    return Cutout(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), cutout.mask, cutout.name)


@dataclass(frozen=True)
class _Lens:
    """What a camera adds to every frame of a clip: exposure that drifts, a cast, blur, noise."""

    gain: np.ndarray  # (3,)
    drift: float  # of the gain, a frame
    blur: float  # pixels
    noise: float  # grey levels

    @classmethod
    def random(cls, rng: np.random.Generator) -> _Lens:
        return cls(rng.uniform(0.85, 1.15) * rng.uniform(0.96, 1.04, 3), rng.normal(0, 0.0015),
                   rng.uniform(0.4, 0.9), rng.uniform(1.0, 5.0))

    def expose(self, frame: np.ndarray, time: int, rng: np.random.Generator) -> np.ndarray:
        frame = cv2.GaussianBlur(frame, (0, 0), self.blur) * (self.gain * (1 + self.drift * time))
        noise = rng.normal(0, self.noise, (*frame.shape[:2], 1))
        return np.clip(frame + noise, 0, 255).astype(np.uint8)


def _soft(mask: np.ndarray) -> np.ndarray:
    """Return a mask (h, w) of 0 and 1 as opacity in [0, 1], soft inside its edge only."""
    inner = cv2.erode(mask, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT,
                      borderValue=0)
    return cv2.GaussianBlur(inner.astype(np.float32), (0, 0), EDGE) * mask


def _lit(actor: Actor) -> np.ndarray:
    """
    Return an actor's colours in its light, (h, w, 3) float32, spread beyond its outline.

    What was behind it in its own photograph, or nothing, must not shine through the soft edge.
    """
    colours = actor.cutout.image.astype(np.float32)
    inside = cv2.erode(actor.cutout.mask, np.ones((3, 3), np.uint8)).astype(np.float32)[..., None]
    weight = cv2.GaussianBlur(inside, (0, 0), 2)[..., None]
    spread = cv2.GaussianBlur(colours * inside, (0, 0), 2) / np.maximum(weight, 1e-3)
    colours = np.where((inside > 0) | (weight < 1e-3), colours, spread)
    return (colours * actor.light).astype(np.float32)


def _map(scale: float, angle: float, from_point: np.ndarray, to_point: np.ndarray) -> np.ndarray:
    """Return the (2, 3) map that turns and scales about one point and moves it to another."""
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[c, -s], [s, c]])
    return np.hstack([turn, (to_point - turn @ from_point)[:, None]])


def _enlargement(matrix: np.ndarray) -> float:
    """Return by how much a (2, 3) map enlarges areas."""
    return abs(float(np.linalg.det(matrix[:, :2])))


def _warp(image: np.ndarray, matrix: np.ndarray, border: int) -> np.ndarray:
    return cv2.warpAffine(
        image, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=border)
