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
"""The command `fast-sam2 benchmark`: what takes turns, what it writes, and what it refuses."""

import json

from fast_sam2_ros.cli import main
from fast_sam2_ros.errors import FastSam2Error, ParameterError
from fast_sam2_ros.evaluation import benchmark
from fast_sam2_ros.evaluation.benchmark import Plan, take_turns
from fast_sam2_ros.evaluation.contenders import HF, OFFICIAL, OURS, Variant
from fast_sam2_ros.evaluation.official import official_is_installed
from fast_sam2_ros.tracker import Tracker
import pytest
import torch

STAGES = ['encode', 'route', 'attend', 'decode', 'remember', 'total']
SMALL = ('benchmark', '--image-size', '64', '--repeats', '2', '--device', 'cpu')
needs_official = pytest.mark.skipif(
    not official_is_installed(), reason="Meta's sam2 is not installed")


def variants(result):
    return [(row['implementation'], row['dtype'], row['compiled'], row['keep_ratio'],
             row['targets']) for row in result['rows'] if row['stage'] == 'total']


@needs_official
def test_all_implementations_in_one_run(tmp_path, capsys):
    out, text, picture = (tmp_path / 'new' / name for name in ('x.json', 'x.md', 'x.png'))
    assert main([
        *SMALL, '--model', 'tiny', '--keep-ratio', '1.0,0.3', '--against', 'hf,official',
        '--json', str(out), '--markdown', str(text), '--plot', str(picture)]) == 0
    result = json.loads(out.read_text())
    assert [(row['implementation'], row['keep_ratio'], row['stage']) for row in result['rows']] \
        == ([('ours', keep, stage) for keep in (1.0, 0.3) for stage in STAGES]
            + [('hf', 1.0, 'total'), ('official', 1.0, 'total')])
    whole, pruned, hf, official = (row for row in result['rows'] if row['stage'] == 'total')
    for row in result['rows']:
        assert 0 < row['median_ms'] <= row['p95_ms'] and row['gflop'] >= 0
        assert (row['model'], row['device'], row['dtype']) == ('tiny', 'cpu', 'float32')
        assert row['image_size'] == 64 and row['peak_bytes'] > 39e6 * 4  # the parameters
    by_stage = {row['stage']: row['gflop'] for row in result['rows'][6:12]}
    assert sum(by_stage.values()) == pytest.approx(2 * by_stage['total'])
    unpruned = {row['stage']: row['gflop'] for row in result['rows'][:6]}
    assert by_stage['attend'] < unpruned['attend'] and by_stage['encode'] == unpruned['encode']
    assert by_stage['remember'] < unpruned['remember']  # only what is remembered is encoded for it
    assert hf['gflop'] == pytest.approx(official['gflop'], rel=0.01)
    assert whole['growth_bytes'] < 2000 < 3 * 4 * 64 ** 2 < hf['growth_bytes']
    assert official['growth_bytes'] > 3 * 4 * 64 ** 2
    assert pruned['over_hf'] == pytest.approx(hf['median_ms'] / pruned['median_ms'])
    about = result['environment']
    assert about['command'].startswith('fast-sam2 benchmark --image-size 64')
    assert about['threads'] >= 1 and about['repeats'] == 2 and about['router'] == 'analytic'
    assert [path.name for path in sorted(out.parent.iterdir())] == ['x.json', 'x.md', 'x.png']
    printed = capsys.readouterr().out
    for words in ('ours, keep 0.3', 'of limit', 'x official'):
        assert words in printed and words in text.read_text()


