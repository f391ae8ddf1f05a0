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
What the node says on `/diagnostics` (REP-107): camera, tracker, memory and model.

Of several rules that hold the first one counts, from ERROR to OK; STALE comes before all.
"Lately" is within the last `diagnostics_period`, or since the node was activated.

camera
  STALE the node is not active.
  ERROR no image for `camera_timeout`, with the reason where the graph tells it (nobody publishes,
        QoS or type do not match); or images, of which none could be read for so long.
  WARN  lately an image could not be read; images carry no stamp; they carried one and the same
        for longer than `camera_timeout` (a frozen camera); or their stamps are more than 2 s from
        the node's clock (clocks not synchronised, or a bag without `use_sim_time`).
  OK    otherwise.
tracker
  STALE the node is not active, or no image comes, so that its state is an old one.
  ERROR the last frame failed.
  WARN  images come and none is done for `camera_timeout`; a target is lost; or
        `target_latency_ms` is not held.
  OK    otherwise, also where it is disabled, waits for its first image, searches, or drops most
        images because the camera is faster: that share is among the values.
memory
  STALE the node is not configured.
  WARN  less than 5 % of the machine's memory or of /dev/shm, through which images come, is free;
        or the device ran out of memory, so that fewer tokens are kept.
  OK    otherwise.
model
  ERROR `configure` failed.
  STALE the node is not configured.
  WARN  a fallback runs; or something is not compiled and `compile` is `on`.
  OK    otherwise.

All four are published every `diagnostics_period`, and at once when a level or its reason changes:
the node looks every 0.2 s. So a camera that is gone is an ERROR `camera_timeout` and 0.2 s after
its last image.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
import re

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from fast_sam2_ros.msg import TrackerStatus
from fast_sam2_ros.node.camera_watch import Camera
from fast_sam2_ros.node.machine import Memory
from fast_sam2_ros.node.mailbox import Counts

LOOK = 0.2
"""Seconds between two looks."""
LOW_MEMORY = 0.05
CLOCK_TOLERANCE = 2.0
"""Seconds; Nav2's object following takes nothing older."""
NUMBER = re.compile(r'[\d.]+')
WORDS = 80
"""Characters of a goal that are shown."""
STATE_NAMES = {
    TrackerStatus.IDLE: 'idle', TrackerStatus.SEARCHING: 'searching',
    TrackerStatus.TRACKING: 'tracking', TrackerStatus.LOST: 'lost'}


@dataclass(frozen=True)
class ModelInfo:
    """
    Which model runs where and how.

    fallback: why not the preferred one, or None; compiled: whether compiled graphs run;
    uncompiled: why not, or not for all budgets, where they were asked for;
    shortage: what its device had too little memory for, empty while it is enough.
    """

    name: str
    source: str
    device: str
    fallback: str | None
    compiled: bool = False
    uncompiled: str = ''
    shortage: str = ''


@dataclass(frozen=True)
class Health:
    """
    What the node knows of itself at one moment; ages in seconds, None for never.

    silence: why no image can come, empty where that is not known; done_age: since an image was
    done; must_compile: whether compiled graphs are not optional; too_slow: why the latency target
    is not held, empty where it is or where there is none; pose: whether target_pose goes out, and
    why not.
    """

    active: bool = False
    enabled: bool = True
    camera_timeout: float = 1.0
    camera: Camera = Camera()
    silence: str = ''
    done_age: float | None = None
    active_for: float = 0.0
    counts: Counts = field(default_factory=Counts)
    status: TrackerStatus | None = None
    frame_error: str = ''
    memory: Memory = Memory()
    model: ModelInfo | None = None
    model_error: str = ''
    must_compile: bool = False
    too_slow: str = ''
    pose: str = ''

    @property
    def silent(self) -> float:
        """Return for how long no image came while the node was active, in seconds."""
        return self.active_for if self.camera.age is None else self.camera.age

    @property
    def camera_is_gone(self) -> bool:
        """Return whether no image came for too long."""
        return self.silent > self.camera_timeout


