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
What happens when the target is lost, measured on rendered clips in which it is.

`python -m fast_sam2_ros.evaluation.recovery DIR --json OUT` tracks every clip of the set `lost`
(`evaluation.rendered`) by its word under several policies:

- `ours`: the session as it is: loss by the object score, searches at a bounded rate.
- `reset`: the target is named anew every 20 frames, so that the grounder finds it again.
- `memory`: the grounder finds the target once; after that the tracker's memory is alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
import sys
from typing import Any

from fast_sam2_ros.arguments import add_tracking_arguments, names, open_session_from
from fast_sam2_ros.errors import InputError
from fast_sam2_ros.evaluation.davis import load_davis, Sequence
from fast_sam2_ros.evaluation.environment import environment
from fast_sam2_ros.evaluation.metrics import jaccard
from fast_sam2_ros.evaluation.rendered import lookalike_masks, read_stories, Story
from fast_sam2_ros.evaluation.rows import write_json
from fast_sam2_ros.grounding.result import Grounder, Grounding, NotFound
from fast_sam2_ros.media import read_mask
from fast_sam2_ros.session import Session, TargetState
import numpy as np
from tqdm import tqdm

POLICIES = OURS, RESET, MEMORY = ('ours', 'reset', 'memory')
ALL = 'all'  # in place of a kind of story
RECOVERED = 0.5  # IoU, over which the target is followed again
WITHIN = 30  # frames after its return in which that counts
ON = 0.5  # share of a mask that lies on a thing, from which on the mask is on it


@dataclass(frozen=True)
class Outcome:
    """
    What a policy made of a clip.

    frames: how many; absent: those that show nothing of the target.
    found: whether it was followed, with an IoU over `RECOVERED`, in most frames before it left.
    recover: frames from its return until it is followed again, None where that takes more than
    `WITHIN`.
    delay: frames from its leaving until the session says so; None where it does not before the
    return.
    wrong: frames with a mask of which less than half lies on the target; on_lookalike: those of
    them with more than half on the look-alike.
    masked_absent: frames with a mask and without the target; missed: the other way round.
    J: mean of all frames, 1 where neither mask nor target is there.
    calls: how often the grounder ran.
    """

    clip: str
    kind: str
    policy: str
    frames: int
    absent: int
    found: bool
    recover: int | None
    delay: int | None
    wrong: int
    on_lookalike: int
    masked_absent: int
    missed: int
    J: float
    calls: int


@dataclass(frozen=True)
class Summary:
    """
    The outcomes of one policy on one kind of story, or on all.

    Rates are in [0, 1]: `found` and `recovered` of the clips, `stated` of the losses, `wrong` and
    `on_lookalike` of all frames, `masked_absent` of the frames without the target, `missed` of the
    others. Medians are over the clips in which it happened, None where it never did. `calls` are
    the grounder's, in 1,000 frames.
    """

    kind: str
    policy: str
    clips: int
    found: float
    recovered: float
    recover_median: float | None
    recover_p95: float | None
    stated: float
    delay_median: float | None
    wrong: float
    on_lookalike: float
    masked_absent: float
    missed: float
    J: float
    calls: float


class CountingGrounder:
    """Counts the calls of a grounder; finds nothing while it is closed, which is no call."""

    def __init__(self, grounder: Grounder) -> None:
        """Take the grounder that answers."""
        self.inner = grounder
        self.name = grounder.name
        self.calls = 0
        self.closed = False

    def ground(self, image: np.ndarray, text: str) -> Grounding | NotFound:
        """Answer as the grounder does, unless closed."""
        if self.closed:
            return NotFound('the grounder is closed')
        self.calls += 1
        return self.inner.ground(image, text)

    def knows(self, text: str) -> bool:
        """Return whether the grounder knows the words of a text."""
        return self.inner.knows(text)


@dataclass(frozen=True, eq=False)
class Trial:
    """
    What a session said of a clip, frame by frame.

    masks: (T, H, W) bool.  states: T of them.  calls: how often the grounder ran.
    """

    masks: np.ndarray
    states: list[TargetState]
    calls: int


