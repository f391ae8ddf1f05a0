# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
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
