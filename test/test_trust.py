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
"""Checkpoints that mean harm: code in pickles, sizes beyond all measure, paths to anything."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Callable
import json
import os
from pathlib import Path
import pickle
import shutil
import struct
from types import SimpleNamespace
import zipfile

from fast_sam2_ros import trust
from fast_sam2_ros.errors import CheckpointError, FastSam2Error
from fast_sam2_ros.grounding import load_grounder
from fast_sam2_ros.grounding.describe import load_describer
from fast_sam2_ros.grounding.text import load_text_encoder
from fast_sam2_ros.grounding.words import WordHead
from fast_sam2_ros.pruning.learned import RouterNetwork, RouterSettings
from fast_sam2_ros.sam2 import efficientnet_lite
from fast_sam2_ros.sam2.checkpoint import load_model
from fast_sam2_ros.sam2.embedded import load_embedded
from fast_sam2_ros.sam2.meta import HieraSize, read_state_dict, video_config
from fast_sam2_ros.training.embedded import Trainer
import pytest
from safetensors.torch import save_file
import torch
import transformers
from transformers import CLIPConfig, CLIPModel, Sam2VideoModel

TINY = {'hidden_size': 32, 'intermediate_size': 48, 'num_hidden_layers': 2,
        'num_attention_heads': 2}


class RunsCode:
    """What a pickle can do: this one creates a file when it is opened."""

    def __init__(self, trace: Path) -> None:
        """Remember which file to create."""
        self.trace = trace

    def __reduce__(self) -> tuple:
        """Tell pickle what to call."""
        return Path.touch, (self.trace,)


@pytest.fixture(scope='module')
def sam2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a small SAM 2."""
    folder = tmp_path_factory.mktemp('sam2')
    size = HieraSize(8, 1, (1, 1, 1, 1), (1,), (8, 4, 4, 2), 7)
    Sam2VideoModel(video_config(size, 64)).save_pretrained(folder)
    return folder


@pytest.fixture(scope='module')
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a small CLIP, whose tokenizer no test here gets to."""
    folder = tmp_path_factory.mktemp('clip')
    CLIPModel(CLIPConfig(
        text_config={**TINY, 'vocab_size': 40, 'max_position_embeddings': 8},
        vision_config={**TINY, 'image_size': 32, 'patch_size': 8}, projection_dim=16,
    )).save_pretrained(folder)
    return folder


@pytest.fixture
def bomb(tmp_path: Path) -> tuple[Path, Path]:
    """Write a pickle in PyTorch's format, and say which file it creates when it is opened."""
    trace = tmp_path / 'ran'
    torch.save({'model': {'weight': torch.zeros(1)}, 'optimizer': RunsCode(trace)},
               tmp_path / 'bomb.pt')
    return tmp_path / 'bomb.pt', trace


def pickles_alone(folder: Path, bomb: Path, name: str) -> str:
    """Put the pickle where a folder should have safetensors."""
    (folder / 'model.safetensors').unlink()
    shutil.copy(bomb, folder / name)
    return str(folder)


