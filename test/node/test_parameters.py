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
"""One definition of the parameters, and what is made of it."""

import dataclasses
from pathlib import Path
import re
from types import SimpleNamespace

from fast_sam2_ros import session
from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.node import parameters, tracker_node
from fast_sam2_ros.node.parameters import Settings
import pytest
from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rcl_interfaces.srv import (
    DescribeParameters, GetParameters, ListParameters, SetParameters, SetParametersAtomically)
from rclpy.parameter import Parameter, parameter_value_to_python
import yaml

ROOT = Path(__file__).parents[2]
FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
ROS_TYPES = {'bool': Parameter.Type.BOOL, 'int': Parameter.Type.INTEGER,
             'float': Parameter.Type.DOUBLE, 'str': Parameter.Type.STRING}
OTHERS = {
    'model': 'facebook/sam2.1-hiera-small', 'preferred_model': 'facebook/sam2.1-hiera-large',
    'device': 'cuda:1', 'grounder': 'embedded', 'describer': 'none', 'router': 'random',
    'keep_ratio': 0.3, 'memory_keep_ratio': 0.2, 'target_latency_ms': 40.0,
    'min_keep_ratio': 0.1, 'compile': 'off', 'dtype': 'float32', 'roi': 0.6, 'roi_refresh': 20,
    'max_targets': 3, 'lost_after': 9, 'reground_period': 2.5}
"""What a session is made with, or is told later: for each a value that is not its default."""


def test_the_shipped_yaml_is_the_definition():
    shipped = (ROOT / 'config' / 'tracker.yaml').read_text()
    assert shipped == parameters.to_yaml(), 'python -m fast_sam2_ros.node.parameters yaml'
    values = yaml.safe_load(shipped)['/**']['ros__parameters']
    assert values == dataclasses.asdict(Settings())


def test_the_routers_are_the_ones_there_are():
    from fast_sam2_ros.pruning.routers import ROUTERS
    assert set(parameters.about('router').choices) == set(ROUTERS)
    Settings(router='/weights/mine.safetensors')
    with pytest.raises(ParameterError, match='prior-only, random, or a .safetensors file'):
        Settings(router='magic')


def test_the_preferred_checkpoint_is_the_one_of_the_loader():
    from fast_sam2_ros.sam2.checkpoint import PREFERRED
    assert Settings().preferred_model == PREFERRED


def test_the_table_has_every_parameter_with_its_default():
    rows = parameters.to_table().splitlines()[2:]
    assert [re.match(r'\| `(\w+)`', row).group(1) for row in rows] == list(parameters.names())
    assert parameters.to_table() in (ROOT / 'README.md').read_text()
    row = next(row for row in rows if row.startswith('| `reground_period`'))
    assert '| float | `1.0` | 0.0 to 3600.0 | s | at run time |' in row


@pytest.mark.parametrize(('values', 'reason'), [
    ({'keep_ratio': 0.01}, 'keep_ratio is 0.01; give 0.05 to 1.0'),
    ({'keep_ratio': float('nan')}, 'keep_ratio'),
    ({'keep_ratio': 'half'}, "keep_ratio is 'half'; give a number"),
    ({'keep_ratio': True}, 'keep_ratio'),
    ({'keep_ratio': None}, 'keep_ratio'),
    ({'memory_keep_ratio': 0.01}, 'give 0 or 0.05 to 1.0'),
    ({'lost_after': 0}, 'lost_after is 0; give 1 to 1000'),
    ({'lost_after': 2.5}, 'give a whole number'),
    ({'image_qos': 'magic'}, "image_qos is 'magic'; give sensor_data"),
    ({'label_id': 256}, 'label_id'),
    ({'keep_ratio': 0.3, 'mask_format': 'colour'}, 'mask_format'),
    ({'target_latency_ms': -1.0}, 'target_latency_ms is -1.0; give 0.0 to 60000.0'),
    ({'min_keep_ratio': 0.0}, 'min_keep_ratio is 0.0; give 0.05 to 1.0'),
    ({'target_latency_ms': 50.0, 'keep_ratio': 0.2, 'min_keep_ratio': 0.3},
     'min_keep_ratio is 0.3; with target_latency_ms give at most keep_ratio, 0.2'),
    ({'max_targets': 0}, 'max_targets is 0; give 1 to 32'),
    ({'mask_format': 'label', 'label_id': 249}, 'for 8 targets .* give 248 at most'),
    ({'compile': 'perhaps'}, "compile is 'perhaps'; give auto, on, off"),
    ({'dtype': 'float16'}, "dtype is 'float16'; give auto, float32, bfloat16"),
])
def test_wrong_values_are_refused_with_the_reason(values, reason):
    with pytest.raises(ParameterError, match=reason):
        Settings.from_values(values)


