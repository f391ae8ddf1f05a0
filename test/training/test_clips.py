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
"""The rendered clips: repeatable, masks that move with their pixels, readable material."""

from pathlib import Path

import cv2
from fast_sam2_ros.errors import InputError
from fast_sam2_ros.training.clips import (
    ClipRenderer, cut_out, Cutout, load_stamps, load_yolo_photos, Photo, split)
import numpy as np
import pytest

RED = np.array([230, 20, 20], np.uint8)


@pytest.fixture
def photo():
    """Return grey noise with one red square whose outline is known."""
    rng = np.random.default_rng(0)
    image = np.repeat(rng.integers(90, 130, (240, 320, 1), dtype=np.uint8), 3, 2)
    mask = np.zeros((240, 320), bool)
    mask[90:170, 120:200] = True
    image[mask] = RED
    return Photo(image, (mask,))


def test_the_same_seed_renders_the_same_clip(photo):
    first, second = (
        ClipRenderer([photo], cut_out(photo), np.random.default_rng(5), size=96).clip(4)
        for _ in range(2))
    assert np.array_equal(first.frames, second.frames)
    assert np.array_equal(first.masks, second.masks)


def test_the_mask_stays_on_the_target_while_the_camera_moves(photo):
    renderer = ClipRenderer([photo], [], np.random.default_rng(1), size=96)
    grey = Cutout(np.full((40, 40, 3), 99, np.uint8), np.ones((40, 40), np.uint8))
    renderer._sprite = lambda: grey  # so that red is the target's alone
    checked = 0
    for _ in range(30):
        clip = renderer.clip(3, max_targets=4)
        for frame, masks in zip(clip.frames.astype(int), clip.masks):
            redness = frame[..., 0] - frame[..., 1:].max(-1)
            for mask in masks:
                if mask.sum() > 300 and redness[mask].mean() > 60:
                    inner = cv2.erode(mask.astype(np.uint8), np.ones((5, 5))) > 0
                    assert (redness[inner] > 25).mean() > 0.9
                    checked += 1
    assert checked > 20


def test_every_target_is_visible_in_the_first_frame_and_masks_do_not_overlap(photo):
    renderer = ClipRenderer([photo], cut_out(photo), np.random.default_rng(2), size=96)
    for _ in range(10):
        clip = renderer.clip(2, max_targets=3)
        assert clip.frames.shape == (2, 96, 96, 3) and clip.frames.dtype == np.uint8
        assert clip.masks[0].any((1, 2)).all()
        assert clip.masks.sum(1).max() <= 1


def test_outlines_are_read_in_pixels(tmp_path: Path):
    (tmp_path / 'images' / 'a').mkdir(parents=True)
    (tmp_path / 'labels' / 'a').mkdir(parents=True)
    cv2.imwrite(str(tmp_path / 'images' / 'a' / '1.jpg'), np.zeros((100, 200, 3), np.uint8))
    (tmp_path / 'labels' / 'a' / '1.txt').write_text('3 0.25 0.5 0.75 0.5 0.75 1.0 0.25 1.0\n')
    (photo,) = load_yolo_photos(tmp_path)
    rows, columns = np.nonzero(photo.masks[0])
    assert (columns.min(), columns.max()) == (50, 150)
    assert (rows.min(), rows.max()) == (50, 99)


def test_a_folder_without_photographs_is_an_error(tmp_path: Path):
    with pytest.raises(InputError, match='no photograph'):
        load_yolo_photos(tmp_path)


def test_in_a_story_targets_are_gone_for_a_while_and_the_pixels_agree(photo):
    stamp = Cutout(np.full((60, 60, 3), RED, np.uint8), np.ones((60, 60), np.uint8), 'box')
    plain = Photo(np.full((240, 320, 3), 110, np.uint8))
    renderer = ClipRenderer([plain], [stamp], np.random.default_rng(4), size=96)
    grey = Cutout(np.full((40, 40, 3), 99, np.uint8), np.ones((40, 40), np.uint8))
    renderer._shape = lambda: grey
    gone = 0
    for _ in range(30):
        clip = renderer.clip(5, max_targets=1, stories=1.0)
        assert clip.masks[0].any((1, 2)).all()
        hidden = ~clip.masks[:, 0].any((1, 2))
        gone += hidden.any()
    assert gone > 10
    assert not any(
        (~renderer.clip(5, max_targets=1).masks.any((2, 3))[1:3]).any() for _ in range(5))


def test_targets_carry_their_names(photo):
    named = Photo(photo.image, photo.masks, ('box',))
    clip = ClipRenderer([named], [], np.random.default_rng(2), size=96).clip(2, max_targets=4)
    assert len(clip.names) == clip.masks.shape[1]
    assert set(clip.names) <= {'box', ''}


def test_stamps_are_named_by_their_files_and_drawings_are_left_out(tmp_path: Path):
    image = np.zeros((80, 100, 4), np.uint8)
    image[10:70, 20:80] = (0, 0, 255, 255)  # blue, green, red, alpha
    for path in ('animals/polar_bear2.png', 'symbols/arrow.png', 'animals/01_polar_bear.png'):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / path), image)
    cv2.imwrite(str(tmp_path / 'opaque.png'), image[..., :3])
    first, second = load_stamps(tmp_path)
    assert [first.name, second.name] == ['polar bear'] * 2
    assert first.mask.sum() == 60 * 60 and first.image[40, 50].tolist() == [255, 0, 0]


def test_a_folder_without_stamps_is_an_error(tmp_path: Path):
    with pytest.raises(InputError, match='no cut-out'):
        load_stamps(tmp_path)


def test_what_is_held_out_is_not_trained_on():
    kept, held_out = split(list(range(13)), 6)
    assert held_out == [0, 6, 12]
    assert sorted(kept + held_out) == list(range(13))
