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
"""Images out of bags."""

import tracemalloc

from fast_sam2_ros.errors import InputError
from fast_sam2_ros.offline.bags import Bag, is_bag
import numpy as np
import pytest

TOPIC = '/camera/image_raw'
STAMPS = [1_700_000_000_100_000_001, 1_700_000_000_133_000_002, 1_700_000_000_400_000_003]
LATE = 7_000_000  # from the stamp to the reception, ns


def pictures(count: int = 3, height: int = 48, width: int = 64) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 255, (count, height, width, 3), np.uint8))


def nanoseconds(header) -> int:
    return header.stamp.sec * 10**9 + header.stamp.nanosec


@pytest.fixture
def recorded(bags, tmp_path):
    """Return what records pictures under stamps, raw and in order of reception."""
    def record(images, stamps, name='run', **options):
        return bags.write(tmp_path / name, [
            (TOPIC, stamp + LATE, bags.image(image, stamp))
            for image, stamp in zip(images, stamps)], **options)
    return record


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_images_come_with_their_pixels_headers_and_times(recorded, storage):
    path = recorded(pictures(), STAMPS, storage=storage)
    [file] = [file for file in path.iterdir() if file.suffix != '.yaml']
    for source in (path, file):  # the folder, and its file alone
        assert is_bag(source)
        bag = Bag(source)
        assert (bag.topic, bag.count, bag.format) == (TOPIC, 3, storage)
        assert bag.fps == pytest.approx(2 / 0.3, rel=1e-3)
        for _ in range(2):  # as often as one likes
            frames = list(bag)
            assert [nanoseconds(frame.header) for frame in frames] == STAMPS
            assert [frame.received for frame in frames] == [stamp + LATE for stamp in STAMPS]
            assert [frame.stamp for frame in frames] == pytest.approx(
                [1e-9 * stamp for stamp in STAMPS], abs=1e-6)
            assert [frame.name for frame in frames] == ['000000', '000001', '000002']
            assert frames[0].header.frame_id == 'camera'
            np.testing.assert_array_equal([frame.image for frame in frames], pictures())
        assert bag.remarks() == [] and bag.missing == 0


def test_compressed_and_reversed_colours_are_read_as_well(bags, tmp_path):
    [image] = pictures(1)
    path = bags.write(tmp_path / 'run', [
        ('/a/compressed', STAMPS[0], bags.compressed(image, STAMPS[0])),
        ('/b', STAMPS[0], bags.image(image[..., ::-1].copy(), STAMPS[0], 'bgr8'))])
    for topic in ('/a/compressed', '/b', 'b'):  # the slash in front may be left out
        np.testing.assert_array_equal(next(iter(Bag(path, topic))).image, image)


def test_a_bag_of_ros_1_is_read(bags, tmp_path):
    bag = Bag(bags.write_ros1(tmp_path / 'old.bag', pictures(), STAMPS))
    frames = list(bag)
    assert [nanoseconds(frame.header) for frame in frames] == STAMPS
    assert [frame.received for frame in frames] == [stamp + 5_000_000 for stamp in STAMPS]
    np.testing.assert_array_equal([frame.image for frame in frames], pictures())
    assert bag.format == 'mcap'


def test_the_topic_must_be_clear_and_one_of_images(bags, tmp_path):
    image = bags.image(pictures(1)[0], STAMPS[0])
    several = bags.write(tmp_path / 'several', [
        ('/left', STAMPS[0], image), ('/right', STAMPS[0], image),
        ('/words', STAMPS[0], bags.text('hello'))])
    for topic, reason in ((None, 'choose with --topic: /left, /right'),
                          ('/up', 'there is no /up in .* images are on /left, /right'),
                          ('/words', '/words is std_msgs/msg/String')):
        with pytest.raises(InputError, match=reason):
            Bag(several, topic)
    assert Bag(several, '/right').count == 1


def test_a_bag_without_images_is_refused(bags, tmp_path):
    empty = bags.write(tmp_path / 'empty', [])
    words = bags.write(tmp_path / 'words', [('/words', STAMPS[0], bags.text('hello'))])
    silent = bags.write(tmp_path / 'silent', [], topics=[(TOPIC, 'sensor_msgs/msg/Image')])
    broken = bags.write(tmp_path / 'broken', [
        (TOPIC, STAMPS[0], bags.image(pictures(1)[0], STAMPS[0], 'rainbow9'))])
    for path, reason in ((empty, 'but nothing'), (words, 'but /words'),
                         (silent, f'no message on {TOPIC}'), (broken, 'rainbow9')):
        with pytest.raises(InputError, match=reason) as error:
            Bag(path)
        assert path.name in str(error.value)


