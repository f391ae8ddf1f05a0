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
Meta's `sam2` video predictor: random weights that both packages share, and frame by frame.

The predictor is made for video files. Here it follows a stream: frames are handed to its state
one at a time, and it is asked for one frame at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import importlib.util
from pathlib import Path
import tempfile
from typing import Any, TYPE_CHECKING
from unittest import mock

from fast_sam2_ros.sam2.meta import load_meta, SIZES, video_config
import torch
from torch import nn, Tensor

if TYPE_CHECKING:
    from transformers import Sam2VideoModel

OFFICIAL_CONFIGS = {
    'tiny': 'configs/sam2.1/sam2.1_hiera_t.yaml',
    'small': 'configs/sam2.1/sam2.1_hiera_s.yaml',
    'base-plus': 'configs/sam2.1/sam2.1_hiera_b+.yaml',
    'large': 'configs/sam2.1/sam2.1_hiera_l.yaml',
}
# So that random weights see the target in every frame, and there are masks to compare.
PRESENT_BIAS = 10.0
NOISE = 0.2
# A stream has no length. Meta divides the ages of object pointers by the length of the video less
# one, at most by 15, which is what a stream divides by.
STREAM_LENGTH = 10 ** 9


def official_is_installed() -> bool:
    """Tell whether Meta's package `sam2` can be imported."""
    return importlib.util.find_spec('sam2') is not None


def build_official(
        size: str, image_size: int = 1024, vos_optimized: bool = False) -> nn.Module:
    """
    Build Meta's video predictor of one of the four sizes from its own configuration.

    Hole filling is off: it needs a CUDA extension and would change the logits. `vos_optimized` is
    Meta's own compiled variant, which compiles on its first frames.
    """
    from sam2.build_sam import build_sam2_video_predictor

    return build_sam2_video_predictor(
        OFFICIAL_CONFIGS[size], device='cpu', apply_postprocessing=False,
        vos_optimized=vos_optimized, hydra_overrides_extra=[
            f'++model.image_size={image_size}',
            '++model.fill_hole_area=0',
            # What build_sam2_video_predictor sets by default, and transformers always.
            '++model.binarize_mask_from_pts_for_mem_enc=true',
            '++model.sam_mask_decoder_extra_args.dynamic_multimask_via_stability=true',
            '++model.sam_mask_decoder_extra_args.dynamic_multimask_stability_delta=0.05',
            '++model.sam_mask_decoder_extra_args.dynamic_multimask_stability_thresh=0.98',
        ])


@torch.no_grad()
def randomise(model: nn.Module, score_head: nn.Linear, seed: int = 0) -> None:
    """
    Give `model` random weights under which every part of it has an effect on the masks.

    Linear and convolution layers start as PyTorch starts them; everything else (norms,
    embeddings, encodings, scales), of which much starts at zero or one, gets noise on top.
    `score_head` is the last layer of the object score. More noise than this makes attention so
    sharp that the references drift apart from each other by rounding alone.
    """
    with seeded(seed):
        for module in model.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
                module.reset_parameters()
                continue
            for parameter in module.parameters(recurse=False):
                parameter.add_(NOISE * torch.randn_like(parameter))
    score_head.bias.fill_(PRESENT_BIAS)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed PyTorch's random numbers for a while, and leave the caller's as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def official_pair(
        size: str, image_size: int, seed: int = 0) -> tuple[nn.Module, Sam2VideoModel]:
    """
    Build Meta's predictor with random weights, and transformers' model from its checkpoint file.

    Saved in Meta's format and converted on load, so that the conversion is checked as well.
    """
    with seeded(seed):
        predictor = build_official(size, image_size)
    randomise(predictor, predictor.sam_mask_decoder.pred_obj_score_head.layers[-1], seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f'sam2.1_hiera_{size}.pt'
        torch.save({'model': predictor.state_dict()}, path)
        model = load_meta(path, video_config(SIZES[size], image_size))
    return predictor.eval().requires_grad_(False), model


def open_state(predictor: nn.Module, pixels: Tensor) -> dict[str, Any]:
    """
    Begin a stream with a (1, 3, S, S) normalised frame, and return the predictor's state of it.

    `init_state` reads a video file; here it is given the frame instead. Masks come at the size of
    the "video", a quarter of the input's, which is that of logits.
    """
    quarter = predictor.image_size // 4
    video = ({0: pixels[0]}, quarter, quarter)
    with mock.patch('sam2.sam2_video_predictor.load_video_frames', return_value=video):
        state = predictor.init_state(video_path=None)
    state['num_frames'] = STREAM_LENGTH
    return state


def track(predictor: nn.Module, state: dict[str, Any], index: int, pixels: Tensor) -> Tensor:
    """
    Answer frame `index` of a stream, (1, 3, S, S) normalised; the frames before it were answered.

    Returns the logits of all objects, (objects, 1, S / 4, S / 4). Frame 0 is the prompted one.
    """
    state['images'][index] = pixels[0]
    with mock.patch('sam2.sam2_video_predictor.tqdm', _without_bar):
        [(_, _, masks)] = predictor.propagate_in_video(
            state, start_frame_idx=index, max_frame_num_to_track=0)
    return masks


def _without_bar(frames: range, desc: str) -> range:
    return frames
