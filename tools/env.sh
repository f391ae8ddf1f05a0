# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Source this (bash or zsh, from anywhere) after `make build`: fast-sam2, python, the built package
# and its messages are then found, with ROS 2 from the distribution or from wheels.

_fs2_root=$(cd "$(dirname "${BASH_SOURCE[0]:-${(%):-%x}}")/.." && pwd)
_fs2_venv=$_fs2_root/.venv
_fs2_shell=bash
[ -z "${ZSH_VERSION:-}" ] || _fs2_shell=zsh

if [ ! -e "$_fs2_root/install/ready" ]; then
  echo "fast_sam2_ros is not built yet: run  make -C $_fs2_root build" >&2
elif [ -n "${ROS_DISTRO:-}" ] && [ ! -e "$_fs2_venv/ros-$ROS_DISTRO" ]; then
  echo "fast_sam2_ros is not built for ROS 2 $ROS_DISTRO: run  make -C $_fs2_root build" >&2
else
  if [ -e "$_fs2_venv/ros-wheels" ]; then  # the environment is the distribution
    export AMENT_PREFIX_PATH=$_fs2_venv${AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}
    export LD_LIBRARY_PATH=$_fs2_venv/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    # Python starts itself again once, with the folders of the wheels' own libraries added.
    unset _ROS_WHEELS_BOOTSTRAP_COMPLETE
    . "$_fs2_root/install/local_setup.$_fs2_shell"
  else  # this sources the distribution as well
    . "$_fs2_root/install/setup.$_fs2_shell"
  fi
  # The environment's own packages come before the distribution's.
  export PATH=$_fs2_venv/bin:$PATH VIRTUAL_ENV=$_fs2_venv
  # A profile of the user's stays. Its variable has another name since Kilted, which reads both
  # and then takes one file for two.
  _fs2_profile=$_fs2_root/config/fastdds.xml
  case ${ROS_DISTRO:-} in
    humble|iron|jazzy)
      export FASTRTPS_DEFAULT_PROFILES_FILE=${FASTRTPS_DEFAULT_PROFILES_FILE:-$_fs2_profile} ;;
    *)
      export FASTDDS_DEFAULT_PROFILES_FILE=${FASTDDS_DEFAULT_PROFILES_FILE:-$_fs2_profile} ;;
  esac
fi
unset _fs2_root _fs2_venv _fs2_shell _fs2_profile
