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
"""Text encoders: the classifier's rows of a word, and the towers of small random models."""

import json
import shutil

from fast_sam2_ros.errors import CheckpointError
from fast_sam2_ros.grounding.text import load_text_encoder, load_tower
from fast_sam2_ros.grounding.words import WordHead
from fast_sam2_ros.sam2.efficientnet_lite import EfficientNetLite2
import pytest
from safetensors.torch import load_file, save_file
import torch
from transformers import AutoTokenizer, CLIPConfig, CLIPModel


@pytest.fixture(scope='module')
def embedded():
    return load_text_encoder('embedded')


@pytest.fixture(scope='module')
def encoder(image_text_model):
    return load_text_encoder(str(image_text_model[0]))


def test_a_word_is_the_mean_of_the_rows_of_its_classes(embedded):
    rows = EfficientNetLite2.pretrained().classifier.weight
    for text, first, last in (('a flamingo', 130, 130), ('bears', 294, 297)):
        vector = embedded.encode(text)
        assert vector.shape == (embedded.size,) == (1280,) and vector.dtype == torch.float32
        assert vector.norm() == pytest.approx(1, abs=1e-5)
        mean = rows[first:last + 1].mean(0)
        assert torch.allclose(vector, mean / mean.norm(), atol=1e-6)


def test_a_word_without_classes_is_the_row_trained_here(embedded):
    head = WordHead.load()
    row = head.weight[head.names.index('person')]
    assert torch.allclose(embedded.encode('a woman walking'), row / row.norm(), atol=1e-6)


def test_colours_and_unknown_words(embedded):
    assert torch.equal(embedded.encode('the red car'), embedded.encode('car'))
    assert embedded.encode('a zorblax') is None and embedded.encode(' ') is None


def test_likeness_of_words_is_likeness_of_vectors(embedded):
    dog, husky, car, taxi = (
        embedded.encode(text) for text in ('dog', 'husky', 'car', 'taxi'))
    assert dog @ husky > 0.3 and car @ taxi > 0.3
    assert max(dog @ car, husky @ taxi, dog @ taxi) < 0.2


def test_equals_the_whole_model(image_text_model, encoder):
    """What comes out is what the model's own forward pass gives beside an image."""
    folder, model = image_text_model
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = 'a red dog'
    if isinstance(model, CLIPModel):
        tokens = dict(tokenizer([text], return_tensors='pt'))
    else:
        tokens = {'input_ids': tokenizer(
            [text], padding='max_length', max_length=12, padding_side='right',
            return_tensors='pt')['input_ids']}
    with torch.inference_mode():
        features = model.get_text_features(**tokens).pooler_output[0]
    vector = encoder.encode(text)
    assert vector.shape == (encoder.size,) == features.shape and vector.dtype == torch.float32
    assert torch.allclose(vector, features / features.norm(), atol=1e-6)
    assert not torch.allclose(vector, encoder.encode('a red cup'), atol=1e-3)


def test_only_the_text_tower_is_loaded(image_text_model, encoder):
    names = [name for name, _ in encoder._tower.named_parameters()]
    assert names and not any('vision' in name or 'visual' in name for name in names)


def test_case_and_companions_do_not_count(encoder):
    """The same vector alone, in a batch with a longer text, and in capitals."""
    alone = encoder.encode('a dog')
    assert torch.equal(alone, encoder.encode(' A DOG '))
    both = encoder.encode_all(['a dog', 'a red cup'])
    assert torch.allclose(both[0], alone, atol=1e-6)
    assert both.norm(dim=1).tolist() == pytest.approx([1, 1], abs=1e-5)


def test_siglip_is_filled_up_on_the_right_without_a_mask(encoder):
    tokens = encoder.tokens(['a dog'])
    if encoder._is_clip:
        assert tokens['input_ids'].shape[1] < 12 and tokens['attention_mask'].all()
    else:
        assert set(tokens) == {'input_ids'} and tokens['input_ids'].shape == (1, 12)
        padding = encoder._tokenizer.pad_token_id
        assert tokens['input_ids'][0, -1] == padding and tokens['input_ids'][0, 0] != padding


