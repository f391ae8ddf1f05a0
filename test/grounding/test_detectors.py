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
"""The detectors of transformers as grounders: random models in small, saved to a folder."""

import json

from fast_sam2_ros.errors import CheckpointError, InputError
from fast_sam2_ros.grounding import detectors, Grounding, load_grounder, NotFound
from fast_sam2_ros.grounding.detectors import noun_phrase
import numpy as np
import pytest
from tokenizers import models, normalizers, pre_tokenizers, processors, Tokenizer
import torch
from transformers import (
    BertConfig, CLIPTextConfig, GroundingDinoConfig, GroundingDinoForObjectDetection,
    OmDetTurboConfig, OmDetTurboForObjectDetection, Owlv2Config, Owlv2ForObjectDetection,
    PreTrainedTokenizerFast, SwinConfig)

# the last one ends a text: CLIP's text models look for the highest number
WORDS = '[PAD] [UNK] [CLS] . a the red cup toy train on tracks photo of detect [SEP]'.split()
END = len(WORDS) - 1
HEIGHT, WIDTH = 48, 80
SIZES = {
    'grounding-dino': {'shortest_edge': 64, 'longest_edge': 96},
    'owlv2': {'height': 64, 'width': 64},
    'omdet-turbo': {'height': 64, 'width': 64},
}


class SegmentsBoxes:
    """Stands in for the tracker: the mask is the prompt's box."""

    def segment(self, frame, prompt):
        """Return a result whose mask is the box."""
        self.box = prompt.box
        return self

    def mask(self, height, width):
        """Return the box as a mask."""
        mask = np.zeros((height, width), np.uint8)
        x0, y0, x1, y1 = (round(value) for value in self.box)
        mask[y0:y1, x0:x1] = 1
        return mask

    def confidence(self, height, width):
        """Return a map that is sure everywhere."""
        return np.ones((height, width), np.float32)


def save_tokenizer(folder, length):
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, '[UNK]'))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        '[CLS] $A [SEP]', special_tokens=[('[CLS]', 2), ('[SEP]', END)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token='[UNK]', pad_token='[PAD]', cls_token='[CLS]',
        sep_token='[SEP]', model_max_length=length,
        model_input_names=['input_ids', 'token_type_ids', 'attention_mask'],
    ).save_pretrained(folder)


def swin(out_indices):
    return SwinConfig(
        image_size=64, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=2,
        out_indices=out_indices)


def small_model(model_type):
    torch.manual_seed(0)
    if model_type == 'grounding-dino':
        text = BertConfig(
            vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, max_position_embeddings=32)
        return GroundingDinoForObjectDetection(GroundingDinoConfig(
            backbone_config=swin([2, 3, 4]), text_config=text, num_queries=7, d_model=32,
            encoder_layers=1, decoder_layers=2, encoder_ffn_dim=16, decoder_ffn_dim=16,
            encoder_attention_heads=2, decoder_attention_heads=2, max_text_len=24)), 24
    if model_type == 'owlv2':
        common = {'hidden_size': 16, 'intermediate_size': 16, 'num_hidden_layers': 1,
                  'num_attention_heads': 2}
        text = {**common, 'vocab_size': len(WORDS), 'max_position_embeddings': 12,
                'eos_token_id': END}
        vision = {**common, 'image_size': 64, 'patch_size': 16}
        return Owlv2ForObjectDetection(Owlv2Config(
            text_config=text, vision_config=vision, projection_dim=16)), 12
    text = CLIPTextConfig(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=12, projection_dim=16, eos_token_id=END)
    return OmDetTurboForObjectDetection(OmDetTurboConfig(
        backbone_config=swin([2, 3, 4]), apply_layernorm_after_vision_backbone=False,
        text_config=text, image_size=64, num_queries=7,
        text_projection_in_dim=16, text_projection_out_dim=16, class_embed_dim=16,
        task_encoder_hidden_dim=16, vision_features_channels=[32, 32, 32],
        encoder_in_channels=[16, 32, 64], encoder_hidden_dim=32, encoder_attention_heads=2,
        encoder_dim_feedforward=16, decoder_hidden_dim=32, decoder_num_heads=2,
        decoder_num_layers=2, decoder_dim_feedforward=16)), 12


