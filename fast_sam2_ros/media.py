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
"""Frames from video files and image folders; videos and masks to files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
import re
from types import TracebackType

import av
import cv2
from fast_sam2_ros.errors import InputError
import numpy as np

IMAGE_SUFFIXES = frozenset({'.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp'})
VIDEO_SUFFIXES = frozenset({'.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.ogv',
                            '.ts', '.webm', '.wmv'})
ENCODERS = ('libx264', 'libopenh264', 'mpeg4')  # the first that this PyAV has is used
TICKS = 1000  # of a written video's clock, per second


@dataclass(frozen=True)
class Frame:
    """
    One image of a stream.

    index: its place, from 0 on; stamp: its time in seconds, 0 for the first; image: (H, W, 3)
    uint8 RGB; name: the file's name without suffix, or the index with six digits.
    """

    index: int
    stamp: float
    image: np.ndarray
    name: str


class Video:
    """
    A video file. Iterate over it for its frames, as often as you like.

    fps: its nominal frames a second.
    count: the number of frames that the file declares, None where it does not say.
    missing: after an iteration, how many declared frames could not be read (a truncated tail).
    """

    def __init__(self, path: Path):
        self.path = path
        self.missing = 0
        with self._open() as container:
            stream = container.streams.video[0]
            self.fps = float(stream.average_rate or stream.base_rate or 30)
            self.count: int | None = stream.frames or None
        if next(iter(self), None) is None:
            raise InputError(f'{path} holds no readable frame')

    def _open(self) -> av.container.InputContainer:
        try:
            container = av.open(str(self.path))
        except (av.error.FFmpegError, OSError) as error:
            raise InputError(f'{self.path} is not a video that can be read: '
                             f'{error.strerror or error}') from error
        if not container.streams.video:
            container.close()
            raise InputError(f'{self.path} has no picture, only sound or data')
        return container

    def __iter__(self) -> Iterator[Frame]:
        """Decode the frames in order; broken ones are left out and counted in `missing`."""
        index, first = 0, None
        with self._open() as container:
            stream = container.streams.video[0]
            stream.thread_type = 'AUTO'
            for frame in _decode(container, stream):
                time = frame.time if frame.time is not None else index / self.fps
                first = time if first is None else first
                image = np.rot90(frame.to_ndarray(format='rgb24'), round(frame.rotation / 90))
                yield Frame(index, time - first, np.ascontiguousarray(image), f'{index:06d}')
                index += 1
        self.missing = max(0, (self.count or 0) - index)

    def remarks(self) -> list[str]:
        """Say what of the last iteration a person should know."""
        if not self.missing:
            return []
        return [f'{self.path} is cut short: {self.missing} of {self.count} frames could not be '
                'read']


def _decode(container: av.container.InputContainer,
            stream: av.video.stream.VideoStream) -> Iterator[av.VideoFrame]:
    """Decode packet by packet, so that a broken one costs its own frames only."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            frames = packet.decode()
        except av.error.InvalidDataError:
            continue
        except av.error.EOFError:
            return
        yield from frames


class ImageFolder:
    """The images of a folder in natural order (2 before 10), or a single image."""

    def __init__(self, path: Path, fps: float):
        self.path, self.fps, self.missing = path, fps, 0
        if path.is_dir():
            self.files = sorted(filter(is_image, path.iterdir()), key=natural_order)
        else:
            self.files = [path]
        if not self.files:
            raise InputError(f'{path} holds no image ({", ".join(sorted(IMAGE_SUFFIXES))})')
        self.count: int | None = len(self.files)

    def __iter__(self) -> Iterator[Frame]:
        """Read the images in order; raise InputError at one that cannot be read or differs."""
        size = None
        for index, file in enumerate(self.files):
            image = read_image(file)
            if size is not None and image.shape != size:
                raise InputError(f'{file} is {image.shape[1]} x {image.shape[0]}, but the images '
                                 f'before it are {size[1]} x {size[0]}')
            size = image.shape
            yield Frame(index, index / self.fps, image, file.stem)

    def remarks(self) -> list[str]:
        """Say nothing: an image that cannot be read is an error."""
        return []


Media = Video | ImageFolder


