# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node's life: transitions, failures that can be mended, and a clean end."""

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
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


def test_a_bad_checkpoint_fails_configure_with_a_reason_and_can_be_mended(bench):
    process = bench.start('-p', 'model:=/no/such/checkpoint.pt', '-p', 'diagnostics_period:=0.2')
    assert not bench.change(Transition.TRANSITION_CONFIGURE)
    assert bench.state() == 'unconfigured'
    assert 'configure failed: /no/such/checkpoint.pt is not here; fetch it' in process.log
    assert 'Traceback' not in process.log
    bench.wait(lambda: bench.level('tracker: model') == DiagnosticStatus.ERROR, 3, 'an error')
    assert 'fetch it' in bench.tasks['tracker: model'].message

    assert bench.set(model='embedded').successful
    bench.bring_up()
    assert bench.ask('red').any()
    bench.wait(lambda: bench.level('tracker: model') == DiagnosticStatus.OK, 3, 'mended')


def test_wrong_parameters_at_start_end_it_with_one_line(bench):
    process = bench.start('-p', 'image_qos:=magic', wait=False)
    assert process.process.wait(15) == 1
    assert "image_qos is 'magic'; give sensor_data" in process.log
    assert 'Traceback' not in process.log


@pytest.mark.parametrize('signal_after', [0.0, 0.5])
def test_sigint_ends_it_with_0_within_5_s_even_in_mid_step(bench, signal_after):
    process = bench.start_active(FAKE_STEP_SECONDS='30' if signal_after else '0')
    bench.send()
    bench.spin(max(signal_after, 0.2))
    status, seconds = process.interrupt()
    assert status == 0, process.log
    assert seconds < 5
    assert 'Traceback' not in process.log, process.log


def test_sigint_while_the_model_is_being_loaded(bench):
    process = bench.start('-p', 'autostart:=true', wait=False, FAKE_LOAD_SECONDS='30')
    bench.wait(lambda: bench.node.count_publishers('segmentation/mask') == 1, 15, 'it configures')
    status, seconds = process.interrupt()
    assert status == 0, process.log
    assert seconds < 5


def test_goals_that_come_while_the_model_is_being_loaded_are_kept(bench):
    bench.start('-p', 'autostart:=true', wait=False, FAKE_LOAD_SECONDS='4')
    bench.wait(lambda: bench.texts_are_heard, 15, 'it configures')
    bench.say('red')
    bench.spin(0.2)
    assert bench.node.count_subscribers('image') == 0, 'it was too late to test anything'
    bench.wait_joined()
    assert bench.answer().any()
