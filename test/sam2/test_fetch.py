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
"""Fetching from a hub that this test serves on the loopback interface."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
import os
from pathlib import Path
import subprocess
import sys
import threading
from types import SimpleNamespace

from fast_sam2_ros.errors import CheckpointError, ParameterError
from fast_sam2_ros.sam2 import fetch as fetching
from fast_sam2_ros.sam2.checkpoint import find_in_cache, REVISIONS, split_hub_id
import huggingface_hub.constants
import pytest
import torch

HUB_ID = 'someone/sam2-small'
FIRST_COMMIT = '1' * 40
SECOND_COMMIT = '2' * 40


@dataclass
class FakeHub:
    """One repository of a hub: its files, and what goes wrong with them."""

    files: dict[str, bytes]
    commit: str = FIRST_COMMIT
    cut: set[str] = field(default_factory=set)
    altered: set[str] = field(default_factory=set)
    served: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    announced: dict[str, int] = field(default_factory=dict)
    endpoint: str = ''

    def siblings(self) -> list[dict]:
        """List the files as the hub's API does."""
        listed = []
        for name, content in self.files.items():
            entry = {'rfilename': name, 'size': self.announced.get(name, len(content)),
                     'blobId': hashlib.sha1(b'blob %d\0' % len(content) + content).hexdigest()}
            if name.endswith('.safetensors'):
                digest = hashlib.sha256(content).hexdigest()
                entry['lfs'] = {'sha256': digest, 'size': len(content), 'pointerSize': 134}
            listed.append(entry)
        return listed

    def etag(self, name: str) -> str:
        """Name a file's content as the hub does in its headers."""
        return hashlib.sha256(self.files[name]).hexdigest()


