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
Publishes `segmentation/label_info`: which value of the mask has which name, for Nav2.

Nav2's semantic segmentation layer takes masks only after this message, which is latched, and looks
up each name in its own YAML. It keeps one value for a name, so each target has a name of its own:
`target`, `target_2` and so on. The names come from a parameter and never from the free text of the
goal, which no YAML could list.
"""

from __future__ import annotations

from fast_sam2_ros.node.parameters import Settings
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:  # it is optional
    LabelInfo = VisionClass = None

BINARY_VALUE = 255
"""A target's value where mask_format is binary."""
THRESHOLD = 0.5
"""A pixel is in the mask from this probability on (`segmentation/confidence`)."""


class LabelOutput:
    """The latched publisher, where vision_msgs is installed."""

    def __init__(self, node: LifecycleNode) -> None:
        """Create the publisher, or say once that there is none."""
        self._node = node
        self._sent: list[tuple[int, str]] = []
        self._output: LifecyclePublisher | None = None
        if LabelInfo is None:
            node.get_logger().info(
                'segmentation/label_info is not published, since vision_msgs is not installed '
                "(apt install ros-$ROS_DISTRO-vision-msgs); only Nav2's semantic layer needs it")
            return
        self._output = node.create_lifecycle_publisher(
            LabelInfo, 'segmentation/label_info',
            QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE,
                       durability=DurabilityPolicy.TRANSIENT_LOCAL))

    def publish(self, settings: Settings) -> None:
        """Publish the names, where they have changed and the node is active."""
        classes = label_names(settings)
        if self._output is None or not self._output.is_activated or classes == self._sent:
            return
        self._output.publish(LabelInfo(
            header=Header(stamp=self._node.get_clock().now().to_msg()),
            class_map=[VisionClass(class_id=value, class_name=name) for value, name in classes],
            threshold=THRESHOLD))
        self._sent = classes

    def destroy(self) -> None:
        """Destroy the publisher."""
        if self._output is not None:
            self._node.destroy_lifecycle_publisher(self._output)


def label_names(settings: Settings) -> list[tuple[int, str]]:
    """Return every value that the mask may have, besides 0, with its name."""
    if settings.mask_format == 'binary':
        return [(BINARY_VALUE, settings.label_name)]
    return [(settings.label_id + index,
             settings.label_name if index == 0 else f'{settings.label_name}_{index + 1}')
            for index in range(settings.max_targets)]
