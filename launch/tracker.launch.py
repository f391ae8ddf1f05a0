# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Start the tracker and bring it up.

    ros2 launch fast_sam2_ros tracker.launch.py image:=/camera/image_raw
    ros2 launch fast_sam2_ros tracker.launch.py --show-args

Parameters come from `params_file`; an argument replaces one of them only where it is given.
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument, EmitEvent, OpaqueFunction, RegisterEventHandler,
    SetEnvironmentVariable)
from launch.conditions import IfCondition
from launch.events import matches_action
from launch.substitutions import (
    EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution)
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare
from lifecycle_msgs.msg import Transition

OVERRIDES = {
    'model': str,
    'device': str,
    'grounder': str,
    'describer': str,
    'router': str,
    'keep_ratio': float,
    'target_text': str,
    'image_transport': str,
    'use_sim_time': bool,
}
"""Arguments that are parameters of the node. Without their types, `no` would be a boolean."""

PROFILE = 'FASTDDS_DEFAULT_PROFILES_FILE'
OLD_PROFILE = 'FASTRTPS_DEFAULT_PROFILES_FILE'
OLD_DISTRIBUTIONS = ('humble', 'iron', 'jazzy')
"""Fast DDS reads OLD_PROFILE in these. Since Kilted it reads both, and a file that both name it
reads twice and then leaves out, since its names are taken."""


def generate_launch_description() -> LaunchDescription:
    """Return the arguments, and the tracker that is made of their values."""
    return LaunchDescription([
        DeclareLaunchArgument(
            'image', default_value='image',
            description='Topic of the camera. With image_transport:=compressed give the same '
                        'name: what is subscribed to is then this name and /compressed.'),
        DeclareLaunchArgument(
            'model', default_value='',
            description='Checkpoint: auto, embedded, a hub id that was fetched, a folder, or a '
                        '.pt file. Empty: as in params_file.'),
        DeclareLaunchArgument(
            'device', default_value='',
            description='auto, cpu, cuda or cuda:N. Empty: as in params_file.'),
        DeclareLaunchArgument(
            'grounder', default_value='',
            description='Finds what the text names: auto, embedded, or a hub id or folder. '
                        'Empty: as in params_file.'),
        DeclareLaunchArgument(
            'describer', default_value='',
            description='Puts what was pointed at in words: embedded, none, or a hub id or '
                        'folder. Empty: as in params_file.'),
        DeclareLaunchArgument(
            'router', default_value='',
            description='Chooses the tokens to keep. Empty: as in params_file.'),
        DeclareLaunchArgument(
            'keep_ratio', default_value='',
            description='Share of the tokens that enter memory attention, 0.05 to 1.0. '
                        'Empty: as in params_file.'),
        DeclareLaunchArgument(
            'target_text', default_value='',
            description='What to track until a text arrives on target_text. '
                        'Empty: as in params_file.'),
        DeclareLaunchArgument(
            'image_transport', default_value='',
            description='raw or compressed. Empty: as in params_file.'),
        DeclareLaunchArgument(
            'use_sim_time', default_value='',
            description='true where /clock is the time, as with a bag or a simulator. '
                        'Empty: as in params_file.'),
        DeclareLaunchArgument(
            'params_file',
            default_value=PathJoinSubstitution(
                [FindPackageShare('fast_sam2_ros'), 'config', 'tracker.yaml']),
            description='YAML file with the parameters of the node.'),
        DeclareLaunchArgument(
            'namespace', default_value='',
            description='Namespace of the node and of its topics.'),
        DeclareLaunchArgument(
            'autostart', default_value='true',
            description='Configure and activate the node; with false it stays unconfigured.'),
        DeclareLaunchArgument(
            'log_level', default_value='info',
            description='debug, info, warn, error or fatal.'),
        OpaqueFunction(function=_start),
    ])


def _start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    image = LaunchConfiguration('image')
    tracker = LifecycleNode(
        package='fast_sam2_ros', executable='tracker_node', name='tracker',
        namespace=LaunchConfiguration('namespace'),
        parameters=[_params_file(context), _overrides(context)],
        remappings=[('image', image), ('image/compressed', [image, '/compressed'])],
        ros_arguments=['--log-level', LaunchConfiguration('log_level')],
        output='screen', emulate_tty=True,
        # A step of a large model, and the end of a Python that has PyTorch loaded, take longer
        # than launch's 5 s on a busy machine.
        sigterm_timeout=LaunchConfiguration('sigterm_timeout', default='15'))
    actions = [*_profile(context), tracker]
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
    """Return the parameters that were given as arguments."""
    given = {
        name: ParameterValue(LaunchConfiguration(name), value_type=kind)
        for name, kind in OVERRIDES.items() if LaunchConfiguration(name).perform(context)}
    return {'autostart': False, **given}  # the node's own; here the events below do it


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