def open_media(path: str | Path, fps: float = 30.0) -> Media:
    """
    Open a video file, a folder of images or a single image.

    `fps` gives the stamps of images, which carry none. Raise InputError where there is nothing
    to read.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f'{path} does not exist')
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageFolder(path, fps)
    if path.stat().st_size == 0:
        raise InputError(f'{path} is empty')
    return Video(path)


def is_image(path: Path) -> bool:
    """Tell, by its name, whether a file is an image."""
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def is_video(path: Path) -> bool:
    """Tell, by its name, whether a file is a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()


def natural_order(path: Path) -> list[tuple[int, int, str]]:
    """Return a key that sorts 2 before 10."""
    return [(0, int(part), '') if part.isdigit() else (1, 0, part.lower())
            for part in re.split(r'(\d+)', path.name) if part]


def read_image(path: Path) -> np.ndarray:
    """Read an image file as (H, W, 3) uint8 RGB; raise InputError where that fails."""
    data = np.fromfile(path, dtype=np.uint8) if path.is_file() else np.empty(0, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise InputError(f'{path} is not an image that can be read')
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def write_image(path: Path, image: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB to a file; its suffix tells the format."""
    _write(path, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


def read_mask(path: Path) -> np.ndarray:
    """Read a mask as (H, W) bool: True where any channel is not zero."""
    red, green, blue = cv2.split(read_image(path))  # any(axis=2) is several times slower
    return (red | green | blue) != 0


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write a mask (H, W) of 0 and 1 as a grey PNG of 0 and 255."""
    write_grey(path, np.where(mask, 255, 0).astype(np.uint8))


def write_grey(path: Path, values: np.ndarray) -> None:
    """Write (H, W) uint8 as a grey PNG of these values."""
    _write(path, values)


def _write(path: Path, pixels: np.ndarray) -> None:
    done, data = cv2.imencode(path.suffix, pixels)
    if not done:
        raise InputError(f'{path} cannot be written: unknown image format')
    data.tofile(path)


class VideoWriter:
    """
    Writes an MP4 that browsers play: H.264 where this PyAV has it, else MPEG-4 part 2.

    Frames carry their own stamps, so a stream that dropped frames plays at its true speed; where
    stamps jump back, it goes on one frame later. Frames are scaled to the size of the first.
    Sizes are padded to even numbers. Use it in a `with` statement.
    """

    def __init__(self, path: Path, fps: float = 30.0):
        """Create the file with the first frame; `fps` is nominal, for players that want one."""
        self.path, self.fps = path, fps
        self._container: av.container.OutputContainer | None = None
        self._first = self._latest = 0.0
        self._last_tick = -1

    def write(self, image: np.ndarray, stamp: float) -> None:
        """Append (H, W, 3) uint8 RGB, shown from `stamp` (seconds) on."""
        image = np.pad(image, ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0)), 'edge')
        if self._container is None:
            self._start(image, stamp)
        if stamp < self._latest:
            self._first = stamp - self._last_tick / TICKS - 1 / self.fps
        self._latest = stamp
        frame = av.VideoFrame.from_ndarray(image, format='rgb24')
        self._last_tick = max(round((stamp - self._first) * TICKS), self._last_tick + 1)
        frame.pts, frame.time_base = self._last_tick, Fraction(1, TICKS)
        self._container.mux(self._stream.encode(frame))

    def _start(self, image: np.ndarray, stamp: float) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        encoder = next((name for name in ENCODERS if name in av.codecs_available), None)
        if encoder is None:
            raise InputError(f'this PyAV can write no video; it lacks {", ".join(ENCODERS)}')
        self._container = av.open(str(self.path), 'w')
        rate = Fraction(self.fps).limit_denominator(1000)
        self._stream = self._container.add_stream(encoder, rate=rate)
        self._stream.height, self._stream.width = image.shape[:2]
        self._stream.pix_fmt = 'yuv420p'
        self._stream.codec_context.time_base = Fraction(1, TICKS)
        if encoder == 'libx264':
            self._stream.options = {'crf': '21', 'preset': 'veryfast'}
        else:
            self._stream.bit_rate = 4_000_000
        self._first = self._latest = stamp

    def close(self) -> None:
        """Write what is buffered and finish the file."""
        if self._container is not None:
            self._container.mux(self._stream.encode(None))
            self._container.close()
            self._container = None

    def __enter__(self) -> VideoWriter:
        """Return the writer itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Finish the file."""
        self.close()
