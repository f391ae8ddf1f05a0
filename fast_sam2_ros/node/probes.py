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
"""
The processes between which `node.measure` measures: a camera, a listener, and the bare loop.

Each is a process of its own, takes commands from its standard input and answers on its standard
output, one JSON object a line. Between commands it waits and costs nothing. The camera and the
listener share the cores with the node that they measure, so they do as little as they can: what
the camera sends is serialized beforehand, and of what the listener hears it keeps the time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import json
import signal
import struct
import sys
import time
from typing import Any, TYPE_CHECKING

from fast_sam2_ros.msg import TrackerStatus
from fast_sam2_ros.node import images
from fast_sam2_ros.node.parameters import Settings
from fast_sam2_ros.node.tracker_node import open_session
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from std_msgs.msg import Header

if TYPE_CHECKING:
    from fast_sam2_ros.session import Session

LOADING = 600.0
"""Seconds to wait for the node: it may have to compile its model."""
STAMP = struct.Struct('<iI')
"""Seconds and nanoseconds, with which a serialized message with a header begins."""
ENCAPSULATION = 4
"""Bytes before it: how the message is serialized (OMG DDSI-RTPS, 10.2)."""


def place_of(count: int, position: int) -> int:
    """Return which of `count` frames comes at a position of a stream that goes to and fro."""
    place = position % (2 * count - 2) if count > 1 else 0
    return min(place, 2 * count - 2 - place)


def index_in(frame_id: str) -> int:
    """Return which of its frames the camera showed, from the `frame_id` of what came of it."""
    return int(frame_id.rpartition('_')[2])


class Camera:
    """
    Publishes frames, (N, H, W, 3) uint8 RGB, on `image` at a steady rate, to and fro.

    The `frame_id` of an image, and so of its mask, ends in the frame's place, `index_in` tells it.
    """

    def __init__(self, frames: np.ndarray) -> None:
        """Serialize the frames; Image messages with a new stamp cost a copy each after that."""
        self._node = rclpy.create_node('camera', start_parameter_services=False)
        self._output = self._node.create_publisher(
            Image, 'image', QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
        messages = [serialize_message(images.from_rgb(frame, Header(frame_id=f'camera_{index}')))
                    for index, frame in enumerate(frames)]
        self._start = messages[0][:ENCAPSULATION]
        self._rests = [message[ENCAPSULATION + STAMP.size:] for message in messages]
        self._position = 0

    def run(self, seconds: float, rate: float) -> dict[str, Any]:
        """Publish for some time, once somebody listens; return how many were sent."""
        end = time.monotonic() + LOADING
        while not self._output.get_subscription_count():
            if time.monotonic() > end:
                return {'error': f'nobody listened to the camera for {LOADING:.0f} s'}
            time.sleep(0.1)
        began = time.monotonic()
        count = round(seconds * rate)
        for number in range(count):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            rest = self._rests[place_of(len(self._rests), self._position)]
            stamp = STAMP.pack(*divmod(time.time_ns(), 10**9))
            self._output.publish(b''.join((self._start, stamp, rest)))
            self._position += 1
        return {'sent': count, 'seconds': time.monotonic() - began}


class Listener:
    """Hears masks and statuses and notes when."""

    def __init__(self) -> None:
        """Subscribe; serialized messages are kept as they are until `run` ends."""
        self._node = rclpy.create_node('listener', start_parameter_services=False)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._masks: list[tuple[int, bytes]] = []
        self._statuses: list[bytes] = []
        self._inputs = [
            self._node.create_subscription(
                Image, 'segmentation/mask', self._on_mask, QoSProfile(depth=10), raw=True),
            self._node.create_subscription(
                TrackerStatus, 'segmentation/status', self._statuses.append,
                QoSProfile(depth=10), raw=True)]

    def run(self, seconds: float) -> dict[str, Any]:
        """
        Listen for some time.

        Return arrival (s) and age (ms) of every mask, whether the target was tracked in every
        image, the last counts, and the node's own time for a step (ms).
        """
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)
        masks = []
        for arrival, stamp in self._masks:
            whole, rest = STAMP.unpack(stamp)
            masks.append((1e-9 * arrival, 1e-6 * (arrival - whole * 10**9 - rest)))
        statuses = [deserialize_message(status, TrackerStatus) for status in self._statuses]
        self._masks.clear()
        self._statuses.clear()
        return {
            'arrivals': [arrival for arrival, _ in masks], 'ages': [age for _, age in masks],
            'tracked': [status.state == TrackerStatus.TRACKING for status in statuses],
            'step_ms': [status.latency.total for status in statuses],
            'counts': {name: getattr(statuses[-1], name) if statuses else 0
                       for name in ('received', 'processed', 'dropped')}}

    def _on_mask(self, mask: bytes) -> None:
        self._masks.append((time.time_ns(), mask[ENCAPSULATION:ENCAPSULATION + STAMP.size]))


class BareLoop:
    """The session alone, on the frames that the camera would show when it asks for the next."""

    def __init__(self, session: Session, frames: np.ndarray) -> None:
        """Loop over frames, (N, H, W, 3) uint8 RGB, with a session that has its target."""
        self._session = session
        self._frames = frames
        self._position = 0.0

    def run(self, seconds: float, rate: float) -> dict[str, Any]:
        """Take frames for some time; return begin (s) and length (ms) of every step."""
        begins, lengths, tracked = [], [], []
        began = now = time.monotonic()
        while now < began + seconds:
            position = int(self._position + (now - began) * rate)
            frame = self._frames[place_of(len(self._frames), position)]
            report = self._session.process(frame, time.time())
            tracked.append(report.state.name == 'TRACKING' and bool(report.mask[0, 0] >= 0))
            begins.append(now)
            now = time.monotonic()
            lengths.append(1e3 * (now - begins[-1]))
        self._position += (now - began) * rate
        return {'begins': begins, 'step_ms': lengths, 'tracked': tracked}


def open_bare_loop(frames: np.ndarray, settings: Settings) -> BareLoop:
    """Open a session as the node does, and name its target."""
    session = open_session(settings)
    session.set_text(settings.target_text)
    return BareLoop(session, frames)


def serve(run: Callable[..., dict[str, Any]]) -> None:
    """Answer each command, a line of JSON with the arguments of `run`, by a line of JSON."""
    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), flush=True)


def main() -> None:
    """Be one of the processes, until the standard input ends."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument('role', choices=('camera', 'listener', 'bare'))
    parser.add_argument('--frames', metavar='NPY', help='what the camera and the loop show')
    parser.add_argument('--settings', type=json.loads, default={}, metavar='JSON',
                        help='the parameters of the node, for the bare loop')
    arguments = parser.parse_args()
    frames = np.load(arguments.frames) if arguments.frames else np.empty(0)
    if arguments.role == 'bare':
        return serve(open_bare_loop(frames, Settings.from_values(arguments.settings)).run)
    # Ended from outside, it leaves as it came: what it has in /dev/shm goes with it.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    signal.signal(signal.SIGTERM, lambda number, stack: sys.exit())
    try:
        serve((Camera(frames) if arguments.role == 'camera' else Listener()).run)
    finally:
        rclpy.try_shutdown()


if __name__ == '__main__':
    main()
