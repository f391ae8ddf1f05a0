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
"""Describers of transformers: small random models saved to folders and loaded as hub ids are."""

import json
import shutil

from fast_sam2_ros.errors import CheckpointError
from fast_sam2_ros.grounding import describe_hub
from fast_sam2_ros.grounding.closeup import Closeup
from fast_sam2_ros.grounding.describe import load_describer
from fast_sam2_ros.grounding.text import load_text_encoder
import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from tokenizers import pre_tokenizers, processors, Tokenizer
from tokenizers.models import WordLevel
import torch
from torch.nn.functional import normalize
from transformers import (
    BlipConfig, BlipForConditionalGeneration, Florence2Config, Florence2ForConditionalGeneration,
    GitConfig, GitForCausalLM, PreTrainedTokenizerFast, Siglip2Model)

WORDS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[DEC]', '<image>', *(
    'what does the image describe ? a an red cup dog cat on of photo table sitting person two '
    'bus in there is close up street').split()]
PAD, UNK, CLS, SEP, DEC, IMAGE = range(6)
VISION = {'hidden_size': 16, 'intermediate_size': 16, 'num_hidden_layers': 1,
          'num_attention_heads': 2, 'image_size': 32, 'patch_size': 16}
TEXT = {'vocab_size': len(WORDS), 'hidden_size': 16, 'intermediate_size': 16,
        'num_hidden_layers': 1, 'num_attention_heads': 2, 'max_position_embeddings': 40}


def blip():
    return BlipForConditionalGeneration(BlipConfig(
        text_config={**TEXT, 'encoder_hidden_size': 16, 'bos_token_id': DEC, 'sep_token_id': SEP,
                     'pad_token_id': PAD, 'eos_token_id': SEP},
        vision_config=VISION, projection_dim=16))


def git():
    return GitForCausalLM(GitConfig(
        vision_config=VISION, **TEXT, bos_token_id=CLS, eos_token_id=SEP, pad_token_id=PAD))


def florence2():
    return Florence2ForConditionalGeneration(Florence2Config(
        text_config={
            'model_type': 'bart', 'vocab_size': len(WORDS), 'd_model': 16, 'encoder_layers': 1,
            'decoder_layers': 1, 'encoder_ffn_dim': 16, 'decoder_ffn_dim': 16,
            'encoder_attention_heads': 2, 'decoder_attention_heads': 2,
            'max_position_embeddings': 40, 'bos_token_id': CLS, 'eos_token_id': SEP,
            'pad_token_id': PAD, 'decoder_start_token_id': SEP, 'forced_eos_token_id': None},
        vision_config={
            'depths': (1, 1), 'embed_dim': (8, 16), 'num_heads': (2, 2), 'num_groups': (2, 2),
            'patch_size': (7, 3), 'patch_stride': (4, 2), 'patch_padding': (3, 1),
            'patch_prenorm': (False, True), 'window_size': 4, 'projection_dim': 16},
        image_token_id=IMAGE))


def save_tokenizer(folder):
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, '[UNK]'))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(('[SEP]', SEP), ('[CLS]', CLS))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token='[PAD]', unk_token='[UNK]', cls_token='[CLS]',
        sep_token='[SEP]', bos_token='[CLS]', eos_token='[SEP]',
        additional_special_tokens=['[DEC]', '<image>']).save_pretrained(folder)


@pytest.fixture(scope='module', params=[blip, git, florence2], ids=lambda make: make.__name__)
def captioner(request, tmp_path_factory):
    """Return the folder of a saved captioner and the model itself."""
    folder = tmp_path_factory.mktemp(request.param.__name__)
    torch.manual_seed(0)
    model = request.param().eval()
    for weight in model.parameters():  # else every word is the same
        torch.nn.init.normal_(weight, std=0.5)
    model.save_pretrained(folder)
    save_tokenizer(folder)
    (folder / 'preprocessor_config.json').write_text(json.dumps(
        {'size': {'height': 32, 'width': 32}, 'image_mean': [0.5] * 3, 'image_std': [0.5] * 3}))
    return folder, model


@pytest.fixture(scope='module')
def image():
    return np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)


@pytest.fixture(scope='module')
def mask():
    mask = np.zeros((60, 80), bool)
    mask[20:40, 30:60] = True
    return mask


@pytest.fixture(scope='module')
def classifier(image_text_model):
    return load_describer(str(image_text_model[0]))


