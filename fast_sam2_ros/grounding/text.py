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
Embeddings of the words that name a target, for the router that compares tokens with them.

`embedded`: the directions in which the ImageNet classifier looks for the classes of a word.
A hub id: the text tower of CLIP (Radford et al., ICML 2021), SigLIP (Zhai et al., ICCV 2023) or
SigLIP 2 (Tschannen et al., 2025) through `transformers`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from fast_sam2_ros.errors import CheckpointError
from fast_sam2_ros.grounding.hub import (
    find_folder, load_part, load_tokenizer, read_model_type, read_tower_config)
from fast_sam2_ros.grounding.result import NotFound
from fast_sam2_ros.grounding.vocabulary import Vocabulary
from fast_sam2_ros.grounding.words import WordHead
from fast_sam2_ros.sam2.checkpoint import resolve_device
from fast_sam2_ros.sam2.efficientnet_lite import EfficientNetLite2, EMBED_CHANNELS
import torch
from torch import Tensor
from torch.nn.functional import normalize
from transformers import (
    CLIPTextModelWithProjection, PreTrainedModel, PreTrainedTokenizerBase, Siglip2TextModel,
    SiglipTextModel)

EMBEDDED = 'embedded'
KIND = 'text encoder'
CLIP, SIGLIP, SIGLIP2 = 'clip', 'siglip', 'siglip2'
# The text tower of each family, whether the folder holds all of the model or the tower alone.
TOWERS: dict[str, type[PreTrainedModel]] = {
    family + suffix: tower
    for family, tower in (
        (CLIP, CLIPTextModelWithProjection), (SIGLIP, SiglipTextModel),
        (SIGLIP2, Siglip2TextModel))
    for suffix in ('', '_text_model')
}


class TextEncoder(Protocol):
    """
    Turns a text into one vector.

    name: what it was loaded by.  size: the length of its vectors.
    """

    name: str
    size: int

    def encode(self, text: str) -> Tensor | None:
        """Return (size,) float32 of unit norm, or None where the text is not understood."""


class EmbeddedTextEncoder:
    """The classifier's rows of what a word means, for words that the embedded grounder knows."""

    name = EMBEDDED
    size = EMBED_CHANNELS

    def __init__(self, device: str = 'cpu') -> None:
        """Load the rows; raise CheckpointError where weights are missing."""
        self._words = WordHead.load()
        self._rows = EfficientNetLite2.classifier_rows()
        self._device = resolve_device(device)
        self._vocabulary = Vocabulary(self._words.names)

    def encode(self, text: str) -> Tensor | None:
        """
        Return the direction of the mean row of the word's ImageNet classes, (1280,).

        Where no class depicts the word, the rows of the words trained here are taken. Colours
        do not count. None for an unknown word.
        """
        meaning = self._vocabulary.understand(text)
        if isinstance(meaning, NotFound):
            return None
        if meaning.classes:
            rows = self._rows[list(meaning.classes)]
        else:
            rows = self._words.weight[[self._words.names.index(word) for word in meaning.learned]]
        return normalize(rows.mean(0), dim=0).to(self._device)


class HubTextEncoder:
    """The text tower of CLIP, SigLIP or SigLIP 2."""

    def __init__(
        self, name: str, tower: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        """Encode with a loaded text tower and the tokenizer that belongs to it."""
        self.name = name
        self._tower = tower
        self._tokenizer = tokenizer
        self._is_clip = isinstance(tower, CLIPTextModelWithProjection)
        config = tower.config
        self.size: int = config.projection_dim if self._is_clip else config.projection_size

    @classmethod
    def load(cls, name: str, device: str = 'cpu') -> HubTextEncoder:
        """
        Load the text tower, and no more, of a hub id in the local cache or of a folder.

        Raises CheckpointError where it is missing, not whole, or of another architecture;
        nothing is downloaded.
        """
        folder, remedy = find_folder(name, KIND)
        return cls(name, load_tower(name, folder, remedy).to(resolve_device(device)),
                   load_tokenizer(folder, remedy))

    def encode(self, text: str) -> Tensor | None:
        """Return the embedding of all the words, (size,); None where there are none."""
        if not text.strip():
            return None
        return self.encode_all([text])[0]

    @torch.inference_mode()
    def encode_all(self, texts: list[str]) -> Tensor:
        """Return the embeddings of texts with words in them, (n, size), of unit norm."""
        tokens = self.tokens(texts)
        output = self._tower(**tokens)
        vectors = output.text_embeds if self._is_clip else output.pooler_output
        return normalize(vectors.float(), dim=-1)

    def tokens(self, texts: list[str]) -> dict[str, Tensor]:
        """
        Return what the tower takes, (n, length) each, in lower case and cut to its length.

        SigLIP was trained on texts filled up to 64 tokens on the right, without an attention
        mask, and reads the last position; CLIP reads the end-of-text token.
        """
        options: dict[str, Any] = {'padding': True}
        if not self._is_clip:
            options = {'padding': 'max_length', 'padding_side': 'right',
                       'return_attention_mask': False}
        encoded = self._tokenizer(
            [text.lower().strip() for text in texts], truncation=True,
            max_length=self._tower.config.max_position_embeddings, return_tensors='pt', **options)
        names = ('input_ids', 'attention_mask')
        return {key: encoded[key].to(self._tower.device) for key in names if key in encoded}


def load_tower(name: str, folder: Path, remedy: str) -> PreTrainedModel:
    """Load the text tower of a folder; raise CheckpointError where it holds another model."""
    kind = read_model_type(folder, remedy)
    tower = TOWERS.get(kind)
    if tower is None:
        raise CheckpointError(
            f'{name} is a {kind}; a text encoder is one of {CLIP}, {SIGLIP}, {SIGLIP2}, or '
            f"'{EMBEDDED}'")
    return load_part(tower, folder, remedy, read_tower_config(folder, remedy, 'text_config'))


def load_text_encoder(name: str, device: str = 'cpu') -> TextEncoder:
    """
    Return the text encoder that `name` names.

    name: 'embedded', or the hub id or folder of a CLIP, SigLIP or SigLIP 2.
    Raises CheckpointError where it is not on this machine.
    """
    if name == EMBEDDED:
        return EmbeddedTextEncoder(device)
    return HubTextEncoder.load(name, device)
