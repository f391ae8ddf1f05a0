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
"""The learned router: what it reads, its file, and how it is refused."""

from dataclasses import replace
from types import SimpleNamespace

from fast_sam2_ros.errors import CheckpointError, ParameterError
from fast_sam2_ros.pruning import routers
from fast_sam2_ros.pruning.learned import RouterNetwork, RouterSettings
from fast_sam2_ros.pruning.routers import LearnedRouter, make_router
import pytest
import torch

CHANNELS, TEXT = 16, 12
SETTINGS = RouterSettings('embedded', CHANNELS, 'embedded', TEXT, with_prior=True, width=8)


class Words:
    """A text encoder that knows two words."""

    name, size = 'words', TEXT

    def encode(self, text):
        """Return a unit vector, or None."""
        place = {'dog': 0, 'cat': 1}.get(text)
        return None if place is None else torch.eye(TEXT)[place]


def network(**changes) -> RouterNetwork:
    """Return a network with random weights, no word's worth zero."""
    torch.manual_seed(0)
    made = RouterNetwork(replace(SETTINGS, **changes)).eval().requires_grad_(False)
    torch.nn.init.normal_(made.no_goal)
    return made


def cues() -> SimpleNamespace:
    """Return random cues on a grid of 5 x 7."""
    generator = torch.Generator().manual_seed(1)
    maps = torch.rand(2, 5, 7, generator=generator)
    return SimpleNamespace(
        feature_map=torch.randn(1, CHANNELS, 5, 7, generator=generator), variance=maps[0],
        prior=maps[1])


@pytest.mark.parametrize('part', ['feature_map', 'variance', 'prior'])
def test_every_input_counts(part):
    router, seen = LearnedRouter('learned', network(), Words(), torch.device('cpu')), cues()
    before = router.score(seen)
    assert before.shape == (5, 7)
    setattr(seen, part, getattr(seen, part) + 1)
    if part == 'variance':  # it belongs to the features, and is looked at with them
        seen.feature_map = seen.feature_map.clone()
    assert not torch.allclose(before, router.score(seen))


def test_the_paper_s_variant_does_not_see_the_last_mask():
    router = LearnedRouter(
        'learned', network(with_prior=False), Words(), torch.device('cpu'))
    seen = cues()
    before = router.score(seen)
    seen.prior = None
    assert torch.equal(before, router.score(seen))


def test_the_words_count_and_unknown_ones_count_as_none():
    router, seen = LearnedRouter('learned', network(), Words(), torch.device('cpu')), cues()
    scores = {}
    for text in ('', 'dog', 'cat', 'gibberish'):
        router.aim(text)
        scores[text] = router.score(seen)
    assert not torch.allclose(scores['dog'], scores['cat'])
    assert not torch.allclose(scores['dog'], scores[''])
    assert torch.equal(scores['gibberish'], scores[''])


@pytest.mark.parametrize('with_prior', [True, False])
def test_a_frame_is_looked_at_once_and_judged_as_if_anew(with_prior, monkeypatch):
    made, seen = network(with_prior=with_prior), cues()
    router = LearnedRouter('learned', made, Words(), torch.device('cpu'))
    router.aim('dog')
    goal = made.project(Words().encode('dog'))[None]
    looks, look = [], RouterNetwork.look
    monkeypatch.setattr(
        RouterNetwork, 'look', lambda *args: looks.append(args) or look(*args))
    for _ in range(2):
        seen.prior = torch.rand(5, 7)
        scores = router.score(seen)
        assert torch.equal(
            scores, made.judge(look(made, seen.feature_map, goal, seen.variance[None]),
                               seen.prior[None])[0])
    assert len(looks) == 1
    router.aim('cat')
    assert not torch.allclose(router.score(seen), scores) and len(looks) == 2


def test_what_is_saved_is_loaded(tmp_path):
    made = network()
    made.save(tmp_path / 'router.safetensors')
    loaded = RouterNetwork.load(tmp_path / 'router.safetensors')
    assert loaded.settings == made.settings
    for name, value in made.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value.half().float()), name
    assert not list(tmp_path.glob('*.partial'))


@pytest.mark.parametrize('content', [None, b'', b'no safetensors at all'])
def test_a_missing_or_broken_file_is_named(tmp_path, content):
    path = tmp_path / 'router.safetensors'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match='router.safetensors'):
        RouterNetwork.load(path)


def model(name: str, channels: int) -> SimpleNamespace:
    """Return a loaded model of which a router only asks name, device and width."""
    config = SimpleNamespace(vision_config=SimpleNamespace(fpn_hidden_size=channels))
    return SimpleNamespace(
        name=name, model=SimpleNamespace(device=torch.device('cpu'), config=config))


def test_a_router_of_another_model_is_refused(tmp_path, monkeypatch):
    path = tmp_path / 'router.safetensors'
    network().save(path)
    monkeypatch.setattr('fast_sam2_ros.grounding.text.load_text_encoder', lambda *_: Words())
    assert make_router(str(path), model('mine', CHANNELS)).name == str(path)
    with pytest.raises(CheckpointError, match='256'):
        make_router(str(path), model('mine', 256))
    network(text_size=99).save(path)
    with pytest.raises(CheckpointError, match='99'):
        make_router(str(path), model('mine', CHANNELS))


def test_another_checkpoint_is_told_to_train_its_own():
    with pytest.raises(ParameterError, match='fast-sam2 train router --model other/model'):
        make_router('learned', model('other/model', 256))


@pytest.mark.parametrize('name', ['learned', 'learned-prior'])
def test_the_shipped_routers_load(name):
    router = routers.make_router(name, model('embedded', 128))
    router.aim('dog')
    seen = SimpleNamespace(feature_map=torch.randn(1, 128, 24, 24),
                           variance=torch.rand(24, 24), prior=torch.rand(24, 24))
    assert torch.isfinite(router.score(seen)).all()
