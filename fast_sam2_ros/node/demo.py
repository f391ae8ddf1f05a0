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
The demo over real topics: a camera, the tracker and a user, three nodes in one process.

The camera keeps its rate as long as the tracker keeps up; on a slow machine it waits a little for
each answer, but not for ever: past that frames are dropped, by the tracker. The user publishes
goals on `target_text` and hears the masks and the status as anybody would; what comes back is
matched with the frame by its stamp.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import threading
import time

from fast_sam2_ros.demo.footage import Footage
from fast_sam2_ros.demo.result import Answer, Run
from fast_sam2_ros.errors import FastSam2Error
from fast_sam2_ros.heap import keep_freed_memory
from fast_sam2_ros.latency import Latency
from fast_sam2_ros.msg import TrackerStatus
from fast_sam2_ros.node import images
from fast_sam2_ros.node.camera import CameraNode
from fast_sam2_ros.node.parameters import Settings
from fast_sam2_ros.node.running import begin, spin
from fast_sam2_ros.node.tracker_node import open_session, TrackerNode
from fast_sam2_ros.recording import FrameRecord
from fast_sam2_ros.session import Session
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.time import Time
from sensor_msgs.msg import Image
from std_msgs.msg import String
from tqdm import tqdm

LOADING = 300.0
"""Seconds that the model may take to load."""
PATIENCE = 20.0
"""Seconds to wait for the nodes to find each other, and for the last answer."""
STATES = {TrackerStatus.IDLE: 'idle', TrackerStatus.SEARCHING: 'searching',
          TrackerStatus.TRACKING: 'tracking', TrackerStatus.LOST: 'lost'}


class UserNode(Node):
    """The node `user`: brings the tracker up, names targets and collects what it answers."""

    def __init__(self) -> None:
        """Create the publisher of goals, the subscriptions and the lifecycle client."""
        super().__init__('user')
        self.answers: dict[int, tuple[Image, TrackerStatus]] = {}
        """What came back, by the stamp of the image in nanoseconds."""
        self._halves: dict[int, Image | TrackerStatus] = {}
        self._goals = self.create_publisher(String, 'target_text', QoSProfile(depth=10))
        self._inputs = [
            self.create_subscription(Image, 'segmentation/mask', self._on_message,
                                     QoSProfile(depth=50)),
            self.create_subscription(TrackerStatus, 'segmentation/status', self._on_message,
                                     QoSProfile(depth=50))]
        self._lifecycle = self.create_client(ChangeState, 'tracker/change_state')

    @property
    def connected(self) -> bool:
        """Return whether the tracker hears the goals, and the user the tracker."""
        return (self._goals.get_subscription_count() > 0
                and all(topic.get_publisher_count() > 0 for topic in self._inputs))

    def name(self, text: str) -> None:
        """Publish a goal."""
        self._goals.publish(String(data=text))

    def change_state(self, transition: int, timeout: float) -> bool:
        """Ask the tracker for a lifecycle transition; return whether it succeeded."""
        if not self._lifecycle.wait_for_service(PATIENCE):
            return False
        request = ChangeState.Request(transition=Transition(id=transition))
        future = self._lifecycle.call_async(request)
        _wait(future.done, timeout)
        return future.done() and future.result().success

    def _on_message(self, message: Image | TrackerStatus) -> None:
        stamp = Time.from_msg(message.header.stamp).nanoseconds
        other = self._halves.pop(stamp, None)
        if other is None:
            self._halves[stamp] = message
        elif isinstance(message, TrackerStatus):
            self.answers[stamp] = other, message
        else:
            self.answers[stamp] = message, other


class _Model:
    """Opens the tracker's session, and remembers it, or why it could not be opened."""

    def __init__(self, factory: Callable[[Settings], Session]) -> None:
        self._factory = factory
        self.session: Session | None = None
        self.error: FastSam2Error | None = None

    def open(self, settings: Settings) -> Session:  # noqa: A003
        try:
            self.session = self._factory(settings)
        except FastSam2Error as error:
            self.error = error
            raise
        return self.session


