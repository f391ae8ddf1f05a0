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
"""The mailbox and the worker behind it."""

import threading
import time

from fast_sam2_ros.node.mailbox import Counts, Mailbox
from fast_sam2_ros.node.worker import Worker
import pytest


def test_only_the_newest_frame_is_taken_and_the_rest_counts_as_dropped():
    mailbox = Mailbox()
    for frame in range(5):
        mailbox.put(frame)
    assert mailbox.take().frame == 4
    assert mailbox.counts == Counts(processed=0, dropped=4)
    mailbox.finish(processed=True)
    assert mailbox.counts == Counts(processed=1, dropped=4)
    assert mailbox.counts.received == 5


def test_a_command_replaces_the_one_of_its_kind_and_comes_last():
    mailbox = Mailbox()
    said = []
    mailbox.post('goal', lambda session: said.append('first goal'))
    mailbox.post('settings', lambda session: said.append('settings'))
    mailbox.post('goal', lambda session: said.append('second goal'))
    work = mailbox.take()
    assert work.frame is None
    for command in work.commands:
        command(None)
    assert said == ['settings', 'second goal']


def test_discard_and_close_count_the_waiting_frame_as_dropped():
    mailbox = Mailbox()
    mailbox.put('a')
    mailbox.discard()
    mailbox.put('b')
    mailbox.close()
    assert mailbox.take() is None
    assert mailbox.counts == Counts(processed=0, dropped=2)


def test_a_slow_worker_gets_the_last_frame_and_no_frame_is_lost_from_the_books():
    mailbox = Mailbox()
    done = []

    def work(session, frame):
        time.sleep(0.02)
        done.append(frame)
        mailbox.finish(processed=True)

    worker = Worker(lambda: 'session', mailbox, work, pytest.fail)
    assert worker.wait_until_open(5)
    for frame in range(200):
        mailbox.put(frame)
        time.sleep(0.001)
    deadline = time.monotonic() + 5
    while mailbox.counts.received < 200 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert worker.stop(5)
    assert done[-1] == 199
    assert done == sorted(done)
    assert mailbox.counts == Counts(processed=len(done), dropped=200 - len(done))
    assert len(done) < 100


def test_what_a_frame_raises_is_reported_and_the_next_one_is_worked_on():
    mailbox = Mailbox()
    errors, done = [], threading.Event()

    def work(session, frame):
        if frame == 'bad':
            raise ValueError(frame)
        done.set()

    worker = Worker(lambda: 'session', mailbox, work, errors.append)
    mailbox.put('bad')
    deadline = time.monotonic() + 5
    while not errors and time.monotonic() < deadline:
        time.sleep(0.01)
    mailbox.put('good')
    assert done.wait(5)
    assert [str(error) for error in errors] == ['bad']
    assert worker.stop(5)


def test_what_opening_the_session_raises_comes_to_the_one_who_waits():
    def fail():
        raise OSError('no such model')

    worker = Worker(fail, Mailbox(), lambda session, frame: None, pytest.fail)
    with pytest.raises(OSError, match='no such model'):
        worker.wait_until_open(5)
    assert worker.stop(5)


def test_a_worker_in_mid_step_does_not_stop_in_time_and_says_so():
    mailbox = Mailbox()
    go_on = threading.Event()
    begun = threading.Event()

    def work(session, frame):
        begun.set()
        go_on.wait(5)

    worker = Worker(lambda: 'session', mailbox, work, pytest.fail)
    mailbox.put('frame')
    assert begun.wait(5)
    assert not worker.stop(0.05)
    go_on.set()
    assert worker.stop(5)
