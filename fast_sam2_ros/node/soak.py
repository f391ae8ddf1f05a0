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
"""
Does the node hold for a night? A camera, the tracker node and a user, for an hour.

    python -m fast_sam2_ros.node.soak --minutes 60 --json FILE
    python -m fast_sam2_ros.node.soak --source VIDEO --goal dog --goal 'dog; car' --json FILE
    python -m fast_sam2_ros.node.soak --markdown FILE

The camera and the node run in a process each, as on a robot; the user is this one. The camera
shows the demo scene, whose targets leave the view and return, to and fro, with live stamps. The
user brings the node up, wants something else every 30 s, compares some of the masks with the
truth, and sees every few seconds what the node's process takes. FILE is written anew each minute,
whole or not at all. At the end the node is taken down and interrupted.

The status is 0 where every check of the verdict holds, else 1: memory, threads, files, memory
bank, diagnostics, log, masks, counts, goals, targets, the end. Not from the root of a checkout,
which hides the built messages.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
import contextlib
from dataclasses import asdict, dataclass, field
import itertools
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any

from fast_sam2_ros.demo.scene import Scene
from fast_sam2_ros.errors import FastSam2Error, ParameterError
from fast_sam2_ros.evaluation.environment import environment
from fast_sam2_ros.evaluation.rows import read_json, write_json
from fast_sam2_ros.media import open_media
from fast_sam2_ros.node.footprint import footprint, mapped_files, shared_bytes, shared_files
from fast_sam2_ros.node.measure import (
    end, keep_apart, LEAVING, Probe, running_node, setting, THREADING, TRACKER)
from fast_sam2_ros.node.parameters import Settings, Value
from fast_sam2_ros.node.running import begin
from fast_sam2_ros.node.soak_client import Client, Goal, Truth
from fast_sam2_ros.node.soak_report import Ending, judge, minutes, report, Sample, summarise
import numpy as np
import rclpy

GOALS = (Goal('cat; motorcycle'), Goal('cup and saucer', watch=True), Goal('elephant'),
         Goal(point=True), Goal('motorcycle'), Goal(''), Goal('cat', watch=True),
         Goal('cup and saucer; cat'))
"""What the user wants in the demo scene, one after the other and again from the beginning."""
MOST_FRAMES = 600
"""Frames of a video that are shown; the camera holds all in memory."""
ERROR = re.compile(r'\[(ERROR|FATAL)\]|\bError\]|Traceback|terminate called')
LINES, WIDTH = 20, 200
"""So many lines of errors are kept, with so many characters each."""
PORT = 'fastdds_port'
SAMPLES = 100, 0.2, 5.0
"""Least number of samples, and the least and the most seconds between two."""
WRITE_PERIOD = 60.0
STUCK = 60.0
"""Seconds without a mask after which it makes no sense to go on."""


@dataclass(frozen=True)
class Plan:
    """
    What is soaked.

    seconds: how long; rate: of the camera, in Hz; goals: what the user wants, each for
    `goal_seconds`; loses: whether targets of theirs leave the view; settings: the node's
    parameters; command: what starts it.
    """

    seconds: float
    rate: float = 30.0
    goals: tuple[Goal, ...] = GOALS
    goal_seconds: float = 30.0
    loses: bool = True
    settings: dict[str, Value] = field(default_factory=dict)
    command: Sequence[str] = TRACKER

    @property
    def cycle(self) -> float:
        """Return the seconds after which the goals come again."""
        return self.goal_seconds * len(self.goals)

    @property
    def sample_period(self) -> float:
        """Return the seconds between two looks at the node's process."""
        count, least, most = SAMPLES
        return min(max(self.seconds / count, least), most)


@dataclass(frozen=True)
class Film:
    """What the camera shows, (N, H, W, 3) uint8 RGB, and where the targets are, if known."""

    frames: np.ndarray
    truth: Truth | None = None


class ErrorLines:
    """The lines of a growing log that tell of errors."""

    def __init__(self, path: Path) -> None:
        """Read the log from its beginning, by and by."""
        self._path = path
        self._place = 0
        self._open = ''  # a line without its end
        self.found: list[str] = []

    def read(self) -> None:
        """Read on from where the last call ended."""
        with self._path.open('rb') as stream:
            stream.seek(self._place)
            text = stream.read()
            self._place = stream.tell()
        *lines, self._open = (self._open + text.decode(errors='replace')).split('\n')
        self.found += [line[:WIDTH] for line in lines if ERROR.search(line)]


