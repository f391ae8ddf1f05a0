# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tracker node over a scripted model: quick, and every pixel of its mask is known.

The text names a colour; the mask is where the image has it. A target that is pointed at gets the
name of the colour there. `FAKE_STEP_SECONDS` is the time that a
step takes, `FAKE_LOAD_SECONDS` the time to load. Only the models `auto` and `embedded` can be
loaded; `auto` is a fallback.
"""

from __future__ import annotations

import enum
import os
import time
from types import SimpleNamespace

import numpy as np

from fast_sam2_ros.errors import CheckpointError
from fast_sam2_ros.node.main import main
from fast_sam2_ros.node.parameters import Settings
from fast_sam2_ros.node.tracker_node import TrackerNode
from fast_sam2_ros.prompt import Prompt

COLOURS = {'red': 0, 'green': 1, 'blue': 2}
TOKENS = 400
STEP_SECONDS = float(os.environ.get('FAKE_STEP_SECONDS', '0'))
LOAD_SECONDS = float(os.environ.get('FAKE_LOAD_SECONDS', '0'))
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
        self.tracker = SimpleNamespace(keep_ratio=settings.keep_ratio)
        self.lost_after = settings.lost_after
        self.reground_period = settings.reground_period
        self.clear()

    def set_text(self, text: str) -> None:
        self._text, self._seen, self._box = text.strip(), False, None

    def set_prompt(self, prompt: Prompt) -> None:
        self.clear()
        self._box = tuple(int(edge) for edge in prompt.box)

    def clear(self) -> None:
        self.set_text('')

    def process(self, frame: np.ndarray, stamp: float) -> SimpleNamespace:
        time.sleep(STEP_SECONDS)
        if self._text == 'crash':
            raise RuntimeError('scripted crash')
        if self._box is not None:  # called by the colour that prevails there
            x0, y0, x1, y1 = self._box
            brightest = int(frame[y0:y1, x0:x1].mean(axis=(0, 1)).argmax())
            self.set_text(next(name for name in COLOURS if COLOURS[name] == brightest))
        mask = np.zeros(frame.shape[:2], np.uint8)
        if self._text in COLOURS:
            others = [channel for channel in range(3) if channel != COLOURS[self._text]]
            mask[(frame[..., COLOURS[self._text]] > 128)
                 & (frame[..., others] < 128).all(axis=-1)] = 1
        tracking = bool(mask.any())
        self._seen |= tracking
        state = (State.IDLE if not self._text else State.TRACKING if tracking
                 else State.LOST if self._seen else State.SEARCHING)
        step = SimpleNamespace(
            confidence=lambda height, width: 0.5 * mask.astype(np.float32),
            kept=np.ones((20, 20), bool)) if tracking else None
        milliseconds = 1e3 * STEP_SECONDS
        return SimpleNamespace(
            state=state, target_text=self._text, label=self._text if tracking else '', mask=mask,
            score=1.5 if tracking else -1.5, message=f'{self._text or "nothing"} at {stamp:.3f}',
            tokens_retained=round(TOKENS * self.tracker.keep_ratio), tokens_total=TOKENS,
            bank_bytes=12345, step=step, grounded=False,
            latency=SimpleNamespace(encode=milliseconds, route=0.0, attend=0.0, decode=0.0,
                                    remember=0.0, total=milliseconds))


if __name__ == '__main__':
    main(lambda: TrackerNode(session_factory=ColourSession))
