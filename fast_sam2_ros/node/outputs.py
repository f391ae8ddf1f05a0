# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the tracker node publishes for a frame: mask, confidence, overlay and status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from fast_sam2_ros import overlay
from fast_sam2_ros.msg import StageLatency, TrackerStatus
from fast_sam2_ros.node import images
from fast_sam2_ros.node.mailbox import Counts
from fast_sam2_ros.node.parameters import Settings

if TYPE_CHECKING:
    from fast_sam2_ros.session import Report

DEPTH = 5


class Outputs:
    """The publishers of the node; everything they send carries the header of the input image."""

    def __init__(self, node: LifecycleNode) -> None:
        """Create the publishers; they send once the node is active."""
        self._node = node
        self._mask = self._publisher(Image, 'segmentation/mask')
        self._confidence = self._publisher(Image, 'segmentation/confidence')
        self._overlay = self._publisher(Image, 'segmentation/overlay')
        self._status = self._publisher(TrackerStatus, 'segmentation/status')

    def publish(self, header: Header, frame: np.ndarray, report: Report, counts: Counts,
                settings: Settings) -> TrackerStatus:
        """Publish the result for one frame, (H, W, 3) uint8 RGB, and return the status."""
        value = 255 if settings.mask_format == 'binary' else settings.label_id
        self._mask.publish(images.from_mono(report.mask * np.uint8(value), header))
        if self._confidence.get_subscription_count() > 0:
            self._confidence.publish(images.from_mono(_confidence(report), header))
        if self._overlay.get_subscription_count() > 0:
            picture = _picture(frame, report, settings.overlay_tokens)
            self._overlay.publish(images.from_rgb(picture, header))
        now = 1e-9 * self._node.get_clock().now().nanoseconds
        status = _status(header, report, counts, now - images.seconds(header.stamp))
        self._status.publish(status)
        return status

    def destroy(self) -> None:
        """Destroy the publishers."""
        for publisher in (self._mask, self._confidence, self._overlay, self._status):
            self._node.destroy_lifecycle_publisher(publisher)

    def _publisher(self, kind: type, topic: str) -> LifecyclePublisher:
        return self._node.create_lifecycle_publisher(
            kind, topic, QoSProfile(depth=DEPTH),
            qos_overriding_options=QoSOverridingOptions.with_default_policies())


def _picture(frame: np.ndarray, report: Report, tokens: bool) -> np.ndarray:
    kept = report.step.kept if tokens and report.step is not None else None
    return overlay.draw(frame, report.mask, overlay.caption(report), kept)


def _confidence(report: Report) -> np.ndarray:
    """Return how sure the model is of every pixel, (H, W) uint8; zero where nothing is tracked."""
    height, width = report.mask.shape
    if report.step is None or not report.mask.any():
        return np.zeros((height, width), np.uint8)
    return np.rint(255 * report.step.confidence(height, width)).astype(np.uint8)


def _status(header: Header, report: Report, counts: Counts, stamp_age: float) -> TrackerStatus:
    latency = report.latency
    return TrackerStatus(
        header=header, state=getattr(TrackerStatus, report.state.name),
        target_text=report.target_text, label=report.label, message=report.message,
        score=float(report.score), tokens_retained=report.tokens_retained,
        tokens_total=report.tokens_total, bank_bytes=report.bank_bytes,
        latency=StageLatency(
            encode=latency.encode, route=latency.route, attend=latency.attend,
            decode=latency.decode, remember=latency.remember, total=latency.total),
        stamp_age=stamp_age, received=counts.received, processed=counts.processed,
        dropped=counts.dropped)