@pytest.fixture(scope='module', params=list(SIZES))
def folder(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param)
    model, length = small_model(request.param)
    model.save_pretrained(path)
    save_tokenizer(path, length)
    (path / 'preprocessor_config.json').write_text(json.dumps(
        {'size': SIZES[request.param], 'image_mean': [0.5] * 3, 'image_std': [0.5] * 3}))
    return path


@pytest.fixture(scope='module')
def grounder(folder):
    return load_grounder(str(folder), SegmentsBoxes())


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def test_every_box_is_scored_and_depends_on_text_and_image(grounder, image):
    with torch.inference_mode():
        boxes, scores = grounder._detector.detect(image, 'a red cup')
        _, other_text = grounder._detector.detect(image, 'the toy train')
        other_boxes, _ = grounder._detector.detect(255 - image, 'a red cup')
    assert boxes.shape == (len(scores), 4) and len(scores) in (7, 16)
    assert (boxes[:, 2:] > boxes[:, :2]).all() and torch.isfinite(boxes).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    assert not torch.allclose(scores, other_text, atol=1e-7)
    assert not torch.allclose(boxes, other_boxes, atol=1e-6)


def test_threshold_separates_found_from_not_found(grounder, image, monkeypatch):
    with torch.inference_mode():
        _, scores = grounder._detector.detect(image, 'a red cup')
    best = float(scores.max())
    monkeypatch.setattr(grounder._detector, 'threshold', best + 1e-4)
    missing = grounder.ground(image, 'a red cup')
    assert isinstance(missing, NotFound) and not missing
    assert 'a red cup' in missing.reason and f'{best:.2f}' in missing.reason
    monkeypatch.setattr(grounder._detector, 'threshold', 0.0)
    found = grounder.ground(image, 'a red cup')
    assert isinstance(found, Grounding) and found.label == 'a red cup'
    assert 0 <= found.score <= best + 1e-6
    x0, y0, x1, y1 = found.box
    assert 0 <= x0 < x1 <= WIDTH and 0 <= y0 < y1 <= HEIGHT
    assert found.prompt.box == found.box and found.mask.shape == (HEIGHT, WIDTH)
    assert found.relevance.dtype == np.float32 and 0 <= found.relevance.min()
    assert 0 < found.relevance.max() <= 1


def test_boxes_map_back_to_pixels(grounder, image, monkeypatch):
    """The model says 'centre 0.25, 0.5, size 0.5, 0.25': in pixels of the image as it was fed."""
    model = grounder._detector._model
    forward = model.forward
    relative = torch.tensor([0.25, 0.5, 0.5, 0.25])

    def fixed(*args, **kwargs):
        output = forward(*args, **kwargs)
        name = 'decoder_coord_logits' if 'decoder_coord_logits' in output else 'pred_boxes'
        output[name] = relative.expand_as(output[name])
        return output

    monkeypatch.setattr(model, 'forward', fixed)
    monkeypatch.setattr(grounder._detector, 'threshold', 0.0)
    found = grounder.ground(image, 'cup')
    # OWLv2 sees the image at the top of a square of 80 pixels
    high = WIDTH if grounder._detector.model_type == 'owlv2' else HEIGHT
    expected = (0.0, 0.375 * high, 0.5 * WIDTH, 0.625 * high)
    assert found.box == pytest.approx((*expected[:3], min(expected[3], HEIGHT)), abs=1e-4)
    rows, columns = np.nonzero(found.relevance > 0.5)
    assert columns.max() < 33 and rows.min() >= 0.37 * high / HEIGHT * 63


