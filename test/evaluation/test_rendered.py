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
"""The validation clips: which pictures they may show, what they promise, and how they lie."""

import json

import cv2
from fast_sam2_ros.errors import InputError
from fast_sam2_ros.evaluation import rendered
from fast_sam2_ros.evaluation.cast import Material, Names, WALLPAPER_FILE, WALLPAPERS
from fast_sam2_ros.evaluation.davis import load_davis, read_expressions
from fast_sam2_ros.evaluation.rendered import lookalike_masks, read_stories, write_clip
from fast_sam2_ros.evaluation.stage import (
    Actor, film, light_for, look_at, place, recoloured, Stage)
from fast_sam2_ros.evaluation.stories import (
    absence, Clip, Director, HIDDEN, IN_VIEW, LEAVES, LOOKALIKE)
from fast_sam2_ros.media import read_mask
from fast_sam2_ros.training.clips import Cutout, Photo
import numpy as np
import pytest

FRAMES = 90


def disk(name, colour, side=120):
    """Return a round cut-out with stripes, so that its pixels are not all alike."""
    y, x = np.indices((side, side)) - side / 2
    image = np.full((side, side, 3), colour, np.uint8)
    image[::8] //= 2
    return Cutout(image, (x * x + y * y < side * side / 4.2).astype(np.uint8), name)


def noise(seed, height=1000, width=1600):
    small = np.random.default_rng(seed).integers(60, 200, (25, 40, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height))


@pytest.fixture(scope='module')
def director():
    outline = np.zeros((480, 640), bool)
    outline[180:300, 260:400] = True
    photo = Photo(noise(1, 480, 640), (outline,), ('cat',))
    things = [disk('orange', (230, 140, 20)), disk('zebra', (90, 90, 90)),
              disk('car', (20, 30, 200)), disk('car', (200, 30, 20))]
    material = Material(things, [photo], [photo], [noise(2), noise(3)])
    return lambda frames, seed=0: Director(material, Names(), frames, seed)


def test_names_are_usable_where_the_grounder_knows_them_as_what_they_are():
    names = Names()
    assert names.usable('bird') and names.usable('traffic sign')
    assert not names.usable('deer')  # known by likeness only
    assert not names.usable('toolbox')
    assert names.apart('bird', ['zebra', 'toolbox'])
    assert not names.apart('bird', ['zebra', 'magpie'])


