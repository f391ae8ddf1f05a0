# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Someone who listens to the masks, and does nothing with them."""

import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image

rclpy.init()
node = Node('listener')
node.create_subscription(Image, 'segmentation/mask', lambda message: None, 10)
try:
    rclpy.spin(node)
except rclpy.executors.ExternalShutdownException:
    pass
