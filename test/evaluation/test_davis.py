# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The DAVIS evaluation, on small sequences made here."""

import json

import numpy as np
import pytest

from fast_sam2_ros import cli
from fast_sam2_ros.errors import InputError
from fast_sam2_ros.evaluation.davis import (
    bounding_box, evaluate_baseline, load_davis, mean_row, read_expressions, Row, score_masks)
from fast_sam2_ros.media import write_image, write_mask

SIZE = (40, 60)


def square(left: int) -> np.ndarray:
    mask = np.zeros(SIZE, dtype=np.uint8)
    mask[10:20, left:left + 10] = 1
    return mask


def make(root, name, lefts):
    """Write a sequence in which a bright square is at the given columns."""
    images = root / 'JPEGImages' / '480p' / name
    masks = root / 'Annotations' / '480p' / name
    images.mkdir(parents=True)
    masks.mkdir(parents=True)
    for index, left in enumerate(lefts):
        mask = square(left)
        write_image(images / f'{index:05d}.jpg', np.repeat(60 + 150 * mask[..., None], 3, axis=2))
        write_mask(masks / f'{index:05d}.png', mask)


@pytest.fixture
def davis(tmp_path):
    make(tmp_path, 'moving', [5, 10, 15, 50])
    make(tmp_path, 'still', [20, 20, 20])
    (tmp_path / 'expressions.csv').write_text(
        'video_id;instance_id;ref_exp\nmoving;1;a square; \nmoving;1;another\nstill;1;a box\n')
    return tmp_path


def test_sequences_are_found_with_their_masks(davis):
    moving, still = load_davis(davis)
    assert (moving.name, len(moving.frames), still.name) == ('moving', 4, 'still')
    np.testing.assert_array_equal(moving.truth(1), square(10).astype(bool))
    assert next(moving.images()).shape == (*SIZE, 3)
    assert [s.name for s in load_davis(davis, ['still'])] == ['still']


def test_what_is_missing_is_named(davis, tmp_path_factory):
    with pytest.raises(InputError, match='no sequence gone; it has moving, still'):
        load_davis(davis, ['gone'])
    with pytest.raises(InputError, match='JPEGImages'):
        load_davis(tmp_path_factory.mktemp('empty'))
    (davis / 'Annotations' / '480p' / 'moving' / '00002.png').unlink()
    with pytest.raises(InputError, match='00002.png is missing'):
        load_davis(davis)
    make(davis, 'short', [1, 2])
    with pytest.raises(InputError, match='short has 2 frames'):
        load_davis(davis, ['short'])


def test_repeating_the_first_mask_scores_as_worked_out_by_hand(davis):
    moving, still = (evaluate_baseline(sequence) for sequence in load_davis(davis))
    # Frames 1 and 2 count: moved by 5 of 10 columns (J = 50 / 150), then by 10 (J = 0).
    assert moving.J == pytest.approx((1 / 3 + 0) / 2)
    assert moving.JF == pytest.approx((moving.J + moving.F) / 2)
    assert (still.J, still.F, still.router) == (1, 1, 'repeat-first-mask')


def test_the_first_and_the_last_frame_do_not_count(davis):
    moving = load_davis(davis)[0]
    wrong = np.ones(SIZE, np.uint8)
    j, f = score_masks(moving, [wrong, square(10), square(15), wrong])
    assert (j, f) == (1, 1)


def test_expressions_are_read_and_the_first_of_a_video_counts(davis):
    assert read_expressions(davis / 'expressions.csv') == {'moving': 'a square', 'still': 'a box'}
    (davis / 'other.csv').write_text('a,b\n1,2\n')
    with pytest.raises(InputError, match='video_id;instance_id;ref_exp'):
        read_expressions(davis / 'other.csv')
    with pytest.raises(InputError, match='--expressions'):
        read_expressions(davis / 'gone.csv')


def test_a_box_reaches_around_the_mask():
    assert bounding_box(square(5)) == (5, 10, 15, 20)


def test_the_mean_weighs_sequences_alike():
    row = Row('a', 'm', 'analytic', 0.5, 'mask', 0.2, 0.4, 0.3, 10.0, 8, 100)
    mean = mean_row([row, Row('b', 'm', 'analytic', 0.5, 'mask', 0.6, 0.8, 0.7, 20.0, 8, 100)])
    assert (mean.sequence, mean.router) == ('mean', 'analytic')
    assert (mean.J, mean.F, mean.JF, mean.fps) == pytest.approx((0.4, 0.6, 0.5, 15.0))


@pytest.mark.parametrize('prompt', ['mask', 'box'])
def test_the_command_writes_a_row_for_each_setting(davis, prompt, capsys):
    out = davis / 'out' / 'eval.json'
    code = cli.main(['evaluate', str(davis), '--model', 'random:micro', '--prompt', prompt,
                     '--keep-ratio', '1.0,0.5', '--router', 'analytic,prior-only',
                     '--json', str(out)])
    assert code == 0
    result = json.loads(out.read_text())
    assert {'torch', 'device'} <= set(result['environment'])
    rows = result['rows']
    assert len(rows) == 3 + 4 * 3  # the baseline and four settings: two sequences and their mean
    assert set(rows[0]) == {'sequence', 'model', 'router', 'keep_ratio', 'prompt', 'J', 'F', 'JF',
                            'fps', 'tokens_retained', 'bank_bytes'}
    assert [row['sequence'] for row in rows[:3]] == ['moving', 'still', 'mean']
    ours = [row for row in rows if row['router'] == 'prior-only' and row['sequence'] == 'still']
    assert [row['keep_ratio'] for row in ours] == [1.0, 0.5]
    assert [row['tokens_retained'] for row in ours] == [16, 8]  # micro has 4 x 4 tokens
    assert ours[0]['bank_bytes'] > ours[1]['bank_bytes'] > 0
    for row in rows:
        assert 0 <= row['J'] <= 1 and 0 <= row['F'] <= 1
        assert row['JF'] == pytest.approx((row['J'] + row['F']) / 2)
    assert 'repeat-first-mask' in capsys.readouterr().out


def test_a_target_without_words_is_refused(davis, capsys):
    (davis / 'expressions.csv').write_text('video_id;instance_id;ref_exp\nstill;1;a box\n')
    assert cli.main(['evaluate', str(davis), '--model', 'random:micro', '--prompt', 'text']) == 2
    assert 'moving' in capsys.readouterr().err
