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
"""What is done already, and what has to be done anew."""

import argparse
import os

from fast_sam2_ros.offline import resume
import pytest


@pytest.fixture
def video(tmp_path):
    path = tmp_path / 'a.mp4'
    path.write_bytes(b'video')
    return path


def options(**changes):
    return argparse.Namespace(**{'command': 'track', 'words': ['track'], 'input': 'a.mp4',
                                 'out': 'out', 'json': False, 'text': 'dog', 'mask': None,
                                 'box': (1.0, 2.0), 'keep_ratio': 0.5} | changes)


def finish(out, described):
    resume.begin(out, described)
    (out / 'track.json').write_text('{"frames": [], "summary": {"frames": 3}}')


def test_only_the_same_options_models_and_files_count_as_done(video, tmp_path):
    mask = tmp_path / 'mask.png'
    mask.write_bytes(b'mask')
    loaded = ['embedded', 'cpu']
    same = resume.describe(options(mask=mask), video, loaded)
    finish(tmp_path / 'out', same)

    def done(described):
        return resume.finished(tmp_path / 'out', described)

    assert done(same) == {'frames': 3}
    assert done(resume.describe(options(mask=mask, json=True, out='o'), video, loaded))
    for change in ({'text': 'cat'}, {'keep_ratio': 0.4}, {'box': None}, {'brand_new': 1}):
        assert done(resume.describe(options(mask=mask, **change), video, loaded)) is None
    assert done(resume.describe(options(mask=mask), video, ['tiny', 'cpu'])) is None
    for file in (video, mask):
        os.utime(file, (1, 1))
        assert done(resume.describe(options(mask=mask), video, loaded)) is None
        finish(tmp_path / 'out', resume.describe(options(mask=mask), video, loaded))


@pytest.mark.parametrize('text', [None, '', '{"frames": [', '[]', '{"frames": []}', '3'])
def test_what_is_not_whole_is_not_done(video, tmp_path, text):
    described = resume.describe(options(), video, [])
    resume.begin(tmp_path / 'out', described)
    if text is not None:
        (tmp_path / 'out' / 'track.json').write_text(text)
    assert resume.finished(tmp_path / 'out', described) is None


def test_a_new_result_leaves_nothing_of_its_own_older_one_but_what_is_not_its_own(video, tmp_path):
    out = tmp_path / 'out'
    (out / 'masks').mkdir(parents=True)
    (out / 'masks' / 'mine.png').write_bytes(b'drawn by hand')
    described = resume.describe(options(), video, [])
    finish(out, described)
    assert (out / 'masks' / 'mine.png').exists()  # no earlier run is known
    (out / 'overlay.mp4').write_bytes(b'film')
    (out / 'notes.txt').write_bytes(b'notes')
    resume.begin(out, described)
    assert {file.name for file in out.iterdir()} == {'masks', 'notes.txt', 'options.json'}
    assert not list((out / 'masks').iterdir())