def test_a_whole_number_will_do_for_a_float():
    assert Settings.from_values({'keep_ratio': 1}).keep_ratio == 1.0


def test_on_and_off_are_understood_as_yaml_reads_them():
    for text, meant in (('on', 'on'), ('off', 'off'), ('"off"', 'off'), ('auto', 'auto')):
        assert Settings.from_values({'compile': yaml.safe_load(text)}).compile == meant
    with pytest.raises(ParameterError, match='dtype is True'):
        Settings.from_values({'dtype': True})


def test_what_is_of_no_consequence_is_not_refused():
    assert Settings(keep_ratio=0.05).min_keep_ratio == 0.2  # there is no latency target
    assert Settings(label_id=255).mask_format == 'binary'


def test_a_change_is_applied_whole_or_not_at_all():
    before = Settings()
    after = before.changed({'keep_ratio': 0.3, 'label_id': 7}, running=True)
    assert (after.keep_ratio, after.label_id) == (0.3, 7)
    with pytest.raises(ParameterError, match='label_id'):
        before.changed({'keep_ratio': 0.3, 'label_id': 700}, running=True)
    assert before == Settings()


def test_what_the_model_is_loaded_with_stays_while_the_node_is_configured():
    with pytest.raises(ParameterError, match='clean it up first'):
        Settings().changed({'model': 'embedded'}, running=True)
    assert Settings().changed({'model': 'embedded'}, running=False).model == 'embedded'
    assert Settings().changed({'model': 'auto'}, running=True) == Settings()


@pytest.mark.parametrize('name', FIELDS)
def test_each_is_refused_with_its_name_where_it_is_of_a_wrong_type_or_outside_its_range(name):
    known, kind = parameters.about(name), FIELDS[name].type
    wrong = {'bool': [1, 'yes', 0.0], 'int': [1.5, 'one', True], 'float': ['1', False],
             'str': [1, 2.5, []]}[kind]
    for value in (*wrong, None):
        with pytest.raises(ParameterError, match=f'^{name} is .*; give {parameters.KINDS[kind]}'):
            Settings.from_values({name: value})
    if known.low is not None:
        for edge in (known.low, known.high):
            Settings.from_values({name: edge})
        outside = [known.low - 1, known.high + 1]
    else:
        outside = ['something else'] if known.choices else []
    for value in outside:
        with pytest.raises(ParameterError, match=f'^{name} is .*; give {known.range}'):
            Settings.from_values({name: value})


def test_numbers_have_a_range_and_every_parameter_a_text():
    for name, field in FIELDS.items():
        known = parameters.about(name)
        assert known.text.endswith('.') and len(known.text) > 20, name
        assert known.changes in ('at start', 'at configure', 'at run time')
        assert (known.low is not None) == (field.type in ('int', 'float')), name
        if known.low is not None:
            assert known.low <= field.default <= known.high, name


def test_a_session_is_opened_with_what_the_parameters_say(monkeypatch):
    monkeypatch.setattr(session, 'open_session', lambda **given: given)
    given = tracker_node.open_session(Settings(**OTHERS))
    given['preferred_model'] = given.pop('preferred')
    assert given == OTHERS
    assert tracker_node.open_session(Settings())['memory_keep_ratio'] is None


def test_a_session_is_told_what_changes_at_run_time():
    told = SimpleNamespace()
    node = SimpleNamespace(_look_at_code=lambda session: None)
    tracker_node.TrackerNode._apply(node, Settings(**OTHERS), told)
    wanted = {name: value for name, value in OTHERS.items()
              if parameters.about(name).changes == 'at run time'}
    assert vars(told) == wanted and len(wanted) == 6


def described(bench) -> dict[str, ParameterDescriptor]:
    """Return the descriptors of all parameters of the running node."""
    listed = bench.call(ListParameters, '/tracker/list_parameters', ListParameters.Request())
    names = listed.result.names
    answer = bench.call(DescribeParameters, '/tracker/describe_parameters',
                        DescribeParameters.Request(names=names))
    return dict(zip(names, answer.descriptors, strict=True))


def values_of(bench) -> dict[str, object]:
    """Return what the running node has for each parameter of the definition."""
    answer = bench.call(GetParameters, '/tracker/get_parameters',
                        GetParameters.Request(names=list(FIELDS)))
    return dict(zip(FIELDS, map(parameter_value_to_python, answer.values), strict=True))


