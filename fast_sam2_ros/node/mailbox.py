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
"""What the callbacks leave for the worker: one frame, and the latest command of each kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import threading
from typing import Generic, TypeVar

Frame = TypeVar('Frame')
Target = TypeVar('Target')


@dataclass(frozen=True)
class Counts:
    """Frames whose fate is decided; always `received == processed + dropped`."""

    processed: int = 0
    dropped: int = 0

    @property
    def received(self) -> int:
        """Frames that arrived, less the ones that wait or are being worked on."""
        return self.processed + self.dropped


@dataclass(frozen=True)
class Work(Generic[Frame, Target]):
    """One turn of the worker: commands in the order of their arrival, then a frame or none."""

    commands: tuple[Callable[[Target], None], ...]
    frame: Frame | None


class Mailbox(Generic[Frame, Target]):
    """
    A one-slot mailbox between callbacks that never wait and a worker that may be slow.

    A frame that is still waiting when the next one comes is dropped, so nothing queues up and
    the worker always gets the newest. Commands of one kind replace each other likewise. Every
    method may be called from any thread, and only `take` blocks.
    """

    def __init__(self) -> None:
        """Make an open, empty mailbox."""
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._commands: dict[str, Callable[[Target], None]] = {}
        self._counts = Counts()
        self._open = True

    @property
    def counts(self) -> Counts:
        """Return how many frames were processed and dropped until now."""
        with self._changed:
            return self._counts

    def put(self, frame: Frame) -> None:
        """Leave a frame; one that waited for its turn is dropped."""
        with self._changed:
            if self._frame is not None:
                self._add(dropped=1)
            self._frame = frame
            self._changed.notify_all()

    def post(self, kind: str, command: Callable[[Target], None]) -> None:
        """Leave a command; it takes the last place and replaces a waiting one of its kind."""
        with self._changed:
            self._commands.pop(kind, None)
            self._commands[kind] = command
            self._changed.notify_all()

    def take(self) -> Work[Frame, Target] | None:
        """
        Wait for something to do and return it; None once the mailbox is closed.

        A frame that was taken is not counted before `finish` is called for it.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: not self._open or self._commands or self._frame is not None)
            if not self._open:
                return None
            work = Work(tuple(self._commands.values()), self._frame)
            self._commands.clear()
            self._frame = None
            return work

    def finish(self, *, processed: bool) -> None:
        """Count a frame that is done with: processed, or dropped on the way."""
        with self._changed:
            self._add(processed=int(processed), dropped=int(not processed))

    def discard(self) -> None:
        """Drop the frame that waits, if one does; commands stay."""
        with self._changed:
            if self._frame is not None:
                self._add(dropped=1)
                self._frame = None

    def close(self) -> None:
        """Let `take` return None from now on, and drop what waits."""
        with self._changed:
            self.discard()
            self._commands.clear()
            self._open = False
            self._changed.notify_all()

    def _add(self, processed: int = 0, dropped: int = 0) -> None:
        self._counts = Counts(self._counts.processed + processed, self._counts.dropped + dropped)
