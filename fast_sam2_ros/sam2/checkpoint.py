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
"""Find a model by its name, check that it is whole, and load it without running its code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
import logging
import os
from pathlib import Path
import re
from typing import Any, TYPE_CHECKING

from fast_sam2_ros.errors import CheckpointError, name_some, ParameterError
from fast_sam2_ros.sam2.loaded import LoadedModel, Preprocess
from fast_sam2_ros.sam2.resize import check_image_size, resize_model
from fast_sam2_ros.trust import (
    check_model_fits, check_weight_files, CONFIG_FILE, first_line, read_config, read_json)
import torch

if TYPE_CHECKING:
    from transformers import Sam2VideoModel

logger = logging.getLogger(__name__)

EMBEDDED = 'embedded'
AUTO = 'auto'
RANDOM_PREFIX = 'random:'
PREFERRED_ID = 'facebook/sam2.1-hiera-tiny'
# The commits that a hub id means where none is named: what was looked at, and not what its owner
# may put there tomorrow.
REVISIONS = {
    PREFERRED_ID: 'de431c4043854a71d8101e17995dfe596bf101a5',
    'IDEA-Research/grounding-dino-tiny': 'a2bb814dd30d776dcf7e30523b00659f4f141c71',
}
PREFERRED = f'{PREFERRED_ID}@{REVISIONS[PREFERRED_ID]}'

WEIGHTS_FILE = 'model.safetensors'
WEIGHTS_INDEX_FILE = 'model.safetensors.index.json'
# Where transformers writes the mean and the deviation, the most specific first.
PREPROCESSOR_FILES = (
    'video_preprocessor_config.json', 'preprocessor_config.json', 'processor_config.json')
# Tokenizers belong to grounders, text encoders and describers; SAM 2 has none.
TOKENIZER_FILES = (
    'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json',
    'vocab.txt', 'vocab.json', 'merges.txt', 'spiece.model', 'tokenizer.model')

MODEL_TYPE = 'sam2_video'
VISION_TYPE = 'sam2_vision_model'
BACKBONE_TYPE = 'sam2_hiera_det_model'

_HUB_ID = re.compile(r'(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?')
_META_SUFFIXES = ('.pt', '.pth')
_LARGEST_IMAGE = 4096
# One matrix under two names: SAM 2 encodes points and image positions with the same one
# (Meta's `pe_layer`), and a file may hold it once.
_POSITIONS = ('shared_image_embedding.positional_embedding',
              'prompt_encoder.shared_embedding.positional_embedding')


def load_model(name: str, device: str = 'cpu', preferred: str = PREFERRED,
               image_size: int | None = None) -> LoadedModel:
    """
    Load the model called `name` on to `device`; nothing is ever downloaded here.

    `name` is one of
    - 'embedded', the model that this package ships;
    - 'auto', which is `preferred` where that is on this machine, else 'embedded';
    - a hub id such as 'facebook/sam2.1-hiera-tiny', also 'id@revision', from the local cache
      that `fast-sam2 fetch` fills; see `find_in_cache`;
    - a folder with config.json and safetensors, as transformers writes it;
    - a .pt file in the format of Meta's sam2 package;
    - 'random:tiny', 'random:small', 'random:base-plus', 'random:large': the real shapes with
      random weights, for timing.

    `image_size` is the edge of the square input in pixels, None for what the model was trained
    with; another one costs accuracy and, where it is smaller, saves time.

    Raises CheckpointError where the model is missing, incomplete or of another architecture,
    and ParameterError for a device that this machine does not have, or a size that does not fit.
    """
    target = resolve_device(device)
    if image_size is not None:
        check_image_size(image_size)
    if name == AUTO:
        loaded = _load_auto(preferred)
    else:
        loaded = _load_named(name)
    if image_size not in (None, loaded.preprocess.image_size):
        loaded = replace(
            loaded, model=resize_model(loaded.model, image_size),
            preprocess=replace(loaded.preprocess, image_size=image_size))
    loaded.model.eval().requires_grad_(False)
    loaded.model.to(target)
    return loaded


def resolve_device(device: str) -> torch.device:
    """
    Turn 'auto', 'cpu', 'cuda' or 'cuda:N' into a device of this machine.

    'auto' is the first CUDA device where there is one, else the CPU. Raises ParameterError for
    a name that means nothing and for a CUDA device that is not there.
    """
    if device == AUTO:
        return torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')
    if device == 'cpu':
        return torch.device('cpu')
    match = re.fullmatch(r'cuda(?::(\d+))?', device)
    if match is None:
        raise ParameterError(f"device '{device}' is not known: use auto, cpu, cuda or cuda:0")
    if not torch.cuda.is_available():
        raise ParameterError(
            f"device '{device}' was asked for, but PyTorch finds no CUDA device here: use cpu, "
            'or install a CUDA build of PyTorch')
    index = int(match.group(1) or 0)
    if index >= torch.cuda.device_count():
        raise ParameterError(
            f"device '{device}' is not there: this machine has {torch.cuda.device_count()} "
            'CUDA device(s), counted from cuda:0')
    return torch.device('cuda', index)


def split_hub_id(name: str) -> tuple[str, str | None] | None:
    """
    Split 'owner/model@revision' into its id and its revision; None if it is no hub id.

    The revision is a commit, a branch or a tag; None where none is named.
    """
    match = _HUB_ID.fullmatch(name)
    if match is None or '..' in name or (match.group('revision') or '').startswith('/'):
        return None
    return match.group('repo'), match.group('revision')


def find_in_cache(
        hub_id: str, revision: str | None = None, cache_dir: str | Path | None = None
) -> Path | None:
    """
    Look a hub checkpoint up in the local cache; return its folder, or None.

    The network is never used. Just `revision` is looked for where it is given, else that of
    `REVISIONS` and after it what the user has as the main branch. The folder is the one that holds
    config.json; whether it is complete is checked when it is loaded.
    """
    from huggingface_hub import try_to_load_from_cache

    for wanted in (revision,) if revision else (REVISIONS.get(hub_id), 'main'):
        found = wanted and try_to_load_from_cache(
            hub_id, CONFIG_FILE, cache_dir=cache_dir, revision=wanted)
        if isinstance(found, str):
            return Path(found).parent
    return None


def check_weights(folder: Path, remedy: str) -> list[Path]:
    """
    Check that the safetensors of `folder` are all there and whole; return their paths.

    Opening a safetensors file compares its length with what its header announces, so a
    truncated one, or a header that claims more, is found without reading it. Files that are
    larger than this machine's memory are refused. Raises CheckpointError that ends in `remedy`.
    """
    from safetensors import safe_open, SafetensorError

    if os.path.lexists(folder / WEIGHTS_FILE):
        names = [WEIGHTS_FILE]
    elif os.path.lexists(folder / WEIGHTS_INDEX_FILE):
        index = read_json(folder / WEIGHTS_INDEX_FILE, remedy)
        weight_map = index.get('weight_map')
        if not isinstance(weight_map, dict) or not weight_map:
            raise CheckpointError(f'{folder / WEIGHTS_INDEX_FILE} names no weights: {remedy}')
        names = sorted({str(name) for name in weight_map.values()})
    else:
        pickled = sorted(path.name for path in folder.glob('*.bin'))
        also = f' ({pickled[0]} is a pickle, which is not opened)' if pickled else ''
        raise CheckpointError(f'{folder} has no {WEIGHTS_FILE}{also}: {remedy}')
    for name in names:
        if Path(name).name != name or name == '..':
            raise CheckpointError(f'{folder} names weights outside itself ({name}): {remedy}')
    check_weight_files((folder / name for name in names), remedy)
    for name in names:
        try:
            with safe_open(folder / name, framework='pt') as weights:
                weights.keys()
        except (OSError, SafetensorError) as error:
            raise CheckpointError(
                f'{folder / name} is missing or not whole ({error}): {remedy}') from error
    return [folder / name for name in names]


def _load_auto(preferred: str) -> LoadedModel:
    if preferred in (AUTO, EMBEDDED):
        return _load_embedded()
    try:
        return _load_named(preferred)
    except CheckpointError as error:
        return replace(_load_embedded(), fallback=f'the embedded model is used: {error}')


def _load_named(name: str) -> LoadedModel:
    if name == EMBEDDED:
        return _load_embedded()
    if name.startswith(RANDOM_PREFIX):
        return _load_random(name)
    path = Path(name).expanduser()
    if name and path.is_dir():
        remedy = 'save the model there again, or take it from the hub with `fast-sam2 fetch`'
        return _load_folder(path.resolve(), name, remedy)
    if path.suffix in _META_SUFFIXES:
        return _load_meta(path, name)
    hub = None if name.startswith(('/', '.', '~')) else split_hub_id(name)
    if hub is None:
        raise CheckpointError(
            f"model '{name}' is neither a folder, a .pt file nor a hub id: use auto, embedded, "
            f'{PREFERRED_ID} or the path of one')
    return _load_hub(name, *hub)


def _load_embedded() -> LoadedModel:
    from fast_sam2_ros.sam2 import embedded

    return LoadedModel(embedded.load_embedded(), embedded.PREPROCESS, EMBEDDED,
                       'shipped with fast_sam2_ros', takes_points=False,
                       likeness_levels=embedded.LIKENESS_LEVELS)


def _load_random(name: str) -> LoadedModel:
    from fast_sam2_ros.evaluation.random_models import random_model, SIZES

    size = name.removeprefix(RANDOM_PREFIX)
    if size not in SIZES:
        raise CheckpointError(
            f"model '{name}' has no such size: use {RANDOM_PREFIX} with one of "
            f"{', '.join(SIZES)}")
    model = random_model(size)
    return LoadedModel(model, Preprocess(_square_size(model.config, name)), name,
                       'random weights: for timing, its masks mean nothing')


def _load_hub(name: str, hub_id: str, revision: str | None) -> LoadedModel:
    pin = f' --revision {revision}' if revision not in (None, REVISIONS.get(hub_id)) else ''
    remedy = f'run `fast-sam2 fetch {hub_id}{pin}`'
    folder = find_in_cache(hub_id, revision)
    if folder is None:
        raise CheckpointError(f'{name} is not on this machine: {remedy}')
    return _load_folder(folder, name, remedy)


def _load_meta(path: Path, name: str) -> LoadedModel:
    from fast_sam2_ros.sam2.meta import load_meta

    model = load_meta(path)
    return LoadedModel(model, Preprocess(_square_size(model.config, name)), name,
                       str(path.resolve()))


def _load_folder(folder: Path, name: str, remedy: str) -> LoadedModel:
    from safetensors import SafetensorError
    from transformers import Sam2VideoConfig, Sam2VideoModel

    config = read_config(folder, remedy)
    _check_architecture(config, folder)
    described = check_model_fits(
        lambda: Sam2VideoModel(Sam2VideoConfig.from_dict(config)),
        check_weights(folder, remedy), folder, remedy)
    _square_size(described.config, name)
    try:
        with quiet_transformers():
            model, info = Sam2VideoModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32,
                output_loading_info=True)
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, SafetensorError) as error:
        raise CheckpointError(
            f'{folder} does not fit its own config.json ({first_line(error)}): {remedy}'
        ) from error
    _complete_positions(model, info['missing_keys'], folder, remedy)
    if info['unexpected_keys']:
        logger.warning('%s holds weights that the model does not use: %s', folder,
                       name_some(info['unexpected_keys']))
    size = _square_size(model.config, name)
    return LoadedModel(model, _read_preprocess(folder, size, remedy), name, str(folder))


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' progress bar and its table of missing weights off the terminal."""
    from transformers.utils import logging as transformers_logging

    verbosity = transformers_logging.get_verbosity()
    bar = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bar:
            transformers_logging.enable_progress_bar()


