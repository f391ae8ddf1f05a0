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
"""The words trained here, for what ImageNet lacks, and how often each class fires on nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fast_sam2_ros.errors import CheckpointError
from fast_sam2_ros.trust import check_file
from safetensors import safe_open, SafetensorError
from safetensors.torch import save_file
import torch
from torch import Tensor

LARGEST_HEAD = 64 << 20  # bytes
WEIGHTS = Path(__file__).parent.parent / 'weights' / 'words.safetensors'


@dataclass(frozen=True, eq=False)
class WordHead:
    """
    Linear heads on EfficientNet-Lite2's 1280 channels, one a word (made by `training/words.py`).

    names: the n words.  weight: (n, 1280).  bias: (n,).
    threshold: (n,) the presence, as `activation.Response` defines it, from which on a word counts
        as found.
    background: (1000,) log of the mean of each ImageNet class's highest probability on
        photographs, nearly all of which do not show it.
    """

    names: tuple[str, ...]
    weight: Tensor
    bias: Tensor
    threshold: Tensor
    background: Tensor

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> WordHead:
        """Read a head in float32; raise CheckpointError where the file is missing or broken."""
        remedy = 'reinstall the package, or run fast-sam2 train words'
        check_file(path, LARGEST_HEAD, remedy)
        try:
            with safe_open(path, 'pt') as file:
                names = tuple(filter(None, (file.metadata() or {}).get('words', '').split(',')))
                head = cls(names, *(
                    file.get_tensor(key).float()
                    for key in ('weight', 'bias', 'threshold', 'background')))
        except SafetensorError as error:
            raise CheckpointError(f'{path} holds no words ({error}): {remedy}') from error
        if head.weight.shape[0] != len(names):
            raise CheckpointError(f'{path} names {len(names)} words, not {head.weight.shape[0]}')
        return head

    def save(self, path: Path) -> None:
        """Write the head in float16."""
        tensors = {
            key: getattr(self, key).to(torch.float16).contiguous()
            for key in ('weight', 'bias', 'threshold', 'background')
        }
        save_file(tensors, path, {'words': ','.join(self.names)})
