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
Publishes `target_pose`: where the target is, from `depth` and `camera_info`.

While nobody listens to `target_pose`, or the node is not active, `depth` and `camera_info` are not
subscribed to, and a frame costs one comparison.

A depth image goes with an image whose stamp is at most `depth_tolerance` away; of several, the
nearest. It may come before the mask, and is then held on to while the mask is made, or after it:
some masks wait, since a camera's aligned depth can be slower than the model. A mask is used once,
and none after that of a newer image, so an image has one pose at most, under its own header.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
import math
import threading
import time
from typing import TYPE_CHECKING

from builtin_interfaces.msg import Time
from fast_sam2_ros import distance
from fast_sam2_ros.distance import Camera
from fast_sam2_ros.errors import InputError
from fast_sam2_ros.node import images
from fast_sam2_ros.node.parameters import Settings
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion
import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

if TYPE_CHECKING:
    from fast_sam2_ros.session import Report

LOOK_PERIOD = 0.5
"""Seconds between two looks for somebody who listens."""
KEPT = 8
"""Depth images that are kept: they may come before the image that they belong to."""
PATIENCE = 1.0
"""So many seconds a mask waits for its depth."""
WAITING = 8
"""So many masks wait at most."""
SETTLING = 2.0
"""Seconds after subscribing in which nothing is said of what has not come yet."""
TIME_JUMP = 1_000_000_000
"""Depth that is older than the last by so many nanoseconds begins a new time."""
QUIET = 5.0
"""Seconds between two log lines of one kind."""
NOBODY = 'nobody listens'
PUBLISHED = 'published'


@dataclass(frozen=True, eq=False)
class _Depth:
    """A depth image: its stamp in ns, its frame and its pixels as they came."""

    stamp: int
    frame_id: str
    pixels: np.ndarray


class _Match:
    """The depth that is nearest to an image's stamp, of those that were offered."""

    def __init__(self, stamp: int, offered: Iterable[_Depth]) -> None:
        self.stamp = stamp
        self.depth: _Depth | None = None
        for depth in offered:
            self.offer(depth)

    @property
    def gap(self) -> float:
        """Return the nanoseconds between the two; infinite while there is no depth."""
        return math.inf if self.depth is None else abs(self.depth.stamp - self.stamp)

    def offer(self, depth: _Depth) -> None:
        """Take a depth image where it is as near as the one before, or nearer."""
        if abs(depth.stamp - self.stamp) <= self.gap:
            self.depth = depth


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A target's mask, (H, W) uint8, that has no pose yet; since: steady seconds."""

    header: Header
    mask: np.ndarray
    match: _Match
    since: float


