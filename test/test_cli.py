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
"""The command as a user meets it."""

import subprocess
import sys
import time

from fast_sam2_ros import cli
from fast_sam2_ros.errors import InputError
import pytest


def test_help_is_instant_and_imports_no_torch():
    code = ('import sys\nfrom fast_sam2_ros import cli\n'
            'try:\n    cli.main(["--help"])\nexcept SystemExit:\n    pass\n'
            'heavy = {"torch", "cv2", "numpy", "rclpy", "transformers"} & set(sys.modules)\n'
            'print("heavy:", sorted(heavy))')
    began = time.monotonic()
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                            check=True)
    assert 'heavy: []' in result.stdout
    assert time.monotonic() - began < 5  # 0.1 s on an idle machine
    for command in cli.COMMANDS:
        assert command in result.stdout
    assert 'examples:' in result.stdout


@pytest.mark.parametrize('words', [
    ['demo'], ['track'], ['evaluate'], ['benchmark'], ['fetch'], ['info'],
    ['train'], ['train', 'embedded'], ['train', 'words']])
def test_every_command_has_help(words, capsys):
    with pytest.raises(SystemExit) as error:
        cli.main([*words, '--help'])
    assert error.value.code == 0
    assert f'usage: fast-sam2 {" ".join(words)}' in capsys.readouterr().out


def test_no_command_or_an_unknown_one_is_refused(capsys):
    for words in ([], ['dance']):
        with pytest.raises(SystemExit) as error:
            cli.main(words)
        assert error.value.code == 2
    assert 'dance' in capsys.readouterr().err


def test_an_error_of_ours_is_one_line_and_any_other_is_not_hidden(monkeypatch, capsys):
    from fast_sam2_ros.offline import command

    def fail(arguments):
        raise InputError('the first line\nand a second')

    monkeypatch.setattr(command, 'main', fail)
    assert cli.main(['track', 'x', '--text', 'y']) == 2
    assert capsys.readouterr().err == 'fast-sam2 track: the first line and a second\n'

    def bug(arguments):
        raise KeyError('a bug')

    monkeypatch.setattr(command, 'main', bug)
    with pytest.raises(KeyError):
        cli.main(['track', 'x', '--text', 'y'])
