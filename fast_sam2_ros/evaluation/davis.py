# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`fast-sam2 evaluate`: J and F on a data set in the layout of DAVIS.

The protocol is the one of the semi-supervised DAVIS benchmark: the target is given on the first
frame, and neither the first nor the last frame counts. With `--prompt text` only the words are
given, and a frame on which the target is not found counts as an empty mask.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
import csv
from dataclasses import asdict, dataclass, replace
import json
from pathlib import Path
import platform
import time
from typing import TYPE_CHECKING

import numpy as np

from fast_sam2_ros.arguments import add_model_arguments, ratio
from fast_sam2_ros.errors import InputError
from fast_sam2_ros.evaluation.metrics import boundary_f, jaccard
from fast_sam2_ros.media import IMAGE_SUFFIXES, read_image, read_mask

if TYPE_CHECKING:
    from fast_sam2_ros.sam2.loaded import LoadedModel
    from fast_sam2_ros.session import Session

RESOLUTION = '480p'
FRAMES_PER_SECOND = 24.0  # of the DAVIS videos; gives the frames their stamps
BASELINE = 'repeat-first-mask'
EXAMPLES = """examples:
  fast-sam2 evaluate DAVIS --prompt mask --keep-ratio 1.0,0.5,0.3 --json eval.json
  fast-sam2 evaluate DAVIS --sequences bear,bus --prompt text --expressions expressions.csv
"""


@dataclass(frozen=True)
class Sequence:
    """One video: its frames' files and its masks' files, as many, in order."""

    name: str
    frames: tuple[Path, ...]
    masks: tuple[Path, ...]

    def images(self) -> Iterator[np.ndarray]:
        """Read the frames, (H, W, 3) uint8 RGB."""
        return (read_image(path) for path in self.frames)

    def truth(self, index: int) -> np.ndarray:
        """Read a mask, (H, W) bool; all objects together are the target, as in DAVIS 2016."""
        return read_mask(self.masks[index])


@dataclass(frozen=True)
class Row:
    """One line of the result (DESIGN, section 7); J, F and JF in [0, 1]."""

    sequence: str
    model: str
    router: str
    keep_ratio: float
    prompt: str
    J: float
    F: float
    JF: float
    fps: float
    tokens_retained: float
    bank_bytes: int


def load_davis(root: Path, names: list[str] | None = None) -> list[Sequence]:
    """Find the sequences of a DAVIS folder, all or the named ones.

    `root` holds JPEGImages/480p/NAME/*.jpg and Annotations/480p/NAME/*.png. Raise InputError
    where a sequence is missing, or has not one mask for each frame.
    """
    images, annotations = root / 'JPEGImages' / RESOLUTION, root / 'Annotations' / RESOLUTION
    for folder in (images, annotations):
        if not folder.is_dir():
            raise InputError(f'{folder} is missing: give the folder that holds JPEGImages/ and '
                             'Annotations/ of DAVIS')
    there = sorted(folder.name for folder in images.iterdir() if folder.is_dir())
    unknown = sorted(set(names or ()) - set(there))
    if unknown:
        raise InputError(f'{root} has no sequence {", ".join(unknown)}; it has {", ".join(there)}')
    sequences = [_load_sequence(name, images / name, annotations / name)
                 for name in (names or there)]
    if not sequences:
        raise InputError(f'{images} holds no sequence')
    return sequences


def _load_sequence(name: str, images: Path, annotations: Path) -> Sequence:
    frames = sorted(p for p in images.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    masks = [annotations / f'{frame.stem}.png' for frame in frames]
    missing = [mask for mask in masks if not mask.is_file()]
    if missing:
        raise InputError(f'{missing[0]} is missing: each frame of {name} needs its mask')
    if len(frames) < 3:
        raise InputError(f'{images} has {len(frames)} frames; 3 are needed at least, since the '
                         'first and the last do not count')
    return Sequence(name, tuple(frames), tuple(masks))


def read_expressions(path: Path) -> dict[str, str]:
    """Read a table `video_id;instance_id;ref_exp`; return the first expression of each video."""
    if not path.is_file():
        raise InputError(f'{path} does not exist; name the table with --expressions')
    with path.open(newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file, delimiter=';'))
    expressions: dict[str, str] = {}
    for row in rows:
        if not row.get('video_id') or not row.get('ref_exp'):
            raise InputError(f'{path} is not a table video_id;instance_id;ref_exp')
        expressions.setdefault(row['video_id'], row['ref_exp'].strip())
    return expressions


