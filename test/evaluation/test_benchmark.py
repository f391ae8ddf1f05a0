# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark: what it writes, and that it measures with a full bank."""

import argparse
import json

from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.evaluation import benchmark
from fast_sam2_ros.evaluation.random_models import random_model
from fast_sam2_ros.sam2.loaded import LoadedModel, Preprocess
from fast_sam2_ros.tracker import Prompt, Tracker
import numpy as np
import pytest

STAGES = ['encode', 'route', 'attend', 'decode', 'remember', 'total']


def toy() -> LoadedModel:
    return LoadedModel(random_model('toy'), Preprocess(128), 'random:toy', 'random')


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    benchmark.add_arguments(parser)
    return parser.parse_args(words)


def test_writes_a_row_for_every_variant_and_stage(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, 'load_model', lambda name, device: toy())
    out = tmp_path / 'results' / 'bench.json'
    assert benchmark.main(arguments(
        '--model', 'toy', '--keep-ratio', '1.0,0.3', '--repeats', '2', '--against', 'hf',
        '--device', 'cpu', '--json', str(out))) == 0
    result = json.loads(out.read_text())
    variants = [(row['implementation'], row['keep_ratio'], row['stage']) for row in result['rows']]
    assert variants == (
        [('ours', keep, stage) for keep in (1.0, 0.3) for stage in STAGES]
        + [('hf', 1.0, 'total')])
    for row in result['rows']:
        assert 0 < row['median_ms'] <= row['p95_ms']
        assert (row['model'], row['device'], row['dtype']) == ('toy', 'cpu', 'float32')
    assert result['environment']['threads'] >= 1
    assert 'total' in capsys.readouterr().out


def test_a_filled_bank_is_as_large_as_one_that_has_run():
    filled, run = Tracker(toy(), keep_ratio=0.3), Tracker(toy(), keep_ratio=0.3)
    frames = np.random.default_rng(0).integers(0, 256, (20, 96, 128, 3), dtype=np.uint8)
    for tracker in (filled, run):
        tracker.prompt(frames[0], Prompt(box=(20, 20, 60, 60)))
    benchmark.fill(filled.bank)
    for frame in frames[1:]:
        run.step(frame)
    got, expected = filled.bank.read(), run.bank.read()
    assert got.features.shape == expected.features.shape
    assert got.pointers.shape == expected.pointers.shape
    assert got.age_row.tolist() == expected.age_row.tolist()
    assert filled.bank.is_full and run.bank.is_full


@pytest.mark.parametrize('settings, word', [
    ({'repeats': 0}, 'repeats'), ({'against': ('official',)}, 'official')])
def test_settings_that_mean_nothing_are_refused(settings, word):
    with pytest.raises(ParameterError, match=word):
        benchmark.run_benchmark('embedded', **settings)
