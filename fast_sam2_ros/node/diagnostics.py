# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the node says on `/diagnostics` (REP-107): camera, tracker, memory and model.

| task | ERROR | WARN | STALE | OK |
|---|---|---|---|---|
| camera | no image for `camera_timeout` | an unreadable image since the last report | not active | otherwise |
| tracker | the last frame failed | images come and none is done for `camera_timeout`, a target is lost, or the latency target is not held | not active | otherwise |
| memory | | less than 5 % of the machine's memory is free | not configured | otherwise |
| model | `configure` failed | a fallback runs, or something is not compiled and `compile` is `on` | not configured | otherwise |
"""  # noqa: E501

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from fast_sam2_ros.msg import TrackerStatus
from fast_sam2_ros.node.mailbox import Counts

LOW_MEMORY = 0.05
WORDS = 80
"""Characters of a goal that are shown."""
STATE_NAMES = {
    TrackerStatus.IDLE: 'idle', TrackerStatus.SEARCHING: 'searching',
    TrackerStatus.TRACKING: 'tracking', TrackerStatus.LOST: 'lost'}


@dataclass(frozen=True)
class ModelInfo:
    """Which model runs where and how.

    fallback: why not the preferred one, or None; compiled: whether compiled graphs run;
    uncompiled: why not, or not for all budgets, where they were asked for.
    """

    name: str
    source: str
    device: str
    fallback: str | None
    compiled: bool = False
    uncompiled: str = ''


@dataclass(frozen=True)
class Health:
    """What the node knows of itself at one moment; ages in seconds, None for never.

    must_compile: whether compiled graphs are not optional; too_slow: why the latency target is
    not held, empty where it is or where there is none.
    """

    active: bool = False
    enabled: bool = True
    camera_timeout: float = 1.0
    arrived: int = 0
    image_age: float | None = None
    done_age: float | None = None
    active_for: float = 0.0
    unreadable: int = 0
    unreadable_reason: str = ''
    counts: Counts = field(default_factory=Counts)
    status: TrackerStatus | None = None
    frame_error: str = ''
    model: ModelInfo | None = None
    model_error: str = ''
    must_compile: bool = False
    too_slow: str = ''


class Diagnostics:
    """Turns the node's health into the four tasks; remembers the last report for the rates."""

    def __init__(self, node_name: str) -> None:
        """Report under `node_name: task`."""
        self._node_name = node_name
        self._before = Health()
        self._time = 0.0

    def report(self, health: Health, now: float) -> list[DiagnosticStatus]:
        """Return the four tasks at `now`, in seconds of a steady clock."""
        elapsed = max(now - self._time, 1e-3)
        tasks = [self._camera(health, elapsed), self._tracker(health, elapsed),
                 self._memory(health), self._model(health)]
        self._before, self._time = health, now
        return tasks

    def _camera(self, health: Health, elapsed: float) -> DiagnosticStatus:
        rate = (health.arrived - self._before.arrived) / elapsed
        silent = health.active_for if health.image_age is None else health.image_age
        if not health.active:
            verdict = DiagnosticStatus.STALE, 'the node is not active'
        elif silent > health.camera_timeout:
            verdict = DiagnosticStatus.ERROR, f'no image for {silent:.1f} s'
        elif health.unreadable > self._before.unreadable:
            verdict = DiagnosticStatus.WARN, f'unreadable image: {health.unreadable_reason}'
        else:
            verdict = DiagnosticStatus.OK, f'{rate:.1f} images per second'
        return self._task('camera', verdict, health, {
            'rate [Hz]': f'{rate:.2f}',
            'age of the last image [s]': _seconds(health.image_age),
            'unreadable images': health.unreadable})

    def _tracker(self, health: Health, elapsed: float) -> DiagnosticStatus:
        status = health.status
        done = health.counts.processed - self._before.counts.processed
        stuck = health.active_for if health.done_age is None else health.done_age
        images_come = health.arrived > self._before.arrived
        if not health.active:
            verdict = DiagnosticStatus.STALE, 'the node is not active'
        elif health.frame_error:
            verdict = DiagnosticStatus.ERROR, health.frame_error
        elif not health.enabled:
            verdict = DiagnosticStatus.OK, 'disabled'
        elif images_come and stuck > health.camera_timeout:
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
        values = {'rate [Hz]': f'{done / elapsed:.2f}',
                  'received': health.counts.received,
                  'processed': health.counts.processed,
                  'dropped': health.counts.dropped}
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
        free = _free_share()
        if health.model is None:
            verdict = DiagnosticStatus.STALE, 'the node is not configured'
        elif free < LOW_MEMORY:
            verdict = DiagnosticStatus.WARN, f'{free:.0%} of the machine\'s memory is free'
        else:
            verdict = DiagnosticStatus.OK, 'enough'
        values = {'process [MiB]': f'{_process_bytes() / 2**20:.0f}',
                  'free [%]': f'{100 * free:.0f}'}
        if health.status is not None:
            values['memory bank [bytes]'] = health.status.bank_bytes
        if health.model is not None and health.model.device.startswith('cuda'):
            import torch  # here, since a node that has not loaded a model starts without it
            used = torch.cuda.memory_allocated(health.model.device)
            values['device [MiB]'] = f'{used / 2**20:.0f}'
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


def _process_bytes() -> int:
    """Return the resident memory of this process (proc(5), VmRSS)."""
    return _proc_bytes('/proc/self/status', 'VmRSS')


def _free_share() -> float:
    """Return the share of the machine's memory that is free (proc(5), MemAvailable)."""
    return (_proc_bytes('/proc/meminfo', 'MemAvailable')
            / _proc_bytes('/proc/meminfo', 'MemTotal'))


def _proc_bytes(path: str, key: str) -> int:
    for line in Path(path).read_text().splitlines():
        if line.startswith(f'{key}:'):
            return 1024 * int(line.split()[1])
    raise OSError(f'{path} has no {key}')
