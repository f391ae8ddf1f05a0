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
"""Text to target: what a sentence names, found in an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fast_sam2_ros.grounding.result import Grounder, Grounding, NotFound

if TYPE_CHECKING:
    from fast_sam2_ros.tracker import Tracker

__all__ = ['Grounder', 'Grounding', 'NotFound', 'load_grounder']

EMBEDDED = 'embedded'


def load_grounder(name: str, tracker: Tracker, device: str = 'cpu') -> Grounder:
    """
    Return the grounder that `name` names.

    name: 'embedded', or the hub id or folder of a Grounding DINO, OWLv2 or OmDet-Turbo.
    tracker: its mask decoder turns what is found into a mask.
    Raises CheckpointError where the grounder is not on this machine.
    """
    if name == EMBEDDED:
        from fast_sam2_ros.grounding.embedded import EmbeddedGrounder

        return EmbeddedGrounder(tracker, device)
    from fast_sam2_ros.grounding.detectors import DetectorGrounder

    return DetectorGrounder.load(name, tracker, device)
