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
Start a camera that plays a scene, a video or a folder, and the tracker that looks at it.

    ros2 launch fast_sam2_ros demo.launch.py
    ros2 launch fast_sam2_ros demo.launch.py source:=/data/street.mp4 target_text:=car rviz:=true

The other arguments of tracker.launch.py work here too, except image.
"""

from __future__ import annotations

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare


def generate_launch_description() -> LaunchDescription:
    """Return the arguments, the tracker and the camera."""
    namespace = LaunchConfiguration('namespace')
    return LaunchDescription([
        DeclareLaunchArgument(
            'source', default_value='',
            description='A video file or a folder of images. Empty: a scene with a cat and '
                        'other things.'),
        DeclareLaunchArgument(
            'rate', default_value='10.0', description='Images per second.'),
        DeclareLaunchArgument(
            'loop', default_value='true', description='Start again after the last image.'),
        DeclareLaunchArgument(
            'target_text', default_value='cat',
            description='What to track until a text arrives on target_text.'),
        DeclareLaunchArgument(
            'namespace', default_value='',
            description='Namespace of the nodes and of their topics.'),
        IncludeLaunchDescription(
            PathJoinSubstitution(
                [FindPackageShare('fast_sam2_ros'), 'launch', 'tracker.launch.py']),
            launch_arguments={
                'image': 'image',
                'target_text': LaunchConfiguration('target_text'),
                'namespace': namespace,
            }.items()),
        # After the tracker, so that the camera has its Fast DDS profile too.
        Node(
            package='fast_sam2_ros', executable='camera_node', name='camera',
            namespace=namespace, output='screen', emulate_tty=True,
            parameters=[{
                'source': ParameterValue(LaunchConfiguration('source'), value_type=str),
                'rate': ParameterValue(LaunchConfiguration('rate'), value_type=float),
                'loop': ParameterValue(LaunchConfiguration('loop'), value_type=bool),
            }]),
    ])
