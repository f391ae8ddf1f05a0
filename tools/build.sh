#!/usr/bin/env bash
# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Build the package and its messages with colcon into install/.
# Python files are linked, not copied: an edit in the checkout takes effect at once.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=$PWD/.venv
export PATH=$venv/bin:$PATH
if [ -d "$venv/share/rosidl_cmake" ]; then  # ROS 2 from wheels: the environment is the prefix
  export CMAKE_PREFIX_PATH=$venv AMENT_PREFIX_PATH=$venv
  export LD_LIBRARY_PATH=$venv/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  unset _ROS_WHEELS_BOOTSTRAP_COMPLETE
fi
command -v cmake >/dev/null || python -m pip install --quiet cmake==3.31.6

# CMake refuses headers that lie in the source folder, as those of .venv/ do: build from a folder
# of links beside it.
mkdir -p build/source
for part in package.xml CMakeLists.txt LICENSE fast_sam2_ros msg launch config tools; do
  ln -sfn "$PWD/$part" "build/source/$part"
done
colcon --log-base log build --base-paths build/source --build-base build --install-base install \
  --symlink-install --event-handlers console_cohesion- \
  --cmake-args -DBUILD_TESTING=OFF -DPython3_EXECUTABLE="$venv/bin/python" \
  -DPython3_ROOT_DIR="$venv"
find install -xtype l -delete  # links to files that are no more, which colcon leaves
touch install/ready
