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
The tracker node over a scripted model: quick, and every pixel of its mask is known.

The text names colours, with `;` between them; each is a target, and its mask is where the image
has it. A target that is pointed at gets the name of the colour there; the one named `crash` fails
on every image. `FAKE_STEP_SECONDS` is the time that a step takes with all tokens,
`FAKE_LOAD_SECONDS` the time to load, `FAKE_MEMORY` the share of the tokens that the device has
memory for. Only the models `auto` and `embedded` can be loaded; `auto` is a fallback. Nothing is
compiled.
"""

from __future__ import annotations

import enum
import os
import time
from types import SimpleNamespace

from fast_sam2_ros.errors import CheckpointError, DeviceMemoryError
from fast_sam2_ros.governor import BUDGETS
from fast_sam2_ros.node.main import main
from fast_sam2_ros.node.parameters import Settings
from fast_sam2_ros.node.tracker_node import TrackerNode
from fast_sam2_ros.prompt import Prompt
import numpy as np

COLOURS = {'red': 0, 'green': 1, 'blue': 2}
TOKENS = 400
STEP_SECONDS = float(os.environ.get('FAKE_STEP_SECONDS', '0'))
LOAD_SECONDS = float(os.environ.get('FAKE_LOAD_SECONDS', '0'))
MEMORY = float(os.environ.get('FAKE_MEMORY', '1'))
State = enum.Enum('State', {'IDLE': 'idle', 'SEARCHING': 'searching', 'TRACKING': 'tracking',
                            'LOST': 'lost'})


class ColourSession:
    """Has of `fast_sam2_ros.session.Session` what the node uses."""

    def __init__(self, settings: Settings) -> None:
        if settings.model not in ('auto', 'embedded'):
            raise CheckpointError(f'{settings.model} is not here; fetch it')
        time.sleep(LOAD_SECONDS)
        self.loaded = SimpleNamespace(
            name='embedded', source='the test', model=SimpleNamespace(device='cpu'),
            fallback='not fetched' if settings.model == 'auto' else None)
        self.tracker = SimpleNamespace(compiled=False)
        self.fast_path = '' if settings.compile == 'off' else 'the test has no compiler'
        self.shortage = ''
        self.keep_ratio = settings.keep_ratio
        self.memory_keep_ratio = None
        self.min_keep_ratio = settings.min_keep_ratio
        self.target_latency_ms = settings.target_latency_ms
        self.lost_after = settings.lost_after
        self.reground_period = settings.reground_period
        self.clear()

    @property
    def governor(self) -> SimpleNamespace | None:
        """Tell whether the latency is held with the least budget."""
        if not self.target_latency_ms:
            return None
        held = self._milliseconds() <= self.target_latency_ms
        return SimpleNamespace(
            message='' if held else f'{self.target_latency_ms:g} ms is less than a step takes')

    def set_text(self, text: str) -> None:
        self._words = [word.strip() for word in text.split(';') if word.strip()]
        self._text, self._seen, self._box = '; '.join(self._words), set(), None

    def set_prompt(self, prompt: Prompt) -> None:
        self.clear()
        self._box = tuple(int(edge) for edge in prompt.box)

    def clear(self) -> None:
        self.set_text('')

    def process(self, frame: np.ndarray, stamp: float) -> SimpleNamespace:
        end = time.monotonic() + self._milliseconds() / 1e3
        if self._text == 'crash':
            raise RuntimeError('scripted crash')
        if self._budget() > MEMORY:
            smaller = [budget for budget in BUDGETS if budget < self._budget()]
            self.shortage = f'no memory for {self._budget():g}' + ('' if smaller else ' at least')
            self.keep_ratio = smaller[0] if smaller else self.keep_ratio
            raise DeviceMemoryError(self.shortage)
        if self._box is not None:  # called by the colour that prevails there
            x0, y0, x1, y1 = self._box
            brightest = int(frame[y0:y1, x0:x1].mean(axis=(0, 1)).argmax())
            self.set_text(next(name for name in COLOURS if COLOURS[name] == brightest))
        targets = tuple(self._look(frame, number, word)
                        for number, word in enumerate(self._words, 1))
        labels = np.zeros(frame.shape[:2], np.uint8)
        for target in targets:
            labels[target.mask > 0] = target.id
        states = [target.state for target in targets]
        state = next((state for state in (State.TRACKING, State.LOST, State.SEARCHING)
                      if state in states), State.IDLE)
        first = next((target for target in targets if target.state == state), None)
        time.sleep(max(0.0, end - time.monotonic()))  # with its own work a step is as long as that
        return SimpleNamespace(
            state=state, target_text=self._text, label=first.label if first else '',
            mask=(labels > 0).astype(np.uint8), labels=lambda: labels,
            confidence=lambda: 0.5 * (labels > 0).astype(np.float32), targets=targets,
            kept=np.ones((20, 20), bool), score=first.score if first else 0.0,
            message=f'{self._text or "nothing"} at {stamp:.3f}' + (
                f'; {self.shortage}' if self.shortage else ''),
            tokens_retained=round(TOKENS * self._budget()), tokens_total=TOKENS,
            keep_ratio=self._budget(), bank_bytes=12345 * max(1, len(targets)),
            step=None, grounded=False,
            latency=SimpleNamespace(encode=self._milliseconds(), route=0.0, attend=0.0,
                                    decode=0.0, remember=0.0, total=self._milliseconds()))

    def _look(self, frame: np.ndarray, number: int, word: str) -> SimpleNamespace:
        mask = np.zeros(frame.shape[:2], np.uint8)
        if word in COLOURS:
            others = [channel for channel in range(3) if channel != COLOURS[word]]
            mask[(frame[..., COLOURS[word]] > 128) & (frame[..., others] < 128).all(axis=-1)] = 1
        tracking = bool(mask.any())
        if tracking:
            self._seen.add(word)
        state = (State.TRACKING if tracking else State.LOST if word in self._seen
                 else State.SEARCHING)
        return SimpleNamespace(
            id=number, text=word, label=word if tracking else '', state=state,
            score=1.5 if tracking else -1.5, message=f'{word} {state.value}', mask=mask,
            tokens_retained=round(TOKENS * self._budget()), bank_bytes=12345)

    def _budget(self) -> float:
        """Return the share of the tokens that holds the latency, within its bounds."""
        if not (self.target_latency_ms and STEP_SECONDS):
            return self.keep_ratio
        affordable = self.target_latency_ms / (1e3 * STEP_SECONDS)
        return max(self.min_keep_ratio, min(self.keep_ratio, affordable))

    def _milliseconds(self) -> float:
        """Return what a step takes: with a latency target, as much less as tokens are left out."""
        return 1e3 * STEP_SECONDS * (self._budget() if self.target_latency_ms else 1.0)


if __name__ == '__main__':
    main(lambda: TrackerNode(session_factory=ColourSession))