def handler_for(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    """Serve `hub` with the three requests that a download makes."""

    class Handler(BaseHTTPRequestHandler):

        def log_message(self, *_: object) -> None:
            pass

        def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for key, value in {'Content-Length': str(len(body)), **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == 'GET':
                self.wfile.write(body)

        def do_GET(self) -> None:
            path = self.path.partition('?')[0]
            name = path.rpartition('/')[2]
            hub.asked.append(path)
            if path.startswith(f'/api/models/{HUB_ID}'):
                body = json.dumps({'id': HUB_ID, 'sha': hub.commit, 'siblings': hub.siblings()})
                self.reply(200, body.encode(), {'Content-Type': 'application/json'})
            elif path == f'/{HUB_ID}/resolve/{hub.commit}/{name}' and name in hub.files:
                content = hub.files[name]
                headers = {'X-Repo-Commit': hub.commit, 'ETag': f'"{hub.etag(name)}"'}
                if self.command == 'GET':
                    hub.served.append(name)
                    if name in hub.cut:
                        content = content[:len(content) // 2]
                    if name in hub.altered:
                        content = bytes(len(content))
                self.reply(200, content, headers)
            else:
                self.reply(404, b'', {'X-Error-Code': 'RepoNotFound'})

        do_HEAD = do_GET

    return Handler


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """Serve a small checkpoint, and make huggingface_hub take it for the real hub."""
    from safetensors.torch import save

    fake = FakeHub({
        'config.json': json.dumps({'model_type': 'sam2_video'}).encode(),
        'preprocessor_config.json': b'{}',
        'tokenizer.json': b'{"words": []}',
        'model.safetensors': save({'weight': torch.arange(1000, dtype=torch.float32)}),
        'pytorch_model.bin': b'a pickle', 'modeling.py': b'raise SystemExit',
        'README.md': b'words'})
    server = ThreadingHTTPServer(('127.0.0.1', 0), handler_for(fake))
    threading.Thread(
        target=server.serve_forever, kwargs={'poll_interval': 0.02}, daemon=True).start()
    fake.endpoint = f'http://127.0.0.1:{server.server_address[1]}'
    monkeypatch.setattr(huggingface_hub.constants, 'ENDPOINT', fake.endpoint)
    monkeypatch.setattr(huggingface_hub.constants, 'HUGGINGFACE_CO_URL_TEMPLATE',
                        fake.endpoint + '/{repo_id}/resolve/{revision}/{filename}')
    yield fake
    server.shutdown()
    server.server_close()


def leftovers(cache: Path) -> list[str]:
    """List every file of the repository's folder in the cache."""
    return sorted(str(path.relative_to(cache)) for path in cache.glob('models--*/**/*')
                  if not path.is_dir())


def test_fetch_brings_weights_and_configuration_and_no_code(hub: FakeHub, tmp_path: Path) -> None:
    """What arrives is what the hub has, without its pickle and its Python."""
    folder = fetching.fetch(HUB_ID, cache_dir=tmp_path)
    assert {path.name for path in folder.iterdir()} == {
        'config.json', 'preprocessor_config.json', 'tokenizer.json', 'model.safetensors'}
    for path in folder.iterdir():
        assert path.read_bytes() == hub.files[path.name]
    assert find_in_cache(HUB_ID, cache_dir=tmp_path) == folder
    assert find_in_cache(HUB_ID, FIRST_COMMIT, cache_dir=tmp_path) == folder


def test_fetch_brings_what_text_encoders_and_captioners_need(
        hub: FakeHub, tmp_path: Path) -> None:
    """The words of CLIP, SigLIP and BLIP lie in files of different names."""
    needed = {'tokenizer_config.json', 'special_tokens_map.json', 'vocab.json', 'merges.txt',
              'vocab.txt', 'spiece.model', 'tokenizer.model', 'generation_config.json'}
    hub.files |= dict.fromkeys(needed, b'{}') | dict.fromkeys(
        ('tf_model.h5', 'flax_model.msgpack', 'onnx.bin'), b'other frameworks')
    folder = fetching.fetch(HUB_ID, cache_dir=tmp_path)
    assert {path.name for path in folder.iterdir()} == needed | {
        'config.json', 'preprocessor_config.json', 'tokenizer.json', 'model.safetensors'}


def test_fetch_again_downloads_nothing(hub: FakeHub, tmp_path: Path) -> None:
    """A whole checkpoint in the cache is kept."""
    folder = fetching.fetch(HUB_ID, cache_dir=tmp_path)
    hub.served.clear()
    assert fetching.fetch(HUB_ID, cache_dir=tmp_path) == folder
    assert hub.served == []


def test_truncated_download_leaves_nothing(hub: FakeHub, tmp_path: Path) -> None:
    """Weights that arrive cut short are an error, and neither they nor anything else stays."""
    hub.cut.add('model.safetensors')
    with pytest.raises(CheckpointError, match='nothing of it was kept'):
        fetching.fetch(HUB_ID, cache_dir=tmp_path)
    assert hub.served
    assert leftovers(tmp_path) == []
    assert find_in_cache(HUB_ID, cache_dir=tmp_path) is None


@pytest.mark.parametrize('name', ['model.safetensors', 'tokenizer.json'])
def test_altered_download_leaves_nothing(hub: FakeHub, tmp_path: Path, name: str) -> None:
    """A file of the right length with other bytes fails its checksum."""
    hub.altered.add(name)
    with pytest.raises(CheckpointError, match=f'{name} of {HUB_ID} did not arrive'):
        fetching.fetch(HUB_ID, cache_dir=tmp_path)
    assert leftovers(tmp_path) == []


def test_failed_update_keeps_the_working_checkpoint(hub: FakeHub, tmp_path: Path) -> None:
    """The branch moves to a new commit only when all of it has arrived."""
    old = fetching.fetch(HUB_ID, cache_dir=tmp_path)
    kept = leftovers(tmp_path)
    hub.commit = SECOND_COMMIT
    hub.files['model.safetensors'] = hub.files['model.safetensors'][:-4] + b'\0\0\0\1'
    hub.cut.add('model.safetensors')
    with pytest.raises(CheckpointError):
        fetching.fetch(HUB_ID, cache_dir=tmp_path)
    assert leftovers(tmp_path) == kept
    assert find_in_cache(HUB_ID, cache_dir=tmp_path) == old
    hub.cut.clear()
    new = fetching.fetch(HUB_ID, cache_dir=tmp_path)
    assert find_in_cache(HUB_ID, cache_dir=tmp_path) == new != old


def test_damaged_file_of_an_earlier_fetch_is_replaced(hub: FakeHub, tmp_path: Path) -> None:
    """A file that was damaged on the disk is found, removed, and comes anew the next time."""
    folder = fetching.fetch(HUB_ID, cache_dir=tmp_path)
    (folder / 'model.safetensors').resolve().write_bytes(b'short')
    with pytest.raises(CheckpointError, match='again'):
        fetching.fetch(HUB_ID, cache_dir=tmp_path)
    fetching.fetch(HUB_ID, cache_dir=tmp_path)
    assert (folder / 'model.safetensors').read_bytes() == hub.files['model.safetensors']


def test_sharded_weights_are_fetched_together(hub: FakeHub, tmp_path: Path) -> None:
    """The index and every shard come; a shard that the hub lacks is an error."""
    weights = hub.files.pop('model.safetensors')
    shards = [f'model-0000{part}-of-00002.safetensors' for part in (1, 2)]
    hub.files['model.safetensors.index.json'] = json.dumps(
        {'weight_map': {'a': shards[0], 'b': shards[1]}}).encode()
    hub.files[shards[0]] = weights
    with pytest.raises(CheckpointError, match=shards[1]):
        fetching.fetch(HUB_ID, cache_dir=tmp_path)
    assert leftovers(tmp_path) == []
    hub.files[shards[1]] = weights
    folder = fetching.fetch(HUB_ID, cache_dir=tmp_path)
    assert all((folder / shard).read_bytes() == weights for shard in shards)


def test_pickles_alone_are_refused(hub: FakeHub, tmp_path: Path) -> None:
    """A repository without safetensors is not fetched."""
    del hub.files['model.safetensors']
    with pytest.raises(CheckpointError, match='pickles are not taken'):
        fetching.fetch(HUB_ID, cache_dir=tmp_path)
    assert hub.served == []


def test_unknown_model_and_no_network_say_what_to_do(
        hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each failure is one line with a remedy."""
    with pytest.raises(CheckpointError, match='compare the name') as unknown:
        fetching.fetch('someone/else', cache_dir=tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, 'ENDPOINT', 'http://127.0.0.1:9')
    with pytest.raises(CheckpointError, match='check the network connection') as offline:
        fetching.fetch(HUB_ID, cache_dir=tmp_path)
    assert '\n' not in f'{unknown.value}{offline.value}'


@pytest.mark.parametrize('name', ['sam2', 'a/b/c', '../../etc/x', 'a/b@main', '../x'])
def test_names_that_are_no_hub_ids_are_refused(name: str, tmp_path: Path) -> None:
    """A wrong name never reaches the network."""
    with pytest.raises(ParameterError, match='no hub id'):
        fetching.fetch(name, cache_dir=tmp_path)


def test_revision_outside_the_cache_is_refused(tmp_path: Path) -> None:
    """A revision is a name of the hub, not a path."""
    for revision in ('../../x', '/etc', 'a b'):
        with pytest.raises(ParameterError, match='no revision'):
            fetching.fetch(HUB_ID, revision=revision, cache_dir=tmp_path)


def test_known_model_is_fetched_in_the_revision_it_is_pinned_to(
        hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No revision means the pinned one; the branch has to be asked for, and is another folder."""
    monkeypatch.setitem(REVISIONS, HUB_ID, FIRST_COMMIT)
    pinned = fetching.fetch(HUB_ID, cache_dir=tmp_path)
    assert pinned.name == FIRST_COMMIT
    assert any(f'/revision/{FIRST_COMMIT}' in path for path in hub.asked)
    hub.commit = SECOND_COMMIT
    hub.files['README.md'] = b'other words'
    newest = fetching.fetch(HUB_ID, 'main', cache_dir=tmp_path)
    assert newest.name == SECOND_COMMIT
    assert find_in_cache(HUB_ID, cache_dir=tmp_path) == pinned
    assert find_in_cache(HUB_ID, 'main', cache_dir=tmp_path) == newest


def test_another_commit_than_the_one_asked_for_is_refused(hub: FakeHub, tmp_path: Path) -> None:
    """A hub that answers with another revision, or with a path, is not believed."""
    with pytest.raises(CheckpointError, match=f'gave commit {FIRST_COMMIT}'):
        fetching.fetch(HUB_ID, SECOND_COMMIT, cache_dir=tmp_path)
    for commit in ('../../../etc', '', 'main'):
        hub.commit = commit
        with pytest.raises(CheckpointError, match='names no commit'):
            fetching.fetch(HUB_ID, cache_dir=tmp_path)
    assert hub.served == [] and leftovers(tmp_path) == []


def test_file_names_of_the_hub_cannot_leave_the_folder(hub: FakeHub, tmp_path: Path) -> None:
    """Only files of known names are taken, whatever the hub lists."""
    for name in ('../config.json', '/etc/passwd', '..', 'a/../../vocab.txt', 'sub/vocab.txt'):
        hub.files[name] = b'x'
    folder = fetching.fetch(HUB_ID, cache_dir=tmp_path / 'hub')
    assert {path.name for path in folder.iterdir()} == {
        'config.json', 'preprocessor_config.json', 'tokenizer.json', 'model.safetensors'}
    assert [path.name for path in tmp_path.iterdir()] == ['hub']


@pytest.mark.parametrize(('name', 'size', 'reason'), [
    ('config.json', 10**12, 'is the most that is read here'),
    ('tokenizer.json', 10**12, 'is the most that is read here'),
    ('model.safetensors', 10**15, 'is the most that is read here'),
    ('model.safetensors', 10**9, 'has room for'),
])
def test_files_that_do_not_fit_are_not_downloaded(
        hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, size: int,
        reason: str) -> None:
    """What the hub announces is compared with what is read, and with the room on the disk."""
    monkeypatch.setattr(fetching.shutil, 'disk_usage', lambda _: SimpleNamespace(free=10**8))
    monkeypatch.setattr(fetching, 'weights_limit', lambda: 10**10)
    hub.announced[name] = size
    with pytest.raises(CheckpointError, match=reason):
        fetching.fetch(HUB_ID, cache_dir=tmp_path)
    assert hub.served == []


def test_command_says_how_to_pin(
        hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The revision that came is printed in the form that tracker.yaml takes."""
    parser = argparse.ArgumentParser()
    fetching.add_arguments(parser)
    fetching.main(parser.parse_args([HUB_ID, '--cache-dir', str(tmp_path)]))
    printed = capsys.readouterr().out.split()[-1]
    assert printed == f'{HUB_ID}@{FIRST_COMMIT}'
    assert find_in_cache(*split_hub_id(printed), cache_dir=tmp_path).name == FIRST_COMMIT


def test_command_prints_where_the_checkpoint_is(
        hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The command takes ID@REVISION and writes JSON for machines."""
    parser = argparse.ArgumentParser()
    fetching.add_arguments(parser)
    args = parser.parse_args([f'{HUB_ID}@v1', '--cache-dir', str(tmp_path), '--json'])
    assert fetching.main(args) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed['commit'] == FIRST_COMMIT
    assert Path(printed['path']) == find_in_cache(HUB_ID, 'v1', cache_dir=tmp_path)
    assert printed['bytes'] == sum(len(hub.files[name]) for name in printed['files'])


def test_command_in_its_own_process(hub: FakeHub, tmp_path: Path) -> None:
    """With HF_ENDPOINT set: a cut download ends in one line and status 2, a whole one in 0."""
    def run() -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, '-m', 'fast_sam2_ros.cli', 'fetch', HUB_ID],
            env={**os.environ, 'HF_ENDPOINT': hub.endpoint, 'HF_HOME': str(tmp_path)},
            cwd=Path(fetching.__file__).parents[2], capture_output=True, text=True, timeout=300)

    hub.cut.add('model.safetensors')
    failed = run()
    assert failed.returncode == 2
    message = failed.stderr.strip().splitlines()[-1]
    assert message.startswith('fast-sam2 fetch: ') and 'nothing of it was kept' in message
    assert leftovers(tmp_path / 'hub') == []
    hub.cut.clear()
    assert run().returncode == 0
    assert find_in_cache(HUB_ID, cache_dir=tmp_path / 'hub') is not None
