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
"""A report as a TrackerStatus, whoever made the classes of the messages."""

from dataclasses import dataclass
from typing import ClassVar

from fast_sam2_ros.reports import Latency, Report, TargetReport, TargetState
from fast_sam2_ros.status import make_status, StatusTypes
import pytest


class Message:
    """Takes any field by name, as the messages do."""

    IDLE, SEARCHING, TRACKING, LOST = range(4)

    def __init__(self, **fields):
        self.__dict__.update(fields)


@dataclass
class Stages:
    encode: float
    route: float
    attend: float
    decode: float
    remember: float
    total: float
    unit: ClassVar[str] = 'ms'


def target(number, state, **fields):
    return TargetReport(id=number, text=f'text {number}', label=f'label {number}', state=state,
                        message=f'message {number}', step=None, size=(4, 6), in_view=False,
                        **fields)


def test_every_field_of_a_report_arrives():
    targets = (target(1, TargetState.LOST, score=-1, tokens_retained=0, bank_bytes=100),
               target(3, TargetState.TRACKING, score=2, tokens_retained=7, bank_bytes=200))
    report = Report(
        state=TargetState.TRACKING, target_text='text 1; text 3', score=2, message='both',
        tokens_retained=7, tokens_total=16, bank_bytes=300, step=None, label='label 3',
        latency=Latency(1.0, 2.0, 3.0, 4.0, 5.0, 16.0), grounded=False, size=(4, 6),
        keep_ratio=0.5, targets=targets)
    status = make_status(StatusTypes(Message, Message, Stages), 'header', report, processed=5,
                         dropped=2, target_latency_ms=40, compiled=True, stamp_age=0.25)
    assert (status.header, status.state, status.target_text) == ('header', 2, 'text 1; text 3')
    assert (status.label, status.message, status.score) == ('label 3', 'both', 2.0)
    assert (status.tokens_retained, status.tokens_total, status.bank_bytes) == (7, 16, 300)
    assert (status.keep_ratio, status.target_latency, status.compiled) == (0.5, 40.0, True)
    assert status.latency == Stages(1.0, 2.0, 3.0, 4.0, 5.0, 16.0)
    assert (status.received, status.processed, status.dropped) == (7, 5, 2)
    assert status.stamp_age == pytest.approx(0.25)
    assert [vars(each) for each in status.targets] == [
        {'id': 1, 'text': 'text 1', 'label': 'label 1', 'message': 'message 1', 'state': 3,
         'score': -1.0, 'tokens_retained': 0, 'bank_bytes': 100},
        {'id': 3, 'text': 'text 3', 'label': 'label 3', 'message': 'message 3', 'state': 2,
         'score': 2.0, 'tokens_retained': 7, 'bank_bytes': 200}]
    # What rclpy takes: floats where the definition says so.
    assert all(type(value) is float for value in (status.score, status.keep_ratio,
                                                  status.target_latency, status.targets[0].score))
