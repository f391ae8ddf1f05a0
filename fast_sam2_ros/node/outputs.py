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
"""What the tracker node publishes: mask, confidence, overlay, status, pose, and the labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fast_sam2_ros.drawing.caption import caption
from fast_sam2_ros.drawing.overlay import draw
from fast_sam2_ros.msg import StageLatency, TargetStatus, TrackerStatus
from fast_sam2_ros.node import images
from fast_sam2_ros.node.labels import LabelOutput
from fast_sam2_ros.node.mailbox import Counts
from fast_sam2_ros.node.parameters import Settings
from fast_sam2_ros.node.pose import PoseOutput
from fast_sam2_ros.status import make_status, StatusTypes
import numpy as np
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import Image
from std_msgs.msg import Header

if TYPE_CHECKING:
    from fast_sam2_ros.session import Report

DEPTH = 5
STATUS_TYPES = StatusTypes(TrackerStatus, TargetStatus, StageLatency)


class Outputs:
    """The publishers of the node; everything they send carries the header of the input image."""

    def __init__(self, node: LifecycleNode, settings: Callable[[], Settings]) -> None:
        """
        Create the publishers; they send once the node is active.

        `settings` returns the parameters that are in force.
        """
        self._node = node
        self._settings = settings
        self._mask = self._publisher(Image, 'segmentation/mask')
        self._confidence = self._publisher(Image, 'segmentation/confidence')
        self._overlay = self._publisher(Image, 'segmentation/overlay')
        self._status = self._publisher(TrackerStatus, 'segmentation/status')
        self._labels = LabelOutput(node)
        self.pose = PoseOutput(node, settings)

    def start(self) -> None:
        """Send from now on; the labels at once, since Nav2 wants them before the first mask."""
        self.name_labels(self._settings())
        self.pose.start()

    def stop(self) -> None:
        """Send nothing more."""
        self.pose.stop()

    def name_labels(self, settings: Settings) -> None:
        """Publish the labels' names, where they have changed and the node is active."""
        self._labels.publish(settings)

    def publish(self, header: Header, frame: np.ndarray, report: Report, counts: Counts,
                compiled: bool) -> TrackerStatus:
        """
        Publish the result for one frame, (H, W, 3) uint8 RGB, and return the status.

        What costs time and has no subscriber is not made; mask and status always are.
        """
        settings = self._settings()
        self._mask.publish(images.from_mono(_mask(report, settings), header))
        self.pose.publish(header, report)
        if self._confidence.get_subscription_count() > 0:
            confidence = np.rint(255 * report.confidence()).astype(np.uint8)
            self._confidence.publish(images.from_mono(confidence, header))
        if self._overlay.get_subscription_count() > 0:
            picture = draw(frame, report.labels(), caption(report),
                           report.kept if settings.overlay_tokens else None)
            self._overlay.publish(images.from_rgb(picture, header))
        now = 1e-9 * self._node.get_clock().now().nanoseconds
        status = make_status(
            STATUS_TYPES, header, report, processed=counts.processed, dropped=counts.dropped,
            target_latency_ms=settings.target_latency_ms, compiled=compiled,
            stamp_age=now - images.seconds(header.stamp))
        self._status.publish(status)
        return status

    def destroy(self) -> None:
        """Destroy the publishers."""
        self.pose.destroy()
        self._labels.destroy()
        for publisher in (self._mask, self._confidence, self._overlay, self._status):
            self._node.destroy_lifecycle_publisher(publisher)

    def _publisher(self, kind: type, topic: str) -> LifecyclePublisher:
        return self._node.create_lifecycle_publisher(
            kind, topic, QoSProfile(depth=DEPTH),
            qos_overriding_options=QoSOverridingOptions.with_default_policies())


def _mask(report: Report, settings: Settings) -> np.ndarray:
    """Return the mask to publish, (H, W) uint8; zero where there is no target."""
    if settings.mask_format == 'binary':
        return report.mask * np.uint8(255)
    ids = report.labels()
    return ids + np.uint8(settings.label_id - 1) * (ids != 0)
