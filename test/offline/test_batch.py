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
"""`fast-sam2 track` on a folder of videos, with a model of random weights."""

import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

from fast_sam2_ros import cli
from fast_sam2_ros.media import VideoWriter, write_image
from fast_sam2_ros.offline.batch import places, videos_in
import numpy as np
import pytest

OPTIONS = ['--box', '10,10,30,30', '--describer', 'none', '--grounder', 'none',
           '--model', 'random:micro']


def square(shift: int) -> np.ndarray:
    image = np.full((48, 64, 3), 60, np.uint8)
    image[10:30, 10 + shift:30 + shift] = (240, 200, 40)
    return image


def write_video(path: Path, count: int) -> Path:
    with VideoWriter(path, 10) as writer:
        for index in range(count):
            writer.write(square(index % 20), index / 10)
    return path


@pytest.fixture
def folder(bags, tmp_path):
    """Two videos that share a name, images, a bag, a damaged video and what is none of these."""
    path = tmp_path / 'videos'
    path.mkdir()
    write_video(path / 'a2.mp4', 3)
    write_video(path / 'a10.mp4', 4)
    write_video(path / 'a10.mkv', 2)
    (path / 'images').mkdir()
    for index in range(2):
        write_image(path / 'images' / f'{index}.png', square(index))
    bags.write(path / 'run', [('/camera', k * 10**8, bags.image(square(k), k * 10**8))
                              for k in (1, 2, 3)])
    (path / 'broken.mp4').write_bytes(b'no video at all' * 50)
    (path / 'notes.txt').write_text('none either')
    (path / 'nothing').mkdir()
    write_video(path / '.hidden.mp4', 1)
    return path


def run(folder, out, *options):
    return cli.main(['track', str(folder), *OPTIONS, '--out', str(out), *options])


def test_a_wrong_target_is_an_error_of_the_command(folder, tmp_path, capsys):
    command = ['track', str(folder), '--model', 'random:micro', '--out', str(tmp_path / 'out')]
    assert cli.main([*command, '--mask', 'gone.png', '--describer', 'none']) == 2
    assert 'gone.png is not an image' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_what_a_folder_of_videos_holds_and_where_it_goes(folder, tmp_path):
    names = ['a2.mp4', 'a10.mkv', 'a10.mp4', 'broken.mp4', 'images', 'run']
    videos = videos_in(folder)
    assert [video.name for video in videos] == names
    assert places(videos, Path('out')) == [Path('out') / name for name in (
        'a2', 'a10.mkv', 'a10.mp4', 'broken', 'images', 'run')]
    for one in (folder / 'images', folder / 'run', folder / 'a2.mp4', folder / 'nothing'):
        assert videos_in(one) == []


def test_a_damaged_video_is_named_and_the_rest_is_done_once(folder, tmp_path, capsys):
    out = tmp_path / 'out'
    assert run(folder, out) == 1
    output = capsys.readouterr()
    assert 'broken.mp4: failed: ' in output.out
    assert '6 videos: 5 done, 0 skipped, 1 failed' in output.out
    assert output.err.strip() == 'not tracked: broken.mp4'
    counts = {'a2': 3, 'a10.mp4': 4, 'a10.mkv': 2, 'images': 2, 'run': 3}
    for name, count in counts.items():
        assert len(list((out / name / 'masks').iterdir())) == count
        track = json.loads((out / name / 'track.json').read_text())
        assert set(track) == {'frames', 'summary'} and track['summary']['frames'] == count
        # Every video starts anew: from the box, on the first frame.
        assert track['frames'][0]['tokens_retained'] == 16
        assert track['frames'][0]['state'] == 'tracking'
    assert (out / 'run' / 'bag' / 'metadata.yaml').is_file()

    made = {file: file.stat().st_mtime_ns for file in out.rglob('*') if file.is_file()}
    assert run(folder, out, '--json') == 1
    summary = json.loads(capsys.readouterr().out)
    assert (summary['done'], summary['skipped'], summary['failed']) == (0, 5, 1)
    videos = {Path(video['input']).name: video for video in summary['videos']}
    assert videos['broken.mp4']['status'] == 'failed'
    assert 'not a video' in videos['broken.mp4']['message']
    assert (videos['a2.mp4']['status'], videos['a2.mp4']['frames']) == ('skipped', 3)
    assert made == {file: file.stat().st_mtime_ns for file in out.rglob('*') if file.is_file()}

    (folder / 'broken.mp4').unlink()
    assert run(folder, out) == 0
    assert '5 videos: 0 done, 5 skipped, 0 failed' in capsys.readouterr().out


def test_only_what_is_whole_and_made_in_the_same_way_is_skipped(tmp_path, capsys):
    folder, out = tmp_path / 'videos', tmp_path / 'out'
    folder.mkdir()
    for name in ('a', 'b', 'c', 'd'):
        write_video(folder / f'{name}.mp4', 4)

    def done(*options):
        assert run(folder, out, '--json', *options) == 0
        videos = json.loads(capsys.readouterr().out)['videos']
        return ''.join(Path(each['input']).stem for each in videos if each['status'] == 'done')

    assert done() == 'abcd'
    assert done() == ''
    track = out / 'a' / 'track.json'
    track.write_text(track.read_text()[:-200])  # cut off
    (out / 'b' / 'track.json').unlink()  # half done
    write_video(folder / 'c.mp4', 2)  # another video under the same name
    assert done() == 'abc'
    assert len(list((out / 'c' / 'masks').iterdir())) == 2  # none is left of the longer one
    assert done('--keep-ratio', '0.25') == 'abcd'
    assert done('--keep-ratio', '0.25', '--tokens') == 'abcd'
    assert done('--keep-ratio', '0.25', '--tokens') == ''
    # Half of them in another way, as when the command was interrupted after a change.
    (folder / 'c.mp4').rename(tmp_path / 'c.mp4')
    (folder / 'd.mp4').rename(tmp_path / 'd.mp4')
    assert done() == 'ab'
    (tmp_path / 'd.mp4').rename(folder / 'd.mp4')
    assert done() == 'd'


def test_an_interrupted_command_goes_on_where_it_stopped(tmp_path):
    folder, out = tmp_path / 'videos', tmp_path / 'out'
    folder.mkdir()
    for name in ('a', 'b', 'c'):
        write_video(folder / f'{name}.mp4', 4)
    write_video(folder / 'b.mp4', 3000)  # long enough to be met half-way
    command = [sys.executable, '-m', 'fast_sam2_ros.cli', 'track', str(folder), *OPTIONS,
               '--out', str(out)]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True,
                               # Ignored where the tests run in the background, and inherited.
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    deadline = time.monotonic() + 120
    while len(list((out / 'b' / 'masks').glob('*.png'))) < 3:
        assert time.monotonic() < deadline and process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert 'a.mp4: 4 of 4 frames tracked' in printed
    assert '1 of 3 videos are through; the same command goes on with the others' in errors
    assert (out / 'a' / 'track.json').is_file() and not (out / 'b' / 'track.json').exists()
    first = (out / 'a' / 'track.json').stat().st_mtime_ns

    write_video(folder / 'b.mp4', 5)
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert f'a.mp4: skipped, {out / "a"} has it already' in again.stdout
    assert '3 videos: 2 done, 1 skipped, 0 failed' in again.stdout
    assert (out / 'a' / 'track.json').stat().st_mtime_ns == first
    assert len(list((out / 'b' / 'masks').iterdir())) == 5
    assert json.loads((out / 'b' / 'track.json').read_text())['summary']['frames'] == 5
