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
"""Videos with a mask for every frame in the layout of DAVIS, and the names of their targets."""

from __future__ import annotations

from collections.abc import Collection, Iterator
import csv
from dataclasses import dataclass
from pathlib import Path

from fast_sam2_ros.errors import InputError
from fast_sam2_ros.media import IMAGE_SUFFIXES, read_image, read_mask
import numpy as np

RESOLUTION = '480p'
FRAMES_PER_SECOND = 24.0  # of the DAVIS videos; gives the frames their stamps
LEAST_FRAMES = 3  # since the first and the last do not count


@dataclass(frozen=True)
class Sequence:
    """One video: its frames' files, its masks' files, as many, in order, and frames a second."""

    name: str
    frames: tuple[Path, ...]
    masks: tuple[Path, ...]
    rate: float = FRAMES_PER_SECOND

    def thinned(self, every: int) -> Sequence:
        """
        Return the video with `every` n-th frame, from the first on.

        Raises InputError where fewer than `LEAST_FRAMES` are left.
        """
        frames, masks = self.frames[::every], self.masks[::every]
        if len(frames) < LEAST_FRAMES:
            raise InputError(f'{self.name} has {len(frames)} frames; {LEAST_FRAMES} are needed at '
                             'least, since the first and the last do not count')
        return Sequence(self.name, frames, masks, self.rate / every)

    def images(self) -> Iterator[np.ndarray]:
        """Read the frames, (H, W, 3) uint8 RGB."""
        return (read_image(path) for path in self.frames)

    def truth(self, index: int) -> np.ndarray:
        """Read a mask, (H, W) bool; all objects together are the target, as in DAVIS 2016."""
        return read_mask(self.masks[index])


def load_davis(root: Path, names: Collection[str] | None = None) -> list[Sequence]:
    """
    Find the sequences of a DAVIS folder, all or the named ones.

    `root` holds JPEGImages/480p/NAME/*.jpg and Annotations/480p/NAME/*.png. Raise InputError
    where a sequence is missing, or has not one mask for each frame.
    """
    images, annotations = root / 'JPEGImages' / RESOLUTION, root / 'Annotations' / RESOLUTION
    for folder in (images, annotations):
        if not folder.is_dir():
            raise InputError(f'{folder} is missing: give the folder that holds JPEGImages/ and '
                             'Annotations/ of DAVIS')
    there = sorted(folder.name for folder in images.iterdir() if folder.is_dir())
    unknown = sorted(set(names or ()) - set(there))
    if unknown:
        raise InputError(f'{root} has no sequence {", ".join(unknown)}; it has {", ".join(there)}')
    sequences = [_load_sequence(name, images / name, annotations / name)
                 for name in (names or there)]
    if not sequences:
        raise InputError(f'{images} holds no sequence')
    return sequences


def _load_sequence(name: str, images: Path, annotations: Path) -> Sequence:
    frames = sorted(p for p in images.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    masks = [annotations / f'{frame.stem}.png' for frame in frames]
    missing = [mask for mask in masks if not mask.is_file()]
    if missing:
        raise InputError(f'{missing[0]} is missing: each frame of {name} needs its mask')
    return Sequence(name, tuple(frames), tuple(masks)).thinned(1)


def read_expressions(path: Path) -> dict[str, str]:
    """Read a table `video_id;instance_id;ref_exp`; return the first expression of each video."""
    if not path.is_file():
        raise InputError(f'{path} does not exist; name the table with --expressions')
    with path.open(newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file, delimiter=';'))
    expressions: dict[str, str] = {}
    for row in rows:
        if not row.get('video_id') or not row.get('ref_exp'):
            raise InputError(f'{path} is not a table video_id;instance_id;ref_exp')
        expressions.setdefault(row['video_id'], row['ref_exp'].strip())
    return expressions


def bounding_box(mask: np.ndarray) -> tuple[float, float, float, float]:
    """Return the box (x0, y0, x1, y1) around a mask (H, W), in pixels; the far edges outside."""
    rows, columns = np.nonzero(mask)
    return (float(columns.min()), float(rows.min()),
            float(columns.max() + 1), float(rows.max() + 1))