@dataclass(frozen=True)
class Progress:
    """What was counted at a moment in seconds, or between two of them (`time` is then that)."""

    time: float
    arrived: int
    unreadable: int
    processed: int
    dropped: int

    def since(self, before: Progress) -> Progress:
        """Return what was counted since then."""
        return Progress(
            max(self.time - before.time, 1e-3), self.arrived - before.arrived,
            self.unreadable - before.unreadable, self.processed - before.processed,
            self.dropped - before.dropped)


class Diagnostics:
    """Turns the node's health into the four tasks; remembers counts for the rates."""

    def __init__(self, node_name: str) -> None:
        """Report under `node_name: task`."""
        self._node_name = node_name
        self._history: deque[Progress] = deque()
        self._reported = -1e9
        self._verdicts: list[tuple[bytes, str]] = []

    def look(self, health: Health, now: float, period: float) -> list[DiagnosticStatus]:
        """
        Return the four tasks where they are to be published at `now`, else nothing.

        They are, in seconds of a steady clock, every `period` and when a level or more of a
        message than its numbers has changed.
        """
        lately = self._lately(health, now, period)
        tasks = [self._camera(health, lately), self._tracker(health, lately),
                 self._memory(health), self._model(health)]
        verdicts = [(task.level, NUMBER.sub('', task.message)) for task in tasks]
        if verdicts == self._verdicts and now - self._reported < period - LOOK / 2:
            return []
        self._verdicts, self._reported = verdicts, now
        return tasks

    def _lately(self, health: Health, now: float, period: float) -> Progress:
        """Return what was counted within the last period, or since the node was activated."""
        counts = health.counts
        latest = Progress(now, health.camera.arrived, health.camera.unreadable,
                          counts.processed, counts.dropped)
        history = self._history
        if not health.active or history and counts.received < (
                history[-1].processed + history[-1].dropped):  # of a new mailbox
            history.clear()
        history.append(latest)
        while len(history) > 2 and history[1].time <= now - period:
            history.popleft()
        return latest.since(history[0])

    def _camera(self, health: Health, lately: Progress) -> DiagnosticStatus:
        camera = health.camera
        rate = lately.arrived / lately.time
        blind = camera.readable_age is None or camera.readable_age > health.camera_timeout
        if not health.active:
            verdict = DiagnosticStatus.STALE, 'the node is not active'
        elif health.camera_is_gone:
            verdict = DiagnosticStatus.ERROR, f'no image for {health.silent:.1f} s' + (
                f': {health.silence}' if health.silence else '')
        elif lately.unreadable and blind and health.active_for > health.camera_timeout:
            verdict = DiagnosticStatus.ERROR, f'no image can be read: {camera.reason}'
        elif lately.unreadable:
            verdict = DiagnosticStatus.WARN, f'unreadable image: {camera.reason}'
        elif camera.no_stamp:
            verdict = DiagnosticStatus.WARN, 'images carry no stamp; the camera has to set it'
        elif camera.frozen > health.camera_timeout:
            verdict = DiagnosticStatus.WARN, (
                f'images carry the same stamp for {camera.frozen:.1f} s: the camera is frozen')
        elif abs(camera.behind) > CLOCK_TOLERANCE:
            verdict = DiagnosticStatus.WARN, _off_clock(camera.behind)
        else:
            verdict = DiagnosticStatus.OK, f'{rate:.1f} images per second'
        return self._task('camera', verdict, health, {
            'rate [Hz]': f'{rate:.2f}',
            'age of the last image [s]': _seconds(camera.age),
            'image': camera.look or 'none',
            'stamp behind the clock [s]': f'{camera.behind:.3f}',
            'unreadable images': camera.unreadable})

    def _tracker(self, health: Health, lately: Progress) -> DiagnosticStatus:
        status = health.status
        stuck = health.active_for if health.done_age is None else health.done_age
        if not health.active:
            verdict = DiagnosticStatus.STALE, 'the node is not active'
        elif health.frame_error:
            verdict = DiagnosticStatus.ERROR, health.frame_error
        elif not health.enabled:
            verdict = DiagnosticStatus.OK, 'disabled'
        elif health.camera_is_gone:
            verdict = DiagnosticStatus.STALE, 'no image comes'
        elif lately.arrived and stuck > health.camera_timeout:
            verdict = DiagnosticStatus.WARN, f'no image was done for {stuck:.1f} s'
        elif status is None:
            verdict = DiagnosticStatus.OK, 'waiting for the first image'
        elif lost := [target.text for target in status.targets
                      if target.state == TrackerStatus.LOST]:
            names = ', '.join(lost)[:WORDS]
            verdict = DiagnosticStatus.WARN, f'lost: {names}' if names else 'lost'
        elif health.too_slow:
            verdict = DiagnosticStatus.WARN, health.too_slow
        else:
            verdict = DiagnosticStatus.OK, STATE_NAMES[status.state]
        received = lately.processed + lately.dropped
        values = {'rate [Hz]': f'{lately.processed / lately.time:.2f}',
                  'dropped lately [%]': f'{100 * lately.dropped / max(received, 1):.0f}',
                  'received': health.counts.received,
                  'processed': health.counts.processed,
                  'dropped': health.counts.dropped}
        if health.pose:
            values['target pose'] = health.pose
        if status is not None:
            values |= {'state': STATE_NAMES[status.state],
                       'target': status.target_text[:WORDS],
                       'targets': len(status.targets),
                       'score': f'{status.score:.2f}',
                       'tokens': f'{status.tokens_retained} of {status.tokens_total}',
                       'keep ratio in force': f'{status.keep_ratio:.2f}',
                       'latency [ms]': f'{status.latency.total:.1f}',
                       'latency target [ms]': f'{status.target_latency:.1f}'
                       if status.target_latency else 'none'}
        return self._task('tracker', verdict, health, values)

    def _memory(self, health: Health) -> DiagnosticStatus:
        memory = health.memory
        if health.model is None:
            verdict = DiagnosticStatus.STALE, 'the node is not configured'
        elif health.model.shortage:
            verdict = DiagnosticStatus.WARN, health.model.shortage
        elif memory.free < LOW_MEMORY:
            verdict = DiagnosticStatus.WARN, f"{memory.free:.0%} of the machine's memory is free"
        elif memory.shared_free < LOW_MEMORY:
            verdict = DiagnosticStatus.WARN, (
                f'{memory.shared_free:.0%} of /dev/shm is free: images will be lost; remove what '
                'killed processes left there')
        else:
            verdict = DiagnosticStatus.OK, 'enough'
        values = {'process [MiB]': f'{memory.process / 2**20:.0f}',
                  'free [%]': f'{100 * memory.free:.0f}',
                  '/dev/shm free [%]': f'{100 * memory.shared_free:.0f}'}
        if health.status is not None:
            values['memory bank [bytes]'] = health.status.bank_bytes
        if memory.device is not None:
            values['device [MiB]'] = f'{memory.device / 2**20:.0f}'
        return self._task('memory', verdict, health, values)

    def _model(self, health: Health) -> DiagnosticStatus:
        model = health.model
        if health.model_error:
            verdict = DiagnosticStatus.ERROR, health.model_error
        elif model is None:
            verdict = DiagnosticStatus.STALE, 'the node is not configured'
        elif model.fallback is not None:
            verdict = DiagnosticStatus.WARN, f'{model.name} runs instead: {model.fallback}'
        elif health.must_compile and model.uncompiled:
            verdict = DiagnosticStatus.WARN, f'not compiled: {model.uncompiled}'
        else:
            verdict = DiagnosticStatus.OK, model.name
        values = {} if model is None else {
            'name': model.name, 'source': model.source, 'device': model.device,
            'compiled': 'yes' if model.compiled else 'no'}
        if model is not None and model.uncompiled:
            values['why not compiled'] = model.uncompiled
        return self._task('model', verdict, health, values)

    def _task(self, name: str, verdict: tuple[bytes, str], health: Health,
              values: dict[str, object]) -> DiagnosticStatus:
        level, message = verdict
        return DiagnosticStatus(
            level=level, name=f'{self._node_name}: {name}', message=message,
            hardware_id='' if health.model is None else health.model.device,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()])


def _seconds(age: float | None) -> str:
    return 'never' if age is None else f'{age:.2f}'


def _off_clock(behind: float) -> str:
    return (f'stamps are {abs(behind):.1f} s {"behind" if behind > 0 else "ahead of"} the node\'s '
            'clock: synchronise the clocks, or set use_sim_time for a bag or a simulation')
