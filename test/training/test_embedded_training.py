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
"""The training-time twin of the tracker, its start, and the command on a handful of pictures."""

import argparse
import json
from pathlib import Path

import cv2
from fast_sam2_ros.prompt import Prompt
from fast_sam2_ros.sam2.checkpoint import load_model
from fast_sam2_ros.sam2.embedded import build_embedded, load_embedded
from fast_sam2_ros.tracker import Tracker
from fast_sam2_ros.training import clip_model, embedded
from fast_sam2_ros.training.clip_model import clip_loss, ClipModel, FrameOutput
from fast_sam2_ros.training.clips import ClipRenderer, Photo
import numpy as np
import pytest
import torch


def _photos(count: int) -> list[Photo]:
    rng = np.random.default_rng(3)
    photos = []
    for _ in range(count):
        small = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        image = cv2.resize(small, (320, 240), interpolation=cv2.INTER_CUBIC)
        mask = np.zeros((240, 320), np.uint8)
        cv2.circle(mask, (160, 120), 60, 1, cv2.FILLED)
        image[mask > 0] = image[mask > 0] // 3 + rng.integers(60, 160, 3, dtype=np.uint8)
        photos.append(Photo(image, (mask.astype(bool),)))
    return photos


@pytest.mark.parametrize('prompt', ['mask', 'box'])
@torch.no_grad()
def test_training_sees_the_model_as_the_tracker_runs_it(prompt, monkeypatch):
    monkeypatch.setattr('fast_sam2_ros.training.clip_model.PRUNED_SHARE', 0.0)
    model = load_embedded()
    size = model.image_size
    clip = ClipRenderer(_photos(2), [], np.random.default_rng(1), size=size).clip(4, 1)
    truth = clip.masks[0, 0]
    rows, columns = np.nonzero(truth)
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    tracker = Tracker(load_model('embedded'), keep_ratio=1.0)
    given = Prompt(mask=truth) if prompt == 'mask' else Prompt(box=tuple(map(float, box)))
    results = [tracker.prompt(clip.frames[0], given)]
    results += [tracker.step(frame) for frame in clip.frames[1:]]

    network = model.vision_encoder.backbone.network
    maps, masks, targets = embedded.encode(network, [clip])
    maps = [[level.float() for level in levels] for levels in maps]
    if prompt == 'box':
        rough = torch.from_numpy(given.as_mask(size, size)).float()[None]
        monkeypatch.setattr(
            'fast_sam2_ros.training.clip_model._rough_mask', lambda *arguments: rough)
        monkeypatch.setattr('fast_sam2_ros.training.clip_model.TRUTH_SHARE', 0.0)
    outputs = ClipModel(model)(maps, masks.float(), targets, prompt, torch.Generator())
    # a mask prompt is its own answer in the tracker; half precision maps and bfloat16 memories
    for t in range(1 if prompt == 'mask' else 0, 4):
        ours, theirs = results[t].logits, outputs[t].logits[0]
        assert (ours - theirs).abs().mean() < 0.05 * ours.abs().mean()
        assert abs(results[t].score - outputs[t].score.item()) < 0.3


@torch.no_grad()
def test_before_any_training_a_token_attends_to_places_that_look_like_it():
    torch.manual_seed(0)
    model = build_embedded(128)
    photos = _photos(4)
    embedded.initialise(model, photos, np.random.default_rng(0))
    clip = ClipRenderer(photos, [], np.random.default_rng(4), size=128).clip(1, 1)
    maps, masks, targets = embedded.encode(model.vision_encoder.backbone.network, [clip])
    twin = ClipModel(model)
    features = twin._features([level.float() for level in maps[0]], targets[:1])
    memory, _ = model.memory_encoder(features.tokens, 20 * masks[0, :1, None].float() - 10)
    attention = model.memory_attention.layers[0].cross_attn_image
    tokens = features.tokens.flatten(2)[0].T
    tokens = torch.nn.functional.layer_norm(tokens, tokens.shape[1:])
    scores = attention.q_proj(tokens) @ attention.k_proj(memory.flatten(2)[0].T).T
    own = scores.diagonal()
    assert (own > scores.median(1).values).float().mean() > 0.95
    assert (scores >= own[:, None]).sum(1).float().median() <= 3  # its rank among 64 places


