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
"""The permissions in config/sros2_policy.xml against what the running node really offers."""

from pathlib import Path
from xml.etree import ElementTree

from geometry_msgs.msg import PoseStamped
import pytest

POLICY = Path(__file__).parents[2] / 'config' / 'sros2_policy.xml'
LABEL_INFO = '/segmentation/label_info'
SIMULATED = {'/clock', '/parameter_events'}
"""What rclpy subscribes to with use_sim_time, and what others of its versions do anyway."""


def names(enclave, kind, right):
    """Return the full names that an enclave of the policy allows, as sros2 reads them."""
    profile = ElementTree.parse(POLICY).find(f'.//enclave[@path="{enclave}"]//profile')
    assert profile.get('ns') == '/'
    node = '/' + profile.get('node')
    written = [name.text for group in profile.findall(f'{kind}s') if group.get(right) == 'ALLOW'
               for name in group.findall(kind)]
    assert len(written) == len(set(written)), 'a name stands there twice'
    return {node + name[1:] if name[0] == '~' else name if name[0] == '/' else f'/{name}'
            for name in written}


def seen(get):
    """Return the names that the node 'tracker' has by a query of the graph."""
    return {name for name, _ in get('tracker', '/')}


@pytest.mark.parametrize(('transport', 'image', 'other'), [
    ('raw', '/image', '/image/compressed'), ('compressed', '/image/compressed', '/image')])
def test_the_policy_allows_what_the_node_does_and_no_more(bench, transport, image, other):
    process = bench.start('-p', f'image_transport:={transport}')
    for transition in (1, 3):
        assert bench.change(transition), process.log
    poses = []
    bench.hear(PoseStamped, 'target_pose', poses)  # for a listener alone it takes depth
    subscribed = bench.node.get_subscriber_names_and_types_by_node
    bench.wait(lambda: {image, '/depth'} <= seen(subscribed), 10, 'it hears image and depth')

    may_hear = names('/tracker', 'topic', 'subscribe') - {other}
    assert seen(subscribed) - SIMULATED == may_hear - SIMULATED
    sent = seen(bench.node.get_publisher_names_and_types_by_node)
    allowed = names('/tracker', 'topic', 'publish')
    assert sent <= allowed
    assert allowed - sent <= {LABEL_INFO}, 'only this is optional (vision_msgs)'
    served = seen(bench.node.get_service_names_and_types_by_node)
    # The transition graph and the description of types are served by some distributions only.
    assert served <= names('/tracker', 'service', 'reply')
    assert names('/tracker', 'service', 'reply') - served <= {
        '/tracker/get_transition_graph', '/tracker/get_type_description'}
    assert not seen(bench.node.get_client_names_and_types_by_node)


def test_those_who_work_with_the_tracker_are_allowed_only_what_it_has():
    topics_in = names('/tracker', 'topic', 'subscribe')
    topics_out = names('/tracker', 'topic', 'publish')
    services = names('/tracker', 'service', 'reply')
    for enclave in ('/operator', '/manager'):
        assert names(enclave, 'topic', 'publish') - {'/rosout'} <= topics_in
        assert names(enclave, 'topic', 'subscribe') - {'/clock'} <= topics_out
        assert names(enclave, 'service', 'request') <= services
    assert not any('parameter' in name or 'change_state' in name
                   for name in names('/operator', 'service', 'request'))


def test_the_policy_has_the_form_of_sros2():
    root = ElementTree.parse(POLICY).getroot()
    assert (root.tag, root.get('version')) == ('policy', '0.2.0')
    assert [child.tag for child in root] == ['enclaves']
    for enclave in root[0]:
        assert enclave.tag == 'enclave' and enclave.get('path').startswith('/')
        for group in enclave.findall('profiles/profile/*'):
            kind = {'topics': ('topic', {'publish', 'subscribe'}),
                    'services': ('service', {'reply', 'request'})}[group.tag]
            assert {child.tag for child in group} == {kind[0]}
            assert set(group.attrib) <= kind[1] and set(group.attrib.values()) == {'ALLOW'}
