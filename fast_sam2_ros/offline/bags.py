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
"""Images from bags, without ROS: rosbag2 (mcap, SQLite) and bags of ROS 1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fast_sam2_ros import encodings
from fast_sam2_ros.errors import InputError, name_some
from fast_sam2_ros.media import Frame
import numpy as np
from rosbags.interfaces import Connection
from rosbags.rosbag1 import Reader as Reader1
from rosbags.rosbag2 import Reader as Reader2
from rosbags.typesys import get_typestore, Stores

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
MENDING = {  # what may help where a recording was cut off
    '.mcap': 'mcap recover FILE',
    '.db3': 'sqlite3 FILE .recover, then ros2 bag reindex FOLDER',
    '.bag': 'rosbag reindex FILE',
}
USUAL_FPS = 30.0


def is_bag(path: Path) -> bool:
    """Tell whether a path is meant as a bag: a file of one, or a folder with its metadata."""
    if path.is_dir():
        return (path / 'metadata.yaml').is_file()
    return path.is_file() and path.suffix.lower() in MENDING


@dataclass(frozen=True)
class BagFrame(Frame):
    """
    An image of a bag.

    stamp: of its header in seconds, or where that is not set, the time when it was received.
    header: std_msgs/Header as it was recorded.
    received: when it was recorded, in nanoseconds.
    unreadable: images before it that were left out.
    """

    header: Any
    received: int
    unreadable: int


class Bag:
    """
    The images on one topic of a bag. Iterate over it for its frames, as often as you like.

    fps: in the mean of the recording. count: the images that the bag declares.
    missing: after an iteration, how many of these were not there, since the bag is damaged.
    unreadable: after an iteration, the images that were left out, by number, time and reason.
    jumps: after an iteration, how often stamps went back.
    """

    def __init__(self, path: Path, topic: str | None = None):
        """
        Open a bag; without `topic` it must have one image topic.

        Raise InputError where there is nothing to read.
        """
        self.path = path
        self.missing = self.jumps = 0
        self.unreadable: list[str] = []
        self._damage = ''
        # What comes with a bag is not asked what an image is: its definitions would be run as
        # code, and those of images never changed.
        self._is_ros1 = path.suffix.lower() == '.bag'
        self._types = get_typestore(Stores.ROS1_NOETIC if self._is_ros1 else Stores.ROS2_HUMBLE)
        with self._open() as reader:
            self.topic = _choose_topic(path, reader.connections, topic)
            chosen = self._connections(reader)
            self.count = sum(connection.msgcount for connection in chosen)
            seconds = 1e-9 * (reader.end_time - reader.start_time) if self.count > 1 else 0.0
        fps = (self.count - 1) / seconds if seconds > 0 else USUAL_FPS
        self.fps = min(max(fps, 1.0), 240.0)
        if not self.count:
            raise InputError(f'{path} has no message on {self.topic}')
        if next(iter(self), None) is None:
            reason = self._damage or name_some(self.unreadable, 1)
            raise InputError(f'{path} holds no readable image on {self.topic}: {reason}')

    @cached_property
    def format(self) -> str:  # noqa: A003
        """How it is stored, mcap or sqlite3; mcap for what ROS 2 cannot write."""
        return 'sqlite3' if self._suffix == '.db3' else 'mcap'

    @property
    def _suffix(self) -> str:
        files = [self.path] if self.path.is_file() else sorted(self.path.iterdir())
        found = (suffix for file in files for suffix in file.suffixes if suffix in MENDING)
        return next(found, '.mcap')

    @contextmanager
    def _open(self) -> Iterator[Reader1 | Reader2]:
        try:
            reader = (Reader1 if self._is_ros1 else Reader2)(self.path)
            reader.open()
        except Exception as error:  # a parser on damaged bytes may raise anything
            raise InputError(f'{self.path} is not a bag that can be read ({error}); where a '
                             f'recording was cut off: {MENDING[self._suffix]}') from error
        with closing(reader):
            yield reader

    def _connections(self, reader: Reader1 | Reader2) -> list[Connection]:
        return [each for each in reader.connections if each.topic == self.topic]

    def _messages(self) -> Iterator[tuple[str, int, bytes]]:
        """Read type, time and bytes of the images in the order in which they were received."""
        with self._open() as reader:
            messages = reader.messages(self._connections(reader))
            while True:
                try:
                    connection, received, data = next(messages)
                except StopIteration:
                    return
                except Exception as error:  # as above
                    self._damage = str(error)
                    return
                yield connection.msgtype, received, data

    def __iter__(self) -> Iterator[BagFrame]:
        """Unpack the images; what cannot be read is left out and noted in `unreadable`."""
        self.missing, self.jumps, self.unreadable, self._damage = 0, 0, [], ''
        index, number, first, latest = 0, 0, None, -np.inf
        for number, (kind, received, data) in enumerate(self._messages(), 1):
            first = received if first is None else first
            try:
                header, image = self._unpack(kind, data)
            except InputError as error:
                at = 1e-9 * (received - first)
                self.unreadable.append(f'image {number} at {at:.3f} s: {error}')
                continue
            stamp = header.stamp.sec + 1e-9 * header.stamp.nanosec or 1e-9 * received
            self.jumps += stamp < latest
            latest = stamp
            yield BagFrame(index, stamp, image, f'{index:06d}', header, received,
                           len(self.unreadable))
            index += 1
        self.missing = max(0, self.count - number)

    def _unpack(self, kind: str, data: bytes) -> tuple[Any, np.ndarray]:
        """Return the header and the pixels, (H, W, 3) uint8 RGB; raise InputError."""
        unpack = self._types.deserialize_ros1 if self._is_ros1 else self._types.deserialize_cdr
        try:
            message = unpack(data, kind)
        except Exception as error:  # as above
            raise InputError(f'{len(data)} bytes are no {kind} message') from error
        if kind == COMPRESSED_IMAGE:
            image = encodings.decode(message.data, message.format)
        else:
            image = encodings.to_rgb(message.encoding, message.height, message.width,
                                     message.step, bool(message.is_bigendian), message.data)
        return message.header, np.require(image, requirements='W')

    def remarks(self) -> list[str]:
        """Say what of the last iteration a person should know."""
        remarks = []
        if self.missing:
            remarks.append(f'{self.path} is damaged: {self.missing} of {self.count} images could '
                           f'not be read' + (f' ({self._damage})' if self._damage else ''))
        if self.unreadable:
            remarks.append(f'left out as unreadable, {len(self.unreadable)} of {self.count}: '
                           + '; '.join(self.unreadable[:4])
                           + ('; ...' if len(self.unreadable) > 4 else ''))
        if self.jumps:
            remarks.append(f'jumps back in the stamps of {self.topic}: {self.jumps}; the target '
                           'is followed across them, and the overlay goes on one frame later')
        return remarks


def _choose_topic(path: Path, connections: list[Connection], topic: str | None) -> str:
    """Return the topic to read; raise InputError where it is not clear which."""
    kinds = {each.topic: each.msgtype for each in connections}
    images = sorted(name for name, kind in kinds.items() if kind in (IMAGE, COMPRESSED_IMAGE))
    if not images:
        others = name_some(kinds) or 'nothing'
        raise InputError(f'{path} has no topic with sensor_msgs/Image or CompressedImage, but '
                         f'{others}')
    if topic is None:
        if len(images) > 1:
            raise InputError(f'{path} has several image topics; choose with --topic: '
                             f'{", ".join(images)}')
        return images[0]
    if topic not in kinds and f'/{topic}' in kinds:
        topic = f'/{topic}'
    if topic not in images:
        kind = kinds.get(topic)
        what = f'{topic} is {kind}' if kind else f'there is no {topic}'
        raise InputError(f'{what} in {path}; images are on {", ".join(images)}')
    return topic