def test_probabilities_are_those_of_the_whole_model(image_text_model, classifier, image, mask):
    """Of the picture and all the names, by the model's own forward pass."""
    folder, model = image_text_model
    closeup = Closeup.of(image, mask, describe_hub.MARGIN)
    probabilities = classifier.probabilities(closeup)
    assert probabilities.shape == (1000 + len(describe_hub.OTHERS),)
    encoder = load_text_encoder(str(folder))
    tokens = encoder.tokens(['a photo of a tench', 'a photo of a stretcher', 'a photo of a doll'])
    pixels = describe_hub._pixels(closeup, classifier._settings, model.device)
    assert pixels.shape == (1, 3, 32, 32)
    if isinstance(model, Siglip2Model):
        pictures = describe_hub._patches(pixels, 8)
    else:
        pictures = {'pixel_values': pixels}
    with torch.inference_mode():
        logits = model(**tokens, **pictures).logits_per_image[0]
    ours = probabilities[[0, 830, 1013]].log()
    assert torch.allclose(ours - ours[0], logits - logits[0], atol=1e-4)
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_the_name_nearest_to_the_picture_is_said(classifier, image, mask, monkeypatch):
    """With the embedding of one class turned on to the picture's, it is this class."""
    closeup = Closeup.of(image, mask, describe_hub.MARGIN)
    monkeypatch.setattr(classifier, '_scale', 30.0)
    texts = classifier._texts.clone()
    opposite = -normalize(_embedding(classifier, closeup), dim=0)
    texts[:] = opposite
    for index, word in ((130, 'flamingo'), (1000, 'person'), (1002, 'giraffe')):
        changed = texts.clone()
        changed[index] = -opposite
        monkeypatch.setattr(classifier, '_texts', changed)
        assert classifier.describe(image, mask) == word
    monkeypatch.setattr(classifier, '_texts', texts)
    assert classifier.describe(image, mask) == '', 'all are as unlikely'
    texts[151:269] = -opposite
    assert classifier.describe(image, mask) == 'dog', 'which breed is open'


def _embedding(classifier, closeup):
    """Return the picture's embedding, read off cosines with the axes."""
    texts, scale = classifier._texts, classifier._scale
    size = texts.shape[1]
    classifier._scale = 1.0
    classifier._texts = torch.cat([torch.eye(size), torch.zeros(1, size)])
    logits = classifier.probabilities(closeup).log()
    classifier._texts, classifier._scale = texts, scale
    return logits[:size] - logits[size]


def test_only_the_image_tower_stays(classifier):
    names = [name for name, _ in classifier._tower.named_parameters()]
    assert names and not any('text' in name or 'token' in name for name in names)


def test_the_target_is_looked_at_and_not_its_surroundings(classifier, image, mask):
    closeup = Closeup.of(image, mask, describe_hub.MARGIN)
    pixels = describe_hub._pixels(closeup, classifier._settings, torch.device('cpu'))
    changed = image.copy()
    changed[:5, :5] = 0  # far from the target
    same = describe_hub._pixels(
        Closeup.of(changed, mask, describe_hub.MARGIN), classifier._settings,
        torch.device('cpu'))
    assert torch.equal(pixels, same)
    middle, corner = pixels[0, :, 12:20, 12:20].std(), pixels[0, :, :4, :4].std()
    assert middle > 1.5 * corner, 'the surroundings are dimmed'


def test_captions_are_those_of_the_model(captioner, image, mask):
    """Greedy decoding step by step with the model's own forward pass gives the same words."""
    folder, model = captioner
    describer = load_describer(str(folder))
    closeup = Closeup.of(image, mask, describe_hub.MARGIN)
    pixels = describe_hub._pixels(closeup, describer._settings, model.device)
    expected = greedy(model, pixels)
    said = describer.caption(closeup)
    assert said == describer._tokenizer.decode(expected, skip_special_tokens=True).strip()
    assert isinstance(describer.describe(image, mask), str)


@torch.inference_mode()
def greedy(model, pixels):
    """Return at most 20 tokens, each the likeliest after those before it."""
    if isinstance(model, Florence2ForConditionalGeneration):
        places = model.get_image_features(pixels).pooler_output.shape[1]
        question = [CLS, *(WORDS.index(word) for word in (
            'what', 'does', 'the', 'image', 'describe', '?')), SEP]
        question[1] = UNK  # "What", with a capital, is no word of this small vocabulary
        prompt = torch.tensor([[IMAGE] * places + question])
        tokens = [SEP]
    else:
        tokens = [DEC if isinstance(model, BlipForConditionalGeneration) else CLS]
    for _ in range(20):
        given = torch.tensor([tokens])
        if isinstance(model, Florence2ForConditionalGeneration):
            logits = model(input_ids=prompt, pixel_values=pixels, decoder_input_ids=given).logits
        else:
            logits = model(input_ids=given, pixel_values=pixels).logits
        tokens.append(int(logits[0, -1].argmax()))
        if tokens[-1] == SEP:
            break
    return tokens


@pytest.mark.parametrize('caption, words', [
    ('a dog sitting on a table', 'dog'), ('a close up of a red cup', 'red cup'),
    ('there is a photo of two zebras in the grass', 'zebra'),
    ('A picture of a person riding a bike', 'person'),
    ('a zorblax on a table', 'a zorblax'), ('', '')])
def test_a_caption_is_cut_to_what_names_the_target(caption, words, captioner):
    assert load_describer(str(captioner[0])).shorten(caption) == words


def test_broken_and_foreign_models_say_what_is_wrong(tmp_path, image_text_model):
    (tmp_path / 'config.json').write_text('{"model_type": "bert"}')
    with pytest.raises(CheckpointError, match='is a bert; a describer is one of clip'):
        load_describer(str(tmp_path))
    copy = tmp_path / 'copy'
    shutil.copytree(image_text_model[0], copy)
    weights = load_file(copy / 'model.safetensors')
    for name in ('logit_scale', next(key for key in weights if key.startswith('vision_model'))):
        left = {key: value for key, value in weights.items() if key != name}
        save_file(left, copy / 'model.safetensors', {'format': 'pt'})
        with pytest.raises(CheckpointError, match='lacks'):
            load_describer(str(copy))