class PoseOutput:
    """
    The publisher of `target_pose`, and the two subscriptions that it lives on.

    The worker calls `expect` and `publish`, the executor everything else.
    """

    def __init__(self, node: LifecycleNode, settings: Callable[[], Settings]) -> None:
        """Create the publisher; `settings` returns the parameters that are in force."""
        self._node = node
        self._settings = settings
        self._lock = threading.Lock()
        self._active = False
        self._depth_input: Subscription | None = None
        self._info_input: Subscription | None = None
        self._listening_since = 0.0
        self._outcome = NOBODY
        self._dropped = 0
        self._forget()
        self._output = node.create_lifecycle_publisher(
            PoseStamped, 'target_pose', QoSProfile(depth=1),
            qos_overriding_options=QoSOverridingOptions.with_default_policies())
        self._timer = node.create_timer(
            LOOK_PERIOD, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @property
    def outcome(self) -> str:
        """Return whether the last image got a pose, and why not, and what was dropped."""
        dropped = f' ({self._dropped} unusable messages dropped)' if self._dropped else ''
        return self._outcome + dropped

    def start(self) -> None:
        """Publish from now on."""
        self._active = True
        self._look()

    def stop(self) -> None:
        """Publish no more; returns after what goes out now."""
        with self._lock:
            self._active = False
        self._look()

    def forget(self) -> None:
        """Drop the masks that wait."""
        with self._lock:
            self._waiting.clear()

    def destroy(self) -> None:
        """Publish and hear no more."""
        self.stop()
        self._node.destroy_timer(self._timer)
        self._node.destroy_lifecycle_publisher(self._output)

    def expect(self, header: Header) -> None:
        """Hold on to the depth of an image whose mask is being made, however long that takes."""
        if self._depth_input is None:
            return
        with self._lock:
            self._expected = _Match(_nanoseconds(header.stamp), self._recent)

    def publish(self, header: Header, report: Report) -> None:
        """Publish the pose of the first target that is tracked, now or when its depth comes."""
        if self._depth_input is None:
            return
        target = next((each for each in report.targets if each.state.value == 'tracking'), None)
        with self._lock:
            if target is None:
                self._outcome = 'no target is tracked'
                self._waiting.clear()
            elif not target.mask.any():
                self._outcome = 'the target is not in view'
            elif not (stamp := _nanoseconds(header.stamp)):
                self._complain('the images have no stamp, so there is no depth for them')
            else:
                match = self._expected
                if match is None or match.stamp != stamp:
                    match = _Match(stamp, self._recent)
                if len(self._waiting) == WAITING:
                    self._give_up(self._waiting.popleft())
                self._waiting.append(_Waiting(header, target.mask, match, time.monotonic()))
                self._try_all()

    # In the executor's thread.

    def _look(self) -> None:
        wanted = self._active and self._output.get_subscription_count() > 0
        with self._lock:
            if wanted and self._depth_input is None:
                self._forget()
                self._listening_since = time.monotonic()
                self._outcome = 'waiting for the first image'
                self._info_input = self._subscribe(CameraInfo, 'camera_info', self._on_info)
                self._depth_input = self._subscribe(Image, 'depth', self._on_depth)
            elif not wanted and self._depth_input is not None:
                self._node.destroy_subscription(self._depth_input)
                self._node.destroy_subscription(self._info_input)
                self._depth_input = self._info_input = None
                self._outcome = NOBODY
                self._forget()

    def _subscribe(self, kind: type, topic: str,
                   callback: Callable[[bytes], None]) -> Subscription:
        return self._node.create_subscription(
            kind, topic, callback, QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT),
            qos_overriding_options=QoSOverridingOptions(policy_kinds=(
                QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY,
                QoSPolicyKind.DURABILITY)), raw=True)

    def _on_info(self, serialized: bytes) -> None:
        with self._lock:
            try:
                info = images.receive(serialized, CameraInfo)
                self._camera(info)
            except InputError as error:
                self._bad_info = f'camera_info dropped: {error}'
                self._drop(self._bad_info)
            else:
                self._info, self._bad_info = info, ''
                self._try_all()

    def _on_depth(self, serialized: bytes) -> None:
        with self._lock:
            try:
                depth = _depth(images.receive(serialized, Image))
            except InputError as error:
                self._bad_depth = f'depth image dropped: {error}'
                self._drop(self._bad_depth)
                return
            self._bad_depth = ''
            if self._recent and depth.stamp < self._recent[-1].stamp - TIME_JUMP:
                self._recent.clear()
            self._recent.append(depth)
            if self._expected is not None:
                self._expected.offer(depth)
            for waiting in self._waiting:
                waiting.match.offer(depth)
            self._try_all()

    # With the lock held.

    def _forget(self) -> None:
        self._info: CameraInfo | None = None
        self._recent: deque[_Depth] = deque(maxlen=KEPT)
        self._expected: _Match | None = None  # of the image in work
        self._waiting: deque[_Waiting] = deque()
        self._bad_info = self._bad_depth = ''

    def _try_all(self) -> None:
        """Publish for the masks that wait, the oldest first, where all that it takes is there."""
        if not self._active:
            return
        now = time.monotonic()
        while self._waiting and now - self._waiting[0].since > PATIENCE:
            self._give_up(self._waiting.popleft())
        for waiting in list(self._waiting):
            if self._is_ready(waiting.match):
                while self._waiting.popleft() is not waiting:
                    pass  # older ones would come after a newer one
                self._finish(waiting)

    def _is_ready(self, match: _Match) -> bool:
        if self._info is None or match.gap > 1e9 * self._settings().depth_tolerance:
            return False
        # After depth that is older than the image, the next one may be nearer.
        return match.depth.stamp >= match.stamp or match.depth is not self._recent[-1]

    def _finish(self, waiting: _Waiting) -> None:
        depth = waiting.match.depth
        if wrong := _wrong_frame(waiting.header, depth, self._info):
            self._complain(wrong)
            return
        try:
            position = distance.locate(
                distance.metres(depth.pixels), waiting.mask, self._camera(self._info))
        except InputError as error:
            self._complain(str(error))
            return
        if not position:
            self._complain(position.reason)
            return
        self._outcome = PUBLISHED
        self._output.publish(PoseStamped(header=waiting.header, pose=Pose(
            position=Point(x=position.x, y=position.y, z=position.z),
            orientation=Quaternion(w=1.0))))

    def _camera(self, info: CameraInfo) -> Camera:
        region = info.roi
        return Camera.calibrated(
            (info.height, info.width), info.k, info.p, info.distortion_model, info.d,
            rectified=self._settings().image_rectified,
            binning=(info.binning_x, info.binning_y),
            region=(region.x_offset, region.y_offset, region.width, region.height))

    def _give_up(self, waiting: _Waiting) -> None:
        """Say what is missing for a mask that waited long enough."""
        if self._info is None:
            missing = self._bad_info or f'no camera_info came on {self._info_input.topic_name}'
        elif self._bad_depth:
            missing = self._bad_depth
        elif waiting.match.depth is None:
            missing = f'no depth image came on {self._depth_input.topic_name}'
        else:
            missing = (f'the nearest depth image is {1e-9 * waiting.match.gap:.3f} s away from '
                       f'the image, depth_tolerance is {self._settings().depth_tolerance:g} s')
        self._outcome = missing
        if time.monotonic() - self._listening_since > SETTLING:
            self._complain(missing)

    def _drop(self, text: str) -> None:
        self._dropped += 1
        self._node.get_logger().warning(text, throttle_duration_sec=QUIET)

    def _complain(self, reason: str) -> None:
        self._outcome = reason
        self._node.get_logger().warning(f'no target_pose: {reason}', throttle_duration_sec=QUIET)


def _depth(message: Image) -> _Depth:
    return _Depth(
        _nanoseconds(message.header.stamp), message.header.frame_id,
        distance.depth_view(message.encoding, message.height, message.width, message.step,
                            bool(message.is_bigendian), message.data))


def _nanoseconds(stamp: Time) -> int:
    return 1_000_000_000 * stamp.sec + stamp.nanosec


def _wrong_frame(header: Header, depth: _Depth, info: CameraInfo) -> str:
    """Return why the depth, or the camera, is not of the image; empty where they may be."""
    for what, frame_id, help in (  # noqa: A001
            ('depth', depth.frame_id, 'it is not registered to the image; remap depth to the '
             'topic of depth that the camera aligns to it'),
            ('camera_info', info.header.frame_id, 'it is of another camera; remap camera_info to '
             'the one beside the image')):
        if frame_id and header.frame_id and frame_id != header.frame_id:
            return (f'{what} has the frame {frame_id[:80]!r}, the image '
                    f'{header.frame_id[:80]!r}: {help}')
    return ''