def attempt(session: Session, sequence: Sequence, story: Story, policy: str, reset_every: int,
            progress: Callable[[], None]) -> Trial:
    """Track a clip by its word under a policy; call `progress` after each frame."""
    grounder = CountingGrounder(session.grounder)
    session.grounder = grounder
    try:
        session.set_text(story.text)
        masks, states = [], []
        for index, image in enumerate(sequence.images()):
            if policy == RESET and index and index % reset_every == 0:
                session.set_text(story.text)
            report = session.process(image, index / story.fps)
            if policy == MEMORY and report.state is TargetState.TRACKING:
                grounder.closed = True
            masks.append(report.mask > 0)
            states.append(report.state)
            progress()
    finally:
        session.grounder = grounder.inner
    return Trial(np.stack(masks), states, grounder.calls)


def judge(clip: str, policy: str, story: Story, trial: Trial, truth: np.ndarray,
          lookalike: np.ndarray | None) -> Outcome:
    """
    Compare what was said with what there was.

    truth, lookalike: (T, H, W) bool, of the target and of its look-alike.
    """
    begin, end = story.away
    overlaps = np.array([jaccard(mask, true) for mask, true in zip(trial.masks, truth)])
    masked, shown = trial.masks.any((1, 2)), truth.any((1, 2))
    wrong = masked & (_share_on(trial.masks, truth) < ON)
    fooled = np.zeros_like(wrong)
    if lookalike is not None:
        fooled = wrong & (_share_on(trial.masks, lookalike) >= ON)
    back = np.flatnonzero((overlaps > RECOVERED)[end:end + WITHIN + 1])
    stated = [index for index in range(begin, end)
              if trial.states[index] is not TargetState.TRACKING]
    return Outcome(
        clip, story.kind, policy, frames=len(truth), absent=int((~shown).sum()),
        found=bool(np.mean(overlaps[:begin] > RECOVERED) > 0.5),
        recover=int(back[0]) if len(back) else None,
        delay=stated[0] - begin if stated else None,
        wrong=int(wrong.sum()), on_lookalike=int(fooled.sum()),
        masked_absent=int((masked & ~shown).sum()), missed=int((shown & ~masked).sum()),
        J=float(overlaps.mean()), calls=trial.calls)


def _share_on(masks: np.ndarray, things: np.ndarray) -> np.ndarray:
    """Return which share of each mask lies on a thing, (T,); 0 for an empty mask."""
    return (masks & things).sum((1, 2)) / np.maximum(masks.sum((1, 2)), 1)


def summarise(outcomes: list[Outcome]) -> list[Summary]:
    """Sum up each policy on each kind of story and on all, in the order of the outcomes."""
    kinds = [*dict.fromkeys(outcome.kind for outcome in outcomes), ALL]
    policies = list(dict.fromkeys(outcome.policy for outcome in outcomes))
    groups = ((kind, policy, [o for o in outcomes if o.policy == policy and kind in (o.kind, ALL)])
              for kind in kinds for policy in policies)
    return [_summary(*group) for group in groups if group[2]]


def _summary(kind: str, policy: str, some: list[Outcome]) -> Summary:
    def total(key: str) -> int:
        return sum(getattr(outcome, key) for outcome in some)

    recover = [outcome.recover for outcome in some if outcome.recover is not None]
    delays = [outcome.delay for outcome in some if outcome.delay is not None]
    frames, absent = total('frames'), total('absent')
    return Summary(
        kind, policy, len(some), found=total('found') / len(some),
        recovered=len(recover) / len(some),
        recover_median=float(np.median(recover)) if recover else None,
        recover_p95=float(np.percentile(recover, 95)) if recover else None,
        stated=len(delays) / len(some), delay_median=float(np.median(delays)) if delays else None,
        wrong=total('wrong') / frames, on_lookalike=total('on_lookalike') / frames,
        masked_absent=total('masked_absent') / max(absent, 1),
        missed=total('missed') / max(frames - absent, 1),
        J=float(np.mean([outcome.J for outcome in some])), calls=1000 * total('calls') / frames)


