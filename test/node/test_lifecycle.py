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
"""The node's life: transitions, failures that can be mended, and a clean end."""

from lifecycle_msgs.msg import Transition


def test_it_is_silent_unless_active_and_can_be_cycled(bench):
    bench.start_active()
    assert bench.state() == 'active'
    assert bench.ask('red').any()

    assert bench.change(Transition.TRANSITION_DEACTIVATE)
    assert bench.state() == 'inactive'
    count = len(bench.masks)
    for _ in range(3):
        bench.send()
        bench.spin(0.1)
    assert len(bench.masks) == len(bench.statuses) == count

    # A goal may come while it is inactive; the target is kept otherwise.
    bench.say('blue')
    bench.spin(0.2)
    assert bench.change(Transition.TRANSITION_ACTIVATE)
    bench.wait_joined()
    assert bench.answer()[:, -16:].all()
    assert bench.statuses[-1].target_text == 'blue'

    for _ in range(3):
        assert bench.change(Transition.TRANSITION_DEACTIVATE)
        assert bench.change(Transition.TRANSITION_CLEANUP)
        assert bench.state() == 'unconfigured'
        bench.bring_up()
    assert bench.ask('red').any()
    assert bench.statuses[-1].received == bench.statuses[-1].processed + bench.statuses[-1].dropped

    assert bench.change(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert bench.state() == 'finalized'
    assert not bench.node.get_publishers_info_by_topic('/segmentation/mask')


def test_a_transition_that_is_not_possible_is_refused_and_the_node_lives(bench):
    bench.start()
    assert not bench.change(Transition.TRANSITION_ACTIVATE)
    assert not bench.change(Transition.TRANSITION_CLEANUP)
    assert not bench.reset().success
    assert bench.state() == 'unconfigured'
    bench.bring_up()
    assert not bench.change(Transition.TRANSITION_CONFIGURE)
    assert bench.ask('red').any()


def test_wrong_parameters_at_start_end_it_with_one_line(bench):
    process = bench.start('-p', 'image_qos:=magic', wait=False)
    assert process.process.wait(15) == 1
    assert "image_qos is 'magic'; give sensor_data" in process.log
    assert 'Traceback' not in process.log
