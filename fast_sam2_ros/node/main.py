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
The executable `tracker_node`.

The launch file brings the node up from outside. Alone it comes up by itself with

    tracker_node --ros-args -p autostart:=true -r image:=/camera/image_raw
"""

from __future__ import annotations

from collections.abc import Callable
import os
import sys

from fast_sam2_ros.errors import FastSam2Error
from fast_sam2_ros.heap import keep_freed_memory
from fast_sam2_ros.node.running import begin, spin, start
from fast_sam2_ros.node.tracker_node import TrackerNode
import rclpy
from rclpy.exceptions import ParameterException

PATIENCE = 1.0
"""Seconds that a step of the model may go on after the process was told to end."""


def main(make_node: Callable[[], TrackerNode] = TrackerNode) -> None:
    """Run the tracker node until SIGINT or SIGTERM, then exit with 0; 1 for wrong parameters."""
    keep_freed_memory()  # here, before the model's thread has a heap of its own
    begin()
    try:
        node = make_node()
    except (FastSam2Error, ParameterException) as error:
        sys.exit(f'tracker_node: {error}')
    except Exception:
        if rclpy.ok():
            raise
        return  # told to end before it had begun
    spin(node, (lambda: start(node)) if node.settings.autostart else None)
    ended = node.stop(PATIENCE)
    node.destroy_node()
    rclpy.try_shutdown()
    if not ended:
        # The worker is inside a step, which nothing interrupts, and Python would wait for it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


if __name__ == '__main__':
    main()