def bounding_box(mask: np.ndarray) -> tuple[float, float, float, float]:
    """Return the box (x0, y0, x1, y1) around a mask (H, W), in pixels; the far edges outside."""
    rows, columns = np.nonzero(mask)
    return (float(columns.min()), float(rows.min()),
            float(columns.max() + 1), float(rows.max() + 1))


def score_masks(sequence: Sequence, masks: list[np.ndarray]) -> tuple[float, float]:
    """Return the mean J and F of one mask per frame, less the first and the last frame."""
    values = [(jaccard(masks[index], truth), boundary_f(masks[index], truth))
              for index in range(1, len(masks) - 1)
              for truth in (sequence.truth(index),)]
    j, f = np.mean(values, axis=0)
    return float(j), float(f)


def evaluate_baseline(sequence: Sequence) -> Row:
    """Score the true first mask, repeated for every frame: what a tracker has to beat."""
    j, f = score_masks(sequence, [sequence.truth(0)] * len(sequence.frames))
    return Row(sequence.name, 'none', BASELINE, 0.0, 'mask', j, f, (j + f) / 2, 0.0, 0.0, 0)


def point_or_name(session: Session, sequence: Sequence, prompt: str,
                  expressions: dict[str, str]) -> None:
    """Give a session the target of a sequence in the way that `prompt` says."""
    from fast_sam2_ros.tracker import Prompt

    if prompt == 'text':
        session.set_text(expressions[sequence.name])
        return
    truth = sequence.truth(0)
    if not truth.any():
        raise InputError(f'{sequence.masks[0]} is empty: there is no target to point at')
    session.set_prompt(Prompt(mask=truth) if prompt == 'mask' else
                       Prompt(box=bounding_box(truth)))


def evaluate_session(session: Session, sequence: Sequence, prompt: str,
                     expressions: dict[str, str], model: str, progress: Callable[[], None]) -> Row:
    """Track one sequence and score it; `progress` is called after each frame.

    The frames a second are those of `Session.process`, the first frame left out.
    """
    point_or_name(session, sequence, prompt, expressions)
    masks, tokens, seconds = [], [], []
    for index, image in enumerate(sequence.images()):
        began = time.perf_counter()
        report = session.process(image, index / FRAMES_PER_SECOND)
        seconds.append(time.perf_counter() - began)
        masks.append(report.mask)
        if report.step is not None and index:
            tokens.append(report.tokens_retained)
        progress()
    j, f = score_masks(sequence, masks)
    return Row(sequence.name, model, session.tracker.router, session.tracker.keep_ratio, prompt,
               j, f, (j + f) / 2, fps=1 / float(np.mean(seconds[1:])),
               tokens_retained=float(np.mean(tokens)) if tokens else 0.0,
               bank_bytes=session.tracker.bank_bytes)


def mean_row(rows: list[Row]) -> Row:
    """Return the mean over sequences; J, F and JF weigh each sequence alike."""
    def mean(key: str) -> float:
        return float(np.mean([getattr(row, key) for row in rows]))

    return replace(rows[0], sequence='mean', J=mean('J'), F=mean('F'), JF=mean('JF'),
                   fps=mean('fps'), tokens_retained=mean('tokens_retained'))


