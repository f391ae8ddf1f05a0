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
"""Checkpoints in Meta's format, made from Meta's own class with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fast_sam2_ros.errors import CheckpointError
from fast_sam2_ros.evaluation import parity
from fast_sam2_ros.evaluation.official import build_official
from fast_sam2_ros.sam2.checkpoint import load_model, LoadedModel, Preprocess
from fast_sam2_ros.sam2.meta import (
    convert, detect_size, HieraSize, load_meta, read_state_dict, rename_weights, SIZES,
    video_config)
import pytest
import torch
from torch import nn, Tensor

SMALL = HieraSize(16, 1, (1, 2, 2, 1), (4,), (8, 4, 4, 2), 7)
IMAGE_SIZE = 128
FRAMES = 18
needs_official = pytest.mark.skipif(
    not parity.official_is_installed(), reason="Meta's sam2 is not installed")


def small_predictor(seed: int = 0, version: str = '2.1', **changes: Any) -> nn.Module:
    """Build Meta's predictor as its configuration files do, with a small image encoder."""
    from hydra import compose
    from hydra.utils import instantiate
    from omegaconf import OmegaConf
    import sam2  # noqa: F401  (registers its configurations)

    name = {'2.1': 'configs/sam2.1/sam2.1_hiera_t.yaml', '2.0': 'configs/sam2/sam2_hiera_t.yaml'}
    settings = {
        '_target_': 'sam2.sam2_video_predictor.SAM2VideoPredictor',
        'image_size': IMAGE_SIZE,
        'binarize_mask_from_pts_for_mem_enc': True,
        'sam_mask_decoder_extra_args.dynamic_multimask_via_stability': True,
        'sam_mask_decoder_extra_args.dynamic_multimask_stability_delta': 0.05,
        'sam_mask_decoder_extra_args.dynamic_multimask_stability_thresh': 0.98,
        'image_encoder.trunk.embed_dim': SMALL.width,
        'image_encoder.trunk.num_heads': SMALL.heads,
        'image_encoder.trunk.stages': list(SMALL.blocks),
        'image_encoder.trunk.global_att_blocks': list(SMALL.global_blocks),
        'image_encoder.trunk.window_spec': list(SMALL.windows),
        'image_encoder.neck.backbone_channel_list': list(reversed(SMALL.widths)),
        **changes,
    }
    config = compose(config_name=name[version], overrides=[
        f'++model.{key}={str(value).lower() if isinstance(value, bool) else value}'
        for key, value in settings.items()])
    OmegaConf.resolve(config)
    with parity.seeded(seed):
        predictor = instantiate(config.model, _recursive_=True)
    parity.randomise(predictor, predictor.sam_mask_decoder.pred_obj_score_head.layers[-1], seed)
    return predictor.eval().requires_grad_(False)


def save(predictor: nn.Module, path: Path) -> Path:
    """Write a predictor's weights as Meta's checkpoints are written."""
    torch.save({'model': predictor.state_dict()}, path)
    return path


def small_config(**changes: Any) -> Any:
    """Describe the same small model to transformers."""
    return video_config(SMALL, IMAGE_SIZE, **changes)


@pytest.fixture(scope='module')
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, LoadedModel]:
    """Meta's predictor, and our model read from the file that it was saved to."""
    predictor = small_predictor()
    path = save(predictor, tmp_path_factory.mktemp('meta') / 'small.pt')
    model = load_meta(path, small_config())
    return predictor, LoadedModel(model, Preprocess(IMAGE_SIZE), 'small', str(path))


@needs_official
@pytest.mark.parametrize('kind', parity.PROMPTS)
def test_tracker_equals_meta_on_a_converted_checkpoint(
        pair: tuple[nn.Module, LoadedModel], kind: str) -> None:
    """Every prompt gives Meta's logits over a stream that fills both memories."""
    predictor, loaded = pair
    frames = parity.make_frames(IMAGE_SIZE, FRAMES)
    prompt = parity.make_prompt(kind, IMAGE_SIZE)
    theirs = parity.run_official(predictor, loaded.preprocess, frames, prompt)
    result = parity.compare(parity.run_tracker(loaded, frames, prompt), theirs)
    assert result['visible'] == FRAMES
    assert result['max_abs_diff'] <= parity.TOLERANCE
    pruned = parity.run_tracker(loaded, frames, prompt, keep_ratio=0.9)
    assert parity.compare(pruned, theirs)['max_abs_diff'] > parity.CONTROL_DIFFERENCE


@needs_official
@pytest.mark.parametrize('seed', [4, 5])
def test_tracker_equals_meta_where_the_target_is_out_of_view(seed: int, tmp_path: Path) -> None:
    """Without the target the scores are Meta's, and so are the masks when it is back."""
    predictor = small_predictor(seed)
    frames = parity.make_frames(IMAGE_SIZE, FRAMES)
    prompt = parity.make_prompt('box', IMAGE_SIZE)
    head = predictor.sam_mask_decoder.pred_obj_score_head.layers[-1]
    head.weight.mul_(300)  # Scores that differ from frame to frame, and by more than rounding.
    seen = parity.run_official(predictor, Preprocess(IMAGE_SIZE), frames, prompt)
    scores = torch.tensor([answer.score for answer in seen[1:]])
    head.bias.sub_(scores.median())  # Some frames lack the target now.
    theirs = parity.run_official(predictor, Preprocess(IMAGE_SIZE), frames, prompt)
    visible = [answer.score > 0 for answer in theirs]
    assert 0 < sum(visible) < FRAMES
    assert min(abs(answer.score) for answer in theirs) > 10 * parity.TOLERANCE
    model = load_meta(save(predictor, tmp_path / 'hidden.pt'), small_config())
    loaded = LoadedModel(model, Preprocess(IMAGE_SIZE), 'small', 'test')
    ours = parity.run_tracker(loaded, frames, prompt)
    assert [answer.score > 0 for answer in ours] == visible
    result = parity.compare(ours, theirs)
    assert result['max_abs_diff'] <= parity.TOLERANCE
    assert result['max_score_diff'] <= parity.TOLERANCE


