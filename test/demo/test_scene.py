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
"""The rendered scene and its truth."""

import subprocess
import sys

import cv2
from fast_sam2_ros.demo.scene import cut_out, fill, read_outlines, Scene
from fast_sam2_ros.errors import InputError, ParameterError
import numpy as np
import pytest


@pytest.fixture(scope='module')
def scene():
    return Scene(rate=10)


def test_frames_are_the_same_for_a_seed_and_differ_between_seeds(scene):
    first, truth = scene.frame(40)
    again, truth_again = Scene(rate=10).frame(40)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(truth['cat'], truth_again['cat'])
    assert (first != Scene(rate=10, seed=1).frame(40)[0]).any()
    assert first.shape == (480, 640, 3) and first.dtype == np.uint8
    assert truth['cat'].shape == (480, 640) and set(np.unique(truth['cat'])) == {0, 1}


def test_the_script_names_two_things_in_view_and_one_that_is_not_there(scene):
    first, second, third = scene.goals
    assert first.present and second.present and third.present is False
    assert third.text not in scene.frame(third.index)[1]
    for goal, last in ((first, second.index - 20), (second, third.index - 20)):
        visible = [scene.frame(index)[1][goal.text].mean()
                   for index in range(goal.index, last, 5)]
        assert min(visible) > 0.04  # of the frame, while the goal is in force
    assert scene.goal_at(second.index - 1) == first
    assert scene.goal_at(second.index) == second


def test_the_truth_lies_on_the_picture_also_from_an_angle(scene):
    """The truth's outline, mapped back through the homography, is the one that was drawn."""
    from fast_sam2_ros.demo.scene import _on_wall, PICTURES

    picture = PICTURES[1]
    index = 95
    _, truth = scene.frame(index)
    back = np.linalg.inv(scene._homography(scene.stamp(index)))
    mask = truth['cup and saucer']
    seen = cv2.warpPerspective(mask, back, (2250, 1100), flags=cv2.INTER_NEAREST)
    drawn = fill(_on_wall(picture, cut_out('cup and saucer')[1]), 1100, 2250)
    assert np.count_nonzero(seen & drawn) > 0.95 * np.count_nonzero(seen)


def test_the_truth_is_where_the_photograph_shows_it(scene):
    """The white rim of the cup is brighter than the wood around it, in the frame as well."""
    image, truth = scene.frame(95)
    cup = truth['cup and saucer']
    ring = cv2.dilate(cup, np.ones((25, 25), np.uint8)) & (1 - cup)
    rows = np.nonzero(cup)[0]
    upper = np.arange(480)[:, None] < rows.min() + 0.3 * np.ptp(rows)  # above the saucer
    green = image[..., 1].astype(float)
    assert green[(cup == 1) & upper].mean() > 1.5 * green[(ring == 1) & upper].mean()


def test_what_flies_in_front_is_taken_from_the_truth(scene, monkeypatch):
    index = 45  # the rocket is in front of the cat
    _, truth = scene.frame(index)
    monkeypatch.setattr('fast_sam2_ros.demo.scene.PASSERS', ())
    image_without, without = scene.frame(index)
    hidden = without['cat'] & (1 - truth['cat'])
    assert 0.005 < hidden.sum() / without['cat'].sum() < 0.3
    monkeypatch.undo()
    image, _ = scene.frame(index)
    difference = np.abs(image.astype(int) - image_without).mean(axis=2)
    assert difference[hidden == 1].mean() > 20  # there the rocket is seen
    assert difference[truth['cat'] == 1].mean() < 3  # elsewhere the cat is


def test_every_outline_lies_within_its_photograph():
    outlines = read_outlines()
    for label, outline in outlines['outlines'].items():
        image, polygon = cut_out(label)
        height, width = image.shape[:2]
        assert [width, height] == outlines['photographs'][outline['photograph']]['size']
        assert polygon.min() >= 0
        assert (polygon <= [width, height]).all()
        assert outlines['photographs'][outline['photograph']]['attribution']


def test_a_frame_outside_the_scene_and_a_rate_outside_its_range_are_refused(scene):
    with pytest.raises(InputError, match='frames 0 to 179'):
        scene.frame(180)
    with pytest.raises(ParameterError, match='rate'):
        Scene(rate=0)
    with pytest.raises(ParameterError, match='too small'):
        Scene(size=(10, 10))


def test_a_missing_photograph_is_named(monkeypatch):
    from fast_sam2_ros.demo import scene

    with pytest.raises(InputError, match='no_such.png'):
        scene.photograph_path('no_such.png')
    monkeypatch.setattr(scene, 'find_spec', lambda name: None)
    with pytest.raises(InputError, match='pip install scikit-image'):
        scene.photograph_path('chelsea.png')


def test_the_scene_needs_neither_torch_nor_ros():
    code = ('import sys; from fast_sam2_ros.demo.scene import Scene; Scene().frame(0); '
            'print(sorted({"torch", "rclpy", "skimage"} & set(sys.modules)))')
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                            check=True)
    assert result.stdout.strip() == '[]'