@needs_official
def test_half_precision_and_several_targets(tmp_path):
    out = tmp_path / 'x.json'
    assert main([*SMALL, '--warm-up', '1', '--model', 'tiny', '--keep-ratio', '0.5',
                 '--dtype', 'bfloat16', '--targets', '1,2', '--prune-conditioning',
                 '--against', 'hf,official', '--json', str(out)]) == 0
    result = json.loads(out.read_text())
    assert variants(result) == [
        (name, 'bfloat16', False, keep, targets) for targets in (1, 2)
        for name, keep in (('ours', 0.5), ('hf', 1.0), ('official', 1.0))]
    assert not any(row['dense_conditioning'] for row in result['rows'])
    gflop = {(row['implementation'], row['targets']): row['gflop']
             for row in result['rows'] if row['stage'] == 'total'}
    for name in ('ours', 'hf', 'official'):  # one encoder pass for all
        assert gflop[name, 1] < gflop[name, 2] < 2 * gflop[name, 1]


def test_what_cannot_be_run_is_named_and_the_rest_goes_on(tmp_path, capsys, monkeypatch):
    out = tmp_path / 'x.json'
    written = []
    write = benchmark.write_json
    monkeypatch.setattr(benchmark, 'write_json', lambda content, path: (
        written.append(len(content['rows'])), write(content, path)))
    monkeypatch.setattr(
        Tracker, 'warm_up', lambda self, *_, **__: 'no compiler here', raising=False)
    monkeypatch.setattr(benchmark, 'official_is_installed', lambda: True)
    code = main([
        'benchmark', '--repeats', '1', '--device', 'cpu', '--model', 'random:micro,/nowhere',
        '--keep-ratio', '1', '--compile', 'off,on', '--against', 'official', '--json', str(out)])
    assert code == benchmark.NOT_ALL
    result = json.loads(out.read_text())
    assert variants(result) == [('ours', 'float32', False, 1.0, 1)]
    assert [(error['model'], error.get('implementation')) for error in result['errors']] == [
        ('random:micro', 'ours'), ('random:micro', 'official'), ('/nowhere', None)]
    compiled, official, missing = (error['error'] for error in result['errors'])
    assert compiled == 'not compiled: no compiler here'
    assert 'tiny, small, base-plus, large' in official and 'nowhere' in missing
    assert written == [6, 6], 'written anew after every model'
    assert 'not run: ' in capsys.readouterr().out


def test_nothing_but_failures_is_a_failure(tmp_path, capsys):
    out = tmp_path / 'x.json'
    assert main(['benchmark', '--model', '/nowhere', '--json', str(out)]) == 2
    assert 'nothing could be run' in capsys.readouterr().err
    assert json.loads(out.read_text())['rows'] == []


def test_a_compiled_variant_counts_what_an_eager_one_works(monkeypatch, tmp_path):
    """Counting would see nothing of a graph, so it is done in a twin that is not compiled."""
    asked = []
    monkeypatch.setattr(Tracker, 'warm_up', lambda self, *given, **named: (
        asked.append((given, named)), '')[1], raising=False)
    out = tmp_path / 'x.json'
    assert main(['benchmark', '--repeats', '1', '--device', 'cpu', '--model', 'random:micro',
                 '--keep-ratio', '0.5', '--targets', '2', '--compile', 'on', '--json',
                 str(out)]) == 0
    result = json.loads(out.read_text())
    assert variants(result) == [('ours', 'float32', True, 0.5, 2)]
    assert asked == [(((0.5,),), {'targets': 2, 'compile': True})]
    plan = Plan(('random:micro',), (0.5,), targets=(2,), repeats=1)
    [eager] = benchmark.run(plan, torch.device('cpu'), 'x')
    assert [row['gflop'] for row in result['rows']] == [row['gflop'] for row in eager['rows']]
    assert result['rows'][-1]['gflop'] > 0


class Recorded:
    """A contender that only writes down when it was stepped, and on which frame."""

    def __init__(self, name, log):
        self.name, self.log = name, log

    def step(self, frame):
        self.log.append((self.name, frame))
        return {'total': float(len(self.log))}


