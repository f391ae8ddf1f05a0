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
"""The stories of the validation clips: who moves where, and when the target cannot be seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from fast_sam2_ros.errors import InputError
from fast_sam2_ros.evaluation.cast import Material, Names, OUTLINED
from fast_sam2_ros.evaluation.stage import (
    Actor, film, HEIGHT, light_for, look_at, mirrored, place, recoloured, Stage, WIDTH)
from fast_sam2_ros.training.clips import Cutout, Photo
import numpy as np

IN_VIEW = 'in view'
LEAVES, HIDDEN, LOOKALIKE = LOST = ('leaves', 'hidden', 'look-alike')
# A look-alike of these is the same thing in another colour; of others, another thing.
PAINTED = frozenset(('bus', 'car', 'mailbox', 'sailboat', 'trash can'))
LEAST_SHARE, MOST_SHARE = 0.02, 0.4  # of the first frame, the target
LEAST_SEEN = 0.4  # of the target's whole area, wherever it counts as in view
RETURNED = 0.25  # of its whole area: from here on it is back
LEAST_AWAY, MOST_AWAY, LEAST_AFTER = 15, 40, 30  # frames without it, and after its return
LARGEST_OUTLINED = 0.3  # of its photograph, a target in it
LARGEST_SCALE = 2.6  # pixels of the frame for one of a cut-out's
FRAME = np.array([WIDTH, HEIGHT])
TRIES = 10  # for one target, before another one is taken
MOST_TRIES = 2000


@dataclass(frozen=True, eq=False)
class Clip:
    """
    A clip: its kind (`IN_VIEW` or one of `LOST`), the target's word and its frames.

    frames: (T, 480, 640, 3) uint8 RGB.  truth, lookalike: (T, 480, 640) bool, what is seen of the
    target and of its look-alike; None where there is no look-alike.  away: [begin, end) frames,
    from the first without the target until a quarter of it is back; None where it never leaves.
    """

    kind: str
    text: str
    frames: np.ndarray
    truth: np.ndarray
    lookalike: np.ndarray | None
    away: tuple[int, int] | None


@dataclass(frozen=True, eq=False)
class _Outlined:
    """A thing that stays in its photograph: its (H, W) bool mask there, its word as `name`."""

    photo: Photo
    mask: np.ndarray
    name: str


_Target = TypeVar('_Target', Cutout, _Outlined)


@dataclass(frozen=True, eq=False)
class _Play:
    """A stage; target and look-alike are numbers of its actors, None is the outline or nobody."""

    stage: Stage
    target: int | None
    lookalike: int | None = None


@dataclass(frozen=True, eq=False)
class _Ground:
    """A background (H, W, 3); the camera's `zoom`; (T, 2) the middle of its view, in pixels."""

    image: np.ndarray
    zoom: float
    centre: np.ndarray

    def at(self, shift: np.ndarray) -> np.ndarray:
        """Return the places, (..., 2), `shift` widths and heights of a frame from the first."""
        return self.centre[0] + shift * FRAME / self.zoom

    def camera(self, rng: np.random.Generator) -> np.ndarray:
        """Return the camera's (T, 2, 3) maps, with a hand that is not quite steady."""
        frames = len(self.centre)
        zoom = self.zoom * np.exp(_wander(rng, frames, 0.04))
        return look_at(self.centre, zoom, _wander(rng, frames, 0.03))

    def around(self, place_: np.ndarray) -> np.ndarray:
        """Return the part of the background, a third of a frame wide, about a place (x, y)."""
        reach = FRAME / self.zoom / 6
        height, width = self.image.shape[:2]
        x0, y0 = np.clip(place_ - reach, 0, (width - 2, height - 2)).astype(int)
        x1, y1 = np.ceil(np.clip(place_ + reach, (x0 + 1, y0 + 1), (width, height))).astype(int)
        return self.image[y0:y1, x0:x1]


