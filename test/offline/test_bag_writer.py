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
"""`fast-sam2 track` on a bag: what is written is read by rosbags and by ROS's own messages."""

import json
from pathlib import Path
import subprocess
import sys

from fast_sam2_ros import cli
from fast_sam2_ros.demo.scene import cut_out
from fast_sam2_ros.media import open_media, read_mask, VideoWriter
from fast_sam2_ros.offline.bag_writer import (
    FORMATS, MASK_TOPIC, message_types, STATUS, STATUS_TOPIC)
from fast_sam2_ros.session import Session
import numpy as np
import pytest
from rosbags.highlevel import AnyReader

REPOSITORY = Path(__file__).parents[2]
TOPIC = '/camera/image_raw'
STAMPS = [1_700_000_000_100_000_001, 1_700_000_000_133_000_002, 1_700_000_000_400_000_003,
          1_700_000_000_401_000_004]
BOX = ['--box', '10,10,30,30', '--describer', 'none', '--model', 'random:micro']


def nanoseconds(header) -> int:
    return header.stamp.sec * 10**9 + header.stamp.nanosec


def read(path: Path) -> dict:
    """Return the messages by topic, (reception, message), by the definitions in the bag alone."""
    messages = {}
    with AnyReader([path]) as reader:
        for connection, received, data in reader.messages():
            messages.setdefault(connection.topic, []).append(
                (received, reader.deserialize(data, connection.msgtype), data))
    return messages


@pytest.fixture
def squares(bags, tmp_path):
    """Return a bag of a bright square that moves to the right; its third image is unreadable."""
    messages = []
    for number, stamp in enumerate(STAMPS):
        image = np.full((48, 64, 3), 60, np.uint8)
        image[10:30, 10 + number:30 + number] = (240, 200, 40)
        messages.append((TOPIC, stamp + 9_000_000,
                         bags.image(image, stamp, 'rgb8' if number != 2 else 'rainbow9')))
    return bags.write(tmp_path / 'squares', messages)


@pytest.mark.parametrize('storage', FORMATS)
def test_a_video_as_a_bag_is_tracked_by_text(bags, tmp_path, storage):
    photograph = cut_out('cat')[0]
    with VideoWriter(tmp_path / 'cat.mp4', 30) as writer:
        for shift in (0, 4, 8, 12):
            writer.write(np.roll(photograph, shift, axis=1), shift / 120)
    frames = [frame.image for frame in open_media(tmp_path / 'cat.mp4')]
    recording = bags.write(tmp_path / 'run', [
        (TOPIC, stamp + 9_000_000, bags.image(image, stamp))
        for image, stamp in zip(frames, STAMPS)], storage=storage)
    out = tmp_path / 'out'
    assert cli.main(['track', str(recording), '--topic', TOPIC, '--text', 'cat', '--model',
                     'embedded', '--out', str(out)]) == 0
    track = json.loads((out / 'track.json').read_text())['frames']
    assert [frame['state'] for frame in track] == ['tracking'] * 4
    assert {file.suffix for file in (out / 'bag').iterdir()} == {
        '.yaml', '.mcap' if storage == 'mcap' else '.db3'}
    assert not list(out.glob('.*'))  # nothing unfinished is left

    written = read(out / 'bag')
    masks, statuses = written[MASK_TOPIC], written[STATUS_TOPIC]
    for messages in (masks, statuses):
        assert [received for received, _, _ in messages] == [s + 9_000_000 for s in STAMPS]
        assert [nanoseconds(message.header) for _, message, _ in messages] == STAMPS
        assert {message.header.frame_id for _, message, _ in messages} == {'camera'}
    for (_, mask, _), file in zip(masks, sorted((out / 'masks').iterdir()), strict=True):
        assert (mask.encoding, mask.step, mask.is_bigendian) == ('mono8', mask.width, 0)
        pixels = mask.data.reshape(mask.height, mask.width)
        assert set(np.unique(pixels)) == {0, 255}
        np.testing.assert_array_equal(pixels == 255, read_mask(file))

    # Against ROS itself: its classes read the bytes, and its hashes are those in the bag.
    pytest.importorskip('rclpy')
    from fast_sam2_ros.msg import TrackerStatus
    from rclpy.serialization import deserialize_message
    from sensor_msgs.msg import Image

    for (_, mask, data), (_, _, status_data), frame in zip(masks, statuses, track, strict=True):
        image = deserialize_message(bytes(data), Image)
        assert bytes(image.data) == mask.data.tobytes()
        status = deserialize_message(bytes(status_data), TrackerStatus)
        assert status.header == image.header and nanoseconds(status.header) in STAMPS
        assert status.state == TrackerStatus.TRACKING
        assert (status.target_text, status.tokens_retained, status.tokens_total) == (
            'cat', frame['tokens_retained'], frame['tokens_total'])
        assert status.score == pytest.approx(frame['score'], rel=1e-5)
        assert status.bank_bytes == frame['bank_bytes']
        assert status.latency.total == pytest.approx(frame['latency_ms']['total'], rel=1e-5)
        assert [each.text for each in status.targets] == ['cat']
        assert status.stamp_age == pytest.approx(0.009, abs=1e-6)
        assert status.processed == status.received == frame['index'] + 1
    from ament_index_python.packages import get_package_share_directory
    metadata = (out / 'bag' / 'metadata.yaml').read_text()
    for package, name in (('fast_sam2_ros', 'TrackerStatus'), ('sensor_msgs', 'Image')):
        known = json.loads(
            Path(get_package_share_directory(package), 'msg', f'{name}.json').read_text())
        [digest] = [each['hash_string'] for each in known['type_hashes']
                    if each['type_name'] == f'{package}/msg/{name}']
        assert digest in metadata