def _check_architecture(config: dict[str, Any], folder: Path) -> None:
    """Refuse a configuration that is not SAM 2 for video."""
    vision = _part(config, 'vision_config')
    found = (config.get('model_type'), vision.get('model_type', VISION_TYPE),
             _part(vision, 'backbone_config').get('model_type', BACKBONE_TYPE))
    if found != (MODEL_TYPE, VISION_TYPE, BACKBONE_TYPE):
        raise CheckpointError(
            f"{folder} holds '{found[0]}' with '{found[2]}', not SAM 2 for video "
            f"('{MODEL_TYPE}' with '{BACKBONE_TYPE}'): use a checkpoint such as {PREFERRED_ID}")


def _part(config: dict[str, Any], key: str) -> dict[str, Any]:
    part = config.get(key)
    return part if isinstance(part, dict) else {}


def _complete_positions(
        model: Sam2VideoModel, missing: set[str] | list[str], folder: Path, remedy: str) -> None:
    """Copy the matrix that a file holds under one of its two names; refuse anything else."""
    absent = set(missing)
    if len(absent) == 1 and absent <= set(_POSITIONS):
        kept = next(name for name in _POSITIONS if name not in absent)
        model.get_buffer(absent.pop()).copy_(model.get_buffer(kept))
    if absent:
        raise CheckpointError(f'{folder} lacks weights of SAM 2 ({name_some(absent)}): {remedy}')


