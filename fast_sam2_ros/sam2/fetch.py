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
Bring a checkpoint from the Hugging Face hub into the local cache, whole or not at all.

This is the only place that uses the network, and only when the user runs `fast-sam2 fetch`.
huggingface_hub writes each file under a temporary name and renames it when its length is right,
but it compares no checksums of plain downloads, and it moves a branch to a new commit before
the files of that commit are there. So here every file is compared with the hub's checksum,
config.json (by which a checkpoint is found) comes last, the branch moves after that, and what a
failed fetch has written is removed.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
import hashlib
import json
from pathlib import Path
import re
import shutil
from typing import Any

from fast_sam2_ros.errors import CheckpointError, FastSam2Error, ParameterError
from fast_sam2_ros.sam2.checkpoint import (
    check_weights, PREFERRED_ID, PREPROCESSOR_FILES, REVISIONS, split_hub_id, TOKENIZER_FILES,
    WEIGHTS_FILE, WEIGHTS_INDEX_FILE)
from fast_sam2_ros.trust import CONFIG_FILE, JSON_BYTES, TOKENIZER_BYTES, weights_limit

GENERATION_FILE = 'generation_config.json'  # how a captioner ends its sentences
_SHARD = re.compile(r'model-\d+-of-\d+\.safetensors')
_COMMIT = re.compile(r'[0-9a-f]{40}')
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class RemoteFile:
    """A file as the hub announces it: its length in bytes and one of the two checksums."""

    name: str
    size: int | None
    sha256: str | None
    git_blob: str | None


def fetch(hub_id: str, revision: str | None = None, cache_dir: str | Path | None = None) -> Path:
    """
    Download the checkpoint `hub_id` into the local cache and return its folder.

    Only the configuration, the safetensors and what prepares images and words are taken; no
    code and no pickles. `revision` is a commit, a branch or a tag; by default the commit of
    `REVISIONS`, and the main branch of what is not there. `cache_dir` is the hub's own cache by
    default (HF_HOME). Files that are there already and whole are not downloaded again.

    Raises CheckpointError where the hub cannot be reached or has no such checkpoint, and where
    a file arrives cut short or altered; then nothing of it stays. Raises ParameterError for a
    name that is no hub id.
    """
    from huggingface_hub import constants, HfApi

    if split_hub_id(hub_id) != (hub_id, None):
        raise ParameterError(f"'{hub_id}' is no hub id: it should look like {PREFERRED_ID}")
    revision = revision or REVISIONS.get(hub_id)
    if revision is not None and split_hub_id(f'{hub_id}@{revision}') is None:
        raise ParameterError(f"'{revision}' is no revision: use a commit, a branch or a tag")
    api = HfApi()
    try:
        info = api.model_info(hub_id, revision=revision, files_metadata=True)
    except Exception as error:  # The hub's HTTP client, and with it its errors, has changed often.
        raise _explain(hub_id, error) from error
    _check_commit(hub_id, revision, info.sha)
    files = choose_files(hub_id, info.siblings or [])
    cache = Path(cache_dir or constants.HF_HUB_CACHE)
    _check_sizes(hub_id, files, cache)
    storage = cache / f"models--{hub_id.replace('/', '--')}"
    before = set(storage.rglob('*'))
    try:
        for file in files:
            _download(api, hub_id, file, info.sha, cache)
        folder = storage / 'snapshots' / info.sha
        check_weights(folder, f'the hub holds it so; choose another model than {hub_id}')
    except BaseException:
        _remove_new(storage, before)
        raise
    branch = revision or constants.DEFAULT_REVISION
    if not _COMMIT.fullmatch(branch):
        _write_whole(storage / 'refs' / branch, info.sha)
    return folder


def choose_files(hub_id: str, siblings: list[Any]) -> list[RemoteFile]:
    """
    Choose what to download from a repository's list of files; config.json comes last.

    Raises CheckpointError where there is no configuration or no safetensors.
    """
    offered = {sibling.rfilename: RemoteFile(
        sibling.rfilename, sibling.size, sibling.lfs.sha256 if sibling.lfs else None,
        None if sibling.lfs else sibling.blob_id) for sibling in siblings}
    if WEIGHTS_FILE in offered:
        weights = [WEIGHTS_FILE]
    elif WEIGHTS_INDEX_FILE in offered:
        weights = [WEIGHTS_INDEX_FILE, *sorted(filter(_SHARD.fullmatch, offered))]
    else:
        raise CheckpointError(
            f'{hub_id} has no {WEIGHTS_FILE}, and pickles are not taken: choose a model with '
            f'safetensors, such as {PREFERRED_ID}')
    if CONFIG_FILE not in offered:
        raise CheckpointError(
            f'{hub_id} has no {CONFIG_FILE}, so it is no model of transformers: choose one such '
            f'as {PREFERRED_ID}')
    extras = [name for name in (*PREPROCESSOR_FILES, *TOKENIZER_FILES, GENERATION_FILE)
              if name in offered]
    return [offered[name] for name in (*weights, *extras, CONFIG_FILE)]


def _check_commit(hub_id: str, revision: str | None, commit: str | None) -> None:
    """Check that the hub names a commit, and the one that was asked for; it becomes a path."""
    if not _COMMIT.fullmatch(commit or ''):
        raise CheckpointError(f'the hub names no commit for {hub_id}: check HF_ENDPOINT')
    if _COMMIT.fullmatch(revision or '') and commit != revision:
        raise CheckpointError(
            f'the hub gave commit {commit} of {hub_id} where {revision} was asked for, and '
            'nothing was fetched: check HF_ENDPOINT, or name another revision')


