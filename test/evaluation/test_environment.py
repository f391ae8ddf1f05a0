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
"""What result files say about where they are from."""

from datetime import datetime, timedelta, timezone
import platform

from fast_sam2_ros.evaluation import environment as module
from fast_sam2_ros.evaluation.environment import device_name, environment, package_version
import pytest
import torch


def test_it_names_what_makes_a_figure_what_it_is(monkeypatch, tmp_path):
    cpus = tmp_path / 'cpuinfo'
    cpus.write_text('processor\t: 0\nmodel name\t: Some CPU: fast\n\nmodel name\t: Another\n')
    monkeypatch.setattr(module, 'CPU_INFO', cpus)
    found = environment('cpu')
    assert found['device'] == 'cpu (Some CPU: fast)'
    assert found['torch'] == torch.__version__
    assert found['threads'] == torch.get_num_threads() >= 1 and found['cores'] >= 1
    taken = datetime.fromisoformat(found['date'])
    assert timedelta(0) <= datetime.now(timezone.utc) - taken < timedelta(minutes=1)


@pytest.mark.parametrize('content', [None, 'processor : 0\n'])
def test_a_processor_without_a_name_is_its_architecture(content, monkeypatch, tmp_path):
    cpus = tmp_path / 'cpuinfo'
    if content is not None:
        cpus.write_text(content)
    monkeypatch.setattr(module, 'CPU_INFO', cpus)
    assert device_name(torch.device('cpu')) == platform.machine()


def test_a_package_that_is_not_there_is_named_as_such():
    assert package_version('torch') == torch.__version__
    assert package_version('no-such-package-anywhere') == 'not installed'
