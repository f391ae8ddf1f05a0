# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`fast-sam2 track`: videos, folders of images and bags, without ROS."""
