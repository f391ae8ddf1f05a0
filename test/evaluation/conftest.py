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
"""Small sequences in the layout of DAVIS."""

from pathlib import Path

from fast_sam2_ros.media import write_image, write_mask
import numpy as np
import pytest

SIZE = (40, 60)


@pytest.fixture
def square():
    """Draw the mask of a square of 10 x 10 pixels whose left edge is at a column."""
    def draw(left: int) -> np.ndarray:
        mask = np.zeros(SIZE, dtype=np.uint8)
        mask[10:20, left:left + 10] = 1
        return mask
    return draw


@pytest.fixture
def write_sequence(square):
    """Write a sequence in which a bright square is at the given columns."""
    def write(root: Path, name: str, lefts: list[int]) -> None:
        images = root / 'JPEGImages' / '480p' / name
        masks = root / 'Annotations' / '480p' / name
        images.mkdir(parents=True)
        masks.mkdir(parents=True)
        for index, left in enumerate(lefts):
            mask = square(left)
            write_image(
                images / f'{index:05d}.jpg', np.repeat(60 + 150 * mask[..., None], 3, axis=2))
            write_mask(masks / f'{index:05d}.png', mask)
    return write


@pytest.fixture
def davis(tmp_path, write_sequence) -> Path:
    """Make a folder with a square that moves and one that stays, and words for both."""
    root = tmp_path / 'squares'
    write_sequence(root, 'moving', [5, 10, 15, 50])
    write_sequence(root, 'still', [20, 20, 20])
    (root / 'expressions.csv').write_text(
        'video_id;instance_id;ref_exp\nmoving;1;a square; \nmoving;1;another\nstill;1;a box\n')
    return root
