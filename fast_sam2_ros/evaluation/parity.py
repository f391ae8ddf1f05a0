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
Check that the tracker returns what the reference implementations return on the same weights.

With a keep ratio of 1.0 its mask logits must equal, within `TOLERANCE`, those of transformers'
`Sam2VideoModel` with its own inference session ('hf') and those of Meta's `sam2` video predictor
('official'). Weights are random, so no checkpoint is needed: Meta's class is filled with noise,
saved in Meta's format and converted on load, which checks the conversion as well.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
import json
from typing import Any, TYPE_CHECKING
from unittest import mock

from fast_sam2_ros.arguments import names
from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.evaluation.contenders import REFERENCES
from fast_sam2_ros.evaluation.environment import environment
from fast_sam2_ros.evaluation.official import (
    official_is_installed, official_pair, open_state, randomise, seeded, track)
from fast_sam2_ros.prompt import Prompt
from fast_sam2_ros.sam2.checkpoint import LoadedModel, Preprocess, resolve_device
from fast_sam2_ros.sam2.meta import SIZES, video_config
from fast_sam2_ros.tracker import Tracker
import numpy as np
import torch
from torch import nn, Tensor
from tqdm import tqdm

if TYPE_CHECKING:
    from transformers import Sam2VideoModel

TOLERANCE = 1e-4
PROMPTS = ('box', 'point', 'mask')
# What a tracker that drops a tenth of the tokens must differ by, or the weights show nothing.
CONTROL_DIFFERENCE = 10 * TOLERANCE


@dataclass(frozen=True, eq=False)
class Answer:
    """One frame's answer: `logits` (4h, 4w) float32 on the CPU, and the object score logit."""

    logits: Tensor
    score: float


