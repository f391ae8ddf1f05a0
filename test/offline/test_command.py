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
"""`fast-sam2 track`, with a model of random weights."""

import json

import cv2
from fast_sam2_ros import cli, grounding, tracker
from fast_sam2_ros.demo.scene import cut_out, fill
from fast_sam2_ros.grounding.result import Grounding
from fast_sam2_ros.grounding.vocabulary import Vocabulary
from fast_sam2_ros.media import open_media, read_mask, VideoWriter, write_image, write_mask
from fast_sam2_ros.offline import track as tracking
from fast_sam2_ros.prompt import Prompt
import numpy as np
import pytest
import torch

CATS = set(range(281, 286))  # ImageNet's classes


class Halves:
    """Finds what is left and what is right, at half of the frame."""

    name = 'halves'

    def ground(self, image, text):
        mask = np.zeros(image.shape[:2], bool)
        half = mask.shape[1] // 2
        mask[10:-10, slice(4, half - 4) if text == 'left' else slice(half + 4, -4)] = True
        return Grounding(label=text, score=0.9, box=None, mask=mask, relevance=None,
                         prompt=Prompt(mask=mask))

    def knows(self, text):
        return True


@pytest.fixture
def clip(tmp_path):
    with VideoWriter(tmp_path / 'clip.mp4', 10) as writer:
        for index in range(6):
            image = np.full((48, 64, 3), 60, np.uint8)
            image[10:30, 10 + index:30 + index] = (240, 200, 40)
            writer.write(image, index / 10)
    return tmp_path / 'clip.mp4'


def test_a_box_gives_masks_an_overlay_and_track_json(clip, tmp_path, capsys):
    out = tmp_path / 'out'
    code = cli.main(['track', str(clip), '--box', '10,10,30,30', '--model', 'random:micro',
                     '--out', str(out), '--keep-ratio', '0.5', '--json'])
    assert code == 0
    track = json.loads((out / 'track.json').read_text())
    assert [frame['stamp'] for frame in track['frames']] == pytest.approx(
        [index / 10 for index in range(6)])
    assert track['frames'][0]['state'] == 'tracking'
    assert [frame['tokens_retained'] for frame in track['frames']] == [16] + [8] * 5
    assert all(frame['iou'] is None for frame in track['frames'])
    assert track['summary']['model'] == 'random:micro'
    assert track['summary']['mean_iou'] is None
    assert json.loads(capsys.readouterr().out)['frames'] == 6
    masks = sorted((out / 'masks').iterdir())
    assert [mask.name for mask in masks] == [f'{index:06d}.png' for index in range(6)]
    assert read_mask(masks[0]).shape == (48, 64)
    frames = list(open_media(out / 'overlay.mp4'))
    assert len(frames) == 6 and frames[-1].stamp == pytest.approx(0.5)


def test_a_mask_is_taken_over_on_the_first_frame_of_a_folder(tmp_path, capsys):
    folder = tmp_path / 'frames'
    folder.mkdir()
    for index in range(3):
        write_image(folder / f'{index}.png', np.full((48, 64, 3), 40 * index, np.uint8))
    mask = np.zeros((48, 64), np.uint8)
    mask[12:36, 16:48] = 1
    write_mask(tmp_path / 'mask.png', mask)
    code = cli.main(['track', str(folder), '--fps', '5', '--mask', str(tmp_path / 'mask.png'),
                     '--model', 'random:micro', '--out', str(tmp_path / 'out'), '--tokens'])
    assert code == 0
    assert '3 of 3 frames tracked' in capsys.readouterr().out
    first = read_mask(tmp_path / 'out' / 'masks' / '0.png')
    union, both = (first | (mask == 1)).sum(), (first & (mask == 1)).sum()
    assert both / union > 0.6  # the model sees it on 16 x 16 pixels


def test_several_targets_give_label_masks_and_a_list_in_track_json(clip, tmp_path, capsys,
                                                                   monkeypatch):
    monkeypatch.setattr(grounding, 'load_grounder', lambda *_: Halves())
    command = ['track', str(clip), '--text', 'left; right;Left', '--model', 'random:micro']
    assert cli.main([*command, '--out', str(tmp_path), '--tokens']) == 0
    output = capsys.readouterr().out
    assert 'left: 6 of 6 frames\nright: 5 of 6 frames\n6 of 6 frames tracked' in output
    frames = json.loads((tmp_path / 'track.json').read_text())['frames']
    assert [[each['text'] for each in frame['targets']] for frame in frames] == [
        ['left', 'right']] * 6
    assert [each['state'] for each in frames[0]['targets']] == ['tracking', 'searching']
    last = frames[-1]
    assert last['target_text'] == 'left; right' and last['state'] == 'tracking'
    assert [set(each) for each in last['targets']] == [
        {'id', 'text', 'label', 'state', 'score', 'tokens_retained', 'bank_bytes'}] * 2
    assert last['bank_bytes'] == sum(each['bank_bytes'] for each in last['targets'])
    shown = set()
    for path in (tmp_path / 'masks').iterdir():
        shown |= set(np.unique(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))
    assert shown == {0, 1, 2}


