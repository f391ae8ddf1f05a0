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
What others made is looked at before it is read: plain files, bounded sizes, no code.

A checkpoint is data. Its tensors are read by safetensors or by `torch.load(weights_only=True)`,
which execute nothing; the checks here see to what these two leave open: what kind of file a path
leads to, how much memory reading it would take, and settings by which transformers would run code
of the checkpoint or fetch more from the network. docs/SECURITY.md says what is trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
import json
import math
import os
from pathlib import Path
import pickle
import stat
from typing import Any, TYPE_CHECKING
import zipfile

from fast_sam2_ros.errors import CheckpointError

if TYPE_CHECKING:
    from torch import nn

CONFIG_FILE = 'config.json'
ADAPTER_FILE = 'adapter_config.json'

JSON_BYTES = 16 << 20
TOKENIZER_BYTES = 256 << 20
WEIGHTS_BYTES = 16 << 30
"""The largest that files may be, in bytes; the largest model that is used here has 3 GB."""

LARGEST_NUMBER = 1 << 20
MOST_PARTS = 4096
MOST_LAYERS = 256
LONGEST_LIST = 1024
BUFFER_NUMBERS = 64 << 20
"""The largest numbers, counts, layers, lists and tables that a config.json may ask for."""

ATTENTION = ('eager', 'sdpa', 'flash_attention_2', 'flex_attention')


def check_file(path: Path, limit: int, remedy: str) -> Path:
    """
    Check that `path` leads to a plain file of at most `limit` bytes, and return it.

    A pipe would block and a device never end, so neither is opened. Raises CheckpointError that
    ends in `remedy`.
    """
    try:
        found = path.stat()
    except OSError as error:
        what = 'is a link to nothing' if path.is_symlink() else 'is missing'
        if not isinstance(error, FileNotFoundError):
            what = f'cannot be read ({error.strerror})'
        raise CheckpointError(f'{path} {what}: {remedy}') from error
    except ValueError as error:  # a null character
        raise CheckpointError(f'{str(path)!r} is no path: {remedy}') from error
    if stat.S_ISDIR(found.st_mode):
        raise CheckpointError(f'{path} is a folder, not a file: {remedy}')
    if not stat.S_ISREG(found.st_mode):
        raise CheckpointError(f'{path} is a device or a pipe, not a file: {remedy}')
    if found.st_size > limit:
        raise CheckpointError(
            f'{path} has {found.st_size / 1e6:,.0f} MB, and {limit / 1e6:,.0f} MB is the most '
            f'that is read: {remedy}')
    return path


def weights_limit() -> int:
    """Return how many bytes of weights are read at most: never more than this machine's memory."""
    try:
        memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    except (ValueError, OSError):
        return WEIGHTS_BYTES
    return min(WEIGHTS_BYTES, memory) if memory > 0 else WEIGHTS_BYTES


def check_weight_files(paths: Iterable[Path], remedy: str) -> None:
    """Check that the files are plain ones, which all together fit; see `check_file`."""
    room = weights_limit()
    for path in paths:
        room -= check_file(path, room, remedy).stat().st_size


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """Read a JSON object from a plain file; raise CheckpointError that ends in `remedy`."""
    check_file(path, JSON_BYTES, remedy)
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f'{path} cannot be read ({error}): {remedy}') from error
    if not isinstance(content, dict):
        raise CheckpointError(f'{path} is not a JSON object: {remedy}')
    return content


def read_config(folder: Path, remedy: str) -> dict[str, Any]:
    """
    Read a model's config.json, and refuse what a checkpoint has no business to ask for.

    That is: code of its own (auto_map), an adapter or a backbone from elsewhere, kernels or
    quantizers, and numbers that no model of this kind has. Raises CheckpointError.
    """
    config = read_json(folder / CONFIG_FILE, remedy)
    if os.path.lexists(folder / ADAPTER_FILE):
        raise CheckpointError(
            f'{folder} holds an adapter ({ADAPTER_FILE}), which would load another model: '
            'use a whole checkpoint')
    _check_settings(config, folder)
    _check_numbers(config, '', folder, remedy)
    return config


def check_tokenizer_files(folder: Path, names: Iterable[str], remedy: str) -> None:
    """Check that the files that a tokenizer is read from are plain, bounded, and name no code."""
    for name in names:
        path = folder / name
        if not os.path.lexists(path):
            continue
        check_file(path, TOKENIZER_BYTES, remedy)
        if name.endswith('_config.json') and _has_key(read_json(path, remedy), 'auto_map'):
            raise CheckpointError(_code(folder))


