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
`fast-sam2 evaluate`: J and F on videos with masks, for models, routers and keep ratios.

The protocol is the one of the semi-supervised DAVIS benchmark: the target is given on the first
frame, and neither the first nor the last frame counts. With `--prompt text` only the words are
given, and a frame on which the target is not found counts as an empty mask.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
import shlex
import sys
import time
from typing import TYPE_CHECKING

from fast_sam2_ros.arguments import add_model_arguments, names, numbers, paths, ratio, ratios
from fast_sam2_ros.errors import FastSam2Error, InputError, ParameterError
from fast_sam2_ros.evaluation import report
from fast_sam2_ros.evaluation import rows as results
from fast_sam2_ros.evaluation.davis import bounding_box, load_davis, read_expressions, Sequence
from fast_sam2_ros.evaluation.environment import environment
from fast_sam2_ros.evaluation.metrics import boundary_f, jaccard, over_time
from fast_sam2_ros.evaluation.rows import BASELINE, mean_row, Result, Row
from fast_sam2_ros.prompt import Prompt
from fast_sam2_ros.pruning.routers import ROUTERS
from fast_sam2_ros.sam2.checkpoint import load_model, resolve_device
from fast_sam2_ros.session import session_on
import numpy as np
from tqdm import tqdm

if TYPE_CHECKING:
    from fast_sam2_ros.sam2.loaded import LoadedModel
    from fast_sam2_ros.session import Session

NOT_ALL = 1  # exit code where a setting could not be run and others could
EXAMPLES = """examples:
  fast-sam2 evaluate DAVIS --prompt mask --keep-ratio 1.0,0.5,0.3 --json eval.json
  fast-sam2 evaluate DAVIS --router analytic,prior-only,random --keep-ratio 0.5,0.3 --plot eval.png
  fast-sam2 evaluate DAVIS --sequences bear,bus --prompt text --expressions expressions.csv
  fast-sam2 evaluate DAVIS --keep-ratio 1.0 --memory-keep-ratio 0.05 --json memory.json
  fast-sam2 evaluate --from eval.json,memory.json --json all.json --markdown all.md --plot all.png
"""


@dataclass(frozen=True)
class Setting:
    """How to track: what `session_on` and `load_model` take, None for their defaults."""

    model: str
    router: str
    keep_ratio: float
    memory_keep_ratio: float | None
    memory_frames: int | None
    image_size: int | None
    dense_conditioning: bool
    dtype: str
    roi: float
    roi_refresh: int

    def __str__(self) -> str:
        """Name what varies within a run."""
        words = [self.model, self.router, f'keep ratio {self.keep_ratio:g}']
        words += [self.dtype] * (self.dtype != 'float32')
        words += [f'window {self.roi:g}'] * (self.roi > 0)
        return ', '.join(words)


@dataclass(frozen=True)
class Task:
    """
    What to track: the sequences, how their targets are given, and what these are called.

    `expressions` holds a text for every sequence, or nothing where targets are not named.
    """

    data: str
    sequences: list[Sequence]
    prompt: str
    expressions: dict[str, str]


def load_task(
    root: Path, names: tuple[str, ...] | None, prompt: str, table: Path | None, every: int = 1
) -> Task:
    """
    Read what there is to track in a folder in the layout of DAVIS: all or `every` n-th frame.

    `table` names the targets; with the prompt `text` it is expressions.csv in `root` unless it is
    given, with the others targets are named only where it is given. Raises InputError where a
    target is neither named nor to be seen on the first frame.
    """
    if every < 1:
        raise ParameterError(f'--every is {every}; it must be 1 or more')
    sequences = [sequence.thinned(every) for sequence in load_davis(root, names)]
    expressions: dict[str, str] = {}
    if prompt == 'text' or table is not None:
        expressions = read_expressions(table or root / 'expressions.csv')
        nameless = [sequence.name for sequence in sequences if sequence.name not in expressions]
        if nameless:
            raise InputError(f'the table of expressions lacks {", ".join(nameless)}; choose '
                             'others with --sequences')
    if prompt != 'text':
        for sequence in sequences:
            if not sequence.truth(0).any():
                raise InputError(
                    f'{sequence.masks[0]} is empty: there is no target to point at')
    data = root.resolve().name + (f', every {every} frames' if every > 1 else '')
    return Task(data, sequences, prompt, expressions)


def score_frames(sequence: Sequence, masks: list[np.ndarray]) -> dict[str, float]:
    """Return what a row says of J and F, from one mask (H, W) a frame of a sequence."""
    scores = []
    for index in range(1, len(masks) - 1):
        truth = sequence.truth(index)
        scores.append((jaccard(masks[index], truth), boundary_f(masks[index], truth)))
    j, f = (over_time(values) for values in zip(*scores))
    return {'J': j.mean, 'F': f.mean, 'JF': (j.mean + f.mean) / 2, 'J_recall': j.recall,
            'J_decay': j.decay, 'F_recall': f.recall, 'F_decay': f.decay,
            'found': float(np.mean([mask.any() for mask in masks]))}


