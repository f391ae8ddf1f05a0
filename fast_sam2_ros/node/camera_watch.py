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
"""What the node knows of its camera: when images came, which could be read, what stamps say."""

from __future__ import annotations

from dataclasses import dataclass
import threading


@dataclass(frozen=True)
class Camera:
    """
    The camera at one moment; ages in seconds, None for never.

    arrived, unreadable: images; reason: why the last of these could not be read; look: size and
    encoding of the last that could. no_stamp: its stamp was zero; behind: how far it was behind
    the node's clock, in seconds; frozen: so long did images come under one stamp.
    """

    arrived: int = 0
    age: float | None = None
    readable_age: float | None = None
    unreadable: int = 0
    reason: str = ''
    look: str = ''
    no_stamp: bool = False
    behind: float = 0.0
    frozen: float = 0.0


class CameraWatch:
    """Takes note of images; any thread may. Times are seconds of a steady clock."""

    def __init__(self) -> None:
        """Begin with no image."""
        self._lock = threading.Lock()
        self._arrived = self._unreadable = 0
        self._reason = ''
        self.restart()

    def restart(self) -> None:
        """Forget when images came; counts stay."""
        with self._lock:
            self._arrival: float | None = None
            self._reading: float | None = None
            self._look = ''
            self._stamp: float | None = None
            self._since = self._behind = 0.0

    def image_arrived(self, now: float) -> None:
        """Count an image."""
        with self._lock:
            self._arrived += 1
            self._arrival = now

    def image_read(self, now: float, look: str, stamp: float, clock: float) -> None:
        """Note an image that could be read; stamp and the node's clock in seconds."""
        with self._lock:
            if stamp != self._stamp:
                self._stamp, self._since = stamp, now
            self._reading, self._look, self._behind = now, look, clock - stamp

    def image_unreadable(self, reason: str) -> None:
        """Count an image that could not be read."""
        with self._lock:
            self._unreadable += 1
            self._reason = reason

    def at(self, now: float) -> Camera:
        """Return what is known at `now`."""
        with self._lock:
            return Camera(
                arrived=self._arrived, age=_age(self._arrival, now),
                readable_age=_age(self._reading, now), unreadable=self._unreadable,
                reason=self._reason, look=self._look, no_stamp=self._stamp == 0.0,
                behind=self._behind,
                frozen=0.0 if self._reading is None else self._reading - self._since)


def _age(moment: float | None, now: float) -> float | None:
    return None if moment is None else now - moment
