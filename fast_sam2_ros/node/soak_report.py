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
"""What a soak showed: its figures by the minute, the verdict, and a table of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fast_sam2_ros.evaluation.drift import CONFIDENCE, has_grown, slope
from fast_sam2_ros.node.footprint import Footprint
from fast_sam2_ros.node.soak_client import Log
import numpy as np

NIGHT = 10.0
"""Hours that a robot is to run on."""
ROOM = 100e6
"""Bytes that its tracker may take in addition in that time."""
MB = 1e6
WARM_UP = 600.0
"""Most seconds at the beginning that do not count; of a short soak, `WARM_UP_SHARE` of it."""
WARM_UP_SHARE = 0.2
LONGEST_SILENCE = 10.0
"""Seconds without a mask after which the node counts as stuck."""
LONGEST_WAIT = 5.0
"""Seconds within which a goal is to be taken up."""
LONGEST_END = 5.0
"""Seconds within which the node is to end after SIGINT."""
EXPECTED = {('tracker', 'WARN')}
"""Tasks and levels of diagnostics that belong to a soak: lost targets, and steps of a second."""


@dataclass(frozen=True)
class Sample:
    """What the node's process took at a time (s), and all processes held in /dev/shm (bytes)."""

    time: float
    footprint: Footprint
    shared_memory: int


@dataclass(frozen=True)
class Ending:
    """
    How it ended.

    reason: why before its time, empty where it was not; status, seconds: of the node's process
    after SIGINT, None where it was not told to end; left: names in /dev/shm of what came with it
    and is still there.
    """

    reason: str = ''
    status: int | None = None
    seconds: float | None = None
    left: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """One question of the verdict, and the answer in words."""

    name: str
    ok: bool
    text: str


def warm_up(seconds: float) -> float:
    """Return how many seconds of a soak do not count."""
    return min(WARM_UP, WARM_UP_SHARE * seconds)


