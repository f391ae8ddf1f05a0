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
"""Target to text: words for a target that was pointed at, by which it can be found again."""

from __future__ import annotations

from typing import Protocol

import cv2
from fast_sam2_ros.grounding.activation import resized
from fast_sam2_ros.grounding.closeup import Closeup
from fast_sam2_ros.grounding.naming import Names
from fast_sam2_ros.grounding.vocabulary import Vocabulary
from fast_sam2_ros.grounding.words import WordHead
from fast_sam2_ros.sam2.checkpoint import resolve_device
from fast_sam2_ros.sam2.efficientnet_lite import EfficientNetLite2, normalise
from fast_sam2_ros.sam2.parts import check_frame
import numpy as np
import torch
from torch import Tensor

EMBEDDED = 'embedded'
# How closely the target is looked at: the picture's side over that of the target's box, the
# square root of the picture's area in pixels, the contrast left outside the target.
LOOKS = ((1.2, 256, 0.4), (1.6, 256, 1.0))
# Of the logits: the network is too sure of itself. Chosen, with the looks and naming.CERTAIN, on
# the photographs and cut-outs that evaluation/describing.py does not hold out.
TEMPERATURE = 1.5
COVERED = 0.5  # of the fullest cell's cover: from here on a cell shows the target


class Describer(Protocol):
    """Names a target that is shown to it."""

    name: str

    def describe(self, image: np.ndarray, mask: np.ndarray) -> str:
        """
        Return words for what `mask`, (H, W) bool, covers of an RGB image, (H, W, 3) uint8.

        '' where nothing fits. Raises InputError where the mask is empty or of another size.
        """


class EmbeddedDescriber:
    """The most specific word of the embedded grounder that is certain enough, and a colour."""

    name = EMBEDDED

    def __init__(self, device: str = 'cpu') -> None:
        """Load the network and the words; raise CheckpointError where weights are missing."""
        self._device = resolve_device(device)
        self._network = EfficientNetLite2.pretrained().to(self._device)
        self._words = WordHead.load()
        self._names = Names(Vocabulary(self._words.names))

    @torch.inference_mode()
    def describe(self, image: np.ndarray, mask: np.ndarray) -> str:
        """Return words for what `mask`, (H, W) bool, covers of an RGB image, (H, W, 3) uint8."""
        check_frame(image)
        classes, learned = self.probabilities(image, mask)
        word = self._names.choose(classes, learned)
        closeup = Closeup.of(image, mask, LOOKS[0][0])
        return self._names.coloured(word, closeup.image, closeup.mask) if word else ''

    def probabilities(
        self, image: np.ndarray, mask: np.ndarray
    ) -> tuple[np.ndarray, dict[str, float]]:
        """Return the probability of each ImageNet class, (1000,), and of each trained word."""
        looks = torch.stack([self._look(image, mask, *look) for look in LOOKS])
        classes = (self._network.classifier(looks).mean(0) / TEMPERATURE).softmax(0)
        learned = (looks.cpu() @ self._words.weight.T + self._words.bias).mean(0).sigmoid()
        return classes.cpu().numpy(), dict(zip(self._words.names, learned.tolist()))

    def _look(
        self, image: np.ndarray, mask: np.ndarray, margin: float, scale: int, backdrop: float
    ) -> Tensor:
        """Return the mean over the target's cells of what the classifier reads, (1280,)."""
        closeup = Closeup.of(image, mask, margin)
        pixels = torch.from_numpy(resized(closeup.dimmed(backdrop), scale)).to(self._device)
        batch = normalise(pixels.permute(2, 0, 1)[None])
        maps = self._network(batch.contiguous(memory_format=torch.channels_last))
        cells = self._network.embed(maps[3])[0]
        cover = torch.from_numpy(cv2.resize(
            closeup.mask.astype(np.float32), cells.shape[:0:-1], interpolation=cv2.INTER_AREA))
        shown = cover >= COVERED * cover.max()
        return cells[:, shown.to(self._device)].mean(1)


def load_describer(name: str, device: str = 'cpu') -> Describer:
    """
    Return the describer that `name` names.

    name: 'embedded', or the hub id or folder of a CLIP, SigLIP, SigLIP 2, BLIP, GIT or Florence-2.
    Raises CheckpointError where it is not on this machine.
    """
    if name == EMBEDDED:
        return EmbeddedDescriber(device)
    from fast_sam2_ros.grounding.describe_hub import load_hub_describer

    return load_hub_describer(name, device)