def _read_preprocess(folder: Path, image_size: int, remedy: str) -> Preprocess:
    """Read the mean and the deviation that the checkpoint was trained with, else ImageNet's."""
    for name in PREPROCESSOR_FILES:
        if not os.path.lexists(folder / name):
            continue
        settings = read_json(folder / name, remedy)
        for key in ('video_processor', 'image_processor'):
            if isinstance(settings.get(key), dict):
                settings = settings[key]
        if 'image_mean' not in settings or 'image_std' not in settings:
            continue
        try:
            # transformers multiplies by rescale_factor; ours divides by 255.
            scale = 255.0 * float(settings.get('rescale_factor') or 1.0 / 255.0)
            mean = tuple(float(value) / scale for value in settings['image_mean'])
            std = tuple(float(value) / scale for value in settings['image_std'])
        except (TypeError, ValueError, ZeroDivisionError) as error:
            raise CheckpointError(f'{folder / name} cannot be read ({error}): {remedy}') from error
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0.0:
            raise CheckpointError(
                f'{folder / name} needs three numbers in image_mean and image_std: {remedy}')
        return Preprocess(image_size, mean, std)
    return Preprocess(image_size)


def _square_size(config: Any, name: str) -> int:
    """Return the edge of the square input image in pixels."""
    size = config.image_size
    edges = set(size) if isinstance(size, (list, tuple)) else {size}
    if len(edges) != 1:
        raise CheckpointError(
            f"model '{name}' takes images of {size} pixels: only square inputs are supported")
    edge = edges.pop()
    if not isinstance(edge, int) or not 0 < edge <= _LARGEST_IMAGE:
        raise CheckpointError(
            f"model '{name}' takes images of {edge} pixels: {_LARGEST_IMAGE} a side is the most "
            'that is supported')
    return edge
