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
How fast the node is, seen from outside: masks a second, and how old they are.

    python -m fast_sam2_ros.node.measure --model embedded --json FILE

A camera that is faster than the tracker, the tracker node and a listener run in a process each, as
on a robot. In the same run and in turn with them, a further process runs the session alone in a
loop on the same frames: the difference is what ROS, the node and its neighbours cost. The age of a
mask is the time from the stamp of its image to its arrival at the listener. A row of the result is
one turn of both at one rate of the camera; the summary has the medians of the turns, and the ages
of all.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
import contextlib
from dataclasses import asdict, dataclass
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import tempfile
from types import TracebackType
from typing import Any

from fast_sam2_ros.arguments import numbers
from fast_sam2_ros.demo.scene import Scene
from fast_sam2_ros.errors import FastSam2Error, ParameterError
from fast_sam2_ros.node.parameters import Settings, Value
import numpy as np
import yaml

PROBES = 'fast_sam2_ros.node.probes'
START = ('import runpy, sys; sys.path = [place for place in sys.path if place]; '
         "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)")
"""Runs a module like `python -m`, but not from a checkout in which the measurement was started."""
TRACKER = (sys.executable, '-c', START, 'fast_sam2_ros.node.main')
THREADING = ('OMP_NUM_THREADS', 'OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')
"""Variables of the environment that decide how PyTorch's threads wait for each other."""
FRAMES = 240
"""Frames of the demo scene that are shown, to and fro."""
SETTLE = 1.0
"""Seconds at the beginning of a turn that do not count."""
QUIET = 2.0
"""Seconds of listening after the last frame."""
LEAVING = 20.0
"""Seconds that a process may take to end."""
WARM_UPS = 5
"""Turns within which the target has to be found."""


@dataclass(frozen=True)
class Turn:
    """
    What one turn of the node and one of the bare loop gave, at one rate of the camera.

    node_hz: masks a second; bare_hz: steps a second; ratio: of the two; step_ms: of the bare loop;
    node_step_ms: a step in the node by its own clock; age_ms: of the masks on arrival; age_steps:
    the same, in steps of the bare loop; sent: by the camera; received, processed, dropped: as the
    node counted in this turn; tracked: share of the images in which the target was tracked.
    """

    camera_hz: float
    node_hz: float
    bare_hz: float
    ratio: float
    step_ms_median: float
    step_ms_p95: float
    node_step_ms_median: float
    age_ms_median: float
    age_ms_p95: float
    age_steps_p95: float
    sent: int
    received: int
    processed: int
    dropped: int
    node_tracked: float
    bare_tracked: float


@dataclass(frozen=True)
class NodeTurn:
    """A turn of the node: masks a second, ages and its own steps in ms, its counts at the end."""

    hz: float
    ages: np.ndarray
    steps: np.ndarray
    tracked: float
    sent: int
    counts: dict[str, int]


@dataclass(frozen=True)
class BareTurn:
    """A turn of the bare loop: steps a second, and their lengths in ms."""

    hz: float
    steps: np.ndarray
    tracked: float


