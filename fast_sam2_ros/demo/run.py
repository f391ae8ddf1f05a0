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
"""`fast-sam2 demo`: a camera, the tracker, goals in words, and the truth to compare with."""

from __future__ import annotations

import argparse
from dataclasses import asdict
import json
from pathlib import Path
from statistics import median
import time
from typing import TYPE_CHECKING

from fast_sam2_ros.arguments import add_tracking_arguments, open_session_from
from fast_sam2_ros.errors import InputError

if TYPE_CHECKING:
    from fast_sam2_ros.demo.footage import Footage
    from fast_sam2_ros.demo.result import GoalResult, Run
    from fast_sam2_ros.recording import Summary

EXAMPLES = """examples:
  fast-sam2 demo                            a camera over real photographs, with known truth
  fast-sam2 demo --video dog.mp4 --text dog --out out/dog
  fast-sam2 demo --no-ros --keep-ratio 0.3  the core alone, every frame, without ROS

Every mask is matched with the truth by its stamp. Where the tracker cannot keep up, the camera
waits up to --grace for each answer, so the scene is played slower; past that the tracker drops
frames, as it does on a robot (--grace 0).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `fast-sam2 demo`."""
    parser.epilog = EXAMPLES
    parser.add_argument('--video', type=Path, metavar='FILE',
                        help='a video of yours in place of the rendered scene')
    parser.add_argument('--text', nargs='+', metavar='TEXT',
                        help='the goals, one after the other, each of one target or of several '
                             'with ; between them (default: those of the scene)')
    parser.add_argument('--out', type=Path, default=Path('out'), metavar='DIR',
                        help='where demo.mp4, demo.png and track.json go (default: out)')
    parser.add_argument('--rate', type=float, default=10.0, metavar='HZ',
                        help='frames a second of the camera, 1 to 60 (default: %(default)s)')
    parser.add_argument('--grace', type=float, default=0.5, metavar='S',
                        help='seconds that the camera waits for an answer at most, before it '
                             'sends the next frame; 0 for a camera that never waits (default: '
                             '%(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='of the scene (default: 0)')
    parser.add_argument('--no-ros', action='store_true', help='run the core loop alone')
    parser.add_argument('--tokens', action='store_true',
                        help='draw the kept tokens as a grid (with --no-ros)')
    parser.add_argument('--min-iou', type=float, default=0.5, metavar='J',
                        help='fail where the mean IoU with the truth is below (default: '
                             '%(default)s)')
    parser.add_argument('--json', action='store_true', help='print the result as JSON')
    add_tracking_arguments(parser)


def main(arguments: argparse.Namespace) -> int:
    """Run the demo; return 0 when every goal was answered as it should be, else 1."""
    from fast_sam2_ros.demo.result import conclude, failures

    footage = _footage(arguments)
    run = run_core(footage, arguments) if arguments.no_ros else _run_live(footage, arguments)
    summary, results = conclude(footage, run, arguments.out, arguments.tokens)
    wrong = failures(run, results, summary, arguments.min_iou)
    if arguments.json:
        print(json.dumps({'summary': asdict(summary), 'goals': [asdict(r) for r in results],
                          'sent': run.sent, 'failures': wrong}))
    else:
        _print(run, summary, results, arguments.out, wrong)
    return 1 if wrong else 0


def _footage(arguments: argparse.Namespace) -> Footage:
    from fast_sam2_ros.demo.footage import SceneFootage, VideoFootage
    from fast_sam2_ros.session import targets_in, text_of

    if not 1 <= arguments.rate <= 60:
        raise InputError(f'--rate is {arguments.rate:g}; it must be 1 to 60 frames a second')
    if not 0 <= arguments.grace <= 10:
        raise InputError(f'--grace is {arguments.grace:g}; it must be 0 to 10 seconds')
    # As the session says them again.
    texts = None if arguments.text is None else [
        text_of(targets_in(text).values()) for text in arguments.text]
    if texts and not all(texts):
        raise InputError('--text has a goal without words: name what to look for')
    if arguments.video is None:
        return SceneFootage(arguments.rate, arguments.seed, texts)
    if not texts:
        raise InputError('--video needs --text: what to look for in it')
    return VideoFootage(arguments.video, arguments.rate, texts)


def _run_live(footage: Footage, arguments: argparse.Namespace) -> Run:
    try:
        import fast_sam2_ros.msg  # noqa: F401
        import rclpy  # noqa: F401  (only to tell a missing ROS from a fault of ours)
    except ImportError as error:
        raise InputError(
            f"ROS 2 and this package's messages are not found ({error}): source tools/env.sh of "
            'a built checkout, or use --no-ros') from error
    from fast_sam2_ros.node.demo import run_live

    return run_live(footage, arguments)


def run_core(footage: Footage, arguments: argparse.Namespace) -> Run:
    """Run the session over every frame, without ROS."""
    from fast_sam2_ros.demo.result import Answer, Run
    from fast_sam2_ros.recording import record
    from tqdm import tqdm

    session = open_session_from(arguments)
    goals = {goal.index: goal.text for goal in footage.goals}
    answers, seconds, sent = {}, 0.0, 0
    for shot in tqdm(footage.shots(), total=footage.count, unit='frame', desc='demo',
                     leave=False, disable=None):
        sent += 1
        if shot.index in goals:
            session.set_text(goals[shot.index])
        began = time.perf_counter()
        report = session.process(shot.image, shot.stamp)
        seconds += time.perf_counter() - began
        answers[shot.index] = Answer.of(
            record(shot.index, shot.stamp, report), report.mask, report.label, report.message,
            None if report.step is None else report.step.kept)
    return Run(answers, seconds, sent, session.loaded.name, str(session.loaded.model.device),
               arguments.keep_ratio, session.loaded.fallback)


def _print(run: Run, summary: Summary, results: list[GoalResult], out: Path,
           wrong: list[str]) -> None:
    if run.fallback:
        print(f'note: {run.fallback}')
    print(f'{"goal":<14} {"in view":<8} {"frames":>6} {"tracked":>7} {"mean IoU":>8}  answer')
    for result in results:
        there = {True: 'yes', False: 'no', None: '?'}[result.goal.present]
        iou = '-' if result.mean_iou is None else f'{result.mean_iou:.3f}'
        answer = (f'not found: {result.message}' if result.delay is None else
                  f'tracked {max(0.0, result.delay):.1f} s after it was named')
        print(f'{result.goal.text:<14} {there:<8} {result.frames:>6} {result.tracked:>7} '
              f'{iou:>8}  {answer}')
    steps = [answer.record for answer in run.answers.values() if answer.record.tokens_retained]
    iou = '' if summary.mean_iou is None else f'mean IoU {summary.mean_iou:.3f}, '
    print(f'{iou}{summary.frames} of {run.sent} frames answered, {summary.fps:.1f} a second '
          f'({summary.model} on {summary.device})')
    if steps:
        step = median(entry.latency_ms.total for entry in steps)
        print(f'{steps[-1].tokens_retained} of {steps[-1].tokens_total} tokens kept, '
              f'{steps[-1].bank_bytes / 2**20:.2f} MB of memory, median step {step:.0f} ms')
    print(f'see {out / "demo.mp4"}, {out / "demo.png"} and {out / "track.json"}')
    for line in wrong:
        print(f'FAILED: {line}')
