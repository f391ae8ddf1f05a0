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
"""The one thread that owns the model; everything else only leaves work in its mailbox."""

from __future__ import annotations

from collections.abc import Callable
import gc
import threading
from typing import Generic, TypeVar

from fast_sam2_ros.node.mailbox import Mailbox

Frame = TypeVar('Frame')
Session = TypeVar('Session')


class Worker(Generic[Frame, Session]):
    """Opens a session in a thread of its own, and feeds it from a mailbox until it is stopped."""

    def __init__(self, open_session: Callable[[], Session], mailbox: Mailbox[Frame, Session],
                 handle: Callable[[Session, Frame], None],
                 report: Callable[[Exception], None]) -> None:
        """
        Start to open the session.

        `handle` gets every frame, and is to call `mailbox.finish` once for each; `report` gets
        what a command or `handle` raises. Both are called in the worker's thread.
        """
        self._open_session = open_session
        self._mailbox = mailbox
        self._handle = handle
        self._report = report
        self._opened = threading.Event()
        self._error: Exception | None = None
        # A daemon: a step of a large model on a CPU may outlast the patience of a shutdown.
        self._thread = threading.Thread(target=self._run, name='model', daemon=True)
        self._thread.start()

    def wait_until_open(self, timeout: float) -> bool:
        """
        Return whether the session is open after at most `timeout` seconds.

        Raises what opening the session raised.
        """
        opened = self._opened.wait(timeout)
        if self._error is not None:
            raise self._error
        return opened

    def stop(self, timeout: float | None = None) -> bool:
        """Stop after the current step; return whether that happened within `timeout` seconds."""
        self._mailbox.close()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            session = self._open_session()
        except Exception as error:
            self._error = error
            return
        finally:
            self._opened.set()
        while (work := self._mailbox.take()) is not None:
            for command in work.commands:
                self._guard(command, session)
            if work.frame is not None:
                self._guard(self._handle, session, work.frame)
        # Modules refer to each other in circles; without this the model outlives its session.
        del session
        gc.collect()

    def _guard(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            function(*arguments)
        except Exception as error:
            self._report(error)