class Probe:
    """One of the processes of `node.probes`."""

    def __init__(self, role: str, *arguments: str) -> None:
        """Start it; it waits for commands."""
        self._role = role
        self._process = subprocess.Popen(
            [sys.executable, '-c', START, PROBES, role, *arguments], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)

    def tell(self, **command: Any) -> None:
        """Give it a command."""
        self._process.stdin.write(json.dumps(command) + '\n')
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for its answer; raise FastSam2Error where it has none."""
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {'error': 'it ended'}
        if 'error' in answer:
            raise FastSam2Error(f'the {self._role} process: {answer["error"]}')
        return answer

    @property
    def has_ended(self) -> bool:
        """Return whether the process is gone."""
        return self._process.poll() is not None

    def __enter__(self) -> Probe:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """End the process, so that it leaves nothing in /dev/shm unless it has to be killed."""
        self._process.stdin.close()
        end(self._process, signal.SIGTERM, LEAVING)


@contextlib.contextmanager
def running_node(command: Sequence[str], settings: dict[str, Value], log: Path
                 ) -> Iterator[subprocess.Popen]:
    """
    Run a tracker node that comes up by itself, unless `autostart` says otherwise.

    What it prints goes to a file.
    """
    values = {'autostart': True} | settings
    words = [word for name, value in values.items()
             for word in ('-p', f'{name}:={json.dumps(value)}')]
    with log.open('wb') as stream:
        process = subprocess.Popen([*command, '--ros-args', *words], stdout=stream,
                                   stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        end(process, signal.SIGTERM, LEAVING)


def end(process: subprocess.Popen, number: signal.Signals, timeout: float) -> int:
    """Signal a process to end, kill it after `timeout` seconds, and return its status."""
    process.send_signal(number)
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def run_node(camera: Probe, listener: Probe, seconds: float, rate: float) -> NodeTurn:
    """Let the camera send for some time, and look at what comes back after the first second."""
    sent, heard = _send(camera, listener, seconds, rate)
    arrivals = np.array(heard['arrivals'])
    if len(arrivals) < 3:
        raise FastSam2Error(f'the node answered {len(arrivals)} of {sent} images')
    counted = _settled(arrivals)
    inside = arrivals[counted]
    return NodeTurn(
        hz=(len(inside) - 1) / (inside[-1] - inside[0]), ages=np.array(heard['ages'])[counted],
        steps=np.array(heard['step_ms']), tracked=float(np.mean(heard['tracked'])), sent=sent,
        counts=heard['counts'])


def _send(camera: Probe, listener: Probe, seconds: float, rate: float
          ) -> tuple[int, dict[str, Any]]:
    """Let the camera send for some time; return how many images, and what was heard."""
    camera.tell(seconds=seconds, rate=rate)
    listener.tell(seconds=seconds + QUIET)
    return camera.answer()['sent'], listener.answer()


def run_bare(loop: Probe, seconds: float, rate: float) -> BareTurn:
    """Let the bare loop run for some time; its first second does not count."""
    loop.tell(seconds=seconds, rate=rate)
    heard = loop.answer()
    begins, steps = np.array(heard['begins']), np.array(heard['step_ms'])
    counted = _settled(begins)
    return BareTurn(hz=1e3 * counted.sum() / steps[counted].sum(), steps=steps[counted],
                    tracked=float(np.mean(heard['tracked'])))


def _settled(times: np.ndarray) -> np.ndarray:
    """Tell which moments of a turn (s) count: not those of its beginning, if it has others."""
    later = times >= times[0] + SETTLE
    return later if later.sum() > 1 else np.ones(len(times), bool)


def measure(settings: dict[str, Value], rates: Sequence[float], rounds: int, seconds: float,
            command: Sequence[str] = TRACKER) -> dict[str, Any]:
    """Run everything; return the environment, one row a turn, and the summary a camera rate."""
    from fast_sam2_ros.evaluation.environment import environment

    turns, summaries = [], []
    with tempfile.TemporaryDirectory() as folder:
        for rate in rates:
            mine, ages = [], []
            for turn, node in _turns(settings, rate, rounds, seconds, command, Path(folder)):
                print(json.dumps(asdict(turn)), flush=True)
                mine.append(turn)
                ages.append(node.ages)
            turns += mine
            summaries.append(_summary(mine, np.concatenate(ages)))
    device = 'cpu' if settings.get('device', 'auto') == 'auto' else settings['device']
    return {'environment': environment(device) | {
        'settings': settings, 'seconds_a_turn': seconds, 'frame': [480, 640, 3],
        **{name: os.environ.get(name, '') for name in THREADING}},
        'summary': summaries, 'rows': [asdict(turn) for turn in turns]}


def _turns(settings: dict[str, Value], rate: float, rounds: int, seconds: float,
           command: Sequence[str], folder: Path) -> Iterator[tuple[Turn, NodeTurn]]:
    """Bring everything up for one rate of the camera, and yield turn after turn."""
    frames = folder / 'frames.npy'
    scene = Scene(rate=rate)
    np.save(frames, np.stack([scene.frame(index)[0]
                              for index in range(min(FRAMES, len(scene)))]))
    log = folder / 'node.log'
    with contextlib.ExitStack() as stack:
        stack.enter_context(running_node(command, settings, log))
        camera = stack.enter_context(Probe('camera', '--frames', str(frames)))
        listener = stack.enter_context(Probe('listener'))
        loop = stack.enter_context(Probe('bare', '--frames', str(frames), '--settings',
                                         json.dumps(settings)))
        try:
            _warm_up(camera, listener, loop, rate)
            before = run_node(camera, listener, 1.0, rate)
            for _ in range(rounds):
                node = run_node(camera, listener, seconds, rate)
                yield _compare(rate, before, node, run_bare(loop, seconds, rate)), node
                before = node
        except FastSam2Error as error:
            raise FastSam2Error(f'{error}; the node said:\n'
                                f'{log.read_text(errors="replace")[-2000:]}') from error


def _warm_up(camera: Probe, listener: Probe, loop: Probe, rate: float) -> None:
    camera.tell(seconds=0.0, rate=rate)
    camera.answer()  # it waits for the node
    for _ in range(WARM_UPS):
        _, heard = _send(camera, listener, 5.0, rate)
        bare = run_bare(loop, 5.0, rate)
        if heard['tracked'] and np.mean(heard['tracked'][-5:]) == 1 and bare.tracked > 0.5:
            return
    raise FastSam2Error('the target was not tracked: name one that is in the demo scene')


def _compare(rate: float, before: NodeTurn, node: NodeTurn, bare: BareTurn) -> Turn:
    counts = {name: count - before.counts[name] for name, count in node.counts.items()}
    step = float(np.median(bare.steps))
    return Turn(
        camera_hz=rate, node_hz=node.hz, bare_hz=bare.hz, ratio=node.hz / bare.hz,
        step_ms_median=step, step_ms_p95=float(np.percentile(bare.steps, 95)),
        node_step_ms_median=float(np.median(node.steps)),
        age_ms_median=float(np.median(node.ages)),
        age_ms_p95=float(np.percentile(node.ages, 95)),
        age_steps_p95=float(np.percentile(node.ages, 95)) / step, sent=node.sent,
        node_tracked=node.tracked, bare_tracked=bare.tracked, **counts)


def _summary(turns: list[Turn], ages: np.ndarray) -> dict[str, Any]:
    """Return the medians over the turns at one rate, the ages of all masks, and all counts."""
    medians = {name: float(np.median([getattr(turn, name) for turn in turns]))
               for name in ('camera_hz', 'node_hz', 'bare_hz', 'ratio', 'step_ms_median')}
    step = medians['step_ms_median']
    p95 = float(np.percentile(ages, 95))
    counts = {name: sum(getattr(turn, name) for turn in turns)
              for name in ('sent', 'received', 'processed', 'dropped')}
    return medians | {
        'age_ms_median': float(np.median(ages)), 'age_ms_p95': p95,
        'age_steps_median': float(np.median(ages)) / step, 'age_steps_p95': p95 / step,
        **counts, 'adds_up': counts['received'] == counts['processed'] + counts['dropped']}


def setting(text: str) -> tuple[str, Value]:
    """Return name and value of a parameter that is written as NAME:=VALUE."""
    name, _, value = text.partition(':=')
    return name, yaml.safe_load(value)


def keep_apart() -> None:
    """
    Keep the nodes of this process, and of those that it starts, to this machine and to themselves.

    Domains 215 to 232 are as safe on Linux as those to 101 (its ephemeral ports lie between), and
    hardly anybody takes one: what is measured is to meet no other node.
    """
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    os.environ['ROS_DOMAIN_ID'] = str(215 + os.getpid() % 17)


def main() -> None:
    """Measure the node from outside, beside the bare loop of the same session."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', default='embedded', help='default: %(default)s')
    parser.add_argument('--text', default='cat', help='a target of the demo scene (%(default)s)')
    parser.add_argument('-p', '--parameter', type=setting, action='append', default=[],
                        metavar='NAME:=VALUE', help='a parameter of the node, for the loop too')
    parser.add_argument('--rates', type=numbers, default=(60.0, 30.0), metavar='HZ,...',
                        help='of the camera (default: 60,30)')
    parser.add_argument('--rounds', type=int, default=3, help='turns of each (%(default)s)')
    parser.add_argument('--seconds', type=float, default=15.0, help='of a turn (%(default)s)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='where the result goes')
    arguments = parser.parse_args()
    from fast_sam2_ros.evaluation.rows import write_json

    keep_apart()
    try:
        settings = {'model': arguments.model, 'target_text': arguments.text,
                    **dict(arguments.parameter)}
        Settings.from_values(settings)
        result = measure(settings, arguments.rates, arguments.rounds, arguments.seconds)
    except (FastSam2Error, ParameterError) as error:
        sys.exit(f'measure: {error}')
    for summary in result['summary']:
        print(json.dumps(summary, indent=1))
    if arguments.json:
        write_json(result, arguments.json)


if __name__ == '__main__':
    main()