def table(rows: list[Row]) -> str:
    """Lay rows out for a person."""
    lines = [f'{"sequence":<16} {"router":<18} {"keep":>5} {"prompt":<6} {"J":>6} {"F":>6} '
             f'{"J&F":>6} {"frames/s":>8} {"tokens":>7} {"bank MB":>8}']
    for row in rows:
        lines.append(
            f'{row.sequence:<16} {row.router:<18} {row.keep_ratio:>5.2f} {row.prompt:<6} '
            f'{row.J:>6.3f} {row.F:>6.3f} {row.JF:>6.3f} {row.fps:>8.2f} '
            f'{row.tokens_retained:>7.0f} {row.bank_bytes / 2**20:>8.2f}')
    return '\n'.join(lines)


def environment(device: str) -> dict[str, str | int]:
    """Say where the figures were taken."""
    import torch
    import transformers

    return {'python': platform.python_version(), 'torch': torch.__version__,
            'transformers': transformers.__version__, 'machine': platform.machine(),
            'system': platform.platform(), 'threads': torch.get_num_threads(), 'device': device}


def _names(text: str) -> list[str]:
    return [name for name in text.split(',') if name]


def _ratios(text: str) -> list[float]:
    return [ratio(part) for part in _names(text)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `fast-sam2 evaluate`."""
    parser.epilog = EXAMPLES
    parser.add_argument('root', type=Path, help='a folder in the layout of DAVIS (480p)')
    parser.add_argument('--sequences', type=_names, metavar='A,B', help='only these')
    parser.add_argument('--keep-ratio', type=_ratios, default=[0.5], metavar='R,R',
                        help='shares of the tokens to keep, in (0, 1] (default: 0.5)')
    parser.add_argument('--router', type=_names, default=['analytic'], metavar='A,B',
                        help='analytic, prior-only, random (default: analytic)')
    parser.add_argument('--prompt', choices=('mask', 'box', 'text'), default='mask',
                        help='how the target is given (default: %(default)s)')
    parser.add_argument('--expressions', type=Path, metavar='CSV',
                        help='the table of targets in words (default: expressions.csv in ROOT)')
    parser.add_argument('--json', type=Path, metavar='OUT', help='write the rows there')
    add_model_arguments(parser)


def main(arguments: argparse.Namespace) -> int:
    """Run `fast-sam2 evaluate`: print the rows, and write them where --json says."""
    from tqdm import tqdm

    from fast_sam2_ros.sam2.checkpoint import load_model, resolve_device

    sequences = load_davis(arguments.root, arguments.sequences)
    expressions: dict[str, str] = {}
    if arguments.prompt == 'text':
        expressions = read_expressions(
            arguments.expressions or arguments.root / 'expressions.csv')
        nameless = [sequence.name for sequence in sequences if sequence.name not in expressions]
        if nameless:
            raise InputError(f'the table of expressions lacks {", ".join(nameless)}; choose '
                             'others with --sequences')
    device = str(resolve_device(arguments.device))
    loaded = load_model(arguments.model, device)
    rows = [evaluate_baseline(sequence) for sequence in sequences]
    rows.append(mean_row(rows))
    settings = [(router, keep) for router in arguments.router for keep in arguments.keep_ratio]
    total = len(settings) * sum(len(sequence.frames) for sequence in sequences)
    with tqdm(total=total, unit='frame', desc='evaluate', leave=False, disable=None) as bar:
        for router, keep in settings:
            session = _open(loaded, device, arguments, router, keep)
            some = []
            for sequence in sequences:
                bar.set_postfix_str(sequence.name)
                some.append(evaluate_session(session, sequence, arguments.prompt, expressions,
                                             loaded.name, bar.update))
            rows += [*some, mean_row(some)]
    print(table(rows))
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        result = {'environment': environment(device), 'rows': [asdict(row) for row in rows]}
        arguments.json.write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')
    return 0


def _open(loaded: LoadedModel, device: str, arguments: argparse.Namespace, router: str,
          keep_ratio: float) -> Session:
    """Open a session on a model that is loaded already; a grounder only where words are given."""
    from fast_sam2_ros.session import session_on

    grounder = arguments.grounder if arguments.prompt == 'text' else 'none'
    return session_on(loaded, device, keep_ratio=keep_ratio, router=router, grounder=grounder)