def test_what_is_unreadable_is_counted_and_the_format_may_be_chosen(squares, tmp_path, capsys):
    out = tmp_path / 'out'
    command = ['track', str(squares), *BOX, '--out', str(out)]
    assert cli.main([*command, '--bag-format', 'sqlite3']) == 0
    output = capsys.readouterr().out
    assert 'left out as unreadable, 1 of 4: image 3 at 0.300 s: ' in output
    assert '3 frames tracked' in output
    assert [file.suffix for file in (out / 'bag').iterdir() if file.suffix != '.yaml'] == ['.db3']
    statuses = [message for _, message, _ in read(out / 'bag')[STATUS_TOPIC]]
    assert [nanoseconds(each.header) for each in statuses] == [STAMPS[0], STAMPS[1], STAMPS[3]]
    assert [(each.received, each.processed, each.dropped) for each in statuses] == [
        (1, 1, 0), (2, 2, 0), (4, 3, 1)]
    assert [frame.stamp for frame in open_media(out / 'overlay.mp4')] == pytest.approx(
        [0, 0.033, 0.301], abs=0.002)
    # Again, in the format of what is read: the new bag takes the place of the earlier one.
    assert cli.main([*command, '--json']) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary['frames'], summary['missing']) == (3, 0)
    assert summary['notes'][0].startswith('left out')
    assert {file.name for file in (out / 'bag').iterdir()} == {'bag.mcap', 'metadata.yaml'}


def test_an_interrupted_run_leaves_no_bag_and_an_earlier_one_as_it_was(squares, tmp_path, capsys,
                                                                       monkeypatch):
    out = tmp_path / 'out'
    command = ['track', str(squares), *BOX, '--out', str(out)]
    process = Session.process

    def interrupt(session, image, stamp):
        if stamp > 1e-9 * STAMPS[1]:
            raise KeyboardInterrupt
        return process(session, image, stamp)

    monkeypatch.setattr(Session, 'process', interrupt)
    assert cli.main(command) == 130
    assert f'interrupted; {out} is not complete: no track.json, no bag' in capsys.readouterr().err
    assert {file.name for file in out.iterdir()} == {'masks', 'options.json', 'overlay.mp4'}
    monkeypatch.undo()
    (out / '.bag-unfinished' / 'bag').mkdir(parents=True)  # as after a SIGKILL
    assert cli.main(command) == 0
    assert not list(out.glob('.*'))
    earlier = {file: file.read_bytes() for file in (out / 'bag').iterdir()}
    monkeypatch.setattr(Session, 'process', interrupt)
    assert cli.main(command) == 130
    assert {file: file.read_bytes() for file in (out / 'bag').iterdir()} == earlier
    assert not (out / 'track.json').exists()


def test_neither_the_input_nor_what_is_no_bag_is_overwritten(squares, tmp_path, capsys):
    (tmp_path / 'out' / 'bag').mkdir(parents=True)
    (tmp_path / 'out' / 'bag' / 'thesis.txt').write_text('mine')
    assert cli.main(['track', str(squares), *BOX, '--out', str(tmp_path / 'out')]) == 2
    assert 'is in the way and not a bag' in capsys.readouterr().err
    assert [file.name for file in (tmp_path / 'out' / 'bag').iterdir()] == ['thesis.txt']
    bag = squares.rename(tmp_path / 'bag')
    for source in (bag, bag / 'squares.mcap'):
        assert cli.main(['track', str(source), *BOX, '--out', str(tmp_path)]) == 2
        assert 'name another --out' in capsys.readouterr().err
    assert read(bag)


def test_the_definitions_are_those_of_msg_however_it_is_installed(tmp_path):
    names = {file.stem for file in (REPOSITORY / 'msg').glob('*.msg')}
    ours = {name for name in message_types().types if name.startswith('fast_sam2_ros/')}
    assert ours == {f'fast_sam2_ros/msg/{name}' for name in names} and STATUS in ours
    subprocess.run([sys.executable, 'setup.py', '-q', 'build', '--build-base', tmp_path / 'build',
                    '--build-lib', tmp_path, 'egg_info', '--egg-base', tmp_path],
                   cwd=REPOSITORY, check=True, capture_output=True)
    for file in (REPOSITORY / 'msg').iterdir():
        installed = tmp_path / 'fast_sam2_ros' / 'definitions' / file.name
        assert installed.read_text() == file.read_text()
