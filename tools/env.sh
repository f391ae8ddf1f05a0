# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Source this (bash or zsh, from anywhere) after `make build`: fast-sam2, python, the built package
# and its messages are then found, with ROS 2 from the distribution or from wheels.

_fs2_root=$(cd "$(dirname "${BASH_SOURCE[0]:-${(%):-%x}}")/.." && pwd)
if [ ! -e "$_fs2_root/install/ready" ]; then
  echo "fast_sam2_ros is not built yet: run  make -C $_fs2_root build" >&2
else
  _fs2_venv=$_fs2_root/.venv
  if [ -d "$_fs2_venv/share/rosidl_cmake" ]; then
    export AMENT_PREFIX_PATH=$_fs2_venv${AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}
    export LD_LIBRARY_PATH=$_fs2_venv/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export ROS_DISTRO=kilted
    # Python starts itself again once, with the folders of the wheels' own libraries added.
    unset _ROS_WHEELS_BOOTSTRAP_COMPLETE
  fi
  # The environment's own packages come before the distribution's.
  export PATH=$_fs2_venv/bin:$PATH VIRTUAL_ENV=$_fs2_venv
  _fs2_profile=$_fs2_root/config/fastdds.xml
  case $ROS_DISTRO in  # the variable has another name since Kilted, which takes both for two
    humble|iron|jazzy)
      export FASTRTPS_DEFAULT_PROFILES_FILE=${FASTRTPS_DEFAULT_PROFILES_FILE:-$_fs2_profile} ;;
    *)
      export FASTDDS_DEFAULT_PROFILES_FILE=${FASTDDS_DEFAULT_PROFILES_FILE:-$_fs2_profile} ;;
  esac
  if [ -n "${ZSH_VERSION:-}" ]; then
    . "$_fs2_root/install/local_setup.zsh"
  else
    . "$_fs2_root/install/local_setup.bash"
  fi
fi
unset _fs2_root _fs2_venv _fs2_profile
