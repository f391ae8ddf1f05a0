# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Text files that are whole wherever they are found."""

from pathlib import Path

import pytest

from fast_sam2_ros.files import write_whole


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
