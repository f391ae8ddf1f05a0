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
"""What the validation clips show: held-out pictures, and the words for what is in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
from fast_sam2_ros.errors import InputError
from fast_sam2_ros.grounding.vocabulary import Meaning, Vocabulary
from fast_sam2_ros.grounding.words import WordHead
from fast_sam2_ros.training.clips import (
    cut_out, Cutout, load_stamps, load_yolo_photos, Photo, PHOTOS_HELD_OUT, split, STAMPS_HELD_OUT)
import numpy as np

# What a person would call the held-out stamps, by the names of their files; others are not shown.
WORDS = {
    'frog': 'frog', 'blackbird': 'bird', 'cuckoo': 'bird', 'guineafowl': 'bird',
    'seagull': 'bird', 'heron greatblue flying': 'heron', 'magpie': 'magpie',
    'peacock': 'peacock', 'pink flamingo': 'flamingo', 'vulture': 'vulture',
    'coraltrout': 'fish', 'moonwrasse': 'fish', 'brown slug': 'slug',
    'grasshopper': 'grasshopper', 'sea lion': 'sea lion', 'european bear': 'bear', 'cow': 'cow',
    'mountaingoat': 'goat', 'lion': 'lion', 'elephant': 'elephant', 'zebra': 'zebra',
    'hippopotamus': 'hippopotamus', 'rabbit little': 'rabbit', 'marmot': 'marmot',
    'koala': 'koala', 'orange': 'orange', 'yellowpepper': 'bell pepper', 'cep': 'mushroom',
    'guitar': 'guitar', 'violin': 'violin', 'teapot': 'teapot', 'spade': 'shovel',
    'wheelie bin': 'trash can', 'raptor': 'plane', 'football': 'ball',
    'dead end sign': 'traffic sign', 'no uturn': 'traffic sign', 'stop': 'traffic sign',
    'xing ped': 'traffic sign', 'uk post box': 'mailbox', 'sedan': 'car',
    'chinesejunk': 'sailboat',
}
# What is cut out of the held-out photographs, the largest of a name where it is large enough;
# the other outlines there are heaps, or parts of things.
CUT_OUT = ('bus', 'cat', 'dog', 'teddy bear')
LEAST_CUT_OUT = 0.05  # of its photograph
# Things that a target can be without leaving their photograph.
OUTLINED = frozenset(
    ('bicycle', 'broccoli', 'bus', 'cake', 'cat', 'dog', 'motorcycle', 'person', 'pizza', 'tv'))
# Photographs among the wallpapers of KDE, chosen by eye: they show nothing that is named above.
WALLPAPERS = ('BytheWater', 'ColdRipple', 'DarkestHour', 'FallenLeaf', 'Grey', 'OneStandsOut',
              'Path', 'summer_1am')
WALLPAPER_FILE = 'contents/images/2560x1600.jpg'
LONGEST_SIDE = 1600  # of a wallpaper, pixels
LARGEST_OUTLINE = 0.115  # share of a photograph; with a larger one it is no scene but a close-up


@dataclass(frozen=True, eq=False)
class Material:
    """
    Held-out pictures.

    things: cut-outs, each with a word as its name.  photos: photographs with outlines, whose
    names are words.  scenes: those of them in which other things can be put.  wallpapers:
    photographs without outlines, (H, W, 3) uint8 RGB.
    """

    things: list[Cutout]
    photos: list[Photo]
    scenes: list[Photo]
    wallpapers: list[np.ndarray]

    @classmethod
    def load(cls, photos: Path, stamps: Path, wallpapers: Path) -> Material:
        """
        Read what no training may use, as `training.clips.split` holds it out.

        `photos` is a folder of outlined photographs (`load_yolo_photos`), `stamps` one of Tux
        Paint's stamps, `wallpapers` the one that holds `WALLPAPERS`. Raises InputError where
        pictures are missing.
        """
        held = [photo for photo in split(load_yolo_photos(photos), PHOTOS_HELD_OUT)[1]
                if photo.masks]
        things = [replace(stamp, name=WORDS[stamp.name])
                  for stamp in split(load_stamps(stamps), STAMPS_HELD_OUT)[1]
                  if stamp.name in WORDS]
        things += [thing for photo in held for thing in _whole_things(photo)]
        scenes = [photo for photo in held
                  if max(mask.mean() for mask in photo.masks) < LARGEST_OUTLINE]
        return cls(things, held, scenes,
                   [_read_wallpaper(wallpapers, name) for name in WALLPAPERS])


class Names:
    """Tells which words the embedded grounder knows, and which it could mix up."""

    def __init__(self) -> None:
        """Read the vocabulary; raises CheckpointError where the words' weights are missing."""
        self._vocabulary = Vocabulary(WordHead.load().names)

    def usable(self, word: str) -> bool:
        """Return whether a target can be called so: the word is known, not only by likeness."""
        meaning = self._vocabulary.understand(word)
        return isinstance(meaning, Meaning) and not meaning.lookalike

    def apart(self, word: str, others: Iterable[str]) -> bool:
        """Return whether none of the other words has a class in common with this one."""
        senses = self._senses(word)
        return not any(senses & self._senses(other) for other in others)

    def _senses(self, word: str) -> set[int | str]:
        meaning = self._vocabulary.understand(word)
        return {*meaning.classes, *meaning.learned} if isinstance(meaning, Meaning) else set()


def _whole_things(photo: Photo) -> list[Cutout]:
    """Cut the things out of a photograph that look whole."""
    least = LEAST_CUT_OUT * photo.masks[0].size
    things = []
    for name in CUT_OUT:
        named = [thing for thing in cut_out(photo) if thing.name == name]
        things += sorted(named, key=lambda thing: thing.mask.sum(), reverse=True)[:1]
    return [thing for thing in things if thing.mask.sum() >= least]


def _read_wallpaper(folder: Path, name: str) -> np.ndarray:
    path = folder / name / WALLPAPER_FILE
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f'{path} cannot be read as an image')
    scale = LONGEST_SIDE / max(image.shape[:2])
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