def run_live(footage: Footage, arguments: argparse.Namespace,
             factory: Callable[[Settings], Session] = open_session) -> Run:
    """
    Film the footage, track in it what the script names, and return what was answered.

    Raises FastSam2Error where the tracker does not come up or the nodes do not find each other.
    """
    keep_freed_memory()  # here, before the model's thread has a heap of its own
    begin()
    model = _Model(factory)
    tracker = TrackerNode(session_factory=model.open, parameter_overrides=[
        Parameter(name, value=getattr(arguments, name))
        for name in ('model', 'device', 'grounder', 'router', 'keep_ratio')])
    user, camera = UserNode(), CameraNode()
    threads = [threading.Thread(target=spin, args=(node,), name=node.get_name(), daemon=True)
               for node in (tracker, user)]
    for thread in threads:
        thread.start()
    try:
        _bring_up(model, user, camera)
        sent, seconds = _film(footage, user, camera, arguments.grace)
        answers = {sent[stamp][0]: _answer(*sent[stamp], *pair)
                   for stamp, pair in user.answers.items() if stamp in sent}
        if not rclpy.ok():
            raise KeyboardInterrupt
    finally:
        tracker.stop(PATIENCE)
        rclpy.try_shutdown()
        for thread in threads:
            thread.join()
    loaded = model.session.loaded
    return Run(answers, seconds, len(sent), loaded.name, str(loaded.model.device),
               arguments.keep_ratio, loaded.fallback)


def _bring_up(model: _Model, user: UserNode, camera: CameraNode) -> None:
    """Take the tracker through its lifecycle, and wait until all hear each other."""
    up = (user.change_state(Transition.TRANSITION_CONFIGURE, LOADING)
          and user.change_state(Transition.TRANSITION_ACTIVATE, PATIENCE))
    if model.error is not None:
        raise model.error
    if not up and rclpy.ok():
        raise FastSam2Error('the tracker node did not come up; its log above says why')
    if not _wait(lambda: user.connected and camera.subscribers > 0, PATIENCE) and rclpy.ok():
        raise FastSam2Error('the nodes of the demo did not find each other: check ROS_DOMAIN_ID, '
                            'the firewall and FASTDDS_DEFAULT_PROFILES_FILE')


def _film(footage: Footage, user: UserNode, camera: CameraNode, grace: float
          ) -> tuple[dict[int, tuple[int, float]], float]:
    """
    Publish the frames at their times, or later by up to `grace` seconds each for an answer.

    Goals are published with them. Return index and time in the footage by the stamp of the
    message in nanoseconds, and the seconds from the first frame to the last answer.
    """
    goals = {goal.index: goal.text for goal in footage.goals}
    sent: dict[int, tuple[int, float]] = {}
    began = start = time.monotonic()
    for shot in tqdm(footage.shots(), total=footage.count, unit='frame', desc='demo',
                     leave=False, disable=None):
        if not rclpy.ok():
            break
        # Each delay moves what follows: the footage is then played slower, and nothing skipped.
        start = max(start, time.monotonic() - shot.stamp)
        time.sleep(max(0.0, start + shot.stamp - time.monotonic()))
        if shot.index in goals:
            user.name(goals[shot.index])
        stamp = camera.publish(shot.image).nanoseconds
        sent[stamp] = shot.index, shot.stamp
        _wait(lambda stamp=stamp: stamp in user.answers, grace)
    # Nothing replaces the last frame in the tracker's mailbox, so its answer comes last.
    _wait(lambda: stamp in user.answers, PATIENCE)
    return sent, time.monotonic() - began


def _answer(index: int, stamp: float, mask: Image, status: TrackerStatus) -> Answer:
    """Turn messages into the answer for one frame."""
    latency = Latency(**{stage: getattr(status.latency, stage)
                         for stage in Latency.__dataclass_fields__})
    record = FrameRecord(
        index, stamp, STATES[status.state], status.target_text, status.score,
        status.tokens_retained, status.tokens_total, status.bank_bytes, latency, None)
    return Answer.of(record, images.to_rgb(mask)[..., 0], status.label, status.message)


def _wait(condition: Callable[[], bool], timeout: float) -> bool:
    """Wait for a condition; return whether it holds, False also once ROS is shut down."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end or not rclpy.ok():
            return False
        time.sleep(0.01)
    return True
