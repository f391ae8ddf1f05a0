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
"""`fast-sam2 evaluate` as its user sees it, with tiny random models on small sequences."""

import json

from fast_sam2_ros import cli
from fast_sam2_ros.evaluation import evaluate
from fast_sam2_ros.evaluation.davis import load_davis
from fast_sam2_ros.evaluation.evaluate import evaluate_baseline, score_frames
from fast_sam2_ros.evaluation.rows import read
from fast_sam2_ros.session import Session
import numpy as np
import pytest

DESIGN_KEYS = ['sequence', 'model', 'router', 'keep_ratio', 'prompt', 'J', 'F', 'JF', 'fps',
               'tokens_retained', 'bank_bytes']


@pytest.fixture
def run(davis, tmp_path):
    """Run the command on the squares and return its exit code and the rows that it wrote."""
    def command(*words: str, model: str = 'random:micro'):
        out = tmp_path / 'out' / 'eval.json'
        code = cli.main(['evaluate', str(davis), '--model', model, *words, '--json', str(out)])
        return code, json.loads(out.read_text())
    return command


def tracked(result, sequence='mean'):
    """Return the rows of one sequence that are not the baseline's."""
    return [row for row in result['rows'] if row['sequence'] == sequence
            and row['router'] != 'repeat-first-mask']


def test_repeating_the_first_mask_scores_as_worked_out_by_hand(davis):
    moving, still = (evaluate_baseline(sequence, 'x') for sequence in load_davis(davis))
    # Frames 1 and 2 count: moved by 5 of 10 columns (J = 50 / 150), then by 10 (J = 0). With two
    # frames the first quarter is the first alone, where 0.25 of the way is nearest to it.
    assert moving.J == pytest.approx((1 / 3 + 0) / 2)
    assert (moving.J_recall, moving.J_decay) == (0, pytest.approx(1 / 3))
    assert moving.JF == pytest.approx((moving.J + moving.F) / 2)
    assert (moving.frames, moving.found, moving.router) == (4, 1, 'repeat-first-mask')
    assert (still.J, still.F, still.J_recall, still.F_recall, still.F_decay) == (1, 1, 1, 1, 0)


def test_the_first_and_the_last_frame_do_not_count_for_j_and_f(davis, square):
    moving = load_davis(davis)[0]
    wrong, empty = np.ones_like(square(0)), np.zeros_like(square(0))
    scores = score_frames(moving, [wrong, square(10), square(15), empty])
    assert (scores['J'], scores['F'], scores['J_recall'], scores['J_decay']) == (1, 1, 1, 0)
    assert scores['found'] == 3 / 4  # of all frames


@pytest.mark.parametrize('prompt', ['mask', 'box'])
def test_there_is_a_row_for_each_setting(run, prompt, capsys):
    code, result = run('--prompt', prompt, '--keep-ratio', '1.0,0.5', '--router',
                       'analytic,prior-only', model='random:micro,random:toy')
    assert code == 0 and result['errors'] == []
    rows = result['rows']
    assert len(rows) == 3 + 8 * 3  # the baseline and eight settings: two sequences and their mean
    assert list(rows[0])[:len(DESIGN_KEYS)] == DESIGN_KEYS
    assert [row['sequence'] for row in rows[:3]] == ['moving', 'still', 'mean']
    assert [(row['model'], row['router'], row['keep_ratio']) for row in tracked(result)] == [
        (f'random:{size}', router, keep) for size in ('micro', 'toy')
        for router in ('analytic', 'prior-only') for keep in (1.0, 0.5)]
    ours = [row for row in tracked(result, 'still') if row['router'] == 'prior-only']
    # micro has 4 x 4 tokens of 64 pixels, toy 8 x 8 of 128.
    assert [row['tokens_retained'] for row in ours] == [16, 8, 64, 32]
    assert [row['image_size'] for row in ours] == [64, 64, 128, 128]
    assert ours[0]['bank_bytes'] > ours[1]['bank_bytes'] > 0
    for row in rows:
        assert row['data'] == 'squares' and row['memory_keep_ratio'] == row['keep_ratio']
        assert 0 <= row['J'] <= 1 and 0 <= row['F'] <= 1 and 0 <= row['found'] <= 1
        assert row['JF'] == pytest.approx((row['J'] + row['F']) / 2)
    for row in tracked(result):
        assert 0 < row['step_ms_median'] <= row['step_ms_p95'] and row['fps'] > 0
        assert row['frames'] == 7 and row['memory_frames'] == 6 and not row['with_text']
    said = capsys.readouterr()
    assert 'repeat-first-mask' in said.out
    assert '8/8 random:toy, prior-only, keep ratio 0.5: J&F' in said.err