class Director:
    """Stages clips at random; each is tried again until it shows what its kind promises."""

    def __init__(self, material: Material, names: Names, frames: int, seed: int) -> None:
        """
        Take what there is to show, what it may be called, and the length of a clip in frames.

        Raises InputError where nothing has a name that the grounder knows.
        """
        self._material, self._names, self._frames = material, names, frames
        self._rng = np.random.default_rng(seed)
        self._things = [thing for thing in material.things if names.usable(thing.name)]
        self._outlined = [target for photo in material.photos for target in self._alone(photo)]
        if not self._things:
            raise InputError('none of the cut-outs has a name that the grounder knows')

    def clips(self, kind: str, count: int) -> Iterator[Clip]:
        """Yield clips of a kind; no word comes again before each had its turn."""
        targets = self._targets(kind)
        turn = tries = made = 0
        while made < count:
            target = targets[turn % len(targets)]
            clip = self._shoot(kind, target, self._stage(kind, target))
            tries += 1
            if clip is not None:
                made += 1
                yield clip
            if clip is not None or tries % TRIES == 0:
                turn += 1
            if tries > MOST_TRIES:
                raise InputError(f'no {count} clips of the kind {kind!r} could be staged')

    def _alone(self, photo: Photo) -> list[_Outlined]:
        """Return the things in a photograph whose name fits nothing else in it."""
        return [
            _Outlined(photo, mask, name)
            for n, (mask, name) in enumerate(zip(photo.masks, photo.names))
            if name in OUTLINED and self._names.usable(name) and mask.mean() < LARGEST_OUTLINED
            and self._names.apart(name, photo.names[:n] + photo.names[n + 1:])]

    def _targets(self, kind: str) -> list[Cutout | _Outlined]:
        """Return the targets that a kind can have, in the order of their turns."""
        if kind == LOOKALIKE:
            return self._shuffled([thing for thing in self._things if self._lookalikes(thing)])
        things = self._shuffled(self._things)
        if kind == LEAVES:
            return things
        outlined = self._shuffled(self._outlined)
        targets: list[Cutout | _Outlined] = []
        while things and outlined:  # two cut-outs, then a thing in its own photograph
            targets += [*things[:2], outlined.pop(0)]
            del things[:2]
        return targets + things + outlined

    def _shuffled(self, targets: Sequence[_Target]) -> list[_Target]:
        """Return targets in random order, but each word once before any comes twice."""
        order = self._rng.permutation(len(targets))
        turns: dict[str, int] = {}
        rounds = []
        for n in order:
            rounds.append(turns.get(targets[n].name, 0))
            turns[targets[n].name] = rounds[-1] + 1
        return [targets[order[n]] for n in np.argsort(rounds, kind='stable')]

    def _lookalikes(self, thing: Cutout) -> list[Cutout]:
        others = [other for other in self._things
                  if other.name == thing.name and other is not thing]
        if not others and thing.name in PAINTED:
            others = [recoloured(thing, turn) for turn in (90, 150, 210, 270)]
        return others

    def _stage(self, kind: str, target: Cutout | _Outlined) -> _Play:
        if isinstance(target, _Outlined):
            return self._in_photo(kind, target)
        if kind == LOOKALIKE:
            return self._with_lookalike(target)
        if kind == LEAVES:
            return self._leaving(target)
        return self._before_ground(kind, target)

    def _in_photo(self, kind: str, target: _Outlined) -> _Play:
        """Let the camera look at a thing in its photograph, and others pass before it."""
        share = target.mask.mean()
        widest = 0.95 if kind == IN_VIEW else 0.8
        view = self._rng.uniform(0.55, max(0.56, min(widest, 0.45 / np.sqrt(share) + 0.2)))
        middle = np.argwhere(target.mask).mean(0)[::-1]
        ground = self._ground(target.photo.image, view, middle, sway=0.05)
        actors = self._passers(ground, target.name, range(1, 3) if kind == IN_VIEW else range(1))
        if kind == HIDDEN:
            height, width = np.ptp(np.argwhere(target.mask), axis=0)
            path = np.repeat(middle[None], self._frames, 0)
            actors.append(self._cover(ground, target.name, path, (width, height)))
        return _Play(self._set(ground, target.mask, actors), None)

    def _before_ground(self, kind: str, target: Cutout) -> _Play:
        """Let a thing move a little before a background, and others pass or hide it."""
        ground = self._anywhere(target.name, self._rng.uniform(0.5, 0.85), sway=0.08)
        start = self._rng.uniform((-0.22, -0.05), (0.22, 0.22))
        path = ground.at(start + self._stroll(0.06))
        scale = self._scale(ground, target, self._share())
        actor = self._actor(ground, target, path, scale)
        if kind == HIDDEN:
            size = np.array(target.mask.shape[::-1]) * scale
            actors = self._passers(ground, target.name, range(2))
            cover = self._cover(ground, target.name, path, size)
            return _Play(self._set(ground, None, [*actors, actor, cover]), len(actors))
        behind = self._passers(ground, target.name, range(1, 3))
        before = self._passers(ground, target.name, range(1, 2))
        return _Play(self._set(ground, None, [*behind, actor, *before]), len(behind))

    def _leaving(self, target: Cutout) -> _Play:
        """Let a thing walk out of view and back, or the camera turn away from it."""
        if self._rng.random() < 0.5:
            ground, path = self._turning(target.name)
        else:
            ground, path = self._walking(target.name)
        actor = self._actor(ground, target, path, self._scale(ground, target, self._share()))
        actors = self._passers(ground, target.name, range(1, 3))
        return _Play(self._set(ground, None, [*actors, actor]), len(actors))

    def _with_lookalike(self, target: Cutout) -> _Play:
        """Let a thing leave and come back to where a look-alike arrived meanwhile."""
        others = self._lookalikes(target)
        other = others[self._rng.integers(len(others))]
        other = mirrored(other) if self._rng.random() < 0.5 else other
        turning = self._rng.random() < 0.4
        ground, path = (self._turning if turning else self._walking)(target.name, apart=0.3)
        share = self._rng.uniform(0.025, 0.09)
        away = ground.at(np.array([10.0, 0.0]))
        side = -np.sign(path[0, 0] - ground.centre[0, 0])
        spot = ground.at(np.array([side * self._rng.uniform(0.2, 0.28),
                                   self._rng.uniform(-0.05, 0.15)]) + self._stroll(0.02))
        if turning:  # it stands there when the camera comes back
            gone = np.abs(ground.centre[:, 0] - ground.centre[0, 0]) * ground.zoom > WIDTH
            spot[:np.argmax(gone)] = away
        else:  # it walks in from the other side
            step = _trapezium(self._frames, self._rng.integers(26, 34), 10, self._frames, 1)
            spot += ((1 - step) * side)[:, None] * ground.at(np.array([1.2, 0.0])) - \
                ((1 - step) * side)[:, None] * ground.at(np.zeros(2))
        rival = self._actor(ground, other, spot, self._scale(ground, other, share))
        actor = self._actor(ground, target, path, self._scale(ground, target, share))
        return _Play(self._set(ground, None, [rival, actor]), 1, 0)

    def _walking(self, word: str, apart: float = 0.2) -> tuple[_Ground, np.ndarray]:
        """Return a ground and the path (T, 2) of a thing that walks out of its view and back."""
        ground = self._anywhere(word, self._rng.uniform(0.5, 0.85), sway=0.05)
        side = self._rng.choice((-1, 1))
        start = np.array([side * self._rng.uniform(apart / 2, apart), self._rng.uniform(0, .2)])
        walk = self._absence() * side * 1.25
        path = start + self._stroll(0.04) + np.stack([walk, np.zeros_like(walk)], 1)
        return ground, ground.at(path)

    def _turning(self, word: str, apart: float = 0.2) -> tuple[_Ground, np.ndarray]:
        """Return a ground from which the camera turns away and back, and a path that stays."""
        wide = [image for image in self._material.wallpapers if image.shape[1] > image.shape[0]]
        image = wide[self._rng.integers(len(wide))]
        side = self._rng.choice((-1, 1))
        view, swing = 0.4, 1.3  # swing: how many views the camera turns, there and back
        middle = np.array([0.5 + side * view * swing / 2, self._rng.uniform(0.3, 0.7)])
        ground = self._ground(image, view, middle * image.shape[1::-1], sway=0.02)
        turn = self._absence() * -side * swing
        shift = np.stack([turn, np.zeros_like(turn)], 1) * FRAME / ground.zoom
        ground = replace(ground, centre=ground.centre + shift)
        start = np.array([side * self._rng.uniform(apart / 2, apart), self._rng.uniform(0, .2)])
        return ground, ground.at(start + self._stroll(0.02))

    def _absence(self) -> np.ndarray:
        """Return a curve (T,): 0 at first, 1 while away, 0 again."""
        begin, ramp = self._rng.integers(14, 21), self._rng.integers(7, 12)
        return _trapezium(self._frames, begin, ramp, begin + ramp + self._rng.integers(12, 28),
                          ramp)

    def _cover(self, ground: _Ground, word: str, path: np.ndarray,
               size: Sequence[float]) -> Actor:
        """
        Return what hides a thing: it passes before it and stays there for a while.

        path: (T, 2) of the thing.  size: its width and height, in the background's pixels.
        """
        if self._rng.random() < 0.4:
            cover = self._board(size)
            scale = 1.0
        else:
            others = [thing for thing in self._things if thing.mask.mean() > 0.6
                      and self._names.apart(word, [thing.name])]
            cover = others[self._rng.integers(len(others))]
            scale = 1.5 * max(np.divide(size, cover.mask.shape[::-1]))
        side = self._rng.choice((-1, 1))
        here = self._absence()
        offset = np.stack([(1 - here) * side, np.zeros_like(here)], 1)
        if self._rng.random() < 0.5:  # it goes on, out at the other side
            offset[np.argmax(here == 1):] *= -1
        return self._actor(ground, cover, path + 1.5 * offset * FRAME / ground.zoom, scale,
                           still=True)

    def _board(self, size: Sequence[float]) -> Cutout:
        """Return a board that is larger than a thing, covered with a piece of a photograph."""
        images = self._material.wallpapers
        image = images[self._rng.integers(len(images))]
        width, height = (max(8, round(1.25 * float(side))) for side in size)
        height = min(round(1.4 * height), image.shape[0])
        width = min(width, image.shape[1])
        y = self._rng.integers(image.shape[0] - height + 1)
        x = self._rng.integers(image.shape[1] - width + 1)
        return Cutout(image[y:y + height, x:x + width], np.ones((height, width), np.uint8), '')

    def _passers(self, ground: _Ground, word: str, count: range) -> list[Actor]:
        """Return things with other names that cross the view, a random number out of `count`."""
        others = [t for t in self._things if self._names.apart(word, [t.name])]
        return [self._passer(ground, others[self._rng.integers(len(others))])
                for _ in range(self._rng.choice(list(count)))]

    def _passer(self, ground: _Ground, thing: Cutout) -> Actor:
        rng = self._rng
        side = rng.choice((-1, 1))
        along = rng.uniform(-0.9, 0.2) + np.linspace(0, rng.uniform(0.8, 1.8), self._frames)
        height = rng.uniform(-0.3, 0.35) + _wander(rng, self._frames, 0.04)
        scale = self._scale(ground, thing, rng.uniform(0.01, 0.06))
        return self._actor(ground, thing, ground.at(np.stack([side * along, height], 1)), scale)

    def _share(self) -> float:
        """Return what share of the frame a target may have: small ones are more frequent."""
        return float(np.exp(self._rng.uniform(np.log(0.03), np.log(0.2))))

    def _scale(self, ground: _Ground, thing: Cutout, share: float) -> float:
        """Return the background's pixels for one of a thing's, so that it has a share of view."""
        scale = np.sqrt(share * WIDTH * HEIGHT / thing.mask.sum())
        fits = 0.8 * min(FRAME / thing.mask.shape[::-1])
        return float(min(scale, LARGEST_SCALE, fits)) / ground.zoom

    def _stroll(self, reach: float) -> np.ndarray:
        """Return a random small movement, (T, 2), in widths and heights of the frame."""
        return np.stack([_wander(self._rng, self._frames, reach),
                         _wander(self._rng, self._frames, reach / 2)], 1)

    def _actor(self, ground: _Ground, thing: Cutout, path: np.ndarray, scale: float,
               still: bool = False) -> Actor:
        """Return a thing that follows a path (T, 2), nods a little and grows a little."""
        sizes = np.full(self._frames, scale)
        angle = np.zeros(self._frames)
        if not still:
            sizes = sizes * np.exp(_wander(self._rng, self._frames, 0.06))
            angle = self._rng.normal(0, 0.04) + _wander(self._rng, self._frames, 0.05)
        light = light_for(thing, ground.around(path[0]))
        return Actor(thing, place(thing, path, sizes, angle), light)

    def _anywhere(self, word: str, view: float, sway: float) -> _Ground:
        """Return a ground on which nothing has the name of the target."""
        images = self._material.wallpapers + [
            photo.image for photo in self._material.scenes
            if self._names.apart(word, photo.names)]
        image = images[self._rng.integers(len(images))]
        middle = self._rng.uniform(0.35, 0.65, 2) * image.shape[1::-1]
        return self._ground(image, view, middle, sway)

    def _ground(self, image: np.ndarray, view: float, middle: np.ndarray, sway: float) -> _Ground:
        """Return a ground whose camera sees `view` of it at most, and stays inside it."""
        size = np.array(image.shape[1::-1])
        zoom = float(max(FRAME / (view * size)))
        drift = np.linspace(0, 1, self._frames)[:, None] * self._rng.normal(0, sway, 2)
        centre = middle + (self._stroll(sway) + drift) * FRAME / zoom
        margin = np.minimum(0.53 * FRAME / zoom, size / 2)
        return _Ground(image, zoom, np.clip(centre, margin, size - margin))

    def _set(self, ground: _Ground, outline: np.ndarray | None, actors: list[Actor]) -> Stage:
        return Stage(ground.image, ground.camera(self._rng), outline, tuple(actors))

    def _shoot(self, kind: str, target: Cutout | _Outlined, play: _Play) -> Clip | None:
        """Film a play; return None where it does not show what it should."""
        frames, truth, rival, seen = [], [], [], []
        for shot in film(play.stage, self._rng):
            mask = shot.outline if play.target is None else shot.actors[play.target]
            area = shot.areas[0 if play.target is None else play.target + 1]
            share = mask.mean()
            if not frames and not LEAST_SHARE <= share <= MOST_SHARE:
                return None
            seen.append(mask.sum() / area)
            if kind == IN_VIEW and seen[-1] < LEAST_SEEN:
                return None
            frames.append(shot.frame)
            truth.append(mask)
            if play.lookalike is not None:
                rival.append(shot.actors[play.lookalike])
        away = None
        if kind != IN_VIEW:
            away = absence(np.array(seen))
            if away is None or (rival and not _both_shown(truth, rival, away)):
                return None
        return Clip(kind, target.name, np.stack(frames), np.stack(truth),
                    np.stack(rival) if rival else None, away)