def test_only_pictures_that_are_held_out_are_read(tmp_path):
    for index in range(7):
        image = np.full((300, 400, 3), index * 30, np.uint8)
        for folder, suffix in (('images', '.jpg'), ('labels', '.txt')):
            (tmp_path / 'coco' / folder).mkdir(parents=True, exist_ok=True)
            path = tmp_path / 'coco' / folder / f'{index}{suffix}'
            if folder == 'images':
                cv2.imwrite(str(path), image)
            else:
                path.write_text('16 0.2 0.2 0.7 0.2 0.7 0.7 0.2 0.7\n')  # a dog
        stamp = np.full((60, 60, 4), 255, np.uint8)
        stamp[..., :3] = index
        (tmp_path / 'stamps').mkdir(exist_ok=True)
        name = ('frog', 'cow', 'lion', 'zebra', 'bear', 'koala', 'orange')[index]
        cv2.imwrite(str(tmp_path / 'stamps' / f'{index}_{name}.png'), stamp)
    for name in WALLPAPERS:
        (tmp_path / 'wall' / name / WALLPAPER_FILE).parent.mkdir(parents=True)
        cv2.imwrite(str(tmp_path / 'wall' / name / WALLPAPER_FILE), np.zeros((100, 160, 3)))
    material = Material.load(tmp_path / 'coco', tmp_path / 'stamps', tmp_path / 'wall')
    assert [photo.image[0, 0, 0] // 30 for photo in material.photos] == [0, 6]
    # every fourth stamp, of which only the frog has a word here; and a dog of each photograph
    assert [thing.name for thing in material.things] == ['frog', 'dog', 'dog']
    assert material.scenes == []  # the dogs are too large for a background
    assert len(material.wallpapers) == len(WALLPAPERS)
    (tmp_path / 'wall' / WALLPAPERS[0] / WALLPAPER_FILE).unlink()
    with pytest.raises(InputError, match=WALLPAPERS[0]):
        Material.load(tmp_path / 'coco', tmp_path / 'stamps', tmp_path / 'wall')


def test_film_shows_each_thing_where_its_mask_is_and_what_hides_it():
    grey, red, blue = np.full((480, 640, 3), 100, np.uint8), (220, 20, 20), (20, 20, 220)
    square = np.ones((100, 100), np.uint8)
    still = np.zeros(1)

    def actor(colour, x):
        cutout = Cutout(np.full((100, 100, 3), colour, np.uint8), square, '')
        return Actor(cutout, place(cutout, np.array([[x, 240]]), still + 1, still), np.ones(3))

    outline = np.zeros((480, 640), bool)
    outline[200:280, 100:500] = True
    camera = look_at(np.array([[320, 240]]), still + 1, still)
    stage = Stage(grey, camera, outline, (actor(red, 200), actor(blue, 260)))
    shot, = film(stage, np.random.default_rng(0))
    # The blue square covers 40 of the 100 columns of the red one, less its soft edge.
    assert shot.actors[0].sum() == pytest.approx(60 * 100, rel=0.06)
    assert shot.actors[1].sum() == pytest.approx(100 * 100, rel=0.06)
    assert shot.areas.tolist() == [80 * 400, 100 * 100, 100 * 100]
    assert shot.outline.sum() == pytest.approx(80 * (400 - 160), rel=0.06)
    assert not (shot.outline & shot.actors.any(0)).any()
    frame = shot.frame.astype(int)
    assert (frame[shot.actors[1]][:, 2] - frame[shot.actors[1]][:, 0]).mean() > 150
    assert (frame[shot.actors[0]][:, 0] - frame[shot.actors[0]][:, 2]).mean() > 150


def test_a_cut_out_takes_over_a_little_of_the_light():
    thing = disk('', (100, 100, 100))
    assert light_for(thing, np.full((4, 4, 3), 20, np.uint8)).max() < 1
    red = light_for(thing, np.full((4, 4, 3), (140, 90, 90), np.uint8))
    assert red[0] > red[1] == red[2]


def test_another_colour_is_another_hue_of_the_same_brightness():
    thing = disk('car', (200, 40, 40))
    other = recoloured(thing, 120)
    assert other.image[1, 1].argmax() == 1 and other.image[1, 1].max() == 200


def test_the_target_is_in_view_all_the_time(director):
    clips = list(director(10).clips(IN_VIEW, 4))
    assert [clip.text for clip in clips].count('cat') == 1  # every third is in a photograph
    for clip in clips:
        shares = clip.truth.mean((1, 2))
        assert clip.frames.shape == (10, 480, 640, 3) and clip.away is None
        assert 0.02 <= shares[0] <= 0.4 and shares.min() > 0.004


@pytest.mark.parametrize('kind', [LEAVES, HIDDEN])
def test_the_target_goes_once_and_comes_back(director, kind):
    clip, = director(FRAMES).clips(kind, 1)
    begin, end = clip.away
    shown = clip.truth.any((1, 2))
    assert 15 <= end - begin <= 40 and len(shown) - end >= 30
    assert shown[:begin].all() and not shown[begin] and shown[end:].all()
    assert clip.lookalike is None


def test_a_lookalike_arrives_while_the_target_is_away(director):
    clip, = director(FRAMES).clips(LOOKALIKE, 1)
    begin, end = clip.away
    assert clip.text == 'car'  # the only word that two things have
    assert not clip.lookalike[:begin].any()
    assert clip.lookalike[end:].any((1, 2)).all()
    assert not (clip.lookalike & clip.truth).any()


def test_the_same_seed_gives_the_same_clips(director):
    first, same = (next(director(5).clips(IN_VIEW, 1)) for _ in range(2))
    other = next(director(5, seed=1).clips(IN_VIEW, 1))
    np.testing.assert_array_equal(first.frames, same.frames)
    assert (first.frames != other.frames).mean() > 0.5


def test_an_absence_is_one_piece_and_long_enough():
    seen = np.ones(90)
    seen[20:40], seen[40:43] = 0, 0.1
    assert absence(seen) == (20, 43)  # a tenth of the target is not a return
    assert absence(np.where(np.arange(90) == 30, 1.0, seen)) is None  # two absences
    assert absence(np.where(np.arange(90) < 28, 1.0, seen)) is not None
    assert absence(np.where(np.arange(90) < 29, 1.0, seen)) is None  # 14 frames
    assert absence(np.where(np.arange(90) == 80, 0.1, seen)) is None  # hidden again, nearly
    assert absence(seen[:70]) is None  # too short after the return
    assert absence(np.ones(90)) is None


def test_a_set_is_written_in_the_layout_of_davis(tmp_path, monkeypatch, director):
    rng = np.random.default_rng(0)
    truth = np.zeros((4, 480, 640), bool)
    truth[:, 100:200, 100:200] = True
    frames = rng.integers(0, 256, (4, 60, 80, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    clip = Clip(LOOKALIKE, 'traffic sign', frames, truth, truth[:, ::-1], (1, 3))
    story = write_clip(tmp_path / 'one', '00_traffic_sign', clip)
    assert (story.kind, story.away, story.lookalike) == (LOOKALIKE, (1, 3), True)
    sequence, = load_davis(tmp_path / 'one')
    np.testing.assert_array_equal(sequence.truth(2), truth[2])
    rival = lookalike_masks(tmp_path / 'one', sequence.name)
    np.testing.assert_array_equal(read_mask(rival[3]), truth[3, ::-1])
    difference = next(sequence.images()).astype(int) - frames[0]
    assert np.abs(difference).mean() < 12  # JPEG

    monkeypatch.setattr(Material, 'load', lambda *_: None)
    monkeypatch.setattr(rendered, 'Director', lambda *_: director(5))
    options = ['--set', 'text', '--photos', '.', '--stamps', '.', '--backgrounds', '.',
               '--clips', '2', '--out', str(tmp_path / 'two')]
    assert rendered.main(rendered.parse(options)) == 0
    names = [sequence.name for sequence in load_davis(tmp_path / 'two')]
    assert list(read_expressions(tmp_path / 'two' / 'expressions.csv')) == names
    stories = read_stories(tmp_path / 'two')
    assert [s.kind for s in stories.values()] == [IN_VIEW] * 2 and len(names) == 2
    assert json.loads((tmp_path / 'two' / 'stories.json').read_text())[names[0]]['fps'] == 24
    with pytest.raises(InputError, match='not empty'):
        rendered.main(rendered.parse(options))


def test_a_folder_without_stories_is_refused(tmp_path):
    with pytest.raises(InputError, match='stories.json'):
        read_stories(tmp_path)
