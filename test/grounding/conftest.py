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
"""Small CLIP, SigLIP and SigLIP 2 with random weights, saved as a hub checkpoint is."""

import io
import string

import pytest
import torch
from transformers import (
    CLIPConfig, CLIPModel, CLIPTokenizer, Siglip2Config, Siglip2Model, Siglip2Tokenizer,
    SiglipConfig, SiglipModel, SiglipTokenizer)

LENGTH = 12  # tokens that the text towers take
TEXT = {'hidden_size': 32, 'intermediate_size': 48, 'num_hidden_layers': 2,
        'num_attention_heads': 2, 'max_position_embeddings': LENGTH}
VISION = {'hidden_size': 32, 'intermediate_size': 48, 'num_hidden_layers': 2,
          'num_attention_heads': 2, 'patch_size': 8}
PHRASES = (
    'a photo of a dog', 'a red cup on the table', 'the black swan', 'people walking in the rain',
    'a big yellow taxi', 'quick brown fox jumps over lazy dogs', 'vexing wizard')


def save_clip(folder):
    """Save a CLIP with a tokenizer of letters that knows one whole word."""
    letters = [chr(code) for code in range(33, 127)]
    tokens = [*letters, *(f'{letter}</w>' for letter in letters), 'do', 'dog</w>']
    vocab = {token: index for index, token in enumerate(tokens)}
    begin, end = len(vocab), len(vocab) + 1
    vocab |= {'<|startoftext|>': begin, '<|endoftext|>': end}
    CLIPTokenizer(vocab=vocab, merges=[('d', 'o'), ('do', 'g</w>')]).save_pretrained(folder)
    text = {**TEXT, 'vocab_size': len(vocab), 'bos_token_id': begin, 'eos_token_id': end}
    return CLIPModel(CLIPConfig(
        text_config=text, vision_config={**VISION, 'image_size': 32}, projection_dim=24))


def save_siglip(folder):
    """Save a SigLIP with a SentencePiece of its own."""
    sentencepiece = pytest.importorskip('sentencepiece')
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(PHRASES * 4), model_writer=model, vocab_size=60, pad_id=-1,
        bos_id=-1, eos_id=1, unk_id=2, add_dummy_prefix=False, hard_vocab_limit=False,
        minloglevel=2)
    folder.mkdir(exist_ok=True)
    (folder / 'trained.model').write_bytes(model.getvalue())
    tokenizer = SiglipTokenizer(str(folder / 'trained.model'))
    tokenizer.save_pretrained(folder)
    text = {**TEXT, 'vocab_size': len(tokenizer), 'projection_size': 32}
    return SiglipModel(SiglipConfig(
        text_config=text, vision_config={**VISION, 'image_size': 32}))


def save_siglip2(folder):
    """Save a SigLIP 2 of the kind that takes any aspect ratio, with a tokenizer of letters."""
    specials = ['<pad>', '<eos>', '<bos>', '<unk>', '<mask>']
    vocab = {token: index for index, token in enumerate(
        [*specials, '▁', *string.ascii_lowercase, 'do', 'dog'])}
    Siglip2Tokenizer(vocab=vocab, merges=[('d', 'o'), ('do', 'g')]).save_pretrained(folder)
    text = {**TEXT, 'vocab_size': len(vocab), 'projection_size': 32}
    return Siglip2Model(Siglip2Config(
        text_config=text, vision_config={**VISION, 'num_patches': 16}))


@pytest.fixture(scope='session', params=[save_clip, save_siglip, save_siglip2],
                ids=['clip', 'siglip', 'siglip2'])
def image_text_model(request, tmp_path_factory):
    """Return the folder of a saved model, its tokenizer beside it, and the model itself."""
    folder = tmp_path_factory.mktemp(request.param.__name__)
    torch.manual_seed(0)
    model = request.param(folder).eval()
    for weight in model.parameters():  # the towers start at nearly nothing
        torch.nn.init.normal_(weight, std=0.1)
    model.save_pretrained(folder)
    return folder, model