def test_the_environment_says_how_and_when(run):
    _, result = run('--keep-ratio', '0.5')
    assert {'torch', 'device', 'threads', 'python'} <= set(result['environment'])
    assert result['environment']['command'].startswith('fast-sam2 evaluate ')
    assert '--keep-ratio 0.5' in result['environment']['command']
    assert result['environment']['date'].startswith('20')


def test_a_random_router_gives_a_sequence_the_same_whatever_else_is_run(run):
    words = ('--router', 'random', '--keep-ratio', '0.3')
    both, alone = run(*words)[1], run(*words, '--sequences', 'still')[1]
    scores = [{key: row[key] for key in ('J', 'F', 'J_recall', 'found')}
              for result in (both, alone) for row in tracked(result, 'still')]
    assert scores[0] == scores[1]


def test_the_knobs_of_the_comparison_reach_the_tracker(run):
    usual = tracked(run('--keep-ratio', '1.0')[1])[0]

    def knob(*words):
        return tracked(run('--keep-ratio', '1.0', *words)[1])[0]

    few = knob('--memory-frames', '2')
    assert few['memory_frames'] == 2 and few['bank_bytes'] < usual['bank_bytes']
    dropped = knob('--memory-keep-ratio', '0.05')
    assert dropped['tokens_retained'] == usual['tokens_retained'] == 16
    assert dropped['memory_keep_ratio'] == 0.05 and dropped['bank_bytes'] < few['bank_bytes']
    published = knob('--memory-keep-ratio', '0.05', '--prune-conditioning')
    assert not published['dense_conditioning'] and dropped['dense_conditioning']
    assert published['bank_bytes'] < dropped['bank_bytes']
    large = knob('--image-size', '128')
    assert (large['image_size'], large['tokens_retained']) == (128, 64)


def test_a_setting_that_fails_is_named_and_the_others_are_run(run, capsys):
    code, result = run('--router', 'analytic,none-such,random', '--keep-ratio', '0.5',
                       model='random:micro,gone')
    assert code == 1
    assert [(row['model'], row['router']) for row in tracked(result)] == [
        ('random:micro', 'analytic'), ('random:micro', 'random')]
    assert [(error['model'], error['router']) for error in result['errors']] == [
        ('random:micro', 'none-such'), ('gone', 'analytic'), ('gone', 'none-such'),
        ('gone', 'random')]
    assert 'none-such' in result['errors'][0]['error']
    said = capsys.readouterr().err
    assert '2/6 random:micro, none-such, keep ratio 0.5: cannot be run: ' in said
    assert 'hub id' in result['errors'][1]['error']