def test_variants_take_turns_forth_and_back():
    log = []
    keys = [Variant(OURS, 'float32', False, keep, 1) for keep in (1.0, 0.5, 0.3)]
    contenders = {key: Recorded(key.keep_ratio, log) for key in keys}
    steps = take_turns(contenders, ['first', 'second'], 3)
    assert log == [(keep, frame) for keeps, frame in (
        ((1.0, 0.5, 0.3), 'first'), ((0.3, 0.5, 1.0), 'second'), ((1.0, 0.5, 0.3), 'first'))
        for keep in keeps]
    assert [[step['total'] for step in steps[key]] for key in keys] == [
        [1, 6, 7], [2, 5, 8], [3, 4, 9]]


def test_a_plan_is_every_combination_and_the_references_beside_it():
    plan = Plan(('tiny',), (1.0, 0.3), dtypes=('float32', 'bfloat16'), compiled=(False, True),
                targets=(1, 8), against=(HF,))
    found = plan.variants(torch.device('cpu'))
    assert len(found) == len(set(found)) == 2 * 2 * (2 * 2 + 1)
    assert found[:5] == [
        Variant(OURS, 'float32', compiled, keep, 1)
        for compiled in (False, True) for keep in (1.0, 0.3)] + [
            Variant(HF, 'float32', False, 1.0, 1)]
    both = Plan(('tiny',), (1.0,), compiled=(False, True), against=(OFFICIAL,)) \
        if official_is_installed() else None
    if both is not None:  # Meta compiles for a GPU only
        assert [str(variant) for variant in both.variants(torch.device('cuda'))[2:]] == [
            'official, float32, eager, targets 1', 'official, float32, compiled, targets 1']
        assert len(both.variants(torch.device('cpu'))) == 3


@pytest.mark.parametrize('settings, reason', [
    ({'repeats': 0}, 'repeats'), ({'warm_up': 0}, 'warm-up'), ({'models': ()}, '--model'),
    ({'against': ('cutie',)}, '--against takes hf, official, not cutie'),
    ({'dtypes': ('float16',)}, '--dtype takes float32, bfloat16, not float16'),
    ({'targets': (1, 9)}, '1 to 8'), ({'image_size': 100}, 'multiple of 32'),
    ({'keep_ratios': ()}, '--keep-ratio')])
def test_settings_that_mean_nothing_are_refused(settings, reason):
    with pytest.raises(ParameterError, match=reason):
        Plan(**{'models': ('embedded',), **settings})


def test_official_is_refused_where_it_is_not_installed(monkeypatch):
    monkeypatch.setattr(benchmark, 'official_is_installed', lambda: False)
    with pytest.raises(FastSam2Error, match='requirements/official.txt'):
        Plan(('tiny',), against=(OFFICIAL,))


@pytest.mark.parametrize('words', [
    ('--compile', 'maybe'), ('--keep-ratio', '0'), ('--targets', 'two')])
def test_words_that_mean_nothing_are_refused(words, capsys):
    with pytest.raises(SystemExit):
        main(['benchmark', *words])
    assert words[0] in capsys.readouterr().err


def test_files_are_reported_on_without_a_run(tmp_path, capsys):
    parts = [tmp_path / 'a.json', tmp_path / 'b.json']
    for part, keep in zip(parts, ('1.0', '0.5')):
        assert main(['benchmark', '--repeats', '1', '--device', 'cpu', '--model', 'random:micro',
                     '--keep-ratio', keep, '--json', str(part)]) == 0
    both, picture = tmp_path / 'both.json', tmp_path / 'both.svg'
    assert main(['benchmark', '--from', ','.join(map(str, parts)), '--json', str(both),
                 '--plot', str(picture)]) == 0
    assert [(keep, *rest) for *rest, keep, _ in variants(json.loads(both.read_text()))] == [
        (1.0, 'ours', 'float32', False), (0.5, 'ours', 'float32', False)]
    assert 'ours, keep 0.5' in capsys.readouterr().out
    assert picture.read_text().startswith('<?xml')
    assert main(['benchmark', '--from', str(parts[0]), '--plot', str(tmp_path / 'x.txt')]) == 2
    assert 'cannot write the plot' in capsys.readouterr().err
