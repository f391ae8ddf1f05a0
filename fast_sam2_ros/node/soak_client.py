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
"""The user in a soak: brings the tracker up, changes its mind, and writes down what comes back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
import re
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from fast_sam2_ros.errors import FastSam2Error
from fast_sam2_ros.msg import TrackerStatus
from fast_sam2_ros.node import images
from fast_sam2_ros.node.diagnostics import STATE_NAMES
from fast_sam2_ros.node.probes import ENCAPSULATION, index_in, LOADING, STAMP
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import String

PATIENCE = 20.0
"""Seconds to wait for a service or a transition other than `configure`."""
LOOK_PERIOD = 0.5
"""Seconds between two masks that are compared with the truth."""
LEAST_SHARE = 0.01
"""Share of the image that a target must cover to count as in view."""
LEVELS = {DiagnosticStatus.WARN: 'WARN', DiagnosticStatus.ERROR: 'ERROR',
          DiagnosticStatus.STALE: 'STALE'}
NUMBER = re.compile(r'\d[\d.]*')


@dataclass(frozen=True)
class Goal:
    """What the user wants: text, or whatever is in view pointed at; and to watch the pictures."""

    text: str = ''
    point: bool = False
    watch: bool = False


class Truth:
    """Where the things in the frames are."""

    def __init__(self, masks: dict[str, np.ndarray]) -> None:
        """Take (N, H, W) of 0 and 1 by label, and keep them in bits."""
        self._size = {label: each.shape[1:] for label, each in masks.items()}
        self._bits = {label: np.packbits(each.reshape(len(each), -1), axis=1)
                      for label, each in masks.items()}

    def mask(self, index: int, labels: tuple[str, ...]) -> np.ndarray:
        """Return where any of these things is in a frame, (H, W) bool; unknown ones are not."""
        height, width = next(iter(self._size.values()))
        found = np.zeros(height * width, bool)
        for label in labels:
            if label in self._bits:
                found |= np.unpackbits(self._bits[label][index], count=found.size).view(bool)
        return found.reshape(height, width)

    def largest(self, index: int) -> str | None:
        """Return what covers most of a frame, None where nothing is in view."""
        areas = {label: self.mask(index, (label,)).mean() for label in self._bits}
        label = max(areas, key=areas.get)
        return label if areas[label] >= LEAST_SHARE else None


@dataclass
class Asked:
    """A goal of the soak: when it was asked for (s), and after how long it was taken up."""

    text: str
    pointed: bool
    at: float
    taken_after: float | None = None


@dataclass
class Log:
    """
    What came back; times in seconds since the beginning.

    masks: time and age (ms); steps: time, length (ms) and state; looks: time, IoU with the truth
    (None where the target is not in view) and whether there was a mask; bank: bytes by the number
    of targets; tasks: diagnostics that were not OK, by task, level and message without numbers;
    watched: confidences and overlays; counts: of the last status; backwards: masks whose stamp
    was not later than that of the mask before.
    """

    masks: list[tuple[float, float]] = field(default_factory=list)
    steps: list[tuple[float, float, str]] = field(default_factory=list)
    looks: list[tuple[float, float | None, bool]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    recoveries: list[float] = field(default_factory=list)
    goals: list[Asked] = field(default_factory=list)
    bank: dict[int, set[int]] = field(default_factory=dict)
    tasks: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    reports: int = 0
    watched: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    backwards: int = 0


class Client:
    """The node `soak`; `log` holds what it heard since `begin`."""

    def __init__(self, truth: Truth | None) -> None:
        """Subscribe to what the tracker sends; `truth` where that is known."""
        self.log = Log()
        self._truth = truth
        self._node = rclpy.create_node('soak', start_parameter_services=False)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._texts = self._node.create_publisher(String, 'target_text', 10)
        self._regions = self._node.create_publisher(RegionOfInterest, 'target_roi', 10)
        self._hear(Image, 'segmentation/mask', self._on_mask, raw=True)
        self._hear(TrackerStatus, 'segmentation/status', self._on_status)
        self._hear(DiagnosticArray, '/diagnostics', self._on_diagnostics)
        self._change = self._node.create_client(ChangeState, 'tracker/change_state')
        self._watching: list[Subscription] = []
        self._began = time.monotonic()
        self._listening = False
        self._answered = self._camera_is_seen = False
        self._last_stamp = 0
        self._next_look = 0.0
        self._place: int | None = None  # of the frame that was seen last
        self._text = ''  # the tracker's, in its last status
        self._labels: tuple[str, ...] = ()  # what the truth calls the targets
        self._states: dict[int, str] = {}

    def bring_up(self, alive: Callable[[], bool]) -> None:
        """
        Configure and activate the tracker, and wait until it answers the camera.

        Raises FastSam2Error where that fails.
        """
        self._transition(Transition.TRANSITION_CONFIGURE, LOADING, alive)
        self._transition(Transition.TRANSITION_ACTIVATE, PATIENCE, alive)
        if not self._wait(lambda: self._texts.get_subscription_count() > 0, PATIENCE, alive):
            raise FastSam2Error('the tracker does not hear target_text')
        if not self._wait(lambda: self._answered and self._camera_is_seen, LOADING, alive):
            raise FastSam2Error('the tracker does not answer the images of the camera')

    def bring_down(self, alive: Callable[[], bool]) -> None:
        """Deactivate the tracker and let it go of its model; hear nothing more before that."""
        self._listening = False
        self._transition(Transition.TRANSITION_DEACTIVATE, PATIENCE, alive)
        self._transition(Transition.TRANSITION_CLEANUP, PATIENCE, alive)

    def close(self) -> None:
        """Leave."""
        self._executor.shutdown()
        self._node.destroy_node()

    def begin(self) -> None:
        """Write down what comes from now on."""
        self.log, self._began, self._listening = Log(), time.monotonic(), True

    @property
    def now(self) -> float:
        """Return the seconds since `begin`."""
        return time.monotonic() - self._began

    @property
    def silence(self) -> float:
        """Return the seconds since the last mask."""
        return self.now - (self.log.masks[-1][0] if self.log.masks else 0.0)

    def ask(self, goal: Goal) -> bool:
        """Publish a goal; False where nothing to point at is in view, and nothing was done."""
        if goal.point:
            label = None if self._place is None else self._truth.largest(self._place)
            if label is None:
                return False
            rows, columns = np.nonzero(self._truth.mask(self._place, (label,)))
            self._labels = (label,)
            self._regions.publish(RegionOfInterest(
                x_offset=int(columns.min()), y_offset=int(rows.min()),
                width=int(np.ptp(columns)) + 1, height=int(np.ptp(rows)) + 1))
        else:
            self._labels = tuple(word.strip() for word in goal.text.split(';'))
            self._texts.publish(String(data=goal.text))
        self.log.goals.append(Asked(self._text if goal.point else goal.text, goal.point, self.now))
        self._states = {}
        self._watch(goal.watch)
        return True

    def spin(self, seconds: float) -> None:
        """Take what comes for some time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and rclpy.ok():
            try:
                self._executor.spin_once(timeout_sec=left)
            except ExternalShutdownException:
                return

    def _hear(self, kind: type, topic: str, take: Callable[..., None], raw: bool = False
              ) -> Subscription:
        return self._node.create_subscription(kind, topic, take, QoSProfile(depth=10), raw=raw)

    def _watch(self, on: bool) -> None:
        """Subscribe to the pictures that are drawn for a listener only, or leave them again."""
        if on and not self._watching:
            self._watching = [self._hear(Image, f'segmentation/{name}', self._on_picture, raw=True)
                              for name in ('overlay', 'confidence')]
        elif not on:
            for subscription in self._watching:
                self._node.destroy_subscription(subscription)
            self._watching = []

    def _transition(self, transition: int, timeout: float, alive: Callable[[], bool]) -> None:
        if not self._wait(self._change.service_is_ready, PATIENCE, alive):
            raise FastSam2Error('the tracker does not offer its lifecycle services')
        future = self._change.call_async(
            ChangeState.Request(transition=Transition(id=transition)))
        if not (self._wait(future.done, timeout, alive) and future.result().success):
            raise FastSam2Error(f'the tracker refused the lifecycle transition {transition}, or '
                                f'did not end it in {timeout:.0f} s')

    def _wait(self, condition: Callable[[], bool], timeout: float, alive: Callable[[], bool]
              ) -> bool:
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end or not alive() or not rclpy.ok():
                return False
            self.spin(0.05)
        return True

    def _on_mask(self, serialized: bytes) -> None:
        self._answered = True
        if not self._listening:
            return
        whole, rest = STAMP.unpack(serialized[ENCAPSULATION:ENCAPSULATION + STAMP.size])
        stamp = whole * 10**9 + rest
        self.log.masks.append((self.now, 1e-6 * (time.time_ns() - stamp)))
        self.log.backwards += stamp <= self._last_stamp
        self._last_stamp = stamp
        if self._truth is not None and self.now >= self._next_look:
            self._next_look = self.now + LOOK_PERIOD
            self._look(deserialize_message(serialized, Image))

    def _look(self, message: Image) -> None:
        """Compare a mask with the truth, once the goal was taken up."""
        self._place = index_in(message.header.frame_id)
        if not self.log.goals or self.log.goals[-1].taken_after is None:
            return
        found = images.to_rgb(message)[..., 0] != 0
        truth = self._truth.mask(self._place, self._labels)
        iou = None
        if truth.mean() >= LEAST_SHARE:
            iou = float((found & truth).sum() / (found | truth).sum())
        self.log.looks.append((self.now, iou, bool(found.any())))

    def _on_status(self, status: TrackerStatus) -> None:
        if not self._listening:
            return
        log = self.log
        self._text = status.target_text
        log.steps.append((self.now, status.latency.total, STATE_NAMES[status.state]))
        log.counts = {name: getattr(status, name) for name in ('received', 'processed', 'dropped')}
        if status.targets:
            log.bank.setdefault(len(status.targets), set()).add(status.bank_bytes)
        if not log.goals:
            return
        asked = log.goals[-1]
        if asked.taken_after is None:
            # What was pointed at is not called what was followed before, but by its own name.
            if (self._text != asked.text) != asked.pointed:
                return
            asked.taken_after = self.now - asked.at
        for target in status.targets:
            state, before = STATE_NAMES[target.state], self._states.get(target.id)
            if (before, state) == ('tracking', 'lost'):
                log.losses.append(self.now)
            elif (before, state) == ('lost', 'tracking'):
                log.recoveries.append(self.now)
            self._states[target.id] = state

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self._camera_is_seen = any(task.name.endswith(': camera') and task.level not in LEVELS
                                   for task in message.status)
        if not self._listening:
            return
        self.log.reports += 1
        for task in message.status:
            if task.level in LEVELS:
                name = task.name.rpartition(': ')[2]
                words = NUMBER.sub('#', task.message.partition('\n')[0])
                self.log.tasks[name, LEVELS[task.level], words] += 1

    def _on_picture(self, serialized: bytes) -> None:
        self.log.watched += 1