def _check_sizes(hub_id: str, files: list[RemoteFile], cache: Path) -> None:
    """Check that the files are of a size that can be read, and that there is room for them."""
    for file in files:
        limit = (weights_limit() if file.name.endswith('.safetensors') else
                 TOKENIZER_BYTES if file.name in TOKENIZER_FILES else JSON_BYTES)
        if (file.size or 0) > limit:
            raise CheckpointError(
                f'{file.name} of {hub_id} has {file.size / 1e6:,.0f} MB, and {limit / 1e6:,.0f} '
                'MB is the most that is read here: choose a smaller model')
    wanted = sum(file.size or 0 for file in files)
    parent = next(folder for folder in (cache.absolute(), *cache.absolute().parents)
                  if folder.is_dir())
    free = shutil.disk_usage(parent).free
    if wanted > free:
        raise CheckpointError(
            f'{hub_id} has {wanted / 1e6:,.0f} MB and {parent} has room for {free / 1e6:,.0f}: '
            'make room, or name another place with --cache-dir or HF_HOME')


def _download(api: Any, hub_id: str, file: RemoteFile, commit: str, cache: Path) -> None:
    """Download one file and compare it with what the hub announced; remove it if it differs."""
    try:
        path = Path(api.hf_hub_download(
            hub_id, file.name, revision=commit, cache_dir=str(cache)))
    except Exception as error:
        raise _explain(hub_id, error) from error
    if not _is_whole(path, file):
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise CheckpointError(
            f'{file.name} of {hub_id} did not arrive as the hub has it, and was removed: run '
            f'`fast-sam2 fetch {hub_id}` again')


def _is_whole(path: Path, file: RemoteFile) -> bool:
    """Compare a file with its announced length and checksum (SHA-256, or git's for small ones)."""
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return False
    if file.sha256 is not None:
        digest, expected = hashlib.sha256(), file.sha256
    elif file.git_blob is not None:
        digest, expected = hashlib.sha1(  # git's, of what the hub says
            f'blob {size}\0'.encode(), usedforsecurity=False), file.git_blob
    else:
        return True
    with path.open('rb') as content:
        while chunk := content.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest() == expected


def _remove_new(storage: Path, before: set[Path]) -> None:
    """Remove every file and every empty folder under `storage` that is not in `before`."""
    for path in sorted(set(storage.rglob('*')) - before, reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        else:
            path.unlink(missing_ok=True)
    if not before and storage.is_dir() and not any(storage.iterdir()):
        storage.rmdir()


def _write_whole(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'{path.name}.tmp')
    temporary.write_text(content, encoding='utf-8')
    temporary.replace(path)


def _explain(hub_id: str, error: Exception) -> FastSam2Error:
    """Turn an error of the hub's client into one line that says what to do."""
    from huggingface_hub import errors

    if isinstance(error, FastSam2Error):
        return error
    if isinstance(error, errors.GatedRepoError):
        return CheckpointError(
            f'{hub_id} asks you to accept its terms: do so on its page, log in with '
            '`hf auth login`, and fetch again')
    if isinstance(error, errors.RepositoryNotFoundError):
        return CheckpointError(
            f'the hub has no model {hub_id}, or it is private: compare the name with '
            f'{PREFERRED_ID}, or log in with `hf auth login`')
    if isinstance(error, errors.RevisionNotFoundError):
        return CheckpointError(
            f'{hub_id} has no such revision: leave --revision out, or name a branch, tag or '
            'commit of it')
    if isinstance(error, errors.OfflineModeIsEnabled):
        return CheckpointError(
            f'{hub_id} cannot be fetched while HF_HUB_OFFLINE is set: unset it and fetch again')
    reason = str(error).strip().partition('\n')[0] or type(error).__name__
    return CheckpointError(
        f'{hub_id} could not be fetched, and nothing of it was kept ({reason}): check the '
        'network connection (and HF_ENDPOINT, if set) and fetch again')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `fast-sam2 fetch` takes."""
    parser.add_argument(
        'id', metavar='ID', help=f'the model on the hub, such as {PREFERRED_ID}, or ID@REVISION')
    parser.add_argument(
        '--revision', help='a commit, a branch or a tag (default: the commit that this package '
        'was made for, where it knows the model, else the main branch)')
    parser.add_argument(
        '--cache-dir', type=Path, help="where to keep it (default: the hub's cache, see HF_HOME)")
    parser.add_argument('--json', action='store_true', help='print the result as JSON')


def main(args: argparse.Namespace) -> int:
    """Run `fast-sam2 fetch` and print where the checkpoint is now; errors are raised."""
    parts = split_hub_id(args.id)
    hub_id, pinned = parts if parts else (args.id, None)
    if pinned and args.revision and pinned != args.revision:
        raise ParameterError(f'{args.id} and --revision {args.revision} name two revisions')
    folder = fetch(hub_id, args.revision or pinned, args.cache_dir)
    pinned_name = f'{hub_id}@{folder.name}'
    names = sorted(path.name for path in folder.iterdir())
    size = sum((folder / name).stat().st_size for name in names)
    if args.json:
        print(json.dumps({'id': hub_id, 'commit': folder.name, 'pinned': pinned_name,
                          'path': str(folder), 'files': names, 'bytes': size}))
    else:
        print(f'{hub_id} is on this machine: {len(names)} files, {size / 1e6:.1f} MB in {folder}\n'
              f'its revision, to write into tracker.yaml: {pinned_name}')
    return 0
