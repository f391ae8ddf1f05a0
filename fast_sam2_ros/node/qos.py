# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Quality of service of the image subscription, and why nothing comes through it.

A subscription that asks for reliable delivery is not served by a publisher that offers best
effort; all other pairs of the two match (DDS, RELIABILITY is requested and offered).
"""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import qos_check_compatible, QoSCompatibility, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from fast_sam2_ros.node.parameters import Settings

TRANSPORTS = {'sensor_msgs/msg/Image': 'raw', 'sensor_msgs/msg/CompressedImage': 'compressed'}


def image_profile(settings: Settings) -> QoSProfile:
    """Return the profile of the image subscription before ROS's own overrides."""
    return QoSProfile(
        depth=1, reliability=ReliabilityPolicy.RELIABLE if settings.image_qos == 'reliable'
        else ReliabilityPolicy.BEST_EFFORT)


def why_silent(node: Node, subscription: Subscription) -> str:
    """Return why no image can come through a subscription, or how many publishers there are."""
    topic = subscription.topic_name
    publishers = node.get_publishers_info_by_topic(topic)
    if not publishers:
        return f'nobody publishes {topic}; remap image to the camera\'s topic'
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
