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
"""The layouts for RViz and Foxglove against the topics of the node that runs."""

import json
from pathlib import Path

import yaml

CONFIG = Path(__file__).parents[2] / 'config'
SHOWS = {'rviz_default_plugins/Image': 'sensor_msgs/msg/Image',
         'rviz_default_plugins/Camera': 'sensor_msgs/msg/Image',
         'rviz_default_plugins/Pose': 'geometry_msgs/msg/PoseStamped'}


def in_rviz():
    """Return the types that RViz expects, by topic."""
    layout = yaml.safe_load((CONFIG / 'tracker.rviz').read_text())
    return {display['Topic']['Value']: SHOWS[display['Class']]
            for display in layout['Visualization Manager']['Displays'] if 'Topic' in display}


def in_foxglove():
    """Return the types that Foxglove's panels expect, by topic."""
    panels = json.loads((CONFIG / 'foxglove_layout.json').read_text())['configById'].values()
    shown = {}
    for panel in panels:
        if 'imageMode' in panel:
            shown[panel['imageMode']['imageTopic']] = 'sensor_msgs/msg/Image'
        if 'topicToRender' in panel:
            shown[panel['topicToRender']] = 'diagnostic_msgs/msg/DiagnosticArray'
        if 'datatype' in panel:
            shown[panel['topicName']] = panel['datatype']
        for path in [*panel.get('paths', []), {'value': panel.get('topicPath', '')}]:
            if path['value']:
                shown[path['value'].split('.')[0]] = 'fast_sam2_ros/msg/TrackerStatus'
    return shown


def test_the_layouts_show_topics_that_the_node_has_in_their_types(bench):
    bench.start_active()
    wanted = in_rviz() | in_foxglove()
    assert len(wanted) >= 7

    def there():
        names = dict(bench.node.get_topic_names_and_types())
        return {topic: kind for topic, kind in wanted.items() if names.get(topic) != [kind]}

    bench.wait(lambda: not there(), 5, f'all topics; missing or of another type: {there()}')
    ends = {topic for name in ('publisher', 'subscriber') for topic, _ in getattr(
        bench.node, f'get_{name}_names_and_types_by_node')('tracker', '/')}
    assert set(wanted) <= ends
