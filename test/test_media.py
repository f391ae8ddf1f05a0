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
"""Reading and writing of videos, folders and masks."""

from pathlib import Path

import av
from fast_sam2_ros import media
from fast_sam2_ros.errors import InputError
from fast_sam2_ros.media import open_media, VideoWriter
import numpy as np
import pytest


def picture(index: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Draw a picture that differs from frame to frame: a grey level and a bright corner."""
    image = np.full((height, width, 3), 20 * (index % 10), dtype=np.uint8)
    image[:height // 2, :width // 2] = (250, 40, 10)
    return image


def write_video(path: Path, count: int, stamps=None, **size) -> None:
    with VideoWriter(path, fps=10) as writer:
        for index in range(count):
            writer.write(picture(index, **size), index / 10 if stamps is None else stamps[index])


def test_a_written_video_is_read_back_with_its_colours_and_stamps(tmp_path):
    write_video(tmp_path / 'a.mp4', 12)
    source = open_media(tmp_path / 'a.mp4')
    frames = list(source)
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.stamp for frame in frames] == pytest.approx([i / 10 for i in range(12)])
    for frame in frames:
        assert frame.image.shape == (48, 64, 3) and frame.image.dtype == np.uint8
        assert abs(int(frame.image[40, 56, 0]) - 20 * (frame.index % 10)) < 12
        red, green, blue = frame.image[8, 8].astype(int)
        assert red > 200 and green < 90 and blue < 60  # RGB, not BGR
    assert source.missing == 0
    assert len(list(source)) == 12  # a second time


def test_dropped_frames_do_not_speed_a_video_up(tmp_path):
    write_video(tmp_path / 'a.mp4', 4, stamps=[5.0, 5.1, 5.9, 6.0])
    stamps = [frame.stamp for frame in open_media(tmp_path / 'a.mp4')]
    assert stamps == pytest.approx([0, 0.1, 0.9, 1.0], abs=0.002)


def test_where_time_jumps_back_a_video_goes_on_one_frame_later(tmp_path):
    write_video(tmp_path / 'a.mp4', 5, stamps=[50.0, 50.2, 3.0, 3.4, 3.5])
    stamps = [frame.stamp for frame in open_media(tmp_path / 'a.mp4')]
    assert stamps == pytest.approx([0, 0.2, 0.3, 0.7, 0.8], abs=0.002)


def test_frames_of_another_size_are_scaled_to_the_first(tmp_path):
    with VideoWriter(tmp_path / 'a.mp4', fps=10) as writer:
        writer.write(picture(1), 0)
        writer.write(picture(1, height=96, width=128), 0.1)
    first, second = open_media(tmp_path / 'a.mp4')
    assert first.image.shape == second.image.shape == (48, 64, 3)
    assert np.abs(first.image.astype(int) - second.image).mean() < 8


def test_odd_sizes_are_padded(tmp_path):
    write_video(tmp_path / 'a.mp4', 3, height=47, width=63)
    assert next(iter(open_media(tmp_path / 'a.mp4'))).image.shape == (48, 64, 3)


def test_without_x264_another_encoder_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(media, 'ENCODERS', ('no_such_encoder', 'mpeg4'))
    write_video(tmp_path / 'a.mp4', 5)
    with av.open(str(tmp_path / 'a.mp4')) as container:
        assert container.streams.video[0].codec_context.name == 'mpeg4'
    assert len(list(open_media(tmp_path / 'a.mp4'))) == 5
    monkeypatch.setattr(media, 'ENCODERS', ('no_such_encoder',))
    with pytest.raises(InputError, match='no_such_encoder'):
        write_video(tmp_path / 'b.mp4', 1)


def test_a_truncated_tail_is_counted(tmp_path):
    rng = np.random.default_rng(0)
    with av.open(str(tmp_path / 'a.mp4'), 'w', options={'movflags': 'faststart'}) as container:
        stream = container.add_stream('mpeg4', rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        for _ in range(40):
            noise = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format='rgb24')))
        container.mux(stream.encode(None))
    data = (tmp_path / 'a.mp4').read_bytes()
    (tmp_path / 'cut.mp4').write_bytes(data[:len(data) * 6 // 10])
    source = open_media(tmp_path / 'cut.mp4')
    read = len(list(source))
    assert 10 < read < 40
    assert source.missing == 40 - read


@pytest.mark.parametrize('name, content, reason', [
    ('gone.mp4', None, 'does not exist'),
    ('empty.mp4', b'', 'is empty'),
    ('text.mp4', b'this is no video at all' * 50, 'not a video'),
])
def test_what_is_no_video_is_refused_by_name(tmp_path, name, content, reason):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=reason) as error:
        open_media(tmp_path / name)
    assert name in str(error.value)


def test_sound_alone_is_refused(tmp_path):
    with av.open(str(tmp_path / 'sound.mp4'), 'w') as container:
        stream = container.add_stream('aac', rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), 'fltp', 'mono')
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match='no picture'):
        open_media(tmp_path / 'sound.mp4')


def test_a_folder_is_read_in_natural_order(tmp_path):
    for index in (10, 2, 1):
        media.write_image(tmp_path / f'frame{index}.png', picture(index))
    (tmp_path / 'notes.txt').write_text('not an image')
    frames = list(open_media(tmp_path, fps=20))
    assert [frame.name for frame in frames] == ['frame1', 'frame2', 'frame10']
    assert [frame.stamp for frame in frames] == [0, 0.05, 0.1]
    np.testing.assert_array_equal(frames[1].image, picture(2))


def test_a_folder_without_images_or_with_a_broken_or_odd_one_is_refused(tmp_path):
    with pytest.raises(InputError, match='holds no image'):
        open_media(tmp_path)
    media.write_image(tmp_path / '1.png', picture(1))
    (tmp_path / '2.png').write_bytes(b'broken')
    with pytest.raises(InputError, match='2.png is not an image'):
        list(open_media(tmp_path))
    media.write_image(tmp_path / '2.png', picture(2, height=50))
    with pytest.raises(InputError, match='64 x 50, but'):
        list(open_media(tmp_path))


def test_masks_survive_a_file(tmp_path):
    mask = np.zeros((48, 64), np.uint8)
    mask[10:20, 30:50] = 1
    media.write_mask(tmp_path / 'mask.png', mask)
    np.testing.assert_array_equal(media.read_mask(tmp_path / 'mask.png'), mask.astype(bool))
