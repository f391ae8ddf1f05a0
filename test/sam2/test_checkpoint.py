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
"""Models by name: folders, the hub's cache, the fall-back, devices, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
import re
import shutil
import socket
import sys
from types import ModuleType

from fast_sam2_ros.errors import CheckpointError, ParameterError
from fast_sam2_ros.sam2.checkpoint import (
    find_in_cache, load_model, PREFERRED, PREFERRED_ID, Preprocess, resolve_device, REVISIONS,
    split_hub_id)
from fast_sam2_ros.sam2.loaded import LikenessLevels
from fast_sam2_ros.sam2.meta import HieraSize, video_config
from fast_sam2_ros.session import PREFERRED_GROUNDER
import huggingface_hub.constants
import pytest
from safetensors.torch import load_file, save_file
import torch

HUB_ID = 'someone/sam2-small'
COMMIT = 'c' * 40
IMAGE_SIZE = 64


@pytest.fixture(scope='module')
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a small model as transformers does."""
    from transformers import Sam2VideoModel

    torch.manual_seed(0)
    size = HieraSize(8, 1, (1, 1, 1, 1), (1,), (8, 4, 4, 2), 7)
    folder = tmp_path_factory.mktemp('saved')
    Sam2VideoModel(video_config(size, IMAGE_SIZE)).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """Return a copy of the saved model that a test may damage."""
    return Path(shutil.copytree(saved, tmp_path / 'model'))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty folder the hub's cache, and every attempt to use the network an error."""
    def refuse(*_: object) -> None:
        raise AssertionError('the network was used')

    monkeypatch.setattr(socket.socket, 'connect', refuse)
    monkeypatch.setattr(huggingface_hub.constants, 'HF_HUB_CACHE', str(tmp_path / 'hub'))
    return tmp_path / 'hub'


def put_in_cache(cache: Path, folder: Path, branch: str = 'main') -> Path:
    """Lay a checkpoint out as the hub's cache has it."""
    storage = cache / f"models--{HUB_ID.replace('/', '--')}"
    (storage / 'refs').mkdir(parents=True)
    (storage / 'refs' / branch).write_text(COMMIT)
    return Path(shutil.copytree(folder, storage / 'snapshots' / COMMIT))