def test_no_words_and_too_many(encoder):
    assert encoder.encode(' \n') is None
    assert encoder.encode('a very long tale of dogs ' * 20).norm() == pytest.approx(1, abs=1e-5)


def test_a_folder_with_the_tower_alone(tmp_path, image_text_model):
    folder, model = image_text_model
    whole = load_text_encoder(str(folder))
    whole._tower.save_pretrained(tmp_path)
    for path in folder.iterdir():
        if path.name not in ('config.json', 'model.safetensors'):
            shutil.copy(path, tmp_path)
    alone = load_text_encoder(str(tmp_path))
    assert torch.equal(alone.encode('a dog'), whole.encode('a dog'))


def test_a_hub_id_is_looked_up_in_the_cache(tmp_path, monkeypatch, image_text_model):
    commit = '1' * 40
    storage = tmp_path / 'models--someone--small-clip'
    shutil.copytree(image_text_model[0], storage / 'snapshots' / commit)
    (storage / 'refs').mkdir()
    (storage / 'refs' / 'main').write_text(commit)
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path))
    by_id = load_text_encoder('someone/small-clip')
    assert by_id.name == 'someone/small-clip'
    assert torch.equal(
        by_id.encode('a dog'), load_text_encoder(str(image_text_model[0])).encode('a dog'))


def test_the_width_of_the_projection_may_stand_at_the_top_alone(tmp_path):
    """As in the published CLIPs of other makers: the text tower's own settings say 512."""
    config = CLIPConfig(
        text_config={'hidden_size': 16, 'intermediate_size': 16, 'num_hidden_layers': 1,
                     'num_attention_heads': 2, 'vocab_size': 10},
        vision_config={'hidden_size': 16, 'intermediate_size': 16, 'num_hidden_layers': 1,
                       'num_attention_heads': 2, 'image_size': 32, 'patch_size': 16},
        projection_dim=24)
    CLIPModel(config).save_pretrained(tmp_path)
    said = json.loads((tmp_path / 'config.json').read_text())
    assert said['text_config'].get('projection_dim', 512) == 512
    assert load_tower('a name', tmp_path, 'a remedy').text_projection.out_features == 24


@pytest.mark.parametrize('name, hint', [
    ('nobody/no-such-clip', 'fast-sam2 fetch nobody/no-such-clip'),
    ('nobody/no-such-clip@v2', 'fast-sam2 fetch nobody/no-such-clip@v2'),
    ('./no/folder', 'neither'), ('', 'neither')])
def test_what_is_not_here_says_what_to_do(name, hint):
    with pytest.raises(CheckpointError, match=hint):
        load_text_encoder(name)


def test_broken_folders_say_what_is_wrong(tmp_path, image_text_model):
    (tmp_path / 'config.json').write_text('{"model_type": "bert"}')
    with pytest.raises(CheckpointError, match='is a bert'):
        load_text_encoder(str(tmp_path))
    folder = tmp_path / 'copy'
    shutil.copytree(image_text_model[0], folder)
    weights = folder / 'model.safetensors'
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(CheckpointError, match='not whole'):
        load_text_encoder(str(folder))
    weights.unlink()
    with pytest.raises(CheckpointError, match='model.safetensors'):
        load_text_encoder(str(folder))


def test_weights_that_are_left_out_are_not_made_up(tmp_path, image_text_model):
    folder = tmp_path / 'copy'
    shutil.copytree(image_text_model[0], folder)
    weights = load_file(folder / 'model.safetensors')
    name = next(key for key in weights if 'text_model' in key and 'final_layer_norm' in key)
    del weights[name]
    save_file(weights, folder / 'model.safetensors', {'format': 'pt'})
    with pytest.raises(CheckpointError, match='lacks weights'):
        load_text_encoder(str(folder))
