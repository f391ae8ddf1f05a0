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
"""The command `fast-sam2`. A subcommand's module is imported only when it is asked for."""

from __future__ import annotations

import argparse
from importlib import import_module
import logging
import sys

from fast_sam2_ros.errors import FastSam2Error

PACKAGE = 'fast_sam2_ros'
# Name: the module with add_arguments(parser) and main(arguments), and one line of help.
COMMANDS = {
    'demo': ('demo.run', 'show the tracker at work on a camera with known truth'),
    'track': ('offline.command', 'follow a target through videos, folders of images or bags'),
    'evaluate': ('evaluation.evaluate', 'measure J and F on videos with masks'),
    'benchmark': ('evaluation.benchmark', 'time every stage of a step'),
    'train': (None, 'train what the package ships'),
    'fetch': ('sam2.fetch', 'download a checkpoint, whole or not at all'),
    'info': ('sam2.info', 'describe a model and check it'),
}
TRAININGS = {
    'embedded': ('training.embedded', 'the embedded model'),
    'router': ('training.router', 'the learned router of a checkpoint'),
    'words': ('training.words', 'the words that the embedded grounder knows'),
}
EXAMPLES = """examples:
  fast-sam2 demo                                         the whole path on ROS 2 topics
  fast-sam2 track dog.mp4 --text dog --out out           masks, an overlay and track.json
  fast-sam2 evaluate DAVIS --prompt text --json eval.json
  fast-sam2 fetch facebook/sam2.1-hiera-tiny             then: --model facebook/sam2.1-hiera-tiny
"""
FAILURE = 2


def build_parser(words: list[str]) -> argparse.ArgumentParser:
    """Build the parser; only the subcommand that `words` name gets its options, by import."""
    parser = argparse.ArgumentParser(
        prog='fast-sam2', epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Track what is named in words with SAM 2, keeping only tokens that matter.')
    commands = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    for name, (module, line) in COMMANDS.items():
        command = _add(commands, name, line)
        if name == 'train':
            what = command.add_subparsers(dest='what', metavar='WHAT', required=True)
            for training, (training_module, training_line) in TRAININGS.items():
                sub = _add(what, training, training_line)
                if words[:2] == [name, training]:
                    _import(training_module).add_arguments(sub)
        elif words[:1] == [name]:
            _import(module).add_arguments(command)
    return parser


def _add(commands: argparse._SubParsersAction, name: str, line: str) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=line, description=line[0].upper() + line[1:] + '.',
                               formatter_class=argparse.RawDescriptionHelpFormatter)


def _import(module: str):
    return import_module(f'{PACKAGE}.{module}')


def main(words: list[str] | None = None) -> int:
    """
    Run a command line and return its exit code.

    0: done; 1: it ran, and what it checked did not hold; 2: it could not run, and one line on
    stderr says what to do.
    """
    words = sys.argv[1:] if words is None else words
    logging.basicConfig(format='%(message)s', level=logging.WARNING)
    arguments = build_parser(words).parse_args(words, argparse.Namespace(words=words))
    module = (TRAININGS[arguments.what] if arguments.command == 'train'
              else COMMANDS[arguments.command])[0]
    try:
        return _import(module).main(arguments) or 0
    except FastSam2Error as error:
        print(f'fast-sam2 {arguments.command}: {" ".join(str(error).split())}', file=sys.stderr)
        return FAILURE
    except KeyboardInterrupt as interruption:
        print(f'fast-sam2 {arguments.command}: '
              + '; '.join(['interrupted', *map(str, interruption.args)]), file=sys.stderr)
        return 130


if __name__ == '__main__':
    sys.exit(main())
