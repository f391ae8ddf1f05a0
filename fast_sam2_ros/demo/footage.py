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
"""What the demo's camera films: the rendered scene or a video, and the goals that go with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from fast_sam2_ros.demo.scene import Goal, Scene
from fast_sam2_ros.errors import InputError
from fast_sam2_ros.media import open_media
import numpy as np


@dataclass(frozen=True)
class Shot:
    """
    One frame of the camera.

    index from 0 on, stamp in seconds from the first frame on, image (H, W, 3) uint8 RGB, truth:
    label to mask (H, W) uint8, or None where no truth is known.
    """

    index: int
    stamp: float
    image: np.ndarray
    truth: dict[str, np.ndarray] | None


class Footage(Protocol):
    """A finite stream of frames that can be played again, and its script of goals."""

    rate: float
    count: int | None
    goals: tuple[Goal, ...]

    def shots(self) -> Iterator[Shot]:
        """Play the frames from the first one on."""


class SceneFootage:
    """The rendered scene; `texts` replace the words of its script, one for one."""

    def __init__(self, rate: float, seed: int = 0, texts: list[str] | None = None):
        self.scene = Scene(rate=rate, seed=seed)
        self.rate, self.count = rate, len(self.scene)
        self.goals = self.scene.goals
        if texts is None:
            return
        if len(texts) > len(self.goals):
            raise InputError(f'the scene has room for {len(self.goals)} texts, not {len(texts)}')
        self.goals = tuple(replace(goal, text=text, present=None)
                           for goal, text in zip(self.goals, texts))

    def shots(self) -> Iterator[Shot]:
        """Render the frames."""
        for index in range(self.count):
            image, truth = self.scene.frame(index)
            yield Shot(index, self.scene.stamp(index), image, truth)


class VideoFootage:
    """A video at its own speed, at most `rate` frames a second of it; goals spread over it."""

    def __init__(self, path: Path, rate: float, texts: list[str]):
        self._media = open_media(path)
        self._step = max(1, round(self._media.fps / rate))
        self.rate = self._media.fps / self._step
        declared = self._media.count
        self.count = None if declared is None else -(-declared // self._step)
        if self.count is None and len(texts) > 1:
            raise InputError(f'{path} does not say how long it is; give a single --text')
        self.goals = tuple(
            Goal(index, index / self.rate, text, None)
            for place, text in enumerate(texts)
            for index in (0 if not place else place * self.count // len(texts),))

    def shots(self) -> Iterator[Shot]:
        """Decode the frames; the ones between are left out."""
        for frame in self._media:
            if frame.index % self._step == 0:
                yield Shot(frame.index // self._step, frame.stamp, frame.image, None)
