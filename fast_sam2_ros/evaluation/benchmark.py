# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Time every stage of a step: warm, with a full memory bank, every variant in the same run.

The variants (keep ratios, and transformers' own model) take turns frame by frame, so that what
else the machine does slows all of them alike. Timing does not depend on the weights: random ones
in the real shapes are enough.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
import time
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from fast_sam2_ros.arguments import ratio
from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.evaluation.environment import environment
from fast_sam2_ros.evaluation.rows import write_json
from fast_sam2_ros.memory import FrameMemory, MemoryBank
from fast_sam2_ros.sam2.checkpoint import load_model, LoadedModel, RANDOM_PREFIX, resolve_device
from fast_sam2_ros.sam2.meta import SIZES
from fast_sam2_ros.sam2.parts import to_pixels
from fast_sam2_ros.tracker import Prompt, Tracker

OURS, HF = 'ours', 'hf'
REFERENCES = (HF,)
FRAME_SIZE = (480, 640)  # height and width of the camera image
BOX = (200.0, 160.0, 440.0, 320.0)  # 4 % of the image
WARM_UP = 2  # steps of each variant that are not counted

EPILOG = """examples:
  fast-sam2 benchmark --model tiny --keep-ratio 1.0,0.3
  fast-sam2 benchmark --model embedded --keep-ratio 1.0,0.5,0.3 --against hf --json bench.json
"""


def run_benchmark(
    model: str,
    keep_ratios: tuple[float, ...] = (1.0, 0.3),
    repeats: int = 5,
    device: str = 'cpu',
    router: str = 'analytic',
    against: tuple[str, ...] = (),
    dense_conditioning: bool = True,
) -> dict[str, Any]:
    """
    Time `repeats` steps at each keep ratio, and of each implementation in `against`.

    `model` is one of SAM 2's sizes (random weights, 1024 pixels), or what `load_model` takes.
    Returns `environment` and `rows`; a row has `model`, `implementation`, `device`, `dtype`,
    `compiled`, `keep_ratio`, `targets`, `stage`, `median_ms`, `p95_ms`, `gflop` and `peak_bytes`
    (DESIGN section 7). The last two are None: they are not measured yet. transformers' model is
    timed as a whole, so it has the stage `total` only.

    Raises ParameterError for settings that mean nothing.
    """
    if repeats < 1:
        raise ParameterError(f'--repeats must be at least 1, not {repeats}')
    unknown = [name for name in against if name not in REFERENCES]
    if unknown:
        raise ParameterError(
            f'cannot time {", ".join(unknown)}: --against takes {", ".join(REFERENCES)}')
    loaded = load_model(
        RANDOM_PREFIX + model if model in SIZES else model, resolve_device(device).type)
    frames = np.random.default_rng(0).integers(0, 256, (8, *FRAME_SIZE, 3), dtype=np.uint8)
    variants = {
        (OURS, keep): _our_step(loaded, keep, router, dense_conditioning, frames[0])
        for keep in keep_ratios}
    if HF in against:
        variants[HF, 1.0] = _transformers_step(loaded, frames[0])

    times: dict[tuple[str, float], list[dict[str, float]]] = {key: [] for key in variants}
    for turn in tqdm(range(WARM_UP + repeats), desc=f'benchmark {model}', disable=None):
        for key, step in variants.items():
            measured = step(frames[(turn + 1) % len(frames)])
            if turn >= WARM_UP:
                times[key].append(measured)

    rows = []
    for (implementation, keep), steps in times.items():
        for stage in steps[0]:
            values = [step[stage] for step in steps]
            rows.append({
                'model': model,
                'implementation': implementation,
                'device': loaded.model.device.type,
                'dtype': str(loaded.model.dtype).removeprefix('torch.'),
                'compiled': False,
                'keep_ratio': keep,
                'targets': 1,
                'stage': stage,
                'median_ms': float(np.median(values)),
                'p95_ms': float(np.percentile(values, 95)),
                'gflop': None,
                'peak_bytes': None,
            })
    return {
        'environment': {
            **environment(loaded.model.device),
            'threads': torch.get_num_threads(),
            'repeats': repeats,
            'router': router,
            'dense_conditioning': dense_conditioning,
            'image_size': loaded.preprocess.image_size,
        },
        'rows': rows,
    }


def _our_step(
    loaded: LoadedModel, keep_ratio: float, router: str, dense_conditioning: bool,
    first: np.ndarray,
) -> Callable[[np.ndarray], dict[str, float]]:
    """Return a step of a tracker with a full bank, which answers with milliseconds by stage."""
    tracker = Tracker(
        loaded, keep_ratio=keep_ratio, router=router, dense_conditioning=dense_conditioning)
    tracker.prompt(first, Prompt(box=BOX))
    fill(tracker.bank)
    return lambda frame: asdict(tracker.step(frame).latency)


@torch.inference_mode()
def fill(bank: MemoryBank) -> None:
    """
    Fill what is empty of a bank that holds a conditioning frame, with made-up frames.

    Twenty steps would do the same and take minutes; the time of a step depends on how many tokens
    there are and not on what they say.
    """
    while not bank.is_full:
        count = bank.recent_tokens
        bank.append(
            FrameMemory(
                features=torch.randn(
                    count, bank.memory_size, dtype=torch.bfloat16, device=bank.device),
                index=torch.arange(count, dtype=torch.int32, device=bank.device),
                score=torch.zeros(count, device=bank.device)),
            torch.randn(bank.hidden_size, device=bank.device))


def _transformers_step(
    loaded: LoadedModel, first: np.ndarray
) -> Callable[[np.ndarray], dict[str, float]]:
    """
    Return a step of transformers' session whose memory is full, from pixels of the same kind.

    Its session never forgets a frame; what fills it here are copies of the first tracked one.
    """
    from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

    model, preprocess = loaded.model, loaded.preprocess
    device, size = model.device, preprocess.image_size
    session = Sam2VideoInferenceSession(
        video_height=FRAME_SIZE[0], video_width=FRAME_SIZE[1], dtype=torch.float32,
        inference_device=device, inference_state_device=device, video_storage_device=device)
    target = session.obj_id_to_idx(1)
    corners = torch.tensor(BOX).view(2, 2) * torch.tensor(
        [size / FRAME_SIZE[1], size / FRAME_SIZE[0]])
    session.add_point_inputs(target, 0, {
        'point_coords': corners[None, None],
        'point_labels': torch.tensor([[[2, 3]]], dtype=torch.int32)})
    session.obj_with_new_inputs = [1]
    for _ in range(2):
        output = model(session, frame=to_pixels(first, preprocess, device))
    tracked = session.output_dict_per_obj[target]['non_cond_frame_outputs']
    for index in range(2, model.config.max_object_pointers_in_encoder):
        tracked[index] = tracked[output.frame_idx]
        session.processed_frames[index] = session.processed_frames[output.frame_idx]

    def step(frame: np.ndarray) -> dict[str, float]:
        _synchronise(device)
        start = time.perf_counter()
        model(session, frame=to_pixels(frame, preprocess, device))
        _synchronise(device)
        return {'total': 1000 * (time.perf_counter() - start)}

    return step


def _synchronise(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def as_table(result: dict[str, Any]) -> str:
    """Write the result of `run_benchmark` for people: a line a variant, medians in ms."""
    variants: dict[tuple[str, float], dict[str, float]] = {}
    for row in result['rows']:
        variants.setdefault((row['implementation'], row['keep_ratio']), {})[row['stage']] = (
            row['median_ms'])
    stages = ('encode', 'route', 'attend', 'decode', 'remember', 'total')
    first = next(iter(variants.values()))['total']
    lines = [f'{"":<6}{"keep":>5}' + ''.join(f'{stage:>10}' for stage in stages) + '     speed']
    for (implementation, keep), medians in variants.items():
        cells = ''.join(
            f'{medians[stage]:>10.1f}' if stage in medians else f'{"":>10}' for stage in stages)
        lines.append(f'{implementation:<6}{keep:>5g}{cells}{first / medians["total"]:>9.2f}x')
    where = ', '.join(f'{key} {value}' for key, value in result['environment'].items())
    return '\n'.join([*lines, f'median ms; {where}'])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `fast-sam2 benchmark`."""
    parser.epilog = EPILOG
    parser.add_argument(
        '--model', default='embedded',
        help=f'{", ".join(SIZES)} (random weights in the real shapes, 1024 pixels), or embedded, '
             'a hub id, a folder or a .pt file (default: %(default)s)')
    parser.add_argument(
        '--keep-ratio', type=_ratios, default=(1.0, 0.3), metavar='R,R',
        help='keep ratios to compare, each in (0, 1] (default: 1.0,0.3)')
    parser.add_argument(
        '--repeats', type=int, default=5, help='counted steps of each (default: %(default)s)')
    parser.add_argument('--device', default='auto', help='auto, cpu or cuda (default: auto)')
    parser.add_argument('--router', default='analytic', help='(default: %(default)s)')
    parser.add_argument(
        '--against', type=_names, default=(), metavar='A,B',
        help='also time hf, which is transformers\' own session')
    parser.add_argument(
        '--prune-conditioning', action='store_true',
        help='prune the prompted frame in the memory as well, as published; the tracker itself '
             'keeps it whole')
    parser.add_argument('--json', type=Path, metavar='OUT', help='write the rows there')


def main(arguments: argparse.Namespace) -> int:
    """Run `fast-sam2 benchmark`: print the medians, and write the rows where --json says."""
    result = run_benchmark(
        arguments.model, arguments.keep_ratio, arguments.repeats, arguments.device,
        arguments.router, arguments.against, not arguments.prune_conditioning)
    print(as_table(result))
    if arguments.json is not None:
        write_json(result, arguments.json)
    return 0


def _ratios(text: str) -> tuple[float, ...]:
    return tuple(ratio(part) for part in text.split(','))


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(',') if part.strip())