def set_singly(bench, **values: object) -> list[SetParametersResult]:
    """Set parameters as `ros2 param set` and `load` do."""
    return bench.call(SetParameters, '/tracker/set_parameters', SetParameters.Request(
        parameters=[Parameter(name, value=value).to_parameter_msg()
                    for name, value in values.items()])).results


def test_the_running_node_describes_what_is_defined(bench):
    bench.start()
    descriptors = described(bench)
    assert set(FIELDS) <= set(descriptors)
    assert {name for name in set(descriptors) - set(FIELDS)
            if not name.startswith('qos_overrides.')} <= {
                'use_sim_time', 'start_type_description_service'}
    for name, field in FIELDS.items():
        known, descriptor = parameters.about(name), descriptors[name]
        assert descriptor.description == known.text
        assert descriptor.type == ROS_TYPES[field.type].value, name
        assert descriptor.read_only == (known.changes == 'at start')
        ranges = [*descriptor.integer_range, *descriptor.floating_point_range]
        assert [(each.from_value, each.to_value) for each in ranges] == (
            [] if known.low is None else [(known.low, known.high)]), name
        for words in (known.unit and f'unit: {known.unit}', f'changes {known.changes}',
                      known.choices and f'one of {known.range}'):
            assert not words or words in descriptor.additional_constraints
    assert values_of(bench) == dataclasses.asdict(Settings())

    # All of them are held to their types and ranges by the running node, too.
    for name, field in FIELDS.items():
        known = parameters.about(name)
        wrong = [['text'] if field.type != 'str' else 7]
        if known.low is not None:
            wrong += [known.high + 1, known.low - 1]
        elif known.choices:
            wrong.append('something else')
        for value in wrong:
            answer = bench.set(**{name: value})
            assert not answer.successful and answer.reason, (name, value)
    assert values_of(bench) == dataclasses.asdict(Settings())


def test_a_set_of_several_is_taken_whole_or_not_at_all(bench):
    bench.start_active('-p', 'target_text:=red')
    before = values_of(bench)
    good = {'keep_ratio': 0.1, 'label_id': 9}
    for bad, reason in (
            ({'diagnostics_period': 99.0}, 'diagnostics_period'),
            ({'mask_format': 'colour'}, 'binary, label'),
            ({'min_keep_ratio': 0.2, 'target_latency_ms': 9.0}, 'at most keep_ratio, 0.1'),
            ({'model': 'embedded'}, 'clean it up first'), ({'autostart': True}, 'read-only'),
            ({'lost_after': 'many'}, 'type'), ({'lost_after': 2.5}, 'type'),
            ({'no_such_parameter': 1}, 'undeclared'), ({'use_sim_time': 'no'}, 'type')):
        for values in (good | bad, bad | good):
            answer = bench.set(**values)
            assert not answer.successful and reason in answer.reason, (bad, answer.reason)
    refused = bench.call(
        SetParametersAtomically, '/tracker/set_parameters_atomically',
        SetParametersAtomically.Request(parameters=[
            Parameter('label_id', value=7).to_parameter_msg(),
            Parameter('keep_ratio', Parameter.Type.NOT_SET).to_parameter_msg()])).result
    assert not refused.successful and 'keep_ratio is None' in refused.reason
    assert values_of(bench) == before
    bench.answer()
    assert bench.statuses[-1].tokens_retained == 200 and bench.masks[-1].data[0] == 255

    # Two that are allowed together only.
    assert bench.set(mask_format='label', label_id=250, keep_ratio=0.1).reason.endswith(
        'give 248 at most')
    together = {'keep_ratio': 0.1, 'min_keep_ratio': 0.1, 'target_latency_ms': 9.0}
    assert bench.set(**together, mask_format='label', label_id=9).successful
    bench.answer()
    assert bench.statuses[-1].tokens_retained == 40 and bench.masks[-1].data[0] == 9
    assert values_of(bench) == before | together | {'mask_format': 'label', 'label_id': 9}

    # `ros2 param set` and `load` set one after the other: those that are refused are named.
    taken, refused, also_taken = set_singly(bench, label_id=11, model='embedded', keep_ratio=0.5)
    assert taken.successful and also_taken.successful
    assert not refused.successful and 'clean it up first' in refused.reason
    bench.answer()
    assert bench.statuses[-1].tokens_retained == 200 and bench.masks[-1].data[0] == 11
    assert values_of(bench)['model'] == 'auto'