def minutes(log: Log, samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Return the figures of every minute: rates, ages, steps, states, memory at its end."""
    ends = [sample.time for sample in samples]
    rows = []
    for minute in range(int(ends[-1] // 60) + 1 if ends else 0):
        inside = [sample for sample in samples if sample.time // 60 == minute]
        ages = [age for time, age in log.masks if time // 60 == minute]
        steps = [step for step in log.steps if step[0] // 60 == minute]
        if not inside:
            continue
        last = inside[-1].footprint
        states = [state for _, _, state in steps]
        rows.append({
            'minute': minute, 'masks': len(ages),
            **_spread('age_ms', ages), **_spread('step_ms', _tracking(steps)),
            **{name: states.count(name) for name in ('idle', 'searching', 'tracking', 'lost')},
            'losses': sum(time // 60 == minute for time in log.losses),
            'recoveries': sum(time // 60 == minute for time in log.recoveries),
            'own_mb': last.own / MB, 'resident_mb': last.resident / MB,
            'threads': last.threads, 'files': last.files})
    return rows


def summarise(log: Log, samples: Sequence[Sample], seconds: float, cycle: float) -> dict[str, Any]:
    """Return the figures of the whole soak of `seconds`, whose goals repeat after `cycle` s."""
    lasted = samples[-1].time if samples else 0.0
    ious = [iou for _, iou, _ in log.looks if iou is not None]
    out_of_view = [found for _, iou, found in log.looks if iou is None]
    waits = [asked.taken_after for asked in log.goals if asked.taken_after is not None]
    times = [0.0, *(time for time, _ in log.masks), lasted]
    tracked = [iou for iou in ious if iou > 0]
    return {
        'minutes': lasted / 60, 'masks': len(log.masks),
        'masks_per_second': len(log.masks) / lasted if lasted else 0.0,
        **_spread('age_ms', [age for _, age in log.masks]),
        **_spread('step_ms', _tracking(log.steps)),
        'longest_silence_s': float(np.diff(times).max()), 'stamps_backwards': log.backwards,
        'counts': log.counts,
        'states': {name: sum(state == name for _, _, state in log.steps)
                   for name in ('idle', 'searching', 'tracking', 'lost')},
        'losses': len(log.losses), 'recoveries': len(log.recoveries),
        'goals': len(log.goals), 'goals_taken': len(waits),
        'goal_taken_after_s_median': _median(waits),
        'goal_taken_after_s_max': max(waits, default=0),
        'in_view': len(ious), 'in_view_tracked': len(tracked), 'iou_tracked': _mean(tracked),
        'out_of_view': len(out_of_view), 'out_of_view_masked': sum(out_of_view),
        'watched': log.watched, 'diagnostics': log.reports,
        'diagnostics_not_ok': [
            {'task': task, 'level': level, 'message': message, 'times': times}
            for (task, level, message), times in sorted(log.tasks.items())],
        'bank_bytes': {str(count): sorted(sizes) for count, sizes in sorted(log.bank.items())},
        'memory': {name: _memory(name, samples, seconds, cycle)
                   for name in ('own', 'resident', 'private', 'proportional')},
        **{name: _range([getattr(sample.footprint, name)
                         for sample in _counted(samples, seconds)])
           for name in ('threads', 'files', 'mapped', 'mapped_bytes')},
        'shared_memory': _range([sample.shared_memory for sample in samples])}


def judge(summary: dict[str, Any], samples: Sequence[Sample], seconds: float, errors: list[str],
          ending: Ending | None, loses: bool = True) -> list[Check]:
    """
    Answer every question of the verdict.

    errors: lines of the node's log; ending: None while the soak goes on; loses: whether targets
    leave the view, and have to be lost and found.
    """
    counted = _counted(samples, seconds)
    checks = [_check_memory(name, summary['memory'][name]) for name in ('own', 'resident')]
    checks += [_check_level(name, [getattr(sample.footprint, name) for sample in counted])
               for name in ('threads', 'files', 'mapped')]
    bank = summary['bank_bytes']
    checks.append(Check('bank', all(len(sizes) == 1 for sizes in bank.values()) and bool(bank),
                        'bytes by the number of targets: ' + '; '.join(
                            f'{count}: {", ".join(map(str, sizes))}'
                            for count, sizes in bank.items())))
    wrong = [each for each in summary['diagnostics_not_ok']
             if (each['task'], each['level']) not in EXPECTED]
    checks.append(Check('diagnostics', summary['diagnostics'] > 0 and not wrong, (
        f'{summary["diagnostics"]} reports, '
        + ('; '.join(f'{each["times"]} times {each["task"]} {each["level"]}: {each["message"]}'
                     for each in wrong) or 'nothing but warnings of the tracker'))))
    checks.append(Check('log', not errors, f'{len(errors)} errors' + (
        f', the first: {errors[0]}' if errors else '')))
    checks.append(Check('masks', summary['longest_silence_s'] <= LONGEST_SILENCE
                        and not summary['stamps_backwards'], (
        f'{summary["masks"]}, never {summary["longest_silence_s"]:.1f} s or more without one, '
        f'{summary["stamps_backwards"]} out of order')))
    counts = summary['counts']
    checks.append(Check('counts', bool(counts) and counts['received']
                        == counts['processed'] + counts['dropped'], (
        ', '.join(f'{count} {name}' for name, count in counts.items()))))
    # The last goal may have been published a moment ago.
    missed = summary['goals'] - summary['goals_taken'] - (ending is None)
    checks.append(Check('goals', missed <= 0 and summary['goals'] > 0
                        and summary['goal_taken_after_s_max'] <= LONGEST_WAIT, (
        f'{summary["goals_taken"]} of {summary["goals"]} taken up, each within '
        f'{summary["goal_taken_after_s_max"]:.2f} s')))
    followed = (summary['losses'] > 0 and summary['recoveries'] > 0 if loses
                else summary['states']['tracking'] > 0)
    checks.append(Check('targets', followed, (
        f'lost {summary["losses"]} times, found again {summary["recoveries"]} times')))
    if ending is not None:
        checks.append(_check_ending(ending))
    return checks


def report(result: dict[str, Any]) -> str:
    """Return a result file as tables in Markdown: the figures, then the checks."""
    summary, given = result['summary'], result['environment']
    rows = {
        'Machine': f'{given["device"]}, {given["cores"]} cores',
        'Date, Python, PyTorch': f'{given["date"]}, {given["python"]}, {given["torch"]}',
        'Length, camera': f'{summary["minutes"]:.1f} min, {result["rate"]:g} Hz',
        'Masks': f'{summary["masks"]} ({summary["masks_per_second"]:.1f} a second)',
        'Age of a mask, median and p95': _pair(summary, 'age_ms', 'ms'),
        'Step while tracking, median and p95': _pair(summary, 'step_ms', 'ms'),
        'Goals taken up': f'{summary["goals_taken"]} of {summary["goals"]}, within '
                          f'{summary["goal_taken_after_s_max"]:.2f} s',
        'Lost, found again': f'{summary["losses"]}, {summary["recoveries"]}',
        'Looks with the target in view': f'{summary["in_view"]}, tracked in '
                                         f'{summary["in_view_tracked"]} with a mean IoU of '
                                         f'{_number(summary["iou_tracked"])}',
        'Looks without it': f'{summary["out_of_view"]}, with a mask in '
                            f'{summary["out_of_view_masked"]}',
        'Diagnostics that were not OK': _diagnostics(summary),
        'Own memory (RssAnon), after the warm-up and at the end':
            _ends(summary['memory']['own']),
        'Resident memory (RSS), likewise': _ends(summary['memory']['resident']),
    }
    lines = ['| | |', '|---|---|', *(f'| {name} | {text} |' for name, text in rows.items()), '',
             '| check | | |', '|---|---|---|',
             *(f'| {check["name"]} | {"ok" if check["ok"] else "FAILED"} | {check["text"]} |'
               for check in result['checks'])]
    return '\n'.join(lines)


def _counted(samples: Sequence[Sample], seconds: float) -> list[Sample]:
    """Return the samples after the warm-up."""
    return [sample for sample in samples if sample.time >= warm_up(seconds)]


def _memory(name: str, samples: Sequence[Sample], seconds: float, cycle: float
            ) -> dict[str, Any] | None:
    """Return how a kind of memory grew after the warm-up, in MB and hours; None where unknown."""
    known = [(sample.time, size) for sample in _counted(samples, seconds)
             if (size := getattr(sample.footprint, name)) is not None]
    found = slope([time for time, _ in known], [size / MB for _, size in known], cycle)
    if found is None:
        return None
    sizes = [size / MB for _, size in known]
    tenth = max(1, len(sizes) // 10)
    return {'mb_begin': _median(sizes[:tenth]), 'mb_end': _median(sizes[-tenth:]),
            'mb_max': max(sizes), **{f'mb_{key}': value for key, value in asdict(found).items()},
            'may_be_zero': found.may_be_zero,
            'mb_a_night': NIGHT * found.per_hour, 'mb_a_night_at_most': NIGHT * found.high}


def _check_memory(name: str, memory: dict[str, Any] | None) -> Check:
    if memory is None:
        return Check(name + ' memory', False, 'too few samples to say anything')
    small = memory['mb_a_night'] <= ROOM / MB
    verdict = ('indistinguishable from zero' if memory['may_be_zero'] else
               'not zero, but less than' if small else 'more than')
    if not memory['may_be_zero']:
        verdict += f' the {ROOM / MB:.0f} MB that a night of {NIGHT:.0f} h may take'
    return Check(name + ' memory', memory['may_be_zero'] or small, (
        f'{memory["mb_per_hour"]:+.2f} MB an hour ({CONFIDENCE:.0%} interval '
        f'{memory["mb_low"]:+.2f} to {memory["mb_high"]:+.2f}): {verdict}; in a night '
        f'{memory["mb_a_night"]:+.0f} MB, at most {memory["mb_a_night_at_most"]:+.0f}'))


def _check_level(name: str, values: list[int]) -> Check:
    words = {'mapped': 'files mapped from /dev/shm'}.get(name, name)
    if not values:
        return Check(words, False, 'never looked at')
    return Check(words, not has_grown(values),
                 f'{values[0]} after the warm-up, {values[-1]} at the end, '
                 f'{min(values)} to {max(values)} between')


def _check_ending(ending: Ending) -> Check:
    if ending.reason:
        return Check('end', False, ending.reason)
    ok = ending.status == 0 and ending.seconds <= LONGEST_END and not ending.left
    return Check('end', ok, f'after SIGINT the node ended with status {ending.status} in '
                            f'{ending.seconds:.1f} s and left in /dev/shm '
                            f'{", ".join(ending.left) or "nothing"}')


def _tracking(steps: Sequence[tuple[float, float, str]]) -> list[float]:
    """Return the lengths of the steps in which something was tracked."""
    return [length for _, length, state in steps if state == 'tracking']


def _spread(name: str, values: Sequence[float]) -> dict[str, float | None]:
    return {f'{name}_median': _median(values),
            f'{name}_p95': float(np.percentile(values, 95)) if len(values) else None}


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if len(values) else None


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _range(values: Sequence[int]) -> dict[str, int | None]:
    return {'first': values[0], 'last': values[-1], 'least': min(values), 'most': max(values)
            } if values else {}


def _pair(summary: dict[str, Any], name: str, unit: str) -> str:
    return ', '.join(_number(summary[f'{name}_{part}'], '.1f') + f' {unit}'
                     for part in ('median', 'p95'))


def _diagnostics(summary: dict[str, Any]) -> str:
    """Return how often each thing was said, lost targets of all names together."""
    said: dict[str, int] = {}
    for each in summary['diagnostics_not_ok']:
        words = 'lost' if each['message'].startswith('lost') else each['message']
        name = f'{each["task"]} {each["level"]}: {words}'
        said[name] = said.get(name, 0) + each['times']
    return f'of {summary["diagnostics"]} reports ' + (
        ', '.join(f'{times} {name}' for name, times in said.items()) or 'none')


def _ends(memory: dict[str, Any] | None) -> str:
    return ('unknown' if memory is None
            else f'{memory["mb_begin"]:.1f} MB, {memory["mb_end"]:.1f} MB')


def _number(value: float | None, form: str = '.3f') -> str:
    return 'unknown' if value is None else format(value, form)
