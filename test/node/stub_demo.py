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
"""The command line with a demo whose session needs no model."""

import sys
from types import SimpleNamespace

from fast_sam2_ros import cli
from fast_sam2_ros.errors import CheckpointError
from fast_sam2_ros.session import NO_LATENCY, TargetState
import numpy as np


def mask_of(image: np.ndarray) -> np.ndarray:
    """Return a mask that depends on the frame alone, down to its noise."""
    mask = np.zeros(image.shape[:2], np.uint8)
    mask[:, :320 + int(image[:100].sum()) % 200] = 1
    return mask


class StubSession:
    """Finds everything but an elephant."""

    def __init__(self):
        self.text = ''
        self.tracker = SimpleNamespace(keep_ratio=0.5, compiled=False)
        self.fast_path, self.shortage, self.governor = '', '', None
        self.loaded = SimpleNamespace(name='stub', source='here', fallback=None,
                                      model=SimpleNamespace(device='cpu'))

    def set_text(self, text):
        self.text = text

    def process(self, frame, stamp):
        found = self.text not in ('', 'elephant')
        return SimpleNamespace(
            state=TargetState.TRACKING if found else TargetState.SEARCHING,
            target_text=self.text, mask=mask_of(frame) * np.uint8(found), score=1.0,
            message='found' if found else f'no {self.text} in view', tokens_retained=8,
            tokens_total=16, bank_bytes=100, latency=NO_LATENCY, step=None, label=self.text,
            grounded=False, keep_ratio=0.5, targets=())


def open_stub(settings):
    """Open the stub, or fail as a missing checkpoint does."""
    if settings.model == 'broken':
        raise CheckpointError('the stub has no model called broken')
    return StubSession()


def main() -> int:
    """Run the command line with the stub in place of the model."""
    from fast_sam2_ros.node import demo

    run_live = demo.run_live
    demo.run_live = lambda footage, arguments: run_live(footage, arguments, open_stub)
    return cli.main()


if __name__ == '__main__':
    sys.exit(main())