def test_unreadable_images_are_counted_named_and_left_out(bags, tmp_path):
    good = [bags.image(image, stamp) for image, stamp in zip(pictures(), STAMPS)]
    short = bags.image(pictures(1)[0], STAMPS[1])
    short.data = short.data[:100]
    empty = bags.image(np.zeros((48, 64, 3), np.uint8), STAMPS[1])
    empty.height = 0
    messages = [good[0], ('sensor_msgs/msg/Image', b'\x00\x01\x00\x00noise'), good[1], short,
                empty, bags.image(pictures(1)[0], STAMPS[1], 'rainbow9'), good[2]]
    start = STAMPS[0]
    bag = Bag(bags.write(tmp_path / 'run', [
        (TOPIC, start + number * 10**8, message) for number, message in enumerate(messages)]))
    frames = list(bag)
    assert [nanoseconds(frame.header) for frame in frames] == STAMPS
    assert [frame.unreadable for frame in frames] == [0, 1, 4]
    assert (bag.count, bag.missing, len(bag.unreadable)) == (7, 0, 4)
    [remark] = bag.remarks()
    assert remark.startswith('left out as unreadable, 4 of 7: image 2 at 0.100 s: ')
    for reason in ('no sensor_msgs/msg/Image', 'data is 100 bytes', 'empty', 'rainbow9'):
        assert reason in remark


def test_time_may_jump_back_and_be_missing(bags, tmp_path):
    path = bags.write(tmp_path / 'looped', [
        (TOPIC, 10**12 + number * 10**8, bags.image(image, stamp))
        for number, (image, stamp) in enumerate(zip(pictures(5), [5, 6, 1, 2, 0]))])
    bag = Bag(path)
    stamps = [frame.stamp for frame in bag]
    assert stamps[:4] == pytest.approx([5e-9, 6e-9, 1e-9, 2e-9])
    assert stamps[4] == pytest.approx(1000.4)  # no stamp: when it was received
    assert bag.jumps == 1 and f'stamps of {TOPIC}: 1;' in bag.remarks()[0]


@pytest.mark.parametrize('storage, help', [('mcap', 'mcap recover'), ('sqlite3', '.recover')])
def test_a_recording_that_was_cut_off_is_refused_with_what_may_mend_it(
        recorded, storage, help):  # noqa: A002
    path = recorded(pictures(40, 120, 160), [k * 10**8 for k in range(1, 41)], storage=storage)
    [file] = [file for file in path.iterdir() if file.suffix != '.yaml']
    data = file.read_bytes()
    for size in (0, 20, len(data) // 2):
        file.write_bytes(data[:size])
        for source in (path, file):
            with pytest.raises(InputError, match=help):
                Bag(source)


@pytest.mark.parametrize('metadata', ['', 'text', 'a: [', 'rosbag2_bagfile_information: 3\n'])
def test_damaged_metadata_is_refused(recorded, metadata):
    path = recorded(pictures(), STAMPS)
    (path / 'metadata.yaml').write_text(metadata)
    with pytest.raises(InputError, match='run is not a bag that can be read'):
        Bag(path)


def test_what_lies_before_damage_is_read_and_the_rest_counted(recorded):
    path = recorded(pictures(40, 120, 160), [k * 10**8 for k in range(1, 41)])
    file = path / 'run.mcap'
    data = bytearray(file.read_bytes())
    middle = data.index(b'camera', len(data) // 2)
    data[middle - 60:middle + 60] = bytes(120)
    file.write_bytes(data)
    bag = Bag(path)
    frames = list(bag)
    assert 0 < len(frames) < 40
    np.testing.assert_array_equal([frame.image for frame in frames],
                                  pictures(40, 120, 160)[:len(frames)])
    assert len(frames) + len(bag.unreadable) + bag.missing == 40
    assert bag.missing and f'damaged: {bag.missing} of 40' in bag.remarks()[0]


def test_a_bag_is_never_in_memory_as_a_whole(recorded):
    path = recorded(pictures(60, 480, 640), [k * 10**8 for k in range(1, 61)])
    assert sum(file.stat().st_size for file in path.iterdir()) > 50e6
    tracemalloc.start()
    count = sum(1 for _ in Bag(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 60 and peak < 15e6
