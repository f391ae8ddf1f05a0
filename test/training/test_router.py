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
"""Training the router: samples that say what the target covers, and a loss that can be learned."""

import argparse
from dataclasses import replace
import itertools

import cv2
from fast_sam2_ros.errors import InputError
from fast_sam2_ros.pruning.learned import RouterNetwork
from fast_sam2_ros.sam2.checkpoint import load_model
from fast_sam2_ros.training import router
from fast_sam2_ros.training.router import Example, Sampler, Training
import numpy as np
import pytest
import torch

TEXT = 6


class Words:
    """A text encoder of two colours."""

    name, size = 'words', TEXT

    def encode(self, text):
        """Return a unit vector, or None."""
        place = {'red': 0, 'green': 1}.get(text)
        return None if place is None else torch.eye(TEXT)[place]


def examples(rng):
    """Yield a red and a green square on grey, one of which is the target."""
    while True:
        frame = rng.integers(100, 130, (128, 128, 3), dtype=np.uint8)
        masks = {}
        for name, colour, left in (('red', (220, 30, 30), 8), ('green', (30, 200, 30), 72)):
            x, y = left + int(rng.integers(0, 10)), int(rng.integers(5, 70))
            mask = np.zeros((128, 128), bool)
            mask[y:y + 48, x:x + 40] = True
            frame[mask] = colour
            masks[name] = mask
        name = ('red', 'green')[int(rng.integers(2))]
        yield Example(frame, masks[name], (masks[name], masks[name]), name)


@pytest.fixture(scope='module')
def loaded():
    """Return the embedded model at a small input."""
    return load_model('embedded', image_size=128)


def test_a_sample_says_which_tokens_the_target_covers(loaded):
    (example,) = itertools.islice(examples(np.random.default_rng(0)), 1)
    sample = Sampler(loaded, Words(), np.random.default_rng(1))(example)
    rows, columns = np.nonzero(example.mask)
    covered = np.zeros((8, 8))
    covered[rows.min() // 16:rows.max() // 16 + 1,
            columns.min() // 16:columns.max() // 16 + 1] = 1
    # the target's outermost pixels alone do not make a token covered
    assert (sample.covered.numpy() <= covered).all()
    assert sample.covered.sum() >= 0.6 * covered.sum()
    assert sample.features.shape == (loaded.model.hidden_dim, 8, 8)
    assert sample.prior.shape == sample.variance.shape == (8, 8)


def test_a_frame_without_the_target_is_no_sample(loaded):
    (example,) = itertools.islice(examples(np.random.default_rng(0)), 1)
    empty = replace(example, mask=np.zeros_like(example.mask))
    assert Sampler(loaded, Words(), np.random.default_rng(1))(empty) is None


def test_training_learns_which_square_the_word_means(loaded):
    sampler = Sampler(loaded, Words(), np.random.default_rng(2))
    samples = router.take(examples(np.random.default_rng(3)), sampler, 96)
    training = Training(loaded, Words(), seed=0)
    first = training.learn(samples, 0.0)
    for _ in range(4):
        last = training.learn(samples, 0.0)
    assert all(last[name] < 0.5 * first[name] for name in first)
    held_out = router.take(examples(np.random.default_rng(4)), sampler, 24)
    rows = {row['router']: row for row in router.validate(training.networks, held_out)}
    assert rows['learned']['0.1'] > 1.25 * rows['learned, without words']['0.1'], rows
    assert rows['learned']['0.3'] > 0.9


def test_covered_and_other_tokens_weigh_the_same():
    covered = torch.zeros(1, 4, 4)
    covered[0, 0, 0] = 1
    miss, alarm = torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)
    miss[0, 0, 0] = -3.0
    alarm[covered == 0] = 3.0
    assert router.cross_entropy(miss, covered) == pytest.approx(
        router.cross_entropy(alarm, covered).item())


def test_the_share_that_is_kept():
    covered = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    scores = torch.tensor([[0.9, 0.1], [0.5, 0.2]])
    assert router.kept_share(scores, covered, 0.5) == 0.5
    assert router.kept_share(scores, covered, 1.0) == 1.0


def test_the_command_writes_two_routers_and_their_card(tmp_path, loaded, monkeypatch):
    monkeypatch.setattr(router, 'ROUND', 32)
    monkeypatch.setattr(router, 'EPOCHS', 1)
    monkeypatch.setattr(router, 'VALIDATION_SAMPLES', 8)
    monkeypatch.setattr(router, 'load_model', lambda *_: loaded)
    frames, masks = (tmp_path / kind / '480p' for kind in ('JPEGImages', 'Annotations'))
    for name, seed in (('one', 0), ('two', 1)):
        (frames / name).mkdir(parents=True)
        (masks / name).mkdir(parents=True)
        for index, example in enumerate(itertools.islice(
                examples(np.random.default_rng(seed)), 4)):
            cv2.imwrite(str(frames / name / f'{index:05}.jpg'), example.frame[..., ::-1])
            cv2.imwrite(str(masks / name / f'{index:05}.png'), 255 * example.mask.astype(np.uint8))
    (tmp_path / 'expressions.csv').write_text(
        'video_id;instance_id;ref_exp\none;1;a dog\ntwo;1;a car\n')
    parser = argparse.ArgumentParser()
    router.add_arguments(parser)
    out = tmp_path / 'out'
    words = ['--videos', str(tmp_path), '--minutes', '0.02', '--out', str(out)]
    assert router.main(parser.parse_args(words)) == 0
    for with_prior, file in router.FILES.items():
        settings = RouterNetwork.load(out / file).settings
        assert settings.with_prior is with_prior
        assert (settings.channels, settings.text_size) == (loaded.model.hidden_dim, 1280)
    assert '| learned-prior |' in (out / 'router.md').read_text()


def test_one_video_cannot_be_split(tmp_path):
    for kind, suffix in (('JPEGImages', 'jpg'), ('Annotations', 'png')):
        folder = tmp_path / kind / '480p' / 'one'
        folder.mkdir(parents=True)
        for index in range(3):
            cv2.imwrite(str(folder / f'{index}.{suffix}'), np.full((32, 32), 200, np.uint8))
    (tmp_path / 'expressions.csv').write_text('video_id;instance_id;ref_exp\none;1;a dog\n')
    parser = argparse.ArgumentParser()
    router.add_arguments(parser)
    with pytest.raises(InputError, match='one sequence'):
        router.open_examples(parser.parse_args(['--videos', str(tmp_path)]), 128)
