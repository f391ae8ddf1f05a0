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
"""Text files that are whole wherever they are found."""

from pathlib import Path

from fast_sam2_ros.files import write_whole
import pytest


def test_a_text_is_replaced_as_a_whole_or_stays(tmp_path, monkeypatch):
    path = tmp_path / 'a.json'
    write_whole(path, 'first')
    write_whole(path, 'second: \u732b')
    assert path.read_text('utf-8') == 'second: \u732b'
    assert list(tmp_path.iterdir()) == [path]

    def fail(unfinished, text, **_):
        unfinished.write_bytes(text[:3].encode())
        raise OSError('disk full')

    monkeypatch.setattr(Path, 'write_text', fail)
    with pytest.raises(OSError, match='disk full'):
        write_whole(path, 'third')
    assert path.read_text('utf-8') == 'second: \u732b'
