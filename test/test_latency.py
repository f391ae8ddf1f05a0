# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
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
