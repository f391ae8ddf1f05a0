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
Open-vocabulary detectors of `transformers` as grounders: Grounding DINO, OWLv2, OmDet-Turbo.

Their processors need torchvision, which this package does without, so images are prepared and
boxes are read here with torch alone, following each model's published preprocessing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
import os
from pathlib import Path
import re
from typing import Any, TYPE_CHECKING

from fast_sam2_ros.errors import CheckpointError
from fast_sam2_ros.grounding.hub import find_folder, load_tokenizer, read_model_type
from fast_sam2_ros.grounding.result import Grounding, NotFound
from fast_sam2_ros.grounding.vocabulary import BREAKS, COMMANDS
from fast_sam2_ros.prompt import Prompt
from fast_sam2_ros.sam2.checkpoint import check_weights, resolve_device
from fast_sam2_ros.sam2.loaded import IMAGENET_MEAN, IMAGENET_STD
from fast_sam2_ros.sam2.parts import check_frame
from fast_sam2_ros.trust import check_model_fits, first_line, read_json
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoConfig, AutoModelForZeroShotObjectDetection

if TYPE_CHECKING:
    from fast_sam2_ros.tracker import Tracker

KIND = 'grounder'
PREPROCESSOR_FILE = 'preprocessor_config.json'
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
LARGEST_IMAGE = 4096  # pixels a side, to which a preprocessor_config.json may have images resized
RELEVANCE_GRID = 64  # cells a side
BOX_RELEVANCE = 0.3  # inside the box, where the mask decoder sees nothing of the target