def evaluate_baseline(sequence: Sequence, data: str) -> Row:
    """Score the true first mask, repeated for every frame: what a tracker has to beat."""
    count = len(sequence.frames)
    return Row(
        sequence=sequence.name, model='none', router=BASELINE, keep_ratio=0.0, prompt='mask',
        data=data, with_text=False, image_size=0, memory_frames=0, memory_keep_ratio=0.0,
        dense_conditioning=False, fps=0.0, step_ms_median=0.0, step_ms_p95=0.0,
        tokens_retained=0.0, bank_bytes=0, frames=count,
        **score_frames(sequence, [sequence.truth(0)] * count))


def point_or_name(session: Session, sequence: Sequence, task: Task) -> None:
    """Give a session the target of a sequence in the way of the task."""
    text = task.expressions.get(sequence.name, '')
    if task.prompt == 'text':
        session.set_text(text)
        return
    truth = sequence.truth(0)
    session.set_prompt(
        Prompt(mask=truth) if task.prompt == 'mask' else Prompt(box=bounding_box(truth)), text)


def evaluate_session(
    session: Session, sequence: Sequence, task: Task, setting: Setting,
    progress: Callable[[], None]
) -> Row:
    """
    Track one sequence with a session of `setting` and score it; call `progress` at each frame.

    Times are those of `Session.process` and of the mask, the first frame left out.
    """
    point_or_name(session, sequence, task)
    masks, tokens, seconds = [], [], []
    for index, image in enumerate(sequence.images()):
        began = time.perf_counter()
        outcome = session.process(image, index / sequence.rate)
        masks.append(outcome.mask)
        seconds.append(time.perf_counter() - began)
        if outcome.step is not None and index:
            tokens.append(outcome.tokens_retained)
        progress()
    tracker, steps = session.tracker, np.array(seconds[1:])
    return Row(
        sequence=sequence.name, model=session.loaded.name, router=tracker.router,
        keep_ratio=tracker.keep_ratio, prompt=task.prompt, data=task.data,
        with_text=bool(task.expressions),
        image_size=session.loaded.preprocess.image_size, memory_frames=tracker.memory_frames,
        memory_keep_ratio=tracker.memory_keep_ratio,
        dense_conditioning=setting.dense_conditioning,
        fps=1 / float(steps.mean()), step_ms_median=1000 * float(np.median(steps)),
        step_ms_p95=1000 * float(np.percentile(steps, 95)),
        tokens_retained=float(np.mean(tokens)) if tokens else 0.0,
        bank_bytes=tracker.bank_bytes, frames=len(masks), dtype=tracker.dtype,
        roi=setting.roi, **score_frames(sequence, masks))


def evaluate_setting(
    loaded: LoadedModel, setting: Setting, task: Task, device: str, grounder: str,
    progress: Callable[[], None]
) -> list[Row]:
    """
    Track every sequence in a session of its own, and return their rows and the mean.

    So a sequence gives the same whichever others are run with it.
    """
    some = []
    for sequence in task.sequences:
        session = session_on(
            loaded, device, keep_ratio=setting.keep_ratio, router=setting.router,
            grounder=grounder if task.prompt == 'text' else 'none',
            memory_keep_ratio=setting.memory_keep_ratio, memory_frames=setting.memory_frames,
            dense_conditioning=setting.dense_conditioning, dtype=setting.dtype, roi=setting.roi,
            roi_refresh=setting.roi_refresh)
        some.append(evaluate_session(session, sequence, task, setting, progress))
    return [*some, mean_row(some)]


