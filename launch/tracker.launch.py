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
Start the tracker and bring it up.

    ros2 launch fast_sam2_ros tracker.launch.py image:=/camera/image_raw
    ros2 launch fast_sam2_ros tracker.launch.py --show-args

Parameters come from `params_file`. Every parameter of the node is an argument too, which replaces
it where it is given. A launch file that includes this one twice, or has arguments of the same
names, should do so in a GroupAction of its own: arguments are otherwise seen by all that follows.
"""

from __future__ import annotations

from pathlib import Path

from fast_sam2_ros.node.parameters import about, names, Settings
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument, EmitEvent, OpaqueFunction, RegisterEventHandler, SetEnvironmentVariable)
from launch.conditions import IfCondition
from launch.events import matches_action
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare
from lifecycle_msgs.msg import Transition

RVIZ_TOPICS = ('segmentation/overlay', 'segmentation/mask', 'target_pose')
"""What config/tracker.rviz shows of the node, there in the root namespace."""

PROFILE = 'FASTDDS_DEFAULT_PROFILES_FILE'
OLD_PROFILE = 'FASTRTPS_DEFAULT_PROFILES_FILE'
OLD_DISTRIBUTIONS = ('humble', 'iron', 'jazzy')
"""Fast DDS reads OLD_PROFILE in these. Since Kilted it reads both, and a file that both name it
reads twice and then leaves out, since its names are taken."""


def generate_launch_description() -> LaunchDescription:
    """Return the arguments, and the tracker that is made of their values."""
    share = FindPackageShare('fast_sam2_ros')
    return LaunchDescription([
        DeclareLaunchArgument(
            'image', default_value='image',
            description='Topic of the camera. With image_transport:=compressed give the same '
                        'name: what is subscribed to is then this name and /compressed.'),
        DeclareLaunchArgument(
            'depth', default_value='depth',
            description="Topic of depth images that are registered to the camera's, for "
                        'target_pose.'),
        DeclareLaunchArgument(
            'camera_info', default_value='camera_info',
            description="Topic of the camera's calibration, for target_pose."),
        DeclareLaunchArgument(
            'namespace', default_value='',
            description='Namespace of the node and of its topics.'),
        DeclareLaunchArgument(
            'params_file', default_value=PathJoinSubstitution([share, 'config', 'tracker.yaml']),
            description='YAML file with the parameters of the node. use_sim_time and what follows '
                        'it here replace single ones where they are given.'),
        DeclareLaunchArgument(
            'autostart', default_value='true',
            description='Configure and activate the node; with false it stays unconfigured.'),
        DeclareLaunchArgument(
            'rviz', default_value='false', description='Open RViz too (package rviz2).'),
        DeclareLaunchArgument(
            'fixed_frame', default_value='camera_optical_frame',
            description="The frame that RViz draws in: the camera's, or another one on tf."),
        DeclareLaunchArgument(
            'log_level', default_value='info',
            description='debug, info, warn, error or fatal.'),
        DeclareLaunchArgument(
            'use_sim_time', default_value='',
            description='true where /clock is the time, as with a bag or a simulator.'),
        *(DeclareLaunchArgument(name, default_value='', description=_description(name))
          for name in _parameters()),
        OpaqueFunction(function=_start),
    ])


def _parameters() -> list[str]:
    """Return the node's parameters but autostart, which the events below do in its place."""
    return [name for name in names() if name != 'autostart']


def _description(name: str) -> str:
    known = about(name)
    extras = '; '.join(extra for extra in (known.range, known.unit) if extra)
    return f'{known.text} [{extras}]' if extras else known.text


def _start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    image = LaunchConfiguration('image')
    tracker = LifecycleNode(
        package='fast_sam2_ros', executable='tracker_node', name='tracker',
        namespace=LaunchConfiguration('namespace'),
        parameters=[_params_file(context), _overrides(context)],
        remappings=[('image', image), ('image/compressed', [image, '/compressed']),
                    *((name, LaunchConfiguration(name)) for name in ('depth', 'camera_info'))],
        ros_arguments=['--log-level', LaunchConfiguration('log_level')],
        output='screen', emulate_tty=True,
        # A step of a large model, and the end of a Python that has PyTorch loaded, take longer
        # than launch's 5 s on a busy machine.
        sigterm_timeout=LaunchConfiguration('sigterm_timeout', default='15'))
    actions = [*_profile(context), tracker, _rviz()]
    if IfCondition(LaunchConfiguration('autostart')).evaluate(context):
        actions += _bring_up(tracker)
    return actions


def _params_file(context: LaunchContext) -> str:
    """Return the path of the parameters; launch_ros would go on without a file that is missing."""
    path = LaunchConfiguration('params_file').perform(context)
    if not Path(path).is_file():
        raise RuntimeError(f'params_file: there is no file {path}')
    return path


def _overrides(context: LaunchContext) -> dict[str, bool | ParameterValue]:
    """Return the parameters that were given as arguments, in their types: `no` can be a text."""
    kinds = {name: type(getattr(Settings, name)) for name in _parameters()}
    given = {
        name: _typed(context, name, kind) for name, kind in {**kinds, 'use_sim_time': bool}.items()
        if LaunchConfiguration(name).perform(context)}
    return {'autostart': False, **given}  # the node's own; here the events below do it


def _typed(context: LaunchContext, name: str, kind: type) -> ParameterValue:
    value = ParameterValue(LaunchConfiguration(name), value_type=kind)
    try:
        value.evaluate(context)
    except ValueError as error:
        raise RuntimeError(f'{name}: {error}; give a {kind.__name__}') from error
    return value


def _rviz() -> Node:
    """Open RViz with the topics of this namespace and of this camera."""
    return Node(
        package='rviz2', executable='rviz2', name='rviz',
        namespace=LaunchConfiguration('namespace'),
        arguments=[
            '-d', PathJoinSubstitution(
                [FindPackageShare('fast_sam2_ros'), 'config', 'tracker.rviz']),
            '-f', LaunchConfiguration('fixed_frame')],
        remappings=[
            *((f'/{topic}', topic) for topic in RVIZ_TOPICS),
            *((f'/{topic}', LaunchConfiguration(topic)) for topic in ('image', 'camera_info'))],
        condition=IfCondition(LaunchConfiguration('rviz')))


def _profile(context: LaunchContext) -> list[SetEnvironmentVariable]:
    """Give Fast DDS shared memory that images fit in, unless the user has a profile."""
    def value(name: str) -> str:
        return EnvironmentVariable(name, default_value='').perform(context)

    if value(PROFILE) or value(OLD_PROFILE):
        return []
    variable = OLD_PROFILE if value('ROS_DISTRO') in OLD_DISTRIBUTIONS else PROFILE
    return [SetEnvironmentVariable(variable, PathJoinSubstitution(
        [FindPackageShare('fast_sam2_ros'), 'config', 'fastdds.xml']))]


def _bring_up(tracker: LifecycleNode) -> list[LaunchDescriptionEntity]:
    """Configure the node, then activate it; launch_ros before Jazzy has no autostart."""
    activate = EmitEvent(event=ChangeState(
        lifecycle_node_matcher=matches_action(tracker),
        transition_id=Transition.TRANSITION_ACTIVATE))
    configure = EmitEvent(event=ChangeState(
        lifecycle_node_matcher=matches_action(tracker),
        transition_id=Transition.TRANSITION_CONFIGURE))
    return [
        RegisterEventHandler(OnStateTransition(
            target_lifecycle_node=tracker, start_state='configuring', goal_state='inactive',
            entities=[activate])),
        configure,
    ]