def read_package(bomb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the backbone as if its package had brought the pickle."""
    package = SimpleNamespace(
        EfficientnetLite0ModelFile=SimpleNamespace(get_model_file_path=lambda: str(bomb)))
    monkeypatch.setattr(efficientnet_lite.importlib, 'import_module', lambda name: package)
    efficientnet_lite.EfficientNetLite0.pretrained()


def resume_training(bomb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go on from a training checkpoint."""
    monkeypatch.setattr(Trainer, '_trainable', lambda *_: SimpleNamespace())
    monkeypatch.setattr(Trainer, '_optimizer', lambda self: None)
    args = argparse.Namespace(init=None, resume=True, checkpoint=bomb, seed=0)
    Trainer([], [], [], args)


ENTRIES: dict[str, Callable[[Path, pytest.MonkeyPatch], object]] = {
    'a .pt file': lambda bomb, patch: load_model(str(bomb)),
    'a router': lambda bomb, patch: RouterNetwork.load(bomb.rename(bomb.with_suffix('.st'))),
    'the words': lambda bomb, patch: WordHead.load(bomb),
    'the embedded model': lambda bomb, patch: load_embedded(bomb),
    'the backbone': read_package,
    'training': resume_training,
}


@pytest.mark.parametrize('entry', ENTRIES)
def test_no_file_runs_code(
        entry: str, bomb: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever reads a file refuses the pickle in one line that says what to do."""
    path, trace = bomb
    content = path.read_bytes()
    with pytest.raises(CheckpointError) as error:
        ENTRIES[entry](path, monkeypatch)
    assert not trace.exists()
    assert '\n' not in str(error.value) and path.stem in str(error.value)
    path.write_bytes(content)
    torch.load(path, weights_only=False)
    assert trace.exists(), 'the file was harmless, so the test showed nothing'


@pytest.mark.parametrize('load', [load_model, lambda name: load_grounder(name, None),
                                  load_text_encoder, load_describer],
                         ids=['model', 'grounder', 'text encoder', 'describer'])
@pytest.mark.parametrize('name', ['pytorch_model.bin', 'model.safetensors'])
def test_no_folder_runs_code(
        load: Callable[[str], object], name: str, sam2: Path, clip: Path, tmp_path: Path,
        bomb: tuple[Path, Path]) -> None:
    """A pickle in a folder is not opened, by its own name or by that of safetensors."""
    source = sam2 if load is load_model else clip
    folder = Path(shutil.copytree(source, tmp_path / 'folder'))
    if load not in (load_model, load_text_encoder, load_describer):  # a detector by its settings
        (folder / 'config.json').write_text('{"model_type": "grounding-dino"}')
    with pytest.raises(CheckpointError) as error:
        load(pickles_alone(folder, bomb[0], name))
    assert 'again' in str(error.value) and '\n' not in str(error.value)
    assert not bomb[1].exists()


def test_pickle_beside_safetensors_is_not_opened(
        sam2: Path, tmp_path: Path, bomb: tuple[Path, Path]) -> None:
    """Hub folders often hold both; the safetensors are taken."""
    folder = Path(shutil.copytree(sam2, tmp_path / 'folder'))
    shutil.copy(bomb[0], folder / 'pytorch_model.bin')
    (folder / 'training_args.bin').write_bytes(pickle.dumps(RunsCode(bomb[1])))
    assert load_model(str(folder)).preprocess.image_size == 64
    assert not bomb[1].exists()


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'auto_map': {'AutoModel': 'modeling.Bomb'}}, 'code of its own'),
    ({'text_config': {'auto_map': {'AutoModel': 'modeling.Bomb'}}}, 'code of its own'),
    ({'quantization_config': {'quant_method': 'x'}}, 'quantized'),
    ({'vision_config': {'_attn_implementation': 'someone/kernel'}}, 'someone/kernel'),
    ({'backbone': 'someone/backbone'}, 'someone/backbone'),
    ({'text_config': {'num_hidden_layers': 10**9}}, 'num_hidden_layers 1000000000'),
    ({'vision_config': {'depths': [100, 100, 100]}}, 'depths 300'),
    ({'num_feature_levels': 10**6}, 'num_feature_levels'),
    ({'projection_dim': 10**12}, 'projection_dim'),
    ({'labels': list(range(2000))}, '2000 entries'),
])
def test_settings_that_ask_for_more_than_a_model_are_refused(
        changes: dict, reason: str, clip: Path, tmp_path: Path) -> None:
    """Code, kernels and backbones from elsewhere, and numbers that no model has."""
    folder = Path(shutil.copytree(clip, tmp_path / 'clip'))
    config = json.loads((folder / 'config.json').read_text())
    (folder / 'config.json').write_text(json.dumps({**config, **changes}))
    for load in (load_text_encoder, load_describer, lambda name: load_grounder(name, None)):
        with pytest.raises(CheckpointError, match=reason):
            load(str(folder))


@pytest.mark.parametrize('family', [
    'Sam2VideoConfig', 'GroundingDinoConfig', 'Owlv2Config', 'OmDetTurboConfig', 'CLIPConfig',
    'SiglipConfig', 'Siglip2Config', 'BlipConfig', 'GitConfig', 'Florence2Config'])
def test_settings_of_the_models_that_are_supported_are_taken(family: str, tmp_path: Path) -> None:
    """The limits let every family in with the settings of its published sizes, all written out."""
    config = getattr(transformers, family)()
    (tmp_path / 'config.json').write_text(config.to_json_string(use_diff=False))
    assert trust.read_config(tmp_path, '')['model_type'] == config.model_type


def test_adapters_and_code_of_tokenizers_are_refused(clip: Path, tmp_path: Path) -> None:
    """An adapter names another model; a tokenizer may name code."""
    folder = Path(shutil.copytree(clip, tmp_path / 'clip'))
    (folder / 'tokenizer_config.json').write_text(
        json.dumps({'auto_map': {'AutoTokenizer': ['tokens.Bomb', None]}}))
    (folder / 'tokens.py').write_text(f'open({str(tmp_path / "ran")!r}, "w")')
    with pytest.raises(CheckpointError, match='code of its own'):
        load_text_encoder(str(folder))
    (folder / 'adapter_config.json').write_text('{"base_model_name_or_path": "someone/else"}')
    with pytest.raises(CheckpointError, match='adapter'):
        load_text_encoder(str(folder))
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'memory_attention_feed_forward_hidden_size': 1 << 20}, 'million weights'),
    ({'memory_attention_rope_feat_sizes': [100_000, 100_000]}, 'million numbers'),
    ({'memory_attention_num_layers': 10_000}, 'memory_attention_num_layers'),
])
def test_giant_model_is_refused_before_memory_is_taken(
        changes: dict, reason: str, sam2: Path, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration is compared with its weights before anything is allocated."""
    folder = Path(shutil.copytree(sam2, tmp_path / 'sam2'))
    config = json.loads((folder / 'config.json').read_text())
    (folder / 'config.json').write_text(json.dumps({**config, **changes}))

    def allocate(*_: object, **__: object) -> None:
        raise AssertionError('the model was being loaded')

    monkeypatch.setattr(Sam2VideoModel, 'from_pretrained', allocate)
    with pytest.raises(CheckpointError, match=reason) as error:
        load_model(str(folder))
    assert str(folder) in str(error.value)


def test_giant_parts_of_hub_models_are_refused(clip: Path, tmp_path: Path) -> None:
    """The same holds for grounders, text encoders and describers."""
    folder = Path(shutil.copytree(clip, tmp_path / 'clip'))
    config = json.loads((folder / 'config.json').read_text())
    for tower, load in (('text_config', load_text_encoder), ('vision_config', load_describer)):
        giant = {**config, tower: {**config[tower], 'intermediate_size': 1 << 20}}
        (folder / 'config.json').write_text(json.dumps(giant))
        with pytest.raises(CheckpointError, match='million weights'):
            load(str(folder))
    (folder / 'config.json').write_text(json.dumps(
        {'model_type': 'grounding-dino', 'd_model': 256, 'encoder_ffn_dim': 1 << 20}))
    with pytest.raises(CheckpointError, match='million weights'):
        load_grounder(str(folder), None)


def test_header_that_claims_terabytes_is_refused(sam2: Path, tmp_path: Path) -> None:
    """Neither a tensor nor the header itself may be longer than the file."""
    folder = Path(shutil.copytree(sam2, tmp_path / 'sam2'))
    size = 1 << 42
    header = json.dumps(
        {'w': {'dtype': 'F32', 'shape': [size // 4], 'data_offsets': [0, size]}}).encode()
    weights = folder / 'model.safetensors'
    for content in (struct.pack('<Q', len(header)) + header + bytes(64),
                    struct.pack('<Q', 1 << 60) + b'{}'):
        weights.write_bytes(content)
        with pytest.raises(CheckpointError, match='not whole'):
            load_model(str(folder))


def test_files_beyond_the_memory_of_the_machine_are_refused(
        sam2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file is refused by its length; this one is a hole in the disk."""
    large = tmp_path / 'large.pt'
    with large.open('wb') as file:
        file.truncate(trust.weights_limit() + 1)
    with pytest.raises(CheckpointError, match='is the most that is read'):
        load_model(str(large))
    folder = Path(shutil.copytree(sam2, tmp_path / 'sam2'))
    monkeypatch.setattr(trust, 'WEIGHTS_BYTES', 1000)
    with pytest.raises(CheckpointError, match='is the most that is read'):
        load_model(str(folder))
    (folder / 'config.json').write_bytes(b' ' * (trust.JSON_BYTES + 1))
    with pytest.raises(CheckpointError, match='is the most that is read'):
        load_model(str(folder))


def test_archive_that_unpacks_to_more_is_refused(tmp_path: Path) -> None:
    """No file of PyTorch is compressed, so an archive that is cannot be one."""
    torch.save({'model': {'weight': torch.zeros(1 << 16)}}, tmp_path / 'whole.pt')
    with (zipfile.ZipFile(tmp_path / 'whole.pt') as whole,
          zipfile.ZipFile(tmp_path / 'small.pt', 'w', zipfile.ZIP_DEFLATED) as small):
        for name in whole.namelist():
            small.writestr(name, whole.read(name))
    assert set(read_state_dict(tmp_path / 'whole.pt')) == {'weight'}
    with pytest.raises(CheckpointError, match='unpacks to'):
        read_state_dict(tmp_path / 'small.pt')


def test_tensor_that_repeats_itself_is_refused(tmp_path: Path) -> None:
    """A tensor may name one number a trillion times; copying it would take terabytes."""
    torch.save({'model': {'weight': torch.zeros(1).expand(1 << 40)}}, tmp_path / 'wide.pt')
    with pytest.raises(CheckpointError, match='claims more numbers for weight'):
        read_state_dict(tmp_path / 'wide.pt')


def test_router_of_giant_layers_is_refused(tmp_path: Path) -> None:
    """The sizes stand in the file's header, and the network is built by them."""
    settings = {'model': 'm', 'channels': 1 << 20, 'text_encoder': 'e', 'text_size': 1 << 20,
                'with_prior': False, 'width': 1 << 20}
    save_file({'w': torch.zeros(1)}, tmp_path / 'router.safetensors',
              {'router': json.dumps(settings)})
    with pytest.raises(CheckpointError, match='holds no router'):
        RouterNetwork.load(tmp_path / 'router.safetensors')
    with pytest.raises(ValueError, match='whole numbers'):
        RouterSettings(**settings)


@pytest.mark.parametrize(('make', 'reason'), [
    (lambda path: path.mkdir(), 'is a folder'),
    (lambda path: path.symlink_to('/nowhere/at/all'), 'is a link to nothing'),
    (lambda path: path.symlink_to('/dev/zero'), 'is a device or a pipe'),
    (lambda path: os.mkfifo(path), 'is a device or a pipe'),
    (lambda path: None, 'is missing'),
])
def test_paths_to_what_is_no_file_are_refused(
        make: Callable[[Path], object], reason: str, sam2: Path, tmp_path: Path) -> None:
    """A pipe would block for ever and a device never end: neither is opened."""
    router = tmp_path / 'router.safetensors'
    make(router)
    with pytest.raises(CheckpointError, match=reason) as error:
        RouterNetwork.load(router)
    assert str(router) in str(error.value) and 'fast-sam2 train router' in str(error.value)
    for name in ('config.json', 'model.safetensors', 'preprocessor_config.json'):
        folder = Path(shutil.copytree(sam2, tmp_path / name.partition('.')[0]))
        (folder / name).unlink(missing_ok=True)
        make(folder / name)
        if os.path.lexists(folder / name):
            with pytest.raises(CheckpointError, match=f'{name} {reason}'):
                load_model(str(folder))
    model = tmp_path / 'model.pt'
    make(model)
    with pytest.raises(FastSam2Error):
        load_model(str(model))


def test_null_characters_and_deep_json_are_refused(sam2: Path, tmp_path: Path) -> None:
    """What Python raises for these is no crash of the node."""
    with pytest.raises(CheckpointError):
        RouterNetwork.load(tmp_path / 'a\0.safetensors')
    folder = Path(shutil.copytree(sam2, tmp_path / 'sam2'))
    (folder / 'config.json').write_text('[' * 100_000)
    with pytest.raises(CheckpointError, match='cannot be read'):
        load_model(str(folder))


def test_shards_outside_the_folder_are_refused(sam2: Path, tmp_path: Path) -> None:
    """An index names files of its own folder only."""
    folder = Path(shutil.copytree(sam2, tmp_path / 'sam2'))
    (folder / 'model.safetensors').rename(tmp_path / 'model.safetensors')
    for name in ('../model.safetensors', str(tmp_path / 'model.safetensors'), '..'):
        (folder / 'model.safetensors.index.json').write_text(
            json.dumps({'weight_map': {'w': name}}))
        with pytest.raises(CheckpointError, match='outside itself'):
            load_model(str(folder))


def test_every_reader_in_the_package_is_a_safe_one() -> None:
    """Whoever adds one meets this: local files, no code of others, tensors alone."""
    needed = {'from_pretrained': ('local_files_only', True), 'load': ('weights_only', True)}
    found = []
    for path in Path(trust.__file__).parent.rglob('*.py'):
        for call in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            owner = ast.unparse(call.func.value)
            assert owner not in ('pickle', 'marshal', 'dill', 'joblib'), f'{path}: {owner}'
            given = {word.arg: ast.unparse(word.value) for word in call.keywords}
            assert given.get('trust_remote_code', 'False') == 'False', path
            assert given.get('allow_pickle', 'False') == 'False', path
            if call.func.attr == 'from_pretrained' or (owner, call.func.attr) == ('torch', 'load'):
                name, value = needed[call.func.attr]
                assert given.get(name) == str(value), f'{path}:{call.lineno} lacks {name}'
                found.append(path.name)
    assert {'trust.py', 'checkpoint.py', 'hub.py', 'detectors.py'} <= set(found)