@needs_official
def test_sam_2_0_is_told_from_2_1(tmp_path: Path) -> None:
    """A checkpoint without 2.1's two additions becomes a model without them, equal to Meta's."""
    predictor = small_predictor(version='2.0')
    state = predictor.state_dict()
    assert 'no_obj_embed_spatial' not in state and 'obj_ptr_tpos_proj.weight' not in state
    model = load_meta(save(predictor, tmp_path / 'old.pt'), small_config(
        pointer_times=False, occlusion_embedding=False))
    frames = parity.make_frames(IMAGE_SIZE, FRAMES)
    prompt = parity.make_prompt('box', IMAGE_SIZE)
    loaded = LoadedModel(model, Preprocess(IMAGE_SIZE), 'old', 'test')
    result = parity.compare(
        parity.run_tracker(loaded, frames, prompt),
        parity.run_official(predictor, loaded.preprocess, frames, prompt))
    assert result['max_abs_diff'] <= parity.TOLERANCE
    with pytest.raises(CheckpointError, match='are missing .*occlusion'):
        convert(state, small_config())


@needs_official
@pytest.mark.parametrize('size', SIZES)
def test_every_size_of_meta_is_detected_and_fits(
        size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of Meta's four configurations has exactly the weights of the model we build for it."""
    from transformers import Sam2VideoModel

    for layer in (nn.Linear, nn.modules.conv._ConvNd):  # Only the shapes are wanted.
        monkeypatch.setattr(layer, 'reset_parameters', lambda self: None)
    state = build_official(size).state_dict()
    config = video_config(SIZES[detect_size(state)])
    with torch.device('meta'):
        wanted = {name: value.shape for name, value in Sam2VideoModel(config).state_dict().items()}
    assert detect_size(state) == size
    assert {name: value.shape for name, value in rename_weights(state).items()} == wanted


@needs_official
def test_missing_and_unknown_weights_are_named(pair: tuple[nn.Module, LoadedModel]) -> None:
    """No weight is made up, and none is passed over."""
    state = dict(pair[0].state_dict())
    lacking = dict(state)
    del lacking['memory_attention.norm.bias']
    with pytest.raises(CheckpointError, match='are missing .memory_attention.layer_norm.bias'):
        convert(lacking, small_config())
    with pytest.raises(CheckpointError, match='are not known .head.weight'):
        convert({**state, 'head.weight': torch.zeros(1)}, small_config())
    with pytest.raises(CheckpointError, match='another shape .no_object_pointer'):
        convert({**state, 'no_obj_ptr': torch.zeros(1, 8)}, small_config())


def test_other_networks_are_refused() -> None:
    """A file of another architecture, or of a size that does not exist, is told apart."""
    with pytest.raises(CheckpointError, match='not a SAM 2 checkpoint'):
        detect_size({'conv.weight': torch.zeros(1)})
    patch_embed = {'image_encoder.trunk.patch_embed.proj.weight': torch.zeros(96, 3, 7, 7)}
    with pytest.raises(CheckpointError, match='96 channels and 0 blocks'):
        detect_size(patch_embed)


class RunsCode:
    """What a pickle can do: this one would create a file when it is opened."""

    def __init__(self, path: Path) -> None:
        """Remember which file to create."""
        self.path = path

    def __reduce__(self) -> tuple:
        """Tell pickle to call a function on loading."""
        return Path.touch, (self.path,)


def test_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    """Opening a checkpoint never runs what is inside."""
    trace = tmp_path / 'ran'
    torch.save({'model': {'weight': torch.zeros(1)}, 'extra': RunsCode(trace)},
               tmp_path / 'bomb.pt')
    with pytest.raises(CheckpointError, match='could run code'):
        load_model(str(tmp_path / 'bomb.pt'))
    assert not trace.exists()
    torch.load(tmp_path / 'bomb.pt', weights_only=False)
    assert trace.exists(), 'the file was harmless, so the test showed nothing'


def test_truncated_and_foreign_files_are_refused(tmp_path: Path) -> None:
    """Each is one line that names the file and says what to do."""
    weights: dict[str, Tensor] = {'weight': torch.zeros(1000)}
    torch.save({'model': weights}, tmp_path / 'whole.pt')
    content = (tmp_path / 'whole.pt').read_bytes()
    (tmp_path / 'cut.pt').write_bytes(content[:len(content) // 2])
    (tmp_path / 'text.pt').write_text('not weights')
    torch.save([1, 2, 3], tmp_path / 'list.pt')
    for name, reason in (('cut.pt', 'cut short'), ('text.pt', 'not a PyTorch file'),
                         ('list.pt', 'not in the format'), ('none.pt', 'is missing'),
                         ('whole.pt', 'not a SAM 2 checkpoint')):
        with pytest.raises(CheckpointError, match=reason) as error:
            load_model(str(tmp_path / name))
        assert name in str(error.value) and '\n' not in str(error.value)
    assert set(read_state_dict(tmp_path / 'whole.pt')) == {'weight'}
