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
Quality of service of the image subscription, and why nothing comes through it.

A subscription that asks for reliable delivery is not served by a publisher that offers best
effort; all other pairs of the two match (DDS, RELIABILITY is requested and offered).
ROS's own overrides (`qos_overrides.TOPIC.subscription.POLICY`) come before `image_qos`.
"""

from __future__ import annotations

from fast_sam2_ros.node.parameters import Settings
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import (
    qos_check_compatible, QoSCompatibility, QoSPolicyKind, QoSProfile, ReliabilityPolicy)
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

TRANSPORTS = {'sensor_msgs/msg/Image': 'raw', 'sensor_msgs/msg/CompressedImage': 'compressed'}


def image_profile(settings: Settings) -> QoSProfile:
    """Return the profile of the image subscription before ROS's own overrides."""
    return QoSProfile(
        depth=1, reliability=ReliabilityPolicy.RELIABLE if settings.image_qos == 'reliable'
        else ReliabilityPolicy.BEST_EFFORT)


def image_overrides(node: Node, topic: str) -> QoSOverridingOptions:
    """
    Return which policies of the image subscription ROS may override.

    The parameter of the reliability is declared only where it was given: once declared it stays,
    with the value that `image_qos` had then, and would come before a later one.
    """
    name = f'qos_overrides.{node.resolve_topic_name(topic)}.subscription.reliability'
    policies = [QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH]
    if _was_given(node, name):
        policies.append(QoSPolicyKind.RELIABILITY)
    return QoSOverridingOptions(policies)


def why_silent(node: Node, subscription: Subscription) -> str:
    """Return why no image can come through a subscription, or how many publishers there are."""
    topic = subscription.topic_name
    publishers = node.get_publishers_info_by_topic(topic)
    if not publishers:
        return f"nobody publishes {topic}; remap image to the camera's topic"
    wanted = {Image: 'sensor_msgs/msg/Image',
              CompressedImage: 'sensor_msgs/msg/CompressedImage'}[subscription.msg_type]
    for publisher in publishers:
        who = f'{publisher.node_namespace.rstrip("/")}/{publisher.node_name}'
        if publisher.topic_type != wanted:
            transport = TRANSPORTS.get(publisher.topic_type)
            return f'{who} publishes {publisher.topic_type} on {topic}' + (
                f'; set image_transport to {transport}' if transport else ', not an image')
        compatible, _ = qos_check_compatible(publisher.qos_profile, subscription.qos_profile)
        if compatible == QoSCompatibility.ERROR:
            return (f'{who} offers best effort on {topic}, and reliable delivery was asked for; '
                    'set image_qos to sensor_data')
    return f'{len(publishers)} publisher(s) of {topic} send nothing'


def _was_given(node: Node, name: str) -> bool:
    """Return whether the user gave a parameter that is not declared before its use."""
    if node.has_parameter(name):
        return True
    tried = node.declare_parameter(name, None, ParameterDescriptor(dynamic_typing=True))
    node.undeclare_parameter(name)
    return tried.type_ != Parameter.Type.NOT_SET