def test_a_run_that_is_interrupted_keeps_what_it_has(run, davis, tmp_path, monkeypatch):
    whole, calls = evaluate.evaluate_setting, []

    def stop_at_the_second(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(*args)

    monkeypatch.setattr(evaluate, 'evaluate_setting', stop_at_the_second)
    code, result = run('--keep-ratio', '1.0,0.5,0.3')
    assert code == 130
    assert [row['keep_ratio'] for row in tracked(result)] == [1.0]
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['eval.json']


@pytest.mark.parametrize('words, message', [
    (['--memory-frames', '9'], 'this model remembers 1 to 6'),
    (['--image-size', '100'], 'multiple of 32'),
])
def test_a_run_without_any_setting_fails(run, words, message, capsys):
    code, result = run(*words)
    assert code == 2
    assert not tracked(result) and message in result['errors'][0]['error']
    assert 'no setting could be run' in capsys.readouterr().err


def test_targets_are_named_where_words_are_given(run, davis, monkeypatch):
    given, set_prompt = [], Session.set_prompt

    def remember(session, prompt, text=''):
        given.append(text)
        set_prompt(session, prompt, text)

    monkeypatch.setattr(Session, 'set_prompt', remember)
    run('--keep-ratio', '0.5')
    _, result = run('--keep-ratio', '0.5', '--expressions', str(davis / 'expressions.csv'))
    assert given == ['', '', 'a square', 'a box']
    assert tracked(result)[0]['with_text'] and tracked(result)[0]['prompt'] == 'mask'


def test_targets_that_cannot_be_given_are_refused(davis, write_sequence, square, capsys):
    model = ['--model', 'random:micro']
    (davis / 'expressions.csv').write_text('video_id;instance_id;ref_exp\nstill;1;a box\n')
    assert cli.main(['evaluate', str(davis), *model, '--prompt', 'text']) == 2
    assert 'moving' in capsys.readouterr().err
    write_sequence(davis, 'absent', [60, 60, 20])  # beyond the right edge at first
    assert cli.main(['evaluate', str(davis), *model]) == 2
    assert '00000.png is empty' in capsys.readouterr().err


def test_a_folder_or_files_but_not_both(davis, capsys):
    assert cli.main(['evaluate']) == 2
    assert cli.main(['evaluate', str(davis), '--from', 'a.json']) == 2
    assert '--from' in capsys.readouterr().err


def test_pieces_are_merged_and_drawn_without_running_anything(
        run, davis, tmp_path, capsys, monkeypatch):
    whole = run('--keep-ratio', '1.0,0.5')[1]
    pieces = []
    for index, words in enumerate((
            ['--keep-ratio', '1.0', '--sequences', 'still'],
            ['--keep-ratio', '1.0', '--sequences', 'moving'], ['--keep-ratio', '0.5'])):
        pieces.append(tmp_path / f'{index}.json')
        pieces[-1].write_text(json.dumps(run(*words)[1]))
    monkeypatch.setattr(evaluate, 'load_model', None)
    out = tmp_path / 'report'
    assert cli.main([
        'evaluate', '--from', ','.join(map(str, pieces)), '--json', str(out / 'all.json'),
        '--markdown', str(out / 'all.md'), '--plot', str(out / 'all.png')]) == 0
    merged = read(out / 'all.json')
    assert len(merged.rows) == len(whole['rows'])
    for row in tracked(whole) + whole['rows'][:3]:
        same = [other for other in merged.rows if other.sequence == row['sequence']
                and (other.router, other.keep_ratio) == (row['router'], row['keep_ratio'])]
        assert [(other.J, other.F, other.frames) for other in same] == [
            (pytest.approx(row['J']), pytest.approx(row['F']), row['frames'])]
    assert [part['command'].split()[-3] for part in merged.environment['parts']] == [
        'still', 'moving', '0.5']
    assert (out / 'all.png').read_bytes().startswith(b'\x89PNG')
    assert '| still |' in (out / 'all.md').read_text()
    assert 'mean' in capsys.readouterr().out


def test_every_nth_frame_is_other_data(run, davis, write_sequence):
    write_sequence(davis, 'long', range(7))
    code, result = run('--keep-ratio', '0.5', '--sequences', 'long', '--every', '3')
    assert code == 0
    (row,) = tracked(result)
    assert row['frames'] == 3 and row['data'] == f'{davis.name}, every 3 frames'
