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
"""The command that makes the pictures of the documents."""

import sys
from types import SimpleNamespace

from fast_sam2_ros.demo import screenshots
from fast_sam2_ros.latency import Latency
from fast_sam2_ros.media import read_image, write_image
from fast_sam2_ros.reports import TargetState
import numpy as np
import pytest

KEPT = np.eye(24, dtype=bool)


class NothingSession:
    """Sees nothing, and remembers what it was asked for."""

    def __init__(self):
        self.asked = []

    def clear(self):
        self.frames = 0

    def set_text(self, text):
        self.asked.append(text)

    def process(self, image, stamp):
        self.frames += 1
        return SimpleNamespace(
            state=TargetState.LOST, target_text=self.asked[-1], label='', score=0.0, targets=(),
            message=f'frame {self.frames}', tokens_retained=0, tokens_total=576, step=None,
            latency=Latency(*6 * [0.0]), kept=KEPT,
            labels=lambda: np.zeros(image.shape[:2], np.uint8))


@pytest.fixture
def session(monkeypatch):
    made = NothingSession()
    monkeypatch.setattr(screenshots, 'open_session', lambda **_: made)
    return made


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['screenshots', *map(str, arguments)])
    screenshots.main()


def test_the_overlay_is_shot_in_its_states_and_small_enough(session, monkeypatch, tmp_path):
    monkeypatch.setattr(screenshots, 'SHOTS', (('cup', 3, False), ('cat', 1, True),
                                               ('cup', 1, False)))
    pictures = screenshots.shoot()
    assert session.asked == ['cup', 'cat']
    assert [picture.shape for picture in pictures] == 3 * [(480, 640, 3)]
    # On the same frame, the one with tokens is the darker.
    assert pictures[1].mean() < 0.8 * pictures[2].mean()
    run(monkeypatch, tmp_path / 'overlay.jpg')
    assert read_image(tmp_path / 'overlay.jpg').shape[1] == 1200
    assert (tmp_path / 'overlay.jpg').stat().st_size < 300_000


def test_a_picture_that_is_there_is_made_smaller(session, monkeypatch, tmp_path):
    write_image(tmp_path / 'demo.png', np.full((1200, 2400, 3), (200, 100, 0), np.uint8))
    run(monkeypatch, tmp_path / 'demo.jpg', '--of', tmp_path / 'demo.png')
    picture = read_image(tmp_path / 'demo.jpg')
    assert picture.shape == (600, 1200, 3) and not session.asked
    assert abs(picture[300, 600].astype(int) - (200, 100, 0)).max() < 8