def test_images_are_prepared_as_the_folder_says(grounder, monkeypatch):
    """A white image of mean 0.5 and deviation 0.5 becomes 1; size and padding are the model's."""
    model, seen = grounder._detector._model, {}
    forward = model.forward

    def spy(*args, **kwargs):
        seen.update(kwargs)
        return forward(*args, **kwargs)

    monkeypatch.setattr(model, 'forward', spy)
    with torch.inference_mode():
        grounder._detector.detect(np.full((HEIGHT, WIDTH, 3), 255, np.uint8), 'cup')
    pixels = seen['pixel_values']
    kind = grounder._detector.model_type
    assert pixels.shape[-2:] == ((58, 96) if kind == 'grounding-dino' else (64, 64))
    assert torch.allclose(pixels[..., 0, 0], torch.ones(1, 3), atol=1e-5)
    below = -1.0 if kind == 'owlv2' else 1.0  # black beneath the image where it was padded
    assert torch.allclose(pixels[..., -1, 0], torch.full((1, 3), below), atol=1e-5)


def test_refuses_what_is_no_picture_and_answers_what_is_no_text(grounder, image):
    with pytest.raises(InputError):
        grounder.ground(image[..., 0], 'cup')
    assert not grounder.ground(image, ' . ')
    assert not grounder.knows(' ') and grounder.knows('zorblax')


@pytest.mark.parametrize('text, phrase', [
    ('a toy train on the tracks', 'a toy train'), ('Find the red cup.', 'the red cup'),
    ('cup', 'cup')])
def test_noun_phrase_is_what_names_the_target(text, phrase):
    assert noun_phrase(text) == phrase


def test_grounding_dino_scores_the_target_and_not_its_surroundings(tmp_path, image):
    """Of "red cup on tracks" only the first two words count."""
    model, length = small_model('grounding-dino')
    model.save_pretrained(tmp_path)
    save_tokenizer(tmp_path, length)
    grounder = load_grounder(str(tmp_path), SegmentsBoxes())
    forward = grounder._detector._model.forward

    def only_tracks(*args, **kwargs):
        output = forward(*args, **kwargs)
        output['logits'] = torch.full_like(output['logits'], -20.0)
        output['logits'][..., 4] = 5.0  # [CLS] red cup on tracks
        return output

    grounder._detector._model.forward = only_tracks
    with torch.inference_mode():
        assert grounder._detector.detect(image, 'red cup on tracks')[1].max() < 0.01
        assert grounder._detector.detect(image, 'red cup toy tracks')[1].max() > 0.9


def test_missing_and_foreign_models_say_what_to_do(tmp_path):
    with pytest.raises(CheckpointError, match='fast-sam2 fetch nobody/no-such-detector'):
        load_grounder('nobody/no-such-detector', SegmentsBoxes())
    (tmp_path / 'config.json').write_text('{"model_type": "bert"}')
    with pytest.raises(CheckpointError, match='grounding-dino'):
        load_grounder(str(tmp_path), SegmentsBoxes())
    (tmp_path / 'config.json').write_text('{"model_type": "owlv2"}')
    with pytest.raises(CheckpointError, match='model.safetensors'):
        load_grounder(str(tmp_path), SegmentsBoxes())


def test_settings_of_a_checkpoint_that_does_not_rescale(tmp_path):
    """OmDet-Turbo is published with its mean in 0 to 255."""
    (tmp_path / 'preprocessor_config.json').write_text(json.dumps({
        'do_rescale': False, 'image_mean': [123.675, 116.28, 103.53],
        'image_std': [58.395, 57.12, 57.375], 'size': {'height': 640, 'width': 640}}))
    settings = detectors.OmDetTurbo.settings.updated(tmp_path, 'fetch it')
    assert settings.scale == 1.0 and settings.mean[0] == 123.675
    assert settings.target_size(480, 640) == (640, 640)
    assert detectors.GroundingDino.settings.target_size(480, 640) == (800, 1067)
