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
"""What was tracked as a bag of ROS 2, without ROS: masks and statuses under the images' stamps."""

from __future__ import annotations

from functools import cache
from pathlib import Path
import shutil
from types import TracebackType

from fast_sam2_ros.errors import InputError
from fast_sam2_ros.offline.bags import BagFrame, IMAGE
from fast_sam2_ros.reports import Report
from fast_sam2_ros.status import make_status, StatusTypes
import numpy as np
from rosbags.interfaces import (
    Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg, get_typestore, Stores
from rosbags.typesys.store import Typestore

PACKAGE = 'fast_sam2_ros/msg/'
STATUS = f'{PACKAGE}TrackerStatus'
MASK_TOPIC = '/segmentation/mask'
STATUS_TOPIC = '/segmentation/status'
VERSION = 8  # of the metadata; Humble cannot read the next
FORMATS = ('mcap', 'sqlite3')
_NEVER = QosTime(9223372036, 854775807)
QOS = Qos(QosHistory.KEEP_LAST, 5, QosReliability.RELIABLE, QosDurability.VOLATILE, _NEVER, _NEVER,
          QosLiveliness.AUTOMATIC, _NEVER, False)
"""That of the node's publishers."""


@cache
def message_types() -> Typestore:
    """Return the messages that ROS 2 has in common, and those of msg/."""
    here = Path(__file__).parents[1]  # installed, the definitions lie here; in a checkout, in msg/
    folder = next(each for each in (here / 'definitions', here.parent / 'msg') if each.is_dir())
    types = get_typestore(Stores.ROS2_HUMBLE)
    for file in sorted(folder.glob('*.msg')):
        types.register(get_types_from_msg(file.read_text('utf-8'), PACKAGE + file.stem))
    return types


class BagWriter:
    """
    Writes a bag, whole or not at all: it appears under its name once it is complete.

    Use it in a `with` statement; an error in there, or an interruption, leaves no bag, and an
    earlier one of this name as it was.
    """

    def __init__(self, path: Path, format: str,  # noqa: A002
                 target_latency_ms: float, compiled: bool):
        """
        Write to the folder `path`; `format` is one of FORMATS, the rest is for the status.

        Raise InputError where something else than a bag is in the way.
        """
        if path.exists() and not (path / 'metadata.yaml').is_file():
            raise InputError(f'{path} is in the way and not a bag; name another --out')
        self.path, self._format = path, format
        self._target_latency_ms, self._compiled = target_latency_ms, compiled
        self._types = message_types()
        self._status_types = StatusTypes(
            *(self._types.types[PACKAGE + name]
              for name in ('TrackerStatus', 'TargetStatus', 'StageLatency')))
        self._unfinished = path.parent / f'.{path.name}-unfinished'

    def __enter__(self) -> BagWriter:
        """Begin; what an interrupted run left is removed."""
        shutil.rmtree(self._unfinished, ignore_errors=True)
        # A bag bears the name of its folder, so it gets the right one at once, a floor lower.
        self._writer = Writer(self._unfinished / self.path.name, version=VERSION,
                              storage_plugin=StoragePlugin[self._format.upper()])
        if self._format == 'mcap':
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        self._mask, self._status = (
            self._writer.add_connection(topic, kind, typestore=self._types,
                                        offered_qos_profiles=[QOS])
            for topic, kind in ((MASK_TOPIC, IMAGE), (STATUS_TOPIC, STATUS)))
        return self

    def write(self, frame: BagFrame, mask: np.ndarray, report: Report) -> None:
        """
        Append the mask, (H, W) uint8, and the status of an image.

        Both bear its header and the time at which it was received, which so counts as the time of
        publication.
        """
        height, width = mask.shape
        image = self._types.types[IMAGE](
            header=frame.header, height=height, width=width, encoding='mono8', is_bigendian=0,
            step=width, data=np.ascontiguousarray(mask).reshape(-1))
        status = make_status(
            self._status_types, frame.header, report, processed=frame.index + 1,
            dropped=frame.unreadable, target_latency_ms=self._target_latency_ms,
            compiled=self._compiled, stamp_age=1e-9 * frame.received - frame.stamp)
        for connection, message in ((self._mask, image), (self._status, status)):
            data = self._types.serialize_cdr(message, connection.msgtype)
            self._writer.write(connection, frame.received, data)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Put the finished bag in place of an earlier one, or remove what there is of it."""
        try:
            self._writer.__exit__(kind, error, trace)
            if kind is None:
                if self.path.exists():
                    self.path.rename(self._unfinished / 'earlier')
                self._writer.path.rename(self.path)
        finally:
            shutil.rmtree(self._unfinished, ignore_errors=True)
