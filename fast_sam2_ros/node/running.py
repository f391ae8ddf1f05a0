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
"""How the executables of this package begin, run and end."""

from __future__ import annotations

from collections.abc import Callable
import signal
import traceback

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.node import Node


def begin() -> None:
    """Initialise rclpy such that SIGINT and SIGTERM end `spin`, and do nothing else."""
    # rclpy calls Python's handler as well, which would raise KeyboardInterrupt anywhere.
    signal.signal(signal.SIGINT, lambda number, stack: None)
    rclpy.init()


def start(node: LifecycleNode) -> bool:
    """Configure and activate a node; where that fails, the node has said why in its log."""
    return (node.trigger_configure() == TransitionCallbackReturn.SUCCESS
            and node.trigger_activate() == TransitionCallbackReturn.SUCCESS)


def spin(node: Node, first: Callable[[], object] | None = None) -> None:
    """
    Run `first` and then the callbacks of a node, until its context is shut down.

    The executor gathers everything to wait for anew after each callback. rclpy's EventsExecutor
    does not and is quicker, but lifecycle services are not answered under it (Kilted), and older
    distributions have none.

    What a callback raises is logged, at most once a second, and does not end the node: before
    Kilted, for instance, rclpy raises on a lifecycle transition that is not possible in the
    current state.
    """
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    if first is not None:
        executor.create_task(first)
    while node.context.ok():
        try:
            executor.spin_once()
        except ExternalShutdownException:
            return
        except Exception:
            if node.context.ok():
                node.get_logger().error(traceback.format_exc(), throttle_duration_sec=1.0)
