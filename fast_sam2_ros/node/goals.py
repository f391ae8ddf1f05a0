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
The text goal, from plain publishers and from latched ones that spoke before the node was there.

A volatile subscription hears every publisher, but not what a latched (transient-local) one said
before. A transient-local subscription hears that too, but makes every volatile publisher, such as
plain `ros2 topic pub`, warn that it will not be served. So the second one exists only while
a latched publisher does.
"""

from __future__ import annotations

from collections.abc import Callable
import time

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from std_msgs.msg import String

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # before Iron
    from rclpy.qos_event import SubscriptionEventCallbacks

LOOK_PERIOD = 0.5
"""Seconds between two looks for latched publishers."""
SAME_MESSAGE = 0.5
"""Seconds within which one text on both subscriptions is one message that came twice."""
JOINERS = '\u200c\u200d'
"""Marks between letters that change how these are written, in Persian and Hindi, for instance."""


def readable(text: str) -> str:
    """
    Return a text with blanks for what is not shown.

    Line ends and control sequences would spoil logs, marks of the writing direction what people
    read in them.
    """
    return ''.join(each if each.isprintable() or each in JOINERS else ' ' for each in text)


class GoalInput:
    """Subscribes to `target_text` and hands every text on, in the order of arrival."""

    def __init__(self, node: Node, on_text: Callable[[str], None]) -> None:
        """Subscribe; `on_text` is called in the executor's thread."""
        self._node = node
        self._on_text = on_text
        self._last = '', False, 0.0  # text, whether it came latched, steady seconds
        self._live = self._subscribe(latched=False)
        self._latched: Subscription | None = None
        self._timer = node.create_timer(
            LOOK_PERIOD, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def destroy(self) -> None:
        """Hear no more."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_subscription(self._live)
        if self._latched is not None:
            self._node.destroy_subscription(self._latched)

    def _subscribe(self, *, latched: bool) -> Subscription:
        # The latched subscription need not warn of volatile publishers: the other hears them.
        events = SubscriptionEventCallbacks(incompatible_qos=lambda event: None)
        return self._node.create_subscription(
            String, 'target_text', lambda message: self._take(message.data, latched),
            QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE,
                       durability=DurabilityPolicy.TRANSIENT_LOCAL if latched
                       else DurabilityPolicy.VOLATILE),
            event_callbacks=events if latched else None)

    def _look(self) -> None:
        publishers = self._node.get_publishers_info_by_topic(self._live.topic_name)
        wanted = any(publisher.qos_profile.durability != DurabilityPolicy.VOLATILE
                     for publisher in publishers)
        if wanted and self._latched is None:
            self._latched = self._subscribe(latched=True)
        elif not wanted and self._latched is not None:
            self._node.destroy_subscription(self._latched)
            self._latched = None

    def _take(self, text: str, latched: bool) -> None:
        if self._latched is None:
            # At once: were it later, the repetition of this text could overtake another one.
            self._look()
        now = time.monotonic()
        last_text, last_latched, last_time = self._last
        if (text, latched) == (last_text, not last_latched) and now - last_time < SAME_MESSAGE:
            return
        self._last = text, latched, now
        self._on_text(text)