def test_settings_reach_the_session(clip, tmp_path, monkeypatch):
    sessions = []
    track = tracking.track
    monkeypatch.setattr(tracking, 'track',
                        lambda session, *rest: sessions.append(session) or track(session, *rest))
    monkeypatch.setattr(torch.cpu, '_is_amx_tile_supported', lambda: False)
    command = ['track', str(clip), '--box', '10,10,30,30', '--model', 'random:micro',
               '--describer', 'none', '--grounder', 'none', '--out', str(tmp_path)]
    assert cli.main(command) == 0
    assert cli.main([*command, '--target-latency-ms', '50', '--min-keep-ratio', '0.3',
                     '--max-targets', '2', '--dtype', 'bfloat16']) == 0
    plain, governed = sessions
    assert (plain.governor, plain.max_targets) == (None, 8)
    assert (governed.governor.target_ms, governed.min_keep_ratio) == (50.0, 0.3)
    assert governed.max_targets == 2
    assert [each.tracker.dtype for each in sessions] == ['float32', 'bfloat16']


def test_what_was_pointed_at_is_put_in_words(tmp_path):
    image, outline = cut_out('cat')
    (tmp_path / 'frames').mkdir()
    for index in range(3):
        write_image(tmp_path / 'frames' / f'{index}.png', image)
    write_mask(tmp_path / 'mask.png', fill(outline, *image.shape[:2]))
    command = ['track', str(tmp_path / 'frames'), '--mask', str(tmp_path / 'mask.png'),
               '--model', 'embedded', '--out', str(tmp_path)]
    texts = {}
    for describer in ('embedded', 'none'):
        assert cli.main([*command, '--describer', describer]) == 0
        track = json.loads((tmp_path / 'track.json').read_text())
        texts[describer] = [frame['target_text'] for frame in track['frames']]
    first, second, third = texts['embedded']
    assert first == '' and third == second
    assert set(Vocabulary().understand(second).classes) & CATS
    assert texts['none'] == ['', '', '']


def test_where_the_device_has_too_little_memory_a_frame_is_taken_with_fewer_tokens(
        clip, tmp_path, monkeypatch, capsys):
    attend = tracker.attend

    def attend_in(parts, tokens, queries, memory):
        if queries is None or queries.shape[-1] > 0.3 * parts.token_count + 1:
            raise torch.OutOfMemoryError('CUDA out of memory')
        return attend(parts, tokens, queries, memory)

    monkeypatch.setattr(tracker, 'attend', attend_in)
    code = cli.main(['track', str(clip), '--box', '10,10,30,30', '--model', 'random:micro',
                     '--describer', 'none', '--keep-ratio', '1.0', '--out', str(tmp_path)])
    assert code == 0
    frames = json.loads((tmp_path / 'track.json').read_text())['frames']
    assert [frame['tokens_retained'] for frame in frames] == [16] + [5] * 5
    assert 'ran out of memory at a keep ratio of 0.5; it is 0.3' in capsys.readouterr().out


@pytest.mark.parametrize('words, reason', [
    (['gone.mp4', '--text', 'dog'], 'gone.mp4 does not exist'),
    (['gone.mcap', '--text', 'dog'], 'gone.mcap does not exist'),
    (['CLIP', '--box', '200,10,300,30', '--model', 'random:micro'], 'lies outside'),
    (['CLIP', '--mask', 'gone.png', '--model', 'random:micro'], 'gone.png is not an image'),
    (['CLIP', '--box', '1,1,9,9', '--model', 'no/such-model'], 'fast-sam2 fetch no/such-model'),
    (['CLIP', '--box', '1,1,9,9', '--router', 'best', '--model', 'random:micro'], 'best'),
    (['CLIP', '--box', '1,1,9,9', '--device', 'abacus'], 'abacus'),
    (['CLIP', '--text', 'a', '--model', 'random:micro', '--max-targets', '300'], 'max_targets'),
    (['CLIP', '--text', ' ; '], '--text has no words'),
])
def test_an_error_is_one_line_and_exit_code_2(clip, tmp_path, capsys, words, reason):
    words = [str(clip) if word == 'CLIP' else word for word in words]
    assert cli.main(['track', *words, '--out', str(tmp_path / 'out')]) == 2
    output = capsys.readouterr()
    assert reason in output.err
    assert output.err.strip().count('\n') == 0 and output.err.startswith('fast-sam2 track: ')


@pytest.mark.parametrize('words', [
    ['CLIP'], ['CLIP', '--text', 'a', '--box', '1,1,9,9'], ['CLIP', '--box', '1,2,3'],
    ['CLIP', '--text', 'a', '--keep-ratio', '0'], ['CLIP', '--text', 'a', '--keep-ratio', '1.5'],
    ['CLIP', '--text', 'a', '--target-latency-ms', '-1'],
    ['CLIP', '--text', 'a', '--max-targets', '0'],
    ['CLIP', '--text', 'a', '--compile', 'maybe'], ['CLIP', '--text', 'a', '--dtype', 'float16'],
])
def test_a_wrong_command_line_is_refused(clip, words, capsys):
    with pytest.raises(SystemExit) as error:
        cli.main(['track', *[str(clip) if word == 'CLIP' else word for word in words]])
    assert error.value.code == 2
    assert 'usage: fast-sam2 track' in capsys.readouterr().err