def table(summaries: list[Summary]) -> str:
    """Lay summaries out for a person."""
    lines = [f'{"kind":<11}{"policy":<9}{"clips":>5}{"found":>7}{"recov.":>7}{"median":>7}'
             f'{"p95":>6}{"stated":>7}{"delay":>6}{"wrong":>7}{"l-alike":>8}{"absent":>7}'
             f'{"missed":>7}{"J":>7}{"calls":>7}']
    for s in summaries:
        lines.append(
            f'{s.kind:<11}{s.policy:<9}{s.clips:>5}{s.found:>7.2f}{s.recovered:>7.2f}'
            f'{_number(s.recover_median):>7}{_number(s.recover_p95):>6}{s.stated:>7.2f}'
            f'{_number(s.delay_median):>6}{s.wrong:>7.3f}{s.on_lookalike:>8.3f}'
            f'{s.masked_absent:>7.2f}{s.missed:>7.2f}{s.J:>7.3f}{s.calls:>7.1f}')
    return '\n'.join(lines)


def _number(value: float | None) -> str:
    return '-' if value is None else f'{value:.0f}'


def run(session: Session, root: Path, names: tuple[str, ...] | None,
        policies: tuple[str, ...], reset_every: int,
        report: Callable[[list[Outcome]], None]) -> list[Outcome]:
    """
    Track the clips of a folder under each policy; `report` all outcomes after each clip.

    Raises InputError where a clip has no story, or one without an absence.
    """
    sequences, stories = load_davis(root, names), read_stories(root)
    for sequence in sequences:
        if sequence.name not in stories or stories[sequence.name].away is None:
            raise InputError(f'{root} does not say when the target of {sequence.name} is away; '
                             'render the set lost')
    outcomes: list[Outcome] = []
    total = len(policies) * sum(len(sequence.frames) for sequence in sequences)
    with tqdm(total=total, unit='frame', desc='recovery', leave=False, disable=None) as bar:
        for sequence in sequences:
            story = stories[sequence.name]
            truth = np.stack([sequence.truth(index) for index in range(len(sequence.frames))])
            rival = None
            if story.lookalike:
                rival = np.stack([read_mask(p) for p in lookalike_masks(root, sequence.name)])
            for policy in policies:
                bar.set_postfix_str(f'{sequence.name} {policy}')
                trial = attempt(session, sequence, story, policy, reset_every, bar.update)
                outcomes.append(judge(sequence.name, policy, story, trial, truth, rival))
            report(outcomes)
    return outcomes


def _policies(text: str) -> tuple[str, ...]:
    unknown = set(names(text)) - set(POLICIES)
    if unknown:
        raise argparse.ArgumentTypeError(f'{", ".join(unknown)}: not one of {POLICIES}')
    return names(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this evaluation."""
    parser.add_argument('root', type=Path, help='a rendered set `lost`')
    parser.add_argument('--sequences', type=names, metavar='A,B', help='only these')
    parser.add_argument('--policies', type=_policies, default=POLICIES, metavar='A,B',
                        help=f'of {", ".join(POLICIES)} (default: all)')
    parser.add_argument('--reset-every', type=int, default=20, metavar='FRAMES',
                        help='of the policy reset (default: %(default)s)')
    parser.add_argument('--json', type=Path, metavar='OUT', help='write the figures there')
    add_tracking_arguments(parser)


def main(arguments: argparse.Namespace) -> int:
    """Measure, print the summaries, and write them and the outcomes where --json says."""
    session = open_session_from(arguments)
    if session.grounder is None:
        raise InputError('targets are named here: choose a grounder with --grounder')
    device = next(session.loaded.model.parameters()).device.type
    about: dict[str, Any] = {
        **environment(device), 'command': ' '.join(['recovery', *sys.argv[1:]]),
        'model': session.loaded.name, 'grounder': session.grounder.name,
        'keep_ratio': session.tracker.keep_ratio, 'router': session.tracker.router,
        'lost_after': session.lost_after, 'reground_period': session.reground_period,
        'reset_every': arguments.reset_every}

    def write(outcomes: list[Outcome]) -> None:
        if arguments.json is None:
            return
        result = {'environment': about, 'rows': [asdict(row) for row in summarise(outcomes)],
                  'clips': [asdict(outcome) for outcome in outcomes]}
        write_json(result, arguments.json)

    outcomes = run(session, arguments.root, arguments.sequences, arguments.policies,
                   arguments.reset_every, write)
    print(table(summarise(outcomes)))
    return 0


if __name__ == '__main__':
    argument_parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(argument_parser)
    raise SystemExit(main(argument_parser.parse_args()))