def make_frames(image_size: int, count: int, seed: int = 0) -> np.ndarray:
    """Draw a textured square that drifts over texture: (count, S, S, 3) uint8 RGB frames."""
    random = np.random.default_rng(seed)
    cell = max(1, image_size // 16)

    def texture(size: int) -> np.ndarray:
        coarse = random.integers(0, 256, (size // cell + 1, size // cell + 1, 3), dtype=np.uint8)
        return np.kron(coarse, np.ones((cell, cell, 1), dtype=np.uint8))[:size, :size]

    background, target = texture(image_size), texture(image_size // 4)
    frames = np.repeat(background[None], count, axis=0)
    for index in range(count):
        start = image_size // 4 + index * image_size // (4 * count)
        frames[index, start:start + len(target), start:start + len(target)] = target
    return frames


def make_prompt(kind: str, image_size: int) -> Prompt:
    """
    Point at the square of `make_frames` on its first frame.

    The mask covers whole rows: Meta's predictor remembers a mask prompt after scaling it down and
    up again, which rounds corners off and keeps straight edges. transformers and this package
    remember it as given.
    """
    low, high = image_size // 4, image_size // 2
    if kind == 'box':
        return Prompt(box=(low, low, high, high))
    if kind == 'point':
        middle = (low + high) / 2
        return Prompt(points=np.array([[middle, middle]]), labels=np.array([1]))
    if kind == 'mask':
        mask = np.zeros((image_size, image_size), dtype=bool)
        mask[low:high] = True
        return Prompt(mask=mask)
    raise ParameterError(f"prompt '{kind}' is not known: use one of {', '.join(PROMPTS)}")


def run_tracker(
        loaded: LoadedModel, frames: np.ndarray, prompt: Prompt, **settings: Any) -> list[Answer]:
    """Run this package's tracker; `settings` go to `Tracker`, with a keep ratio of 1.0."""
    tracker = Tracker(loaded, **{'keep_ratio': 1.0, **settings})
    answers = []
    for index, frame in enumerate(tqdm(frames, desc='tracker', leave=False, disable=None)):
        result = tracker.step(frame) if index else tracker.prompt(frame, prompt)
        answers.append(Answer(result.logits.cpu(), result.score))
    return answers


def run_transformers(
        model: Sam2VideoModel, preprocess: Preprocess, frames: np.ndarray, prompt: Prompt
) -> list[Answer]:
    """Run transformers' own streaming inference session on the same pixels."""
    from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

    device = model.device
    session = Sam2VideoInferenceSession(
        video_height=frames.shape[1], video_width=frames.shape[2], dtype=torch.float32,
        inference_device=device, inference_state_device=device, video_storage_device=device)
    target = session.obj_id_to_idx(1)
    if prompt.mask is not None:
        session.add_mask_inputs(target, 0, torch.from_numpy(prompt.mask)[None, None].float())
    else:
        points, labels = _as_points(prompt)
        session.add_point_inputs(target, 0, {
            'point_coords': points[None, None], 'point_labels': labels[None, None]})
    session.obj_with_new_inputs = [1]
    answers = []
    for frame in tqdm(frames, desc='transformers', leave=False, disable=None):
        output = model(session, frame=_normalise(frame, preprocess).to(device))
        answers.append(Answer(output.pred_masks[0, 0].float().cpu(),
                              float(output.object_score_logits.flatten()[0])))
    return answers


def run_official(
        predictor: nn.Module, preprocess: Preprocess, frames: np.ndarray, prompt: Prompt
) -> list[Answer]:
    """
    Run Meta's video predictor on the same pixels.

    From a mask prompt transformers, and this package with it, takes the object pointer of the
    best of three masks, and Meta that of the single one: here Meta's is told to do the same.
    """
    device = next(predictor.parameters()).device
    images = [_normalise(frame, preprocess).to(device) for frame in frames]
    state = open_state(predictor, images[0])
    if prompt.mask is not None:
        best_of_three = partial(predictor._forward_sam_heads, multimask_output=True)
        with mock.patch.object(predictor, '_forward_sam_heads', best_of_three):
            predictor.add_new_mask(
                state, frame_idx=0, obj_id=1, mask=torch.from_numpy(prompt.mask))
    else:
        points, labels = _as_points(prompt)
        predictor.add_new_points_or_box(
            state, frame_idx=0, obj_id=1, points=points / predictor.image_size, labels=labels,
            normalize_coords=False)
    answers = []
    for index, image in enumerate(tqdm(images, desc='official', leave=False, disable=None)):
        masks = track(predictor, state, index, image)
        outputs = state['output_dict_per_obj'][0]
        output = outputs['non_cond_frame_outputs' if index else 'cond_frame_outputs'][index]
        answers.append(Answer(masks[0, 0].float().cpu(), float(output['object_score_logits'])))
    return answers


def compare(ours: list[Answer], theirs: list[Answer]) -> dict[str, Any]:
    """Compare two answers to one stream; the differences are absolute, in logits."""
    if len(ours) != len(theirs):
        raise ValueError(f'{len(ours)} frames cannot be compared with {len(theirs)}')
    by_frame = [float((a.logits - b.logits).abs().max()) for a, b in zip(ours, theirs)]
    visible = [answer for answer in theirs if answer.score > 0]
    return {
        'frames': len(ours),
        'visible': len(visible),
        'max_abs_diff': max(by_frame),
        'max_score_diff': max(abs(a.score - b.score) for a, b in zip(ours, theirs)),
        'largest_logit': max((float(a.logits.abs().max()) for a in visible), default=0.0),
    }


def check_parity(
        sizes: tuple[str, ...] = ('tiny',), frames: int = 17,
        against: tuple[str, ...] = REFERENCES, image_size: int = 1024,
        prompts: tuple[str, ...] = ('box',), device: str = 'cpu', seed: int = 0
) -> dict[str, Any]:
    """
    Compare the tracker with the references, for each size and prompt, on random weights.

    Returns `environment`, `tolerance`, `rows` and `passed`. A row has `model`, `reference`,
    `prompt`, `image_size`, what `compare` returns, and `passed`; a reference that cannot be run
    has a row with `skipped`, the reason, and `passed` None. To pass, a row must be within the
    tolerance, have the target in view in every frame, and differ from a tracker that keeps nine
    tenths of the tokens (`control_diff`), without which the comparison would show nothing.
    `passed` of the whole is true when no row failed and at least one was compared. Raises
    ParameterError for an unknown name.
    """
    _check_names('size', sizes, tuple(SIZES))
    _check_names('reference', against, REFERENCES)
    _check_names('prompt', prompts, PROMPTS)
    if frames < 2:
        raise ParameterError('--frames must be 2 or more: the first frame looks at no memory')
    if image_size < 64 or image_size % 64:
        raise ParameterError(f'an image size of {image_size} is not a multiple of 64')
    target = resolve_device(device)
    rows: list[dict[str, Any]] = []
    for size in sizes:
        rows += _check_size(size, frames, against, image_size, prompts, target, seed)
    compared = [row for row in rows if row['passed'] is not None]
    return {'environment': environment(target), 'tolerance': TOLERANCE, 'rows': rows,
            'passed': bool(compared) and all(row['passed'] for row in compared)}


def _check_size(
        size: str, frames: int, against: tuple[str, ...], image_size: int,
        prompts: tuple[str, ...], device: torch.device, seed: int) -> list[dict[str, Any]]:
    predictor = None
    if 'official' in against and official_is_installed():
        predictor, model = official_pair(size, image_size, seed)
        predictor.to(device)
    else:
        model = _random_model(size, image_size, seed)
    preprocess = Preprocess(image_size)
    loaded = LoadedModel(model.to(device), preprocess, f'random:{size}', 'random weights')
    stream = make_frames(image_size, frames, seed)
    rows = []
    for kind in prompts:
        prompt = make_prompt(kind, image_size)
        ours = run_tracker(loaded, stream, prompt)
        pruned = run_tracker(loaded, stream[:2], prompt, keep_ratio=0.9)
        control = compare(ours[:2], pruned)['max_abs_diff']
        for reference in against:
            row: dict[str, Any] = {'model': size, 'reference': reference, 'prompt': kind,
                                   'image_size': image_size}
            if reference == 'official' and predictor is None:
                rows.append({**row, 'skipped': 'sam2 is not installed', 'passed': None})
                continue
            if reference == 'official':
                theirs = run_official(predictor, preprocess, stream, prompt)
            else:
                theirs = run_transformers(model, preprocess, stream, prompt)
            result = compare(ours, theirs)
            passed = (result['visible'] == frames and control >= CONTROL_DIFFERENCE
                      and result['max_abs_diff'] <= TOLERANCE)
            rows.append({**row, **result, 'control_diff': control, 'passed': passed})
    return rows


def _random_model(size: str, image_size: int, seed: int) -> Sam2VideoModel:
    from transformers import Sam2VideoModel

    with seeded(seed):
        model = Sam2VideoModel(video_config(SIZES[size], image_size))
    randomise(model, model.mask_decoder.pred_obj_score_head.proj_out, seed)
    return model.eval().requires_grad_(False)


def _as_points(prompt: Prompt) -> tuple[Tensor, Tensor]:
    """Write a box or points as (n, 2) points and (n,) labels; a box has labels 2 and 3."""
    if prompt.box is not None:
        return torch.tensor(prompt.box).float().view(2, 2), torch.tensor([2, 3]).int()
    labels = np.ones(len(prompt.points)) if prompt.labels is None else prompt.labels
    return torch.from_numpy(np.array(prompt.points)).float(), torch.from_numpy(
        np.array(labels)).int()


def _normalise(frame: np.ndarray, preprocess: Preprocess) -> Tensor:
    """Normalise a frame that has the size of the input already, to (1, 3, S, S) float32."""
    pixels = torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (
        preprocess.mean, preprocess.std))
    return (pixels - mean) / std


def _check_names(what: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown or not given:
        raise ParameterError(
            f"{what} '{', '.join(unknown)}' is not known: use some of {','.join(known)}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the parity check, for `fast-sam2 info --check-parity`."""
    group = parser.add_argument_group(
        'parity check', 'compare the tracker at keep ratio 1.0 with the reference implementations '
        'on random weights; at 1024 pixels a frame takes seconds on a CPU')
    group.add_argument('--sizes', type=names, default=('tiny',), metavar='A,B',
                       help=f"some of {','.join(SIZES)} (default: tiny)")
    group.add_argument('--frames', type=int, default=17,
                       help='length of the stream (default: 17, which fills every memory; '
                            'fewer are quicker and show less)')
    group.add_argument('--against', type=names, default=REFERENCES, metavar='A,B',
                       help="hf (transformers), official (Meta's sam2) or both (default)")
    group.add_argument('--image-size', type=int, default=1024, help='pixels (default: 1024)')
    group.add_argument('--prompts', type=names, default=('box',), metavar='A,B',
                       help=f"some of {','.join(PROMPTS)} (default: box)")


def main(args: argparse.Namespace) -> int:
    """Run the check, print a table or JSON, and return 0 only where it passed."""
    result = check_parity(args.sizes, args.frames, args.against, args.image_size, args.prompts,
                          args.device)
    print(json.dumps(result, indent=2) if args.json else as_table(result))
    return 0 if result['passed'] else 1


def as_table(result: dict[str, Any]) -> str:
    """Write the result of `check_parity` for people."""
    lines = [f"{'model':<10} {'reference':<10} {'prompt':<6} {'pixels':>6} {'frames':>6} "
             f"{'max |logit|':>11} {'max |diff|':>11} {'at keep 0.9':>11}  result"]
    for row in result['rows']:
        head = f"{row['model']:<10} {row['reference']:<10} {row['prompt']:<6} " \
               f"{row['image_size']:>6} "
        if row['passed'] is None:
            lines.append(f"{head}{'':>44}not compared: {row['skipped']}")
            continue
        verdict = 'passed' if row['passed'] else 'FAILED'
        if row['visible'] < row['frames']:
            verdict += f" (target in view in {row['visible']} frames only)"
        lines.append(f"{head}{row['frames']:>6} {row['largest_logit']:>11.2f} "
                     f"{row['max_abs_diff']:>11.2e} {row['control_diff']:>11.2e}  {verdict}")
    verdict = 'passed' if result['passed'] else 'FAILED'
    lines.append(f"{verdict}: at most {result['tolerance']:g} apart; " + ', '.join(
        f'{key} {value}' for key, value in result['environment'].items()))
    return '\n'.join(lines)
