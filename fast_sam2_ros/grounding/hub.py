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
"""Models and tokenizers of `transformers` that lie on this machine, loaded whole or not at all."""

from __future__ import annotations

from pathlib import Path

from fast_sam2_ros.errors import CheckpointError, name_some
from fast_sam2_ros.sam2.checkpoint import (
    check_weights, find_in_cache, quiet_transformers, split_hub_id, TOKENIZER_FILES)
from fast_sam2_ros.trust import (
    check_model_fits, check_tokenizer_files, CONFIG_FILE, first_line, read_config)
import torch
from transformers import (
    AutoConfig, AutoTokenizer, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase)


def find_folder(name: str, kind: str) -> tuple[Path, str]:
    """
    Return the folder of a hub id ('owner/model' or 'owner/model@revision') or of a path.

    The second value says what to do where something in it is wrong. Raises CheckpointError,
    which calls the model a `kind`, where it is not on this machine; nothing is downloaded.
    """
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        return folder, 'save the model and its tokenizer there again'
    hub = None if name.startswith(('/', '.', '~')) else split_hub_id(name)
    if hub is None:
        raise CheckpointError(f"{kind} '{name}' is neither 'embedded', a folder nor a hub id")
    remedy = f'run `fast-sam2 fetch {name}`'
    cached = find_in_cache(*hub)
    if cached is None:
        raise CheckpointError(f'the {kind} {name} is not on this machine: {remedy}')
    return cached, remedy


def read_model_type(folder: Path, remedy: str) -> str:
    """
    Return what config.json says the model is.

    Raises CheckpointError where it does not, or where it asks for what no checkpoint should;
    see `trust.read_config`.
    """
    config = read_config(folder, remedy)
    if not isinstance(config.get('model_type'), str):
        raise CheckpointError(
            f'{folder / CONFIG_FILE} names no model_type, so it is no model of transformers: '
            f'{remedy}')
    return config['model_type']


def read_tower_config(folder: Path, remedy: str, tower: str) -> PretrainedConfig:
    """
    Return the settings of one tower of a model that compares images with texts.

    tower: 'text_config' or 'vision_config'. Raises CheckpointError where they cannot be read.
    """
    read_config(folder, remedy)
    try:
        config = AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(
            f'{folder} has no readable {CONFIG_FILE} ({first_line(error)}): {remedy}') from error
    settings = getattr(config, tower, config)  # the folder may hold the tower alone
    if settings is not config and hasattr(config, 'projection_dim'):
        # CLIP's: some checkpoints give it only here, and not with the tower's own settings.
        settings.projection_dim = config.projection_dim
    return settings


def load_part(
    model_class: type[PreTrainedModel], folder: Path, remedy: str,
    config: PretrainedConfig | None = None,
) -> PreTrainedModel:
    """
    Load a model, or the part of it that `model_class` is, in float32 for inference.

    config: instead of the folder's own.
    Raises CheckpointError where a weight of this part is missing or of another shape.
    """
    found = read_config(folder, remedy)
    try:
        check_model_fits(
            lambda: model_class(config or model_class.config_class.from_dict(found)),
            check_weights(folder, remedy), folder, remedy)
        with quiet_transformers():
            model, info = model_class.from_pretrained(
                folder, config=config, local_files_only=True, use_safetensors=True,
                dtype=torch.float32, output_loading_info=True)
    except ImportError as error:
        raise _lacks_package(folder, error) from error
    except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(
            f'{folder} does not fit its own {CONFIG_FILE} ({first_line(error)}): {remedy}'
        ) from error
    if info['missing_keys']:
        raise CheckpointError(
            f'{folder} lacks weights of {model_class.__name__} '
            f'({name_some(info["missing_keys"])}): {remedy}')
    return model.eval().requires_grad_(False)


def load_tokenizer(folder: Path, remedy: str) -> PreTrainedTokenizerBase:
    """Load a folder's tokenizer; raise CheckpointError where it cannot be."""
    check_tokenizer_files(folder, TOKENIZER_FILES, remedy)
    try:
        return AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False)
    except ImportError as error:
        raise _lacks_package(folder, error) from error
    except Exception as error:  # the readers of vocabularies raise whatever they stumble over
        raise CheckpointError(
            f'the tokenizer of {folder} cannot be loaded ({first_line(error)}): {remedy}'
        ) from error


def _lacks_package(folder: Path, error: ImportError) -> CheckpointError:
    return CheckpointError(f'{folder} needs a package that is not here: {first_line(error)}')