def edit(path: Path, **changes: object) -> None:
    """Change keys of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_folder_round_trip(saved: Path) -> None:
    """What was saved is what is loaded, ready for inference."""
    loaded = load_model(str(saved))
    weights = load_file(saved / 'model.safetensors')
    state = loaded.model.state_dict()
    assert set(state) == set(weights)
    assert all(torch.equal(state[name], value) for name, value in weights.items())
    assert not loaded.model.training
    assert not any(value.requires_grad for value in loaded.model.parameters())
    assert {value.dtype for value in loaded.model.parameters()} == {torch.float32}
    assert loaded.preprocess == Preprocess(IMAGE_SIZE)
    assert (loaded.name, loaded.source, loaded.fallback) == (str(saved), str(saved), None)


def test_half_precision_weights_are_loaded_in_float32(folder: Path) -> None:
    """A checkpoint in float16 runs in float32."""
    weights = load_file(folder / 'model.safetensors')
    save_file({name: value.half() for name, value in weights.items()},
              folder / 'model.safetensors', metadata={'format': 'pt'})
    edit(folder / 'config.json', dtype='float16')
    model = load_model(str(folder)).model
    assert {value.dtype for value in model.parameters()} == {torch.float32}


def test_sharded_folder(folder: Path) -> None:
    """Weights in several files are loaded together; a missing one is named."""
    weights = load_file(folder / 'model.safetensors')
    (folder / 'model.safetensors').unlink()
    names, files = sorted(weights), ('model-00001-of-00002.safetensors',
                                     'model-00002-of-00002.safetensors')
    for index, file in enumerate(files):
        save_file({name: weights[name] for name in names[index::2]}, folder / file,
                  metadata={'format': 'pt'})
    (folder / 'model.safetensors.index.json').write_text(json.dumps({
        'metadata': {}, 'weight_map': {
            name: files[index % 2] for index, name in enumerate(names)}}))
    state = load_model(str(folder)).model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in weights.items())
    (folder / files[1]).unlink()
    with pytest.raises(CheckpointError, match=files[1]):
        load_model(str(folder))


@pytest.mark.parametrize('lost', [
    'prompt_encoder.shared_embedding.positional_embedding',
    'shared_image_embedding.positional_embedding'])
def test_position_matrix_may_be_stored_once(folder: Path, lost: str) -> None:
    """Some files hold the matrix that both encoders use under one of its names only."""
    weights = load_file(folder / 'model.safetensors')
    weights['shared_image_embedding.positional_embedding'] = weights[
        'prompt_encoder.shared_embedding.positional_embedding'].clone()
    matrix = weights.pop(lost)
    save_file(weights, folder / 'model.safetensors', metadata={'format': 'pt'})
    assert torch.equal(load_model(str(folder)).model.state_dict()[lost], matrix)


@pytest.mark.parametrize('name, settings, expected', [
    ('preprocessor_config.json', {'image_mean': [0.5, 0.4, 0.3], 'image_std': [0.2, 0.2, 0.1]},
     ((0.5, 0.4, 0.3), (0.2, 0.2, 0.1))),
    ('processor_config.json',
     {'video_processor': {'image_mean': [0.5] * 3, 'image_std': [0.25] * 3}},
     ((0.5,) * 3, (0.25,) * 3)),
    # (rgb - 127) / 128 is (rgb / 255 - 127 / 255) / (128 / 255).
    ('preprocessor_config.json',
     {'image_mean': [127] * 3, 'image_std': [128] * 3, 'rescale_factor': 1.0},
     ((127 / 255,) * 3, (128 / 255,) * 3)),
])
def test_mean_and_deviation_come_from_the_checkpoint(
        folder: Path, name: str, settings: dict, expected: tuple) -> None:
    """The preprocessing that the model was trained with is the one that is used."""
    (folder / name).write_text(json.dumps(settings))
    preprocess = load_model(str(folder)).preprocess
    assert preprocess.mean == pytest.approx(expected[0])
    assert preprocess.std == pytest.approx(expected[1])


def test_truncated_weights_are_refused(folder: Path) -> None:
    """Half a file is found out before any of it is used."""
    path = folder / 'model.safetensors'
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match='not whole') as error:
        load_model(str(folder))
    assert str(path) in str(error.value) and '\n' not in str(error.value)


def test_missing_weights_are_named(folder: Path) -> None:
    """A weight that the file lacks is not made up."""
    weights = load_file(folder / 'model.safetensors')
    del weights['memory_attention.layer_norm.bias']
    save_file(weights, folder / 'model.safetensors', metadata={'format': 'pt'})
    with pytest.raises(CheckpointError, match='lacks .*memory_attention.layer_norm.bias'):
        load_model(str(folder))


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    """The weights must fit the configuration beside them."""
    weights = load_file(folder / 'model.safetensors')
    weights['memory_attention.layer_norm.bias'] = torch.zeros(3)
    save_file(weights, folder / 'model.safetensors', metadata={'format': 'pt'})
    with pytest.raises(CheckpointError, match='does not fit') as error:
        load_model(str(folder))
    assert '\n' not in str(error.value)


def test_pickled_weights_are_not_opened(folder: Path) -> None:
    """A folder with a pickle in place of safetensors is refused."""
    weights = load_file(folder / 'model.safetensors')
    (folder / 'model.safetensors').unlink()
    torch.save(weights, folder / 'pytorch_model.bin')
    with pytest.raises(CheckpointError, match='pytorch_model.bin is a pickle'):
        load_model(str(folder))


@pytest.mark.parametrize('changes, reason', [
    ({'model_type': 'sam'}, "holds 'sam'"),
    ({'vision_config': {'model_type': 'sam2_vision_model', 'auto_map': {'AutoModel': 'x.Y'}}},
     'run code of its own'),
    ({'vision_config': {'model_type': 'sam2_vision_model',
                        'backbone_config': {'model_type': 'timm_wrapper'}}}, 'timm_wrapper'),
])
def test_other_architectures_and_their_code_are_refused(
        folder: Path, changes: dict, reason: str) -> None:
    """Only SAM 2 for video is loaded, and never with code from the folder."""
    edit(folder / 'config.json', **changes)
    with pytest.raises(CheckpointError, match=reason):
        load_model(str(folder))


def test_folder_without_configuration_is_refused(folder: Path) -> None:
    """A folder that is no model says which file it lacks."""
    (folder / 'config.json').write_text('{')
    with pytest.raises(CheckpointError, match='config.json cannot be read'):
        load_model(str(folder))
    (folder / 'config.json').unlink()
    with pytest.raises(CheckpointError, match='config.json is missing'):
        load_model(str(folder))


def test_hub_id_is_found_in_the_cache_without_network(cache: Path, saved: Path) -> None:
    """A fetched checkpoint loads offline, by its id, its branch and its commit."""
    snapshot = put_in_cache(cache, saved)
    for name in (HUB_ID, f'{HUB_ID}@main', f'{HUB_ID}@{COMMIT}'):
        loaded = load_model(name)
        assert (loaded.name, loaded.source) == (name, str(snapshot))
    assert find_in_cache(HUB_ID) == snapshot


def test_absent_hub_id_says_what_to_fetch(cache: Path, saved: Path) -> None:
    """What is not in the cache is not downloaded; the error has the command that does it."""
    with pytest.raises(CheckpointError, match=f'run `fast-sam2 fetch {HUB_ID}`'):
        load_model(HUB_ID)
    put_in_cache(cache, saved)
    with pytest.raises(CheckpointError, match=f'fetch {HUB_ID} --revision v2`'):
        load_model(f'{HUB_ID}@v2')


def test_known_hub_id_means_its_revision_and_after_it_the_main_branch_that_is_here(
        cache: Path, saved: Path, fake_embedded: Preprocess,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """Take what the user fetched under the bare id; one with a revision is that alone."""
    snapshot = put_in_cache(cache, saved)
    monkeypatch.setitem(REVISIONS, HUB_ID, 'd' * 40)
    pinned = f'{HUB_ID}@{"d" * 40}'
    with pytest.raises(CheckpointError, match=f'run `fast-sam2 fetch {HUB_ID}`$'):
        load_model(pinned)
    assert load_model('auto', preferred=pinned).name == 'embedded'
    for name in (HUB_ID, f'{HUB_ID}@main'):
        assert load_model(name).source == str(snapshot)
    monkeypatch.setitem(REVISIONS, HUB_ID, COMMIT)
    (cache / f'models--{HUB_ID.replace("/", "--")}' / 'refs' / 'main').unlink()
    assert load_model(HUB_ID).source == str(snapshot)


def test_preferred_models_are_pinned_to_commits() -> None:
    """Both ids that are taken unasked name one commit each."""
    assert split_hub_id(PREFERRED) == (PREFERRED_ID, REVISIONS[PREFERRED_ID])
    assert PREFERRED_GROUNDER in REVISIONS
    assert all(re.fullmatch('[0-9a-f]{40}', commit) for commit in REVISIONS.values())


def test_incomplete_hub_checkpoint_says_what_to_fetch(cache: Path, saved: Path) -> None:
    """A snapshot without its weights is no checkpoint."""
    (put_in_cache(cache, saved) / 'model.safetensors').unlink()
    with pytest.raises(CheckpointError, match=f'no model.safetensors: run .*{HUB_ID}'):
        load_model(HUB_ID)


@pytest.fixture
def fake_embedded(saved: Path, monkeypatch: pytest.MonkeyPatch) -> Preprocess:
    """Put a small model in the place of the embedded one."""
    module = ModuleType('fast_sam2_ros.sam2.embedded')
    module.load_embedded = lambda: load_model(str(saved)).model
    module.PREPROCESS = Preprocess(IMAGE_SIZE, (0.1,) * 3, (0.2,) * 3)
    module.LIKENESS_LEVELS = LikenessLevels(same=0.3, sure=0.7)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(sys.modules['fast_sam2_ros.sam2'], 'embedded', module, raising=False)
    return module.PREPROCESS


def test_auto_takes_the_preferred_checkpoint_where_it_is(
        cache: Path, saved: Path, fake_embedded: Preprocess) -> None:
    """Auto is the preferred one when it was fetched, and says nothing then."""
    put_in_cache(cache, saved)
    loaded = load_model('auto', preferred=HUB_ID)
    assert (loaded.name, loaded.fallback) == (HUB_ID, None)


def test_auto_falls_back_to_the_embedded_model_and_says_why(
        cache: Path, fake_embedded: Preprocess) -> None:
    """Without the preferred checkpoint the embedded model works, and says what to fetch."""
    loaded = load_model('auto', preferred=HUB_ID)
    assert (loaded.name, loaded.preprocess) == ('embedded', fake_embedded)
    assert loaded.likeness_levels == LikenessLevels(same=0.3, sure=0.7)
    assert f'fast-sam2 fetch {HUB_ID}' in loaded.fallback
    assert load_model('embedded').fallback is None
    assert load_model('auto', preferred='embedded').fallback is None


@pytest.mark.parametrize('name', ['', 'sam2', 'a/b/c', '/nowhere/at/all', './nothing',
                                  'random:huge', 'model.safetensors'])
def test_meaningless_names_are_refused(cache: Path, name: str) -> None:
    """A wrong name is one line that shows right ones."""
    with pytest.raises(CheckpointError) as error:
        load_model(name)
    assert '\n' not in str(error.value)


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device is one that this machine has."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert resolve_device('auto') == resolve_device('cpu') == torch.device('cpu')
    with pytest.raises(ParameterError, match='no CUDA device'):
        resolve_device('cuda')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    assert resolve_device('auto') == resolve_device('cuda') == torch.device('cuda:0')
    assert resolve_device('cuda:1') == torch.device('cuda:1')
    with pytest.raises(ParameterError, match=r'has 2 CUDA device'):
        resolve_device('cuda:2')
    for name in ('gpu', 'cuda:x', 'cuda:', '', 'CPU'):
        with pytest.raises(ParameterError, match='is not known'):
            resolve_device(name)


def test_hub_ids() -> None:
    """An id may carry a revision; a path is no id."""
    assert split_hub_id('a/b') == ('a/b', None)
    assert split_hub_id('a/b@v1.0') == ('a/b', 'v1.0')
    assert split_hub_id('a') is None and split_hub_id('a/b/c') is None
    assert split_hub_id('a/b@../../c') is None and split_hub_id('a/b@/etc') is None