class Soak:
    """A node under test, its camera and its user."""

    def __init__(self, plan: Plan, node: subprocess.Popen, camera: Probe, client: Client,
                 errors: ErrorLines, others: set[str]) -> None:
        """Take over what was started; `others` was in /dev/shm before."""
        self._plan = plan
        self._node = node
        self._camera = camera
        self._client = client
        self._errors = errors
        self._samples: list[Sample] = []
        self._mapped: set[str] = set()
        self._others = others
        device = plan.settings.get('device', 'auto')
        self._environment = environment('cpu' if device == 'auto' else device) | {
            name: os.environ.get(name, '') for name in THREADING}

    def run(self, path: Path | None) -> Ending:
        """Soak, and write the result so far to `path` each minute; return how it ended."""
        try:
            # It begins once the node listens, and is ended before it is done.
            self._camera.tell(seconds=2 * self._plan.seconds + STUCK, rate=self._plan.rate)
            self._client.bring_up(self._is_alive)
            self._client.begin()
            for written in self._minutes():
                print(written, flush=True)
                if path is not None:
                    write_json(self.result(None), path)
            self._client.bring_down(self._is_alive)
        except (FastSam2Error, OSError) as error:
            return Ending(self._cause() or f'{error}')
        began = time.monotonic()
        status = end(self._node, signal.SIGINT, LEAVING)
        return Ending('', status, time.monotonic() - began)

    def left(self) -> tuple[str, ...]:
        """
        Return what of the node's is still in /dev/shm, and was not there before it.

        Ports do not count: all processes of a domain share them, the last one removes them.
        """
        mine = self._mapped & shared_files() - self._others
        return tuple(sorted(os.path.basename(path) for path in mine if PORT not in path))

    def result(self, ending: Ending | None) -> dict[str, Any]:
        """Return the content of the result file; `ending` is None while the soak goes on."""
        plan = self._plan
        self._errors.read()
        summary = summarise(self._client.log, self._samples, plan.seconds, plan.cycle)
        checks = judge(summary, self._samples, plan.seconds, self._errors.found, ending,
                       loses=plan.loses)
        passed = all(check.ok for check in checks)
        return {
            'environment': self._environment, 'settings': plan.settings,
            'seconds': plan.seconds, 'rate': plan.rate, 'goal_seconds': plan.goal_seconds,
            'goals': [asdict(goal) for goal in plan.goals],
            'verdict': 'goes on' if ending is None else 'passed' if passed else 'failed',
            'checks': [asdict(check) for check in checks], 'summary': summary,
            'errors': self._errors.found[:LINES],
            'minutes': minutes(self._client.log, self._samples),
            'asked': [asdict(asked) for asked in self._client.log.goals],
            'samples': [{'time': sample.time, **asdict(sample.footprint),
                         'shared_memory': sample.shared_memory} for sample in self._samples]}

    def _is_alive(self) -> bool:
        return self._node.poll() is None and not self._camera.has_ended

    def _cause(self) -> str:
        """Return why the soak cannot go on, empty where it can."""
        if self._node.poll() is not None:
            return (f'the node ended with status {self._node.returncode} '
                    f'after {self._client.now / 60:.1f} min')
        if self._camera.has_ended:
            return 'the camera process ended'
        if not rclpy.ok():
            return f'cut off after {self._client.now / 60:.1f} min'
        return ''

    def _minutes(self) -> Iterator[str]:
        """Go on until the time is over, and yield a line every minute; raise where it cannot."""
        plan, client = self._plan, self._client
        goals = itertools.cycle(plan.goals)
        next_goal = next_sample = 0.0
        next_write = WRITE_PERIOD
        wanted = None
        while client.now < plan.seconds:
            if cause := self._cause():
                raise FastSam2Error(cause)
            if client.silence > STUCK:
                raise FastSam2Error(f'no mask for {STUCK:.0f} s after {client.now / 60:.1f} min')
            if client.now >= next_goal:
                wanted = next(goals)
                next_goal += plan.goal_seconds
            if wanted is not None and client.ask(wanted):
                wanted = None
            if client.now >= next_sample:
                self._look()
                next_sample += plan.sample_period
            if client.now >= next_write:
                yield self._line()
                next_write += WRITE_PERIOD
            client.spin(0.1)
        self._look()

    def _look(self) -> None:
        self._mapped |= mapped_files(self._node.pid)
        self._samples.append(
            Sample(self._client.now, footprint(self._node.pid), shared_bytes()))

    def _line(self) -> str:
        last, log = self._samples[-1].footprint, self._client.log
        return (f'{self._client.now / 60:.0f} min: {len(log.masks)} masks, {len(log.losses)} '
                f'losses, {len(log.recoveries)} recoveries, {last.own / 1e6:.1f} MB of its own, '
                f'{last.resident / 1e6:.1f} MB, {last.threads} threads, {last.files} files')