@dataclass(frozen=True)
class ImageSettings:
    """
    How a detector's images are prepared.

    size: {'height', 'width'} or {'shortest_edge', 'longest_edge'} in pixels.
    scale: what pixels of 0 to 255 are multiplied with before (x - mean) / std.
    """

    size: dict[str, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = 1 / 255

    def updated(self, folder: Path, remedy: str) -> ImageSettings:
        """
        Return the settings with what the folder's preprocessor_config.json says instead.

        Raises CheckpointError, which ends in `remedy`, where that cannot be or is too large.
        """
        path = folder / PREPROCESSOR_FILE
        if not os.path.lexists(path):
            return self
        said = read_json(path, remedy)
        rescales = said.get('do_rescale', True)
        size = said.get('size') or self.size
        try:
            settings = ImageSettings(
                {'height': size, 'width': size} if isinstance(size, int) else dict(size),
                tuple(map(float, said.get('image_mean') or self.mean)),
                tuple(map(float, said.get('image_std') or self.std)),
                float(said.get('rescale_factor', self.scale)) if rescales else 1.0)
            fits = settings._are_possible()
        except (TypeError, ValueError) as error:
            raise CheckpointError(f'{path} cannot be read ({error}): {remedy}') from error
        if not fits:
            raise CheckpointError(
                f'{path} needs three numbers in image_mean and image_std, and a size of at most '
                f'{LARGEST_IMAGE} pixels: {remedy}')
        return settings

    def _are_possible(self) -> bool:
        is_named = self.size.keys() >= {'height', 'width'} or 'shortest_edge' in self.size
        return (is_named and all(0 < side <= LARGEST_IMAGE for side in self.size.values())
                and len(self.mean) == len(self.std) == 3 and min(self.std) > 0.0)

    def target_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) to which an image is resized."""
        if 'height' in self.size:
            return self.size['height'], self.size['width']
        factor = self.size['shortest_edge'] / min(height, width)
        longest = self.size.get('longest_edge')
        if longest is not None:
            factor = min(factor, longest / max(height, width))
        return max(1, round(height * factor)), max(1, round(width * factor))


class Detector(ABC):
    """A model that gives scored boxes for a text."""

    model_type: str
    settings: ImageSettings
    threshold: float  # of the score, from which on the target counts as found

    def __init__(self, model: Any, tokenizer: Any, settings: ImageSettings) -> None:
        """Take a model of `model_type` in evaluation mode and the tokenizer that belongs to it."""
        self._model, self._tokenizer, self._settings = model, tokenizer, settings

    @abstractmethod
    def detect(self, image: np.ndarray, text: str) -> tuple[Tensor, Tensor]:
        """
        Find what `text` names in an RGB image, (H, W, 3) uint8.

        Returns boxes (n, 4), x0 y0 x1 y1 in pixels, perhaps beyond the image, and scores (n,) in
        [0, 1], all of them, on the CPU.
        """

    def _pixels(self, image: np.ndarray, square: bool = False) -> Tensor:
        """Return the image as the model takes it, (1, 3, h, w); `square` pads right and below."""
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(self._model.device)
        pixels = pixels.permute(2, 0, 1)[None].float() * self._settings.scale
        if square:
            height, width = image.shape[:2]
            side = max(height, width)
            pixels = functional.pad(pixels, (0, side - width, 0, side - height))
        size = self._settings.target_size(*pixels.shape[-2:])
        pixels = functional.interpolate(
            pixels, size, mode='bilinear', align_corners=False, antialias=True)
        mean, std = (
            torch.tensor(values, device=pixels.device).view(1, 3, 1, 1)
            for values in (self._settings.mean, self._settings.std))
        return (pixels - mean) / std

    def _tokens(self, texts: list[str], **options: Any) -> dict[str, Tensor]:
        encoded = self._tokenizer(texts, return_tensors='pt', **options)
        return {name: value.to(self._model.device) for name, value in encoded.items()}


class GroundingDino(Detector):
    """Grounding DINO (Liu et al., ECCV 2024): reads whole sentences; aspect ratio kept."""

    model_type = 'grounding-dino'
    settings = ImageSettings(
        {'shortest_edge': 800, 'longest_edge': 1333}, IMAGENET_MEAN, IMAGENET_STD)
    threshold = 0.3

    def detect(self, image: np.ndarray, text: str) -> tuple[Tensor, Tensor]:
        """Score each box by the best of the words that name the target, not by all words."""
        sentence = _plain(text)
        pixels = self._pixels(image)
        length = self._model.config.max_text_len
        tokens = self._tokens([f'{sentence}.'], truncation=True, max_length=length)
        name = self._tokenizer(noun_phrase(text), add_special_tokens=False)['input_ids']
        output = self._model(pixel_values=pixels, **tokens)
        # the token at 0 opens the text; those of the noun phrase follow
        named = output.logits[0, :, 1:1 + max(1, min(len(name), length - 2))]
        return _corners(output.pred_boxes[0], image.shape), named.sigmoid().amax(1).cpu()


class Owlv2(Detector):
    """OWLv2 (Minderer et al., NeurIPS 2023): images are padded to a square."""

    model_type = 'owlv2'
    settings = ImageSettings({'height': 960, 'width': 960}, CLIP_MEAN, CLIP_STD)
    threshold = 0.2

    def detect(self, image: np.ndarray, text: str) -> tuple[Tensor, Tensor]:
        """Score each box by its likeness to "a photo of" the target."""
        length = self._model.config.text_config.max_position_embeddings
        tokens = self._tokens(
            [f'a photo of {noun_phrase(text)}'],
            padding='max_length', truncation=True, max_length=length)
        output = self._model(
            pixel_values=self._pixels(image, square=True), input_ids=tokens['input_ids'],
            attention_mask=tokens['attention_mask'])
        side = max(image.shape[:2])
        return (
            _corners(output.pred_boxes[0], (side, side)), output.logits[0, :, 0].sigmoid().cpu())


class OmDetTurbo(Detector):
    """OmDet-Turbo (Zhao et al., 2024): fast; images are stretched to a square."""

    model_type = 'omdet-turbo'
    settings = ImageSettings({'height': 640, 'width': 640}, IMAGENET_MEAN, IMAGENET_STD)
    threshold = 0.3

    def detect(self, image: np.ndarray, text: str) -> tuple[Tensor, Tensor]:
        """Score each box by its likeness to the target, the only class of the task."""
        name = noun_phrase(text)
        length = self._model.config.text_config.max_position_embeddings
        options = {'padding': 'max_length', 'truncation': True, 'max_length': length}
        classes = self._tokens([name], **options)
        task = self._tokens([f'Detect {name}.'], **options)
        output = self._model(
            pixel_values=self._pixels(image),
            classes_input_ids=classes['input_ids'],
            classes_attention_mask=classes['attention_mask'],
            tasks_input_ids=task['input_ids'],
            tasks_attention_mask=task['attention_mask'],
            classes_structure=torch.ones(1, dtype=torch.long, device=self._model.device))
        boxes = _corners(output.decoder_coord_logits[0], image.shape)
        return boxes, output.decoder_class_logits[0, :, 0].sigmoid().cpu()


FAMILIES: dict[str, type[Detector]] = {
    family.model_type: family for family in (GroundingDino, Owlv2, OmDetTurbo)
}


class DetectorGrounder:
    """A detector's best box, made a mask by the tracker's decoder."""

    def __init__(self, name: str, detector: Detector, tracker: Tracker) -> None:
        """Ground with a loaded detector; `name` is what it was loaded by."""
        self.name = name
        self._detector = detector
        self._tracker = tracker

    @classmethod
    def load(cls, name: str, tracker: Tracker, device: str = 'cpu') -> DetectorGrounder:
        """
        Load a hub id from the local cache, or a folder.

        Raises CheckpointError where it is missing, not whole, or of another architecture;
        nothing is downloaded.
        """
        folder, remedy = find_folder(name, KIND)
        kind = read_model_type(folder, remedy)
        family = FAMILIES.get(kind)
        if family is None:
            raise CheckpointError(
                f'{name} is a {kind}; a grounder is one of {", ".join(FAMILIES)}, or "embedded"')
        try:
            config = AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False)
            check_model_fits(
                lambda: AutoModelForZeroShotObjectDetection.from_config(
                    config, trust_remote_code=False),
                check_weights(folder, remedy), folder, remedy)
            model = AutoModelForZeroShotObjectDetection.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, trust_remote_code=False,
                dtype=torch.float32)
        except ImportError as error:
            raise CheckpointError(
                f'{name} needs a package that is not installed: {first_line(error)}') from error
        except (OSError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f'{name} cannot be loaded ({first_line(error)}): {remedy}') from error
        tokenizer = load_tokenizer(folder, remedy)
        model = model.eval().requires_grad_(False).to(resolve_device(device))
        settings = family.settings.updated(folder, remedy)
        return cls(name, family(model, tokenizer, settings), tracker)

    def knows(self, text: str) -> bool:
        """Return whether there is a word in `text`: these models have no fixed vocabulary."""
        return bool(_plain(text))

    @torch.inference_mode()
    def ground(self, image: np.ndarray, text: str) -> Grounding | NotFound:
        """
        Find the target that `text` names in an RGB image, (H, W, 3) uint8.

        Raises InputError where the image is of another kind. The relevance is the mask
        decoder's confidence, kept inside the box.
        """
        check_frame(image)
        if not self.knows(text):
            return NotFound(f'"{text.strip()}" names no target')
        boxes, scores = self._detector.detect(image, text)
        scores = torch.where(_inside(boxes, image.shape), scores, torch.zeros_like(scores))
        best = int(scores.argmax())
        score = float(scores[best])
        if score < self._detector.threshold:
            return NotFound(
                f'no {noun_phrase(text)} in view (best score {score:.2f}, at least '
                f'{self._detector.threshold:.2f} is needed)')
        height, width = image.shape[:2]
        x0, y0, x1, y1 = boxes[best].tolist()
        box = (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))
        prompt = Prompt(box=box)
        result = self._tracker.segment(image, prompt)
        inside = _box_map(box, (height, width))
        seen = np.maximum(result.confidence(RELEVANCE_GRID, RELEVANCE_GRID), BOX_RELEVANCE)
        mask = result.mask(height, width) > 0
        return Grounding(
            noun_phrase(text), score, box, mask if mask.any() else None,
            (seen * inside).astype(np.float32), prompt)


def noun_phrase(text: str) -> str:
    """Return the words of `text` up to the first preposition or verb, which name the target."""
    words = _plain(text).split()
    end = next((i for i, word in enumerate(words) if i > 0 and word in BREAKS), len(words))
    return ' '.join(words[:end])


def _plain(text: str) -> str:
    """Return the sentence in lower case, without full stops and without "find" or "track"."""
    words = re.sub(r'[^\w\s\'-]+', ' ', text.lower()).split()
    while words and words[0] in COMMANDS:
        words.pop(0)
    return ' '.join(words)


def _corners(boxes: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return relative centre, width and height, (n, 4), as corners in pixels, on the CPU."""
    height, width = size[:2]
    centre, extent = boxes[:, :2], boxes[:, 2:]
    scale = torch.tensor([width, height, width, height])
    return torch.cat([centre - extent / 2, centre + extent / 2], 1).cpu() * scale


def _inside(boxes: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return which boxes (n, 4) cover at least a pixel of the image: (n,) bool."""
    height, width = size[:2]
    wide = boxes[:, 2].clamp(max=width) - boxes[:, 0].clamp(min=0)
    high = boxes[:, 3].clamp(max=height) - boxes[:, 1].clamp(min=0)
    return (wide >= 1) & (high >= 1)


def _box_map(box: tuple[float, float, float, float], size: tuple[int, int]) -> np.ndarray:
    """Return how much of each cell of the relevance grid lies in a box of pixels."""
    height, width = size
    edges = np.arange(RELEVANCE_GRID + 1) / RELEVANCE_GRID
    across = np.diff(np.clip(edges * width, box[0], box[2])) * RELEVANCE_GRID / width
    down = np.diff(np.clip(edges * height, box[1], box[3])) * RELEVANCE_GRID / height
    return np.outer(down, across)
