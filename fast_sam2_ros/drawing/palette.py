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
"""The colours of the pictures, in RGB, told apart by colour-blind people as well."""

from __future__ import annotations

Colour = tuple[int, int, int]

COLOURS = ((86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (204, 121, 167),
           (213, 94, 0), (0, 114, 178), (255, 255, 255))
"""One for each target: those of M. Okabe and K. Ito, Color Universal Design (2008), with white for
their black."""
INK, DIM, PAPER = (255, 255, 255), (176, 182, 194), (22, 24, 29)
STATE_COLOURS = {'idle': DIM, 'searching': (255, 190, 60), 'tracking': (70, 205, 150),
                 'lost': (255, 96, 72)}
ALARMS = ('searching', 'lost')
"""States in which there is nothing to see of the target."""
STAGE_COLOURS = ((100, 143, 255), (255, 176, 0), (220, 38, 127), (120, 94, 240), (254, 97, 0))


def colour_of(target: int) -> Colour:
    """Return the colour of the target of an id, from 1 on."""
    return COLOURS[(target - 1) % len(COLOURS)]
