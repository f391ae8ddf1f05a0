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
Routers: from the cues of a frame to a score for every token.

`analytic` works with every checkpoint, untrained; `learned` is the network of the paper and
`learned-prior` the same network with the last mask as one more input. `prior-only` and `random`
are there for honest comparison. The routers that are shipped were trained for the embedded model;
another checkpoint's is named by its file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fast_sam2_ros.errors import CheckpointError, ParameterError
from fast_sam2_ros.pruning.cues import Cues
from fast_sam2_ros.pruning.learned import RouterNetwork
import torch
from torch import Tensor

if TYPE_CHECKING:
    from fast_sam2_ros.grounding.text import TextEncoder
    from fast_sam2_ros.sam2.loaded import LoadedModel

WEIGHTS = Path(__file__).parent.parent / 'weights'
WEIGHTS_SUFFIX = '.safetensors'


class Router(ABC):
    """What scores tokens; the highest are retained."""

    name: str

    def aim(self, text: str) -> None:
        """Take the goal in words, '' for none; without effect where a router reads no text."""

    @abstractmethod
    def score(self, cues: Cues) -> Tensor:
        """Return the (h, w) scores of a frame's tokens, float32, higher is kept first."""


class AnalyticRouter(Router):
    """A weighted sum of the four cues."""

    name = 'analytic'
    weights = {'prior': 1.0, 'text': 0.4, 'uncertainty': 0.3, 'context': 0.1}

    def score(self, cues: Cues) -> Tensor:
        """Return the weighted sum; see `Router.score`."""
        return sum(weight * getattr(cues, name) for name, weight in self.weights.items())


class PriorOnlyRouter(Router):
    """The last mask alone: what tracking gives without looking at the frame or the text."""

    name = 'prior-only'

    def score(self, cues: Cues) -> Tensor:
        """Return the prior; see `Router.score`."""
        return cues.prior


class RandomRouter(Router):
    """Tokens at random, from a fixed seed."""

    name = 'random'

    def __init__(self, device: torch.device) -> None:
        """Draw on `device`."""
        self._generator = torch.Generator(device).manual_seed(0)

    def score(self, cues: Cues) -> Tensor:
        """Return uniform noise; see `Router.score`."""
        return torch.rand(cues.grid, generator=self._generator, device=self._generator.device)


class LearnedRouter(Router):
    """The trained network, with the text embedding that it compares the tokens with."""

    def __init__(
        self, name: str, network: RouterNetwork, encoder: TextEncoder, device: torch.device
    ) -> None:
        """Take a network in inference mode and the text encoder that it was trained with."""
        self.name = name
        self._network = network.to(device)
        self._encoder = encoder
        self.aim('')

    @torch.inference_mode()
    def aim(self, text: str) -> None:
        """Embed the goal, once; a text that the encoder does not understand counts as none."""
        embedding = self._encoder.encode(text) if text else None
        if embedding is not None:
            embedding = embedding.to(self._network.no_goal.device)
        self._goal = self._network.project(embedding)[None]
        self._frame: Tensor | None = None  # the feature map that was looked at last

    def score(self, cues: Cues) -> Tensor:
        """
        Return the network's logits; see `Router.score`.

        A frame is scored twice, before and after its mask is known, and looked at once.
        """
        network = self._network
        if self._frame is not cues.feature_map:
            self._frame = cues.feature_map
            self._maps = network.look(self._frame, self._goal, cues.variance[None])
            if not network.settings.with_prior:
                self._logits = network.judge(self._maps)
        if network.settings.with_prior:
            return network.judge(self._maps, cues.prior[None])[0]
        return self._logits[0]


def _learned(name: str, path: Path, loaded: LoadedModel) -> LearnedRouter:
    from fast_sam2_ros.grounding.text import load_text_encoder

    network = RouterNetwork.load(path)
    settings, device = network.settings, loaded.model.device
    channels = loaded.model.config.vision_config.fpn_hidden_size
    if channels != settings.channels:
        raise CheckpointError(
            f'the router {path} reads tokens of {settings.channels} channels, as {settings.model} '
            f'has them; those of {loaded.name} have {channels}')
    encoder = load_text_encoder(settings.text_encoder, str(device))
    if encoder.size != settings.text_size:
        raise CheckpointError(
            f'the router {path} was trained on text embeddings of {settings.text_size} numbers; '
            f'{settings.text_encoder} gives {encoder.size}')
    return LearnedRouter(name, network, encoder, device)


def _shipped(name: str, file: str) -> Callable[[LoadedModel], Router]:
    def make(loaded: LoadedModel) -> Router:
        if loaded.name != 'embedded':
            raise ParameterError(
                f'the router {name!r} is trained for the embedded model: run fast-sam2 train '
                f'router --model {loaded.name} and name the file that it writes as the router')
        return _learned(name, WEIGHTS / file, loaded)
    return make


ROUTERS: dict[str, Callable[[LoadedModel], Router]] = {
    'analytic': lambda loaded: AnalyticRouter(),
    'learned': _shipped('learned', 'router.safetensors'),
    'learned-prior': _shipped('learned-prior', 'router_prior.safetensors'),
    'prior-only': lambda loaded: PriorOnlyRouter(),
    'random': lambda loaded: RandomRouter(loaded.model.device),
}


def make_router(name: str, loaded: LoadedModel) -> Router:
    """
    Return a router for the tokens of a loaded model.

    `name` is one of `ROUTERS` or the file (.safetensors) of a trained one. Raises ParameterError
    for another name, and CheckpointError where the file is missing or made for another model.
    """
    if name.endswith(WEIGHTS_SUFFIX):
        return _learned(name, Path(name), loaded)
    if name not in ROUTERS:
        raise ParameterError(
            f'unknown router {name!r}: choose one of {", ".join(ROUTERS)}, or name the '
            f'{WEIGHTS_SUFFIX} file of a trained one')
    return ROUTERS[name](loaded)


def best_tokens(score: Tensor, count: int) -> Tensor:
    """Return the (count,) indices of the highest of (h, w) scores, in rising order."""
    return score.flatten().topk(count).indices.sort().values
