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
"""What can be seen of the launch files and the layouts where `launch` is not installed."""

import ast
import json
from pathlib import Path
import re

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TRACKER = ROOT / 'launch' / 'tracker.launch.py'
DEMO = ROOT / 'launch' / 'demo.launch.py'
ARGUMENTS = {
    TRACKER: {'image', 'depth', 'camera_info', 'namespace', 'params_file', 'autostart', 'rviz',
              'fixed_frame', 'log_level', 'use_sim_time'},
    DEMO: {'source', 'rate', 'loop', 'target_text', 'namespace'},
}
LAUNCH_FILES = pytest.mark.parametrize('path', ARGUMENTS, ids=lambda path: path.name)


def calls(path, function):
    """Return the calls of a function in a file; the syntax is that of the oldest Python."""
    tree = ast.parse(path.read_text(), str(path), feature_version=(3, 10))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)
            and function in (getattr(node.func, 'id', ''), getattr(node.func, 'attr', ''))]


def keywords(call):
    return {keyword.arg: keyword.value for keyword in call.keywords}


def assigned(path, name):
    """Return the expression that a module assigns to a name."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            return node.value
    raise AssertionError(f'{path.name} does not assign {name}')


@LAUNCH_FILES
def test_it_declares_the_documented_arguments_once_and_describes_them(path):
    declared = [call for call in calls(path, 'DeclareLaunchArgument')
                if isinstance(call.args[0], ast.Constant)]  # the others are parameters
    names = [call.args[0].value for call in declared]
    assert sorted(names) == sorted(ARGUMENTS[path])
    for call in declared:
        assert keywords(call)['description'].value
        assert 'default_value' in keywords(call)


@LAUNCH_FILES
def test_it_uses_no_argument_that_it_does_not_declare(path):
    used = {call.args[0].value for call in calls(path, 'LaunchConfiguration')
            if isinstance(call.args[0], ast.Constant) and 'default' not in keywords(call)}
    assert used and used <= ARGUMENTS[path]


@LAUNCH_FILES
def test_the_executables_that_it_starts_exist(path):
    nodes = [keywords(call) for kind in ('Node', 'LifecycleNode') for call in calls(path, kind)]
    ours = [node['executable'].value for node in nodes
            if node['package'].value == 'fast_sam2_ros']
    assert ours
    for executable in ours:
        assert (ROOT / 'tools' / 'bin' / executable).stat().st_mode & 0o100
        assert f'tools/bin/{executable} ' in (ROOT / 'CMakeLists.txt').read_text()


def test_parameters_can_be_arguments_beside_those_of_the_launch_file():
    file = yaml.safe_load((ROOT / 'config' / 'tracker.yaml').read_text())
    parameters = set(file['/**']['ros__parameters'])
    assert parameters & ARGUMENTS[TRACKER] == {'autostart'}
    assert parameters & (ARGUMENTS[DEMO] - {'target_text'}) == set()


def test_the_demo_gives_the_camera_parameters_that_it_has_in_their_types():
    camera = {call.args[0].value: type(call.args[1].value).__name__ for call in
              calls(ROOT / 'fast_sam2_ros' / 'node' / 'camera.py', 'fixed_parameter')}
    given = {call.args[0].args[0].value: keywords(call)['value_type'].id
             for call in calls(DEMO, 'ParameterValue')}
    assert given and given == {name: camera[name] for name in given}


def message_fields(name):
    """Return the fields of one of our messages, and of the messages inside it."""
    fields = set()
    for line in (ROOT / 'msg' / f'{name}.msg').read_text().splitlines():
        match = re.match(r'([A-Za-z0-9_/]+) ([a-z_]+)(\s|$)', line)
        if match:
            fields.add(match[2])
            if match[1] == 'StageLatency':
                fields |= {f'{match[2]}.{field}' for field in message_fields(match[1])}
    return fields


def remapped_in_rviz():
    """Return the topics that the launch file gives RViz new names for."""
    return {topic.value for topic in assigned(TRACKER, 'RVIZ_TOPICS').elts}, {
        'image', 'camera_info'}


def test_the_launch_file_remaps_all_topics_that_rviz_shows():
    layout = yaml.safe_load((ROOT / 'config' / 'tracker.rviz').read_text())
    shown = [display['Topic']['Value'] for display in layout['Visualization Manager']['Displays']
             if 'Topic' in display]
    ours, camera = remapped_in_rviz()
    assert set(shown) == {f'/{topic}' for topic in ours} | {'/image'}
    assert camera <= ARGUMENTS[TRACKER]


def test_rviz_has_displays_that_every_distribution_has_each_once():
    displays = yaml.safe_load((ROOT / 'config' / 'tracker.rviz').read_text())[
        'Visualization Manager']['Displays']
    names = [display['Name'] for display in displays]
    assert len(names) == len(set(names))
    known = {f'rviz_default_plugins/{kind}' for kind in (
        'Image', 'Camera', 'Pose', 'TF', 'Grid')}
    assert {display['Class'] for display in displays} == known
    for display in displays:
        # RViz keeps one and writes both.
        assert display['Enabled'] is display['Value']
        for policy in ('History', 'Reliability', 'Durability'):
            assert f'{policy} Policy' in display.get('Topic', {f'{policy} Policy': ''})
    camera = next(display for display in displays if display['Class'].endswith('Camera'))
    # The other displays, by name: what of them is drawn into the camera's image.
    assert set(camera['Visibility']) - {'Value'} <= set(names)


def test_foxglove_shows_every_panel_once_and_only_fields_that_exist():
    layout = json.loads((ROOT / 'config' / 'foxglove_layout.json').read_text())
    panels = layout['configById']

    def leaves(part):
        if isinstance(part, str):
            return [part]
        return leaves(part['first']) + leaves(part['second'])

    assert sorted(leaves(layout['layout'])) == sorted(panels)
    paths = [panel['topicPath'].split('.', 1) for panel in panels.values()
             if 'topicPath' in panel]
    paths += [path['value'].split('.', 1) for panel in panels.values()
              for path in panel.get('paths', [])]
    assert {topic for topic, _ in paths} == {'/segmentation/status'}
    assert {field for _, field in paths} <= message_fields('TrackerStatus')
    stages = message_fields('StageLatency')
    assert {f'latency.{stage}' for stage in stages} <= {field for _, field in paths}
    assert {panel.split('!')[0] for panel in panels} <= {
        'Image', 'Publish', 'StateTransitions', 'Plot', 'DiagnosticSummary', 'RawMessages'}