def run(
    settings: list[Setting], task: Task, device: str, grounder: str, command: str = ''
) -> Iterator[Result]:
    """
    Evaluate one setting after the other; yield all there is after each, first the baseline.

    A setting that cannot be run is named in `errors`, and the others go on. Settings of one model
    must follow each other, since one is in memory at a time.
    """
    about = {**environment(device), 'command': command}
    found = [evaluate_baseline(sequence, task.data) for sequence in task.sequences]
    found.append(mean_row(found))
    errors: list[dict] = []
    yield Result(about, found, errors)
    loaded, held = None, None
    total = len(settings) * sum(len(sequence.frames) for sequence in task.sequences)
    with tqdm(total=total, unit='frame', desc='evaluate', leave=False, disable=None) as bar:
        for count, setting in enumerate(settings, start=1):
            bar.set_postfix_str(str(setting))
            try:
                if held != (setting.model, setting.image_size):
                    loaded = None  # so that there are never two
                    loaded = load_model(
                        setting.model, device, image_size=setting.image_size)
                    held = setting.model, setting.image_size
                more = evaluate_setting(loaded, setting, task, device, grounder, bar.update)
            except (FastSam2Error, RuntimeError) as error:  # RuntimeError: out of memory
                errors.append({**asdict(setting), 'error': ' '.join(str(error).split())})
                outcome = f'cannot be run: {errors[-1]["error"]}'
            else:
                found += more
                outcome = f'J&F {more[-1].JF:.3f}, {more[-1].fps:.2f} frames/s'
            tqdm.write(f'{count}/{len(settings)} {setting}: {outcome}', file=sys.stderr)
            yield Result(about, found, errors)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `fast-sam2 evaluate`."""
    parser.epilog = EXAMPLES
    parser.add_argument('root', type=Path, nargs='?',
                        help='a folder in the layout of DAVIS (480p)')
    parser.add_argument('--sequences', type=names, metavar='A,B', help='only these')
    parser.add_argument('--every', type=int, default=1, metavar='N',
                        help='only every Nth frame, as a slower camera sees them (default: 1)')
    parser.add_argument('--prompt', choices=('mask', 'box', 'text'), default='mask',
                        help='how the target is given (default: %(default)s)')
    parser.add_argument('--expressions', type=Path, metavar='CSV',
                        help='the table of targets in words (for the prompt text default: '
                             'expressions.csv in ROOT); with the prompts mask and box the target '
                             'is named as well where this is given')
    add_model_arguments(parser)
    group = parser.add_argument_group('settings', 'every model with every router at every keep '
                                      'ratio; --model takes several as well, A,B')
    group.add_argument('--keep-ratio', type=ratios, default=[0.5], metavar='R,R',
                       help='shares of the tokens to keep, in (0, 1] (default: 0.5)')
    group.add_argument('--router', type=names, default=['analytic'], metavar='A,B',
                       help=f'{", ".join(ROUTERS)} (default: analytic)')
    group.add_argument('--image-size', type=int, metavar='N',
                       help="pixels a side of the model's input, a multiple of 32 (default: what "
                            'the model was trained with)')
    group.add_argument('--memory-frames', type=int, metavar='N',
                       help='recent frames to remember (default: as many as the model does)')
    group.add_argument('--memory-keep-ratio', type=ratio, metavar='R',
                       help='share of the tokens to remember (default: the keep ratio)')
    group.add_argument('--dtype', type=names, default=['float32'], metavar='A,B',
                       help='what the model computes in: float32, bfloat16 or auto (default: '
                            'float32)')
    group.add_argument('--roi', type=numbers, default=[0.0], metavar='R,R',
                       help="encode a window around the target, of this share of the frame's "
                            'sides; 0 for whole frames (default: 0)')
    group.add_argument('--roi-refresh', type=int, default=10, metavar='N',
                       help='then encode the whole frame every N frames (default: %(default)s)')
    group.add_argument('--prune-conditioning', action='store_true',
                       help='prune the first frame in the memory as well, as published')
    group = parser.add_argument_group('report')
    group.add_argument('--json', type=Path, metavar='OUT',
                       help='write the rows there, anew after every setting')
    group.add_argument('--markdown', type=Path, metavar='OUT',
                       help='write tables there: means, then every sequence')
    group.add_argument('--plot', type=Path, metavar='OUT',
                       help='draw J&F over the keep ratio and over the time of a step (PNG, PDF '
                            'or SVG)')
    group.add_argument('--from', dest='sources', type=paths, metavar='A,B',
                       help='run nothing: report on these JSON files, put together as one')


def main(arguments: argparse.Namespace) -> int:
    """Run `fast-sam2 evaluate`: print the rows, and write what was asked for."""
    if (arguments.root is None) == (arguments.sources is None):
        raise ParameterError('name either a folder in the layout of DAVIS, or files with --from')
    if arguments.plot is not None:
        report.check_drawing()
    if arguments.sources is not None:
        result = results.merge(arguments.sources)
        if arguments.json is not None:
            results.write(result, arguments.json)
    else:
        for result in _run_as_asked(arguments):
            if arguments.json is not None:
                results.write(result, arguments.json)
    print(report.table(result.rows))
    if not results.same_sequences(result.rows):
        print(f'fast-sam2 evaluate: {report.UNEQUAL}', file=sys.stderr)
    if arguments.markdown is not None:
        arguments.markdown.parent.mkdir(parents=True, exist_ok=True)
        arguments.markdown.write_text(report.markdown(result), encoding='utf-8')
    if all(row.router == BASELINE for row in result.rows):
        raise ParameterError('no setting could be run')
    if arguments.plot is not None:
        report.plot(result, arguments.plot)
    return NOT_ALL if result.errors and arguments.sources is None else 0


def _run_as_asked(arguments: argparse.Namespace) -> Iterator[Result]:
    task = load_task(
        arguments.root, arguments.sequences, arguments.prompt, arguments.expressions,
        arguments.every)
    settings = [
        Setting(model, router, keep, arguments.memory_keep_ratio, arguments.memory_frames,
                arguments.image_size, not arguments.prune_conditioning, dtype, roi,
                arguments.roi_refresh)
        for model, router, keep, dtype, roi in product(
            names(arguments.model), arguments.router, arguments.keep_ratio, arguments.dtype,
            arguments.roi)]
    if not settings:
        raise ParameterError('--model, --router and --keep-ratio need a value each')
    return run(settings, task, str(resolve_device(arguments.device)), arguments.grounder,
               shlex.join(['fast-sam2', *arguments.words]))