def test_the_loss_is_small_for_the_truth_and_large_for_its_opposite():
    masks = torch.zeros(2, 1, 64, 64)
    masks[:, :, 16:48, 16:48] = 1
    logits = torch.nn.functional.interpolate(masks, (16, 16), mode='area') * 20 - 10
    right = [FrameOutput(logits[t], torch.ones(1), torch.full((1,), 8.0)) for t in range(2)]
    wrong = [FrameOutput(-logits[t], torch.ones(1), torch.full((1,), -8.0)) for t in range(2)]
    good, figures = clip_loss(right, masks)
    bad, _ = clip_loss(wrong, masks)
    assert good < 0.1 and bad > 10
    assert figures['J'] > 0.95


def test_absent_targets_count_for_presence_only():
    masks = torch.zeros(2, 1, 64, 64)
    output = FrameOutput(torch.full((1, 16, 16), 5.0), torch.ones(1), torch.full((1,), -9.0))
    loss, figures = clip_loss([output, output], masks)
    assert figures['focal'] == 0 and loss < 0.01


def test_the_command_trains_writes_whole_files_and_goes_on(tmp_path: Path, monkeypatch):
    for index, photo in enumerate(_photos(7)):
        for kind in ('images', 'labels'):
            (tmp_path / 'data' / kind / 'x').mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / f'data/images/x/{index}.jpg'), photo.image)
        (tmp_path / f'data/labels/x/{index}.txt').write_text('0 .3 .25 .7 .25 .7 .75 .3 .75\n')
    for stages in ('FIRST_STAGES', 'LATER_STAGES'):
        monkeypatch.setattr(embedded, stages, (embedded.Stage(1.0, 64, 3, 1),))
    monkeypatch.setattr(embedded, 'VALIDATION_CLIPS', 1)
    monkeypatch.setattr(embedded, 'VALIDATION_STORIES', 1)
    monkeypatch.setattr(embedded, 'VALIDATION_FRAMES', 3)
    parser = argparse.ArgumentParser()
    embedded.add_arguments(parser)
    command = ['--data', str(tmp_path / 'data'), '--out', str(tmp_path / 'out')]
    assert embedded.main(parser.parse_args([*command, '--minutes', '0.02'])) == 0
    assert embedded.main(parser.parse_args([*command, '--minutes', '0.05', '--resume'])) == 0
    curve = [json.loads(line) for line in
             (tmp_path / 'out' / 'embedded_curve.jsonl').read_text().splitlines()]
    assert len(curve) == 2 and curve[1]['step'] > curve[0]['step'] > 0
    assert not list((tmp_path / 'out').glob('*.partial'))
    load_embedded(tmp_path / 'out' / 'embedded.safetensors')
    command = [*command[:2], '--out', str(tmp_path / 'later'), '--minutes', '0.02',
               '--init', str(tmp_path / 'out' / 'embedded.safetensors')]
    assert embedded.main(parser.parse_args(command)) == 0
    load_embedded(tmp_path / 'later' / 'embedded.safetensors')


def test_words_give_a_rough_mask_about_the_target():
    mask = torch.zeros(3, 128, 128)
    mask[:, 40:90, 30:80] = 1
    rough = clip_model._rough_mask(mask, 'words', torch.Generator().manual_seed(0))
    overlap = (rough * mask).sum((1, 2)) / torch.maximum(rough, mask).sum((1, 2))
    assert ((overlap > 0.3) & (overlap < 0.98)).all()
    assert set(rough.unique().tolist()) == {0.0, 1.0}
    tiny = torch.zeros(1, 128, 128)
    tiny[:, 5:9, 5:9] = 1
    assert clip_model._rough_mask(tiny, 'words', torch.Generator().manual_seed(0)).any()
