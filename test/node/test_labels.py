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
"""`segmentation/label_info`: with vision_msgs, which the wheels lack, and without."""

from pathlib import Path
import re

from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.node.labels import label_names
from fast_sam2_ros.node.parameters import Settings
from lifecycle_msgs.msg import Transition
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
import yaml

try:
    from vision_msgs.msg import LabelInfo
except ImportError:
    LabelInfo = None


def test_every_value_of_the_mask_has_a_name_of_its_own():
    """Nav2's layer keeps one value for each name: a second of the same would replace the first."""
    settings = Settings(mask_format='label', label_id=7, label_name='person', max_targets=3)
    assert label_names(settings) == [(7, 'person'), (8, 'person_2'), (9, 'person_3')]
    assert label_names(Settings(label_name='person')) == [(255, 'person')]
    with pytest.raises(ParameterError, match='label_name is empty'):
        Settings(label_name=' ')


def test_the_guide_lists_every_name_and_the_topics_that_there_are():
    guide = (Path(__file__).parents[2] / 'docs' / 'NAV2.md').read_text()
    layer = yaml.safe_load(re.search(r'```yaml\n(local_costmap:.*?)```', guide, re.S)[1])
    camera = layer['local_costmap']['local_costmap']['ros__parameters']['semantic_layer']['camera']
    arguments = dict(re.findall(r'(label_name|max_targets|label_id):=(\S+)', guide))
    settings = Settings(mask_format='label', label_name=arguments['label_name'],
                        label_id=int(arguments['label_id']),
                        max_targets=int(arguments['max_targets']))
    listed = [name for kind in camera['class_types'] for name in camera[kind]['classes']]
    assert listed == [name for _, name in label_names(settings)]
    assert [camera[f'{what}_topic'] for what in ('segmentation', 'confidence', 'labels')] == [
        '/segmentation/mask', '/segmentation/confidence', '/segmentation/label_info']


@pytest.mark.skipif(LabelInfo is not None, reason='vision_msgs is installed')
def test_without_vision_msgs_the_node_says_so_once_and_tracks(bench):
    process = bench.start_active('-p', 'mask_format:=label')
    assert bench.ask('red').any()
    assert process.log.count('segmentation/label_info is not published') == 1
    assert 'apt install ros-$ROS_DISTRO-vision-msgs' in process.log
    assert bench.node.count_publishers('segmentation/label_info') == 0


@pytest.mark.skipif(LabelInfo is None, reason='needs vision_msgs: apt install '
                    'ros-$ROS_DISTRO-vision-msgs, or build ros-perception/vision_msgs')
def test_the_names_are_there_before_the_first_mask_and_follow_the_parameters(bench):
    process = bench.start('-p', 'mask_format:=label', '-p', 'label_id:=5',
                          '-p', 'label_name:=person', '-p', 'max_targets:=2')
    labels = []

    def listen():
        """Subscribe as Nav2's layer does."""
        return bench.node.create_subscription(
            LabelInfo, 'segmentation/label_info', labels.append,
            QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE,
                       durability=DurabilityPolicy.TRANSIENT_LOCAL))

    def classes():
        return [(each.class_id, each.class_name) for each in labels[-1].class_map]

    assert bench.change(Transition.TRANSITION_CONFIGURE)
    listener = listen()
    bench.spin(1.0)
    assert not labels
    assert bench.change(Transition.TRANSITION_ACTIVATE)
    bench.wait(lambda: labels, 5, 'the names, and no image was sent yet')
    assert not bench.masks and classes() == [(5, 'person'), (6, 'person_2')]
    assert labels[-1].threshold == pytest.approx(0.5)

    bench.wait_joined()
    mask = bench.ask('red; blue')
    assert set(mask.ravel()) == {0, 5, 6}
    bench.node.destroy_subscription(listener)
    labels.clear()
    listen()  # later than the names
    bench.wait(lambda: labels, 5, 'the names are latched')

    assert bench.set(label_id=9, label_name='dog').successful
    bench.wait(lambda: classes() == [(9, 'dog'), (10, 'dog_2')], 5, 'new names')
    assert set(bench.answer().ravel()) == {0, 9, 10}
    assert bench.set(mask_format='binary').successful
    bench.wait(lambda: classes() == [(255, 'dog')], 5, 'the name of a binary mask')
    assert set(bench.answer().ravel()) == {0, 255}
    count = len(labels)
    assert bench.set(lost_after=9).successful
    bench.spin(0.3)
    assert len(labels) == count
    assert 'label_info is not published' not in process.log
    assert 'Traceback' not in process.log