def check_model_fits(
        build: Callable[[], nn.Module], weights: Iterable[Path], folder: Path, remedy: str
) -> nn.Module:
    """
    Compare the model that a configuration describes with the weights that are there for it.

    `build` makes the model from its configuration; it is called where tensors have shapes and no
    memory. So a configuration that asks for more than the weights hold is found before any
    memory is taken. Returns that empty model. Raises CheckpointError.
    """
    import torch

    try:
        with torch.device('meta'):
            model = build()
    except ImportError:
        raise
    except Exception as error:  # a configuration can be wrong in any way
        raise CheckpointError(
            f'{folder} does not fit its own {CONFIG_FILE} ({first_line(error)}): {remedy}'
        ) from error
    wanted = sum(weight.numel() for weight in model.parameters())
    held = count_numbers(weights)
    if wanted > 1.05 * held + 1_000_000:
        raise CheckpointError(
            f'{folder / CONFIG_FILE} asks for {wanted / 1e6:,.0f} million weights, and the files '
            f'beside it hold {held / 1e6:,.0f} million: {remedy}')
    tables = sum(table.numel() for table in model.buffers())
    if tables > BUFFER_NUMBERS:
        raise CheckpointError(
            f'{folder / CONFIG_FILE} asks for tables of {tables / 1e6:,.0f} million numbers, and '
            f'{BUFFER_NUMBERS / 1e6:,.0f} million is the most that is made: {remedy}')
    return model


def count_numbers(weights: Iterable[Path]) -> int:
    """Count the numbers that safetensors files hold, from their headers alone."""
    from safetensors import safe_open

    count = 0
    for path in weights:
        with safe_open(path, framework='pt') as file:
            count += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())
    return count


def first_line(error: Exception) -> str:
    """Return the first line of an error that says something, or else its kind."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def load_tensors(path: Path, limit: int, remedy: str) -> Any:
    """
    Read a file of `torch.save` on to the CPU: tensors, numbers, words, and nothing that acts.

    Raises CheckpointError, which ends in `remedy`, for a file that holds more than that, is
    damaged, has more than `limit` bytes, or unpacks to more than it has.
    """
    import torch

    check_file(path, limit, remedy)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                contents = sum(entry.file_size for entry in archive.infolist())
            if contents > path.stat().st_size:  # PyTorch stores, and compresses nothing
                raise CheckpointError(
                    f'{path} unpacks to {contents / 1e6:,.0f} MB, as no file of PyTorch does: '
                    f'{remedy}')
        return torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f'{path} holds more than tensors, and opening it could run code, so it was not '
            f'opened: {remedy}, or use safetensors') from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError,
            zipfile.BadZipFile) as error:
        raise CheckpointError(f'{path} is damaged or cut short: {remedy}') from error


def _check_settings(value: Any, folder: Path) -> None:
    if isinstance(value, list):
        for item in value:
            _check_settings(item, folder)
    if not isinstance(value, dict):
        return
    if 'auto_map' in value:
        raise CheckpointError(_code(folder))
    if value.get('quantization_config') is not None:
        raise CheckpointError(
            f'{folder} is quantized (quantization_config), which needs code of other packages: '
            'use the checkpoint in float32, float16 or bfloat16')
    for key in ('attn_implementation', '_attn_implementation'):
        name = value.get(key)
        if name is not None and name not in ATTENTION:
            raise CheckpointError(
                f'{folder} asks for an attention kernel from elsewhere ({key}: {name}), which is '
                f'never fetched: remove {key} from {CONFIG_FILE}')
    backbone = value.get('backbone')
    if isinstance(backbone, str) and '/' in backbone and not value.get('backbone_config'):
        raise CheckpointError(
            f'{folder} takes its backbone from elsewhere ({backbone}), which is never fetched: '
            'use a checkpoint that holds the settings of its backbone (backbone_config)')
    for item in value.values():
        _check_settings(item, folder)


def _check_numbers(value: Any, key: str, folder: Path, remedy: str) -> None:
    """Refuse numbers and lists that would keep the machine busy with a model of any size."""
    if isinstance(value, dict):
        for name, item in value.items():
            _check_numbers(item, str(name), folder, remedy)
        return
    numbers = value if isinstance(value, list) else [value]
    counts = [abs(number) for number in numbers
              if isinstance(number, int) and not isinstance(number, bool)]
    is_layers = any(word in key for word in ('layers', 'blocks', 'depth'))
    if len(numbers) > LONGEST_LIST:
        raise CheckpointError(
            f'{folder / CONFIG_FILE} has {key} with {len(numbers)} entries, and {LONGEST_LIST} '
            f'is the most: {remedy}')
    limit = MOST_LAYERS if is_layers else MOST_PARTS if key.startswith('num_') else LARGEST_NUMBER
    largest = sum(counts) if is_layers else max(counts, default=0)
    if largest > limit:
        raise CheckpointError(
            f'{folder / CONFIG_FILE} has {key} {largest}, and {limit} is the most that is made: '
            f'{remedy}')
    for item in numbers:
        if isinstance(item, (dict, list)):
            _check_numbers(item, key, folder, remedy)


def _has_key(value: Any, key: str) -> bool:
    if isinstance(value, dict):
        return key in value or any(_has_key(item, key) for item in value.values())
    return isinstance(value, list) and any(_has_key(item, key) for item in value)


def _code(folder: Path) -> str:
    return (f'{folder} wants to run code of its own (auto_map), which is never done: use a '
            'checkpoint whose architecture transformers has itself')
