# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One definition of the parameters, and what is made of it."""

import dataclasses
import re
from pathlib import Path

import pytest
import yaml
from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.node import parameters
from fast_sam2_ros.node.parameters import Settings

ROOT = Path(__file__).parents[2]


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
    ({'keep_ratio': 'half'}, "keep_ratio is 'half'; give a float"),
    ({'keep_ratio': True}, 'keep_ratio'),
    ({'keep_ratio': None}, 'keep_ratio'),
    ({'memory_keep_ratio': 0.01}, 'give 0 or 0.05 to 1.0'),
    ({'lost_after': 0}, 'lost_after is 0; give 1 to 1000'),
    ({'lost_after': 2.5}, 'give a int'),
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
