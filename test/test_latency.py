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
"""The clock of a step's stages."""

import time

from fast_sam2_ros.latency import StageClock
import pytest
import torch


def test_a_lap_is_credited_to_its_stage():
    clock = StageClock(torch.device('cpu'))
    time.sleep(0.02)
    clock.lap('encode')
    time.sleep(0.01)
    clock.lap('attend')
    time.sleep(0.01)
    clock.lap('encode')
    latency = clock.read()
    assert 29 < latency.encode < 60 and 9 < latency.attend < 40
    assert latency.route == latency.decode == latency.remember == 0
    assert latency.total == pytest.approx(latency.encode + latency.attend, abs=5)
