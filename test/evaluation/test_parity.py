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
"""The parity check itself: it passes on the real tracker, and fails where it should."""

from __future__ import annotations

import argparse
from dataclasses import replace
import json
from typing import Any

from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.evaluation import official, parity
from fast_sam2_ros.sam2 import info
import pytest
import torch

IMAGE_SIZE = 64


def small_check(**settings: Any) -> dict[str, Any]:
    """Check `tiny` on images so small that it takes a second or two."""
    return parity.check_parity(**{
        'frames': 4, 'against': ('hf',), 'image_size': IMAGE_SIZE, **settings})


@pytest.mark.skipif(not parity.official_is_installed(), reason="Meta's sam2 is not installed")
@pytest.mark.parametrize('frames', [4, 17])
def test_tiny_equals_both_references(frames: int) -> None:
    """One of the real sizes against both, for a few frames and until the memories are full."""
    result = small_check(frames=frames, against=('hf', 'official'))
    assert result['passed']
    assert [(row['reference'], row['frames'], row['visible']) for row in result['rows']] == [
        ('hf', frames, frames), ('official', frames, frames)]
    assert all(row['max_abs_diff'] <= 1e-4 < row['control_diff'] for row in result['rows'])
    assert 'passed: at most 0.0001 apart' in parity.as_table(result)


def test_absent_reference_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Meta's package the other comparison goes on, and the row says what is missing."""
    monkeypatch.setattr(parity, 'official_is_installed', lambda: False)
    result = small_check(against=('hf', 'official'), prompts=('mask',))
    ran, skipped = result['rows']
    assert ran['passed'] and result['passed']
    assert (skipped['reference'], skipped['passed']) == ('official', None)
    assert 'not compared: sam2 is not installed' in parity.as_table(result)
    assert not small_check(against=('official',))['passed'], 'nothing was compared'


def test_a_wrong_tracker_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A difference just over the tolerance is found, on any frame."""
    run = parity.run_tracker

    def shifted(*args: Any, **settings: Any) -> list[parity.Answer]:
        answers = run(*args, **settings)
        logits = answers[-1].logits.clone()
        logits[0, 0] += 2 * parity.TOLERANCE
        return [*answers[:-1], replace(answers[-1], logits=logits)]

    monkeypatch.setattr(parity, 'run_tracker', shifted)
    result = small_check()
    assert not result['passed']
    assert result['rows'][0]['max_abs_diff'] == pytest.approx(2 * parity.TOLERANCE, rel=0.1)
    assert 'FAILED' in parity.as_table(result)


def test_weights_that_show_nothing_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that is never in view gives equal masks, which proves nothing."""
    monkeypatch.setattr(official, 'PRESENT_BIAS', -10.0)
    row = small_check()['rows'][0]
    assert row['max_abs_diff'] == 0 and not row['passed']


@pytest.mark.parametrize('settings, reason', [
    ({'sizes': ('huge',)}, 'huge'), ({'against': ('cutie',)}, 'cutie'), ({'sizes': ()}, 'size'),
    ({'prompts': ('word',)}, 'word'), ({'frames': 1}, '2 or more'),
    ({'image_size': 100}, 'multiple of 64')])
def test_wrong_settings_are_refused(settings: dict, reason: str) -> None:
    """Each names what is wrong with it."""
    with pytest.raises(ParameterError, match=reason):
        small_check(**settings)


def test_frames_show_a_moving_square_under_the_prompt() -> None:
    """The stream changes from frame to frame, and the box is on the square."""
    frames = parity.make_frames(IMAGE_SIZE, 4)
    assert frames.shape == (4, IMAGE_SIZE, IMAGE_SIZE, 3)
    assert all((frames[index] != frames[index + 1]).any() for index in range(3))
    assert parity.make_prompt('box', IMAGE_SIZE).box == (16, 16, 32, 32)
    assert parity.make_prompt('mask', IMAGE_SIZE).mask.sum() == 16 * IMAGE_SIZE


def parse(*words: str) -> argparse.Namespace:
    """Parse the words of `fast-sam2 info`."""
    parser = argparse.ArgumentParser()
    info.add_arguments(parser)
    return parser.parse_args(words)


def test_info_command_checks_parity(
        capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command prints the result as JSON, and its exit status is the verdict."""
    words = ('--check-parity', '--json', '--frames', '3', '--against', 'hf', '--image-size', '64')
    assert info.main(parse(*words)) == 0
    assert json.loads(capsys.readouterr().out)['passed'] is True
    monkeypatch.setattr(parity, 'TOLERANCE', 0.0)
    monkeypatch.setattr(parity, 'CONTROL_DIFFERENCE', 1e9)
    assert info.main(parse(*words)) == 1


def test_info_command_describes_a_model(capsys: pytest.CaptureFixture) -> None:
    """Numbers are those of the model itself; the bank shrinks with the keep ratio."""
    assert info.main(parse('--model', 'random:micro', '--json')) == 0
    described = json.loads(capsys.readouterr().out)
    assert described['grid'] == [4, 4] and described['tokens'] == 16
    assert described['preprocess']['image_size'] == 64
    assert described['parameters']['total'] > described['parameters']['vision_encoder'] > 0
    assert described['versions']['torch'] == torch.__version__
    assert described['bank_bytes']['1.0'] > described['bank_bytes']['0.3']
    assert info.main(parse('--model', 'random:micro')) == 0
    text = capsys.readouterr().out
    assert '4 x 4 = 16 tokens' in text
    assert 'facebook/sam2.1-hiera-tiny' in text
