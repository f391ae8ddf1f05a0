# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
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
    TRACKER: {'image', 'model', 'device', 'keep_ratio', 'grounder', 'describer', 'router',
              'params_file', 'namespace', 'autostart', 'use_sim_time', 'image_transport',
              'target_text', 'log_level'},
    DEMO: {'source', 'rate', 'loop', 'target_text', 'namespace', 'rviz'},
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
    declared = calls(path, 'DeclareLaunchArgument')
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


def test_arguments_over_parameters_have_the_types_of_the_parameters():
    table = assigned(TRACKER, 'OVERRIDES')
    kinds = {key.value: value.id for key, value in zip(table.keys, table.values, strict=True)}
    file = yaml.safe_load((ROOT / 'config' / 'tracker.yaml').read_text())
    defaults = file['/**']['ros__parameters'] | {'use_sim_time': False}
    assert kinds == {name: type(defaults[name]).__name__ for name in kinds}
    assert set(kinds) <= ARGUMENTS[TRACKER]


def test_the_demo_gives_the_camera_parameters_that_it_has_in_their_types():
    camera = {call.args[0].value: type(call.args[1].value).__name__ for call in
              calls(ROOT / 'fast_sam2_ros' / 'node' / 'camera.py', 'fixed_parameter')}
    given = {call.args[0].args[0].value: keywords(call)['value_type'].id
             for call in calls(DEMO, 'ParameterValue')}
    assert given and given == {name: camera[name] for name in given}


def node_topics():
    """Return the names of topics that the node's sources have as strings."""
    text = ''.join(path.read_text()
                   for path in (ROOT / 'fast_sam2_ros' / 'node').glob('*.py'))
    return set(re.findall(r"'(/?[a-z_]+(?:/[a-z_]+)?)'", text))


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


def test_rviz_shows_topics_of_the_node_and_the_demo_remaps_all_of_them():
    layout = yaml.safe_load((ROOT / 'config' / 'tracker.rviz').read_text())
    shown = [display['Topic']['Value']
             for display in layout['Visualization Manager']['Displays']]
    remapped = [topic.value for topic in assigned(DEMO, 'TOPICS').elts]
    assert sorted(shown) == sorted(f'/{topic}' for topic in remapped)
    assert set(remapped) <= node_topics()


def test_foxglove_shows_every_panel_once_and_only_topics_and_fields_that_exist():
    layout = json.loads((ROOT / 'config' / 'foxglove_layout.json').read_text())
    panels = layout['configById']

    def leaves(part):
        if isinstance(part, str):
            return [part]
        return leaves(part['first']) + leaves(part['second'])

    assert sorted(leaves(layout['layout'])) == sorted(panels)
    topics = {panel[key] for panel in panels.values()
              for key in ('topicName', 'topicToRender') if key in panel}
    topics |= {panel['imageMode']['imageTopic'] for panel in panels.values()
               if 'imageMode' in panel}
    paths = [path['value'].split('.', 1) for panel in panels.values()
             for path in panel.get('paths', [])]
    topics |= {topic for topic, _ in paths}
    assert topics and topics <= node_topics() | {f'/{topic}' for topic in node_topics()}
    assert {topic for topic, _ in paths} == {'/segmentation/status'}
    assert {field for _, field in paths} <= message_fields('TrackerStatus')
