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
"""A model that was loaded, with what its user must know of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import Sam2VideoModel

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocess:
    """
    How an image becomes the input of the encoder.

    The image is resized to `image_size` x `image_size` pixels (bilinear with antialiasing, the
    aspect is not kept), divided by 255, then `(rgb - mean) / std` for each channel.
    """

    image_size: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


@dataclass(frozen=True)
class LikenessLevels:
    """
    How alike is alike (`likeness.Looks`), measured for the features of one model.

    From `same` on, what is followed is still the target; from `sure` on, what appears after a
    loss is it at once.
    """

    same: float
    sure: float


@dataclass(frozen=True)
class LoadedModel:
    """
    A model ready for inference.

    `model` is in evaluation mode, in float32, without gradients. `name` is the name that was
    resolved, `source` says where the weights came from (a path, or words), and `fallback` is
    the reason why `auto` had to take the embedded model, else None. A model that was not trained
    on boxes and points (`takes_points` false) gets them as rough masks. `likeness_levels` is None
    where nobody measured them: then the object score alone says whether the target is in view.
    """

    model: Sam2VideoModel
    preprocess: Preprocess
    name: str
    source: str
    fallback: str | None = None
    takes_points: bool = True
    likeness_levels: LikenessLevels | None = None