def absence(seen: np.ndarray) -> tuple[int, int] | None:
    """
    Return the frames [begin, end) of a target's one absence, None where it is not as it should be.

    seen: (T,) how much of its whole area is seen.  It is away in one piece, for `LEAST_AWAY` to
    `MOST_AWAY` frames, and well in view at first and for `LEAST_AFTER` frames after its return.
    """
    gone = np.flatnonzero(seen == 0)
    if not len(gone) or gone[-1] - gone[0] + 1 != len(gone):
        return None
    begin = int(gone[0])
    back = np.flatnonzero(seen[gone[-1]:] >= RETURNED)
    if not len(back):
        return None
    end = int(gone[-1] + back[0])
    if not LEAST_AWAY <= end - begin <= MOST_AWAY or len(seen) - end < LEAST_AFTER:
        return None
    settled = seen[end + 6:]
    if seen[:5].min() < LEAST_SEEN or settled.min() < LEAST_SEEN:
        return None
    return begin, end


def _both_shown(truth: list[np.ndarray], rival: list[np.ndarray], away: tuple[int, int]) -> bool:
    """Return whether a look-alike comes while the target is away, and stays in view beside it."""
    before = any(mask.any() for mask in rival[:away[0]])
    after = min(mask.mean() for mask in rival[away[1]:])
    return not before and after > LEAST_SHARE / 3 and bool(truth[away[1]].any())


def _wander(rng: np.random.Generator, frames: int, reach: float) -> np.ndarray:
    """Return a smooth random curve (T,) that starts at 0 and stays within a few `reach`."""
    times = np.arange(frames)
    curve = np.zeros(frames)
    for _ in range(2):
        phase, pace = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.3)
        curve += rng.normal(0, reach) * (np.sin(phase + pace * times) - np.sin(phase))
    return curve


def _trapezium(frames: int, begin: int, rise: int, end: int, fall: int) -> np.ndarray:
    """Return a smooth curve (T,) that rises from 0 to 1 at `begin` and falls at `end`."""
    times = np.arange(frames)
    up = np.clip((times - begin) / rise, 0, 1)
    down = np.clip((times - end) / fall, 0, 1)
    height = up - down
    return height * height * (3 - 2 * height)
