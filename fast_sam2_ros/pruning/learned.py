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
The learned router (arXiv 2512.21333): a light network that scores every token.

It sees the local visual context (convolutions over the feature map), the tokens compared with the
embedding of the text, and the local variance of the features; in the variant `with_prior` also
where the last mask says that the target is. `training/router.py` trains it, with everything else
frozen.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
import json
from pathlib import Path

from fast_sam2_ros.errors import CheckpointError
from fast_sam2_ros.trust import check_file
from safetensors import safe_open, SafetensorError
from safetensors.torch import save_file
import torch
from torch import nn, Tensor
from torch.nn import functional

LARGEST_ROUTER = 64 << 20  # bytes
WIDEST = 4096  # channels of a layer
MATCHED = 32  # channels in which tokens are compared with the text


@dataclass(frozen=True)
class RouterSettings:
    """
    What a router was made for; stored beside its weights.

    model: the checkpoint whose tokens it reads, of `channels` channels.
    text_encoder: what embeds the goal, as `grounding.text.load_text_encoder` names it, in
        `text_size` numbers.
    with_prior: whether it sees the last mask.
    width: the channels of its convolutions.
    """

    model: str
    channels: int
    text_encoder: str
    text_size: int
    with_prior: bool
    width: int = 32

    def __post_init__(self) -> None:
        """Refuse sizes by which a file would take more memory than it has itself."""
        if not all(isinstance(size, int) and 0 < size <= WIDEST
                   for size in (self.channels, self.text_size, self.width)):
            raise ValueError(f'channels, text_size and width are whole numbers up to {WIDEST}')


class RouterNetwork(nn.Module):
    """Maps what is known of the tokens to a logit each, of whether the target covers it."""

    def __init__(self, settings: RouterSettings) -> None:
        """Build the network with random weights."""
        super().__init__()
        width = settings.width
        self.settings = settings
        self.reduce = nn.Conv2d(settings.channels, width, 1)
        self.local = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.matcher = nn.Conv2d(settings.channels, MATCHED, 1)
        self.goal = nn.Linear(settings.text_size, MATCHED)
        self.no_goal = nn.Parameter(torch.zeros(MATCHED))
        maps = width + MATCHED + 2 + settings.with_prior
        self.mix = nn.Conv2d(maps, width, 3, padding=1)
        self.score = nn.Conv2d(width, 1, 1)

    def project(self, text: Tensor | None) -> Tensor:
        """Return the goal (MATCHED,) that a text embedding stands for; None for no text."""
        return self.no_goal if text is None else self.goal(text)

    def forward(
        self, feature_map: Tensor, goal: Tensor, variance: Tensor, prior: Tensor | None = None
    ) -> Tensor:
        """
        Return the logits (B, h, w) of the tokens of B frames.

        `feature_map` (B, C, h, w), `goal` (B, MATCHED) from `project`, `variance` and `prior`
        (B, h, w) in [0, 1]; `prior` exactly where the network was made with one.
        """
        return self.judge(self.look(feature_map, goal, variance), prior)

    def look(self, feature_map: Tensor, goal: Tensor, variance: Tensor) -> Tensor:
        """Return what a frame shows of the goal, (B, maps, h, w), whatever the last mask was."""
        local = functional.relu(self.local(functional.relu(self.reduce(feature_map))))
        matched = self.matcher(feature_map) * goal[:, :, None, None]
        return torch.cat(
            [local, matched, matched.sum(1, keepdim=True), variance[:, None]], 1)

    def judge(self, maps: Tensor, prior: Tensor | None = None) -> Tensor:
        """Return the logits (B, h, w) for what `look` returned."""
        if self.settings.with_prior:
            maps = torch.cat([maps, prior[:, None]], 1)
        return self.score(functional.relu(self.mix(maps)))[:, 0]

    def save(self, path: Path) -> None:
        """Write weights (float16) and settings as safetensors, whole or not at all."""
        state = {name: value.half().contiguous() for name, value in self.state_dict().items()}
        partial = path.with_suffix('.partial')
        save_file(state, partial, {'router': json.dumps(asdict(self.settings))})
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> RouterNetwork:
        """Read what `save` wrote, for inference; raise CheckpointError for anything else."""
        check_file(path, LARGEST_ROUTER, f'fast-sam2 train router --out {path.parent} makes one')
        try:
            with safe_open(path, 'pt') as file:
                settings = RouterSettings(**json.loads((file.metadata() or {})['router']))
                state = {name: file.get_tensor(name).float() for name in file.keys()}
            network = cls(settings)
            network.load_state_dict(state)
        except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(f'{path} holds no router: {error}') from error
        return network.eval().requires_grad_(False)
