#!/usr/bin/env bash
# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Run a command with ROS 2 and the package sourced.
set -eo pipefail  # the setup files of ROS use variables that are not set
# shellcheck source=/dev/null
source "/opt/ros/$ROS_DISTRO/setup.bash"
# shellcheck source=/dev/null
source /ws/install/setup.bash
exec "$@"