def soak(plan: Plan, film: Film, path: Path | None = None) -> dict[str, Any]:
    """
    Run everything, and return the result, which is also written to `path`.

    rclpy is to be initialised, and is shut down after that.
    """
    others = shared_files()
    with tempfile.TemporaryDirectory() as folder:
        frames, log = Path(folder, 'frames.npy'), Path(folder, 'node.log')
        np.save(frames, film.frames)
        with contextlib.ExitStack() as stack:
            node = stack.enter_context(
                running_node(plan.command, plan.settings | {'autostart': False}, log))
            camera = stack.enter_context(Probe('camera', '--frames', str(frames)))
            client = Client(film.truth)
            one = Soak(plan, node, camera, client, ErrorLines(log), others)
            ending = one.run(path)
        client.close()
        rclpy.try_shutdown()
        result = one.result(Ending(ending.reason, ending.status, ending.seconds, one.left()))
        if result['verdict'] != 'passed':
            print(f'the node said:\n{log.read_text(errors="replace")[-3000:]}', file=sys.stderr)
    if path is not None:
        write_json(result, path)
    return result


def scene_film(rate: float) -> Film:
    """Render the demo scene at a rate of frames a second, with the truth of what is in it."""
    scene = Scene(rate=rate)
    shots = [scene.frame(index) for index in range(len(scene))]
    return Film(np.stack([image for image, _ in shots]),
                Truth({label: np.stack([truth[label] for _, truth in shots])
                       for label in shots[0][1]}))


def video_film(source: str, rate: float) -> Film:
    """Read a video file or a folder of images."""
    frames = itertools.islice(open_media(source, rate), MOST_FRAMES)
    return Film(np.stack([frame.image for frame in frames]))


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options of this command, from the command line where `words` is None."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', default='embedded', help='default: %(default)s')
    parser.add_argument('-p', '--parameter', type=setting, action='append', default=[],
                        metavar='NAME:=VALUE', help='a parameter of the node')
    parser.add_argument('--minutes', type=float, default=60.0, help='default: %(default)s')
    parser.add_argument('--rate', type=float, default=30.0, help='of the camera (30 Hz)')
    parser.add_argument('--source', metavar='PATH',
                        help='a video or a folder of images in place of the demo scene')
    parser.add_argument('--goal', action='append', metavar='TEXT',
                        help='what is wanted, as often as you like; with --source')
    parser.add_argument('--goal-seconds', type=float, default=30.0, metavar='S',
                        help='how long each is wanted (default: %(default)s)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='where the result goes')
    parser.add_argument('--markdown', type=Path, metavar='FILE',
                        help='print this result as tables, and do nothing else')
    arguments = parser.parse_args(words)
    if bool(arguments.source) != bool(arguments.goal):
        parser.error('give --goal with --source: the demo scene has goals of its own')
    if not arguments.minutes > 0 or not arguments.goal_seconds > 0:
        parser.error('--minutes and --goal-seconds must be above zero')
    return arguments


def main(words: Sequence[str] | None = None) -> int:
    """Soak; return 0 where every check holds, else 1."""
    arguments = parse(words)
    if arguments.markdown:
        print(report(read_json(arguments.markdown)))
        return 0
    keep_apart()
    try:
        settings = {'model': arguments.model, **dict(arguments.parameter)}
        Settings.from_values(settings)
        goals = tuple(Goal(text) for text in arguments.goal or ()) or GOALS
        plan = Plan(60 * arguments.minutes, arguments.rate, goals, arguments.goal_seconds,
                    not arguments.source, settings)
        film = (video_film(arguments.source, arguments.rate) if arguments.source
                else scene_film(arguments.rate))
        begin()
        result = soak(plan, film, arguments.json)
    except (FastSam2Error, ParameterError) as error:
        sys.exit(f'soak: {error}')
    print(report(result))
    return 0 if result['verdict'] == 'passed' else 1


if __name__ == '__main__':
    sys.exit(main())
