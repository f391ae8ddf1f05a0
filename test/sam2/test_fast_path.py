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
"""What `auto` takes on which device."""

from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.sam2 import fast_path
from fast_sam2_ros.sam2.fast_path import choose_compile, choose_dtype
import pytest
import torch

CPU, GPU = torch.device('cpu'), torch.device('cuda:0')


@pytest.mark.parametrize('amx, dtype', [(True, 'bfloat16'), (False, 'float32')])
def test_a_cpu_computes_in_bfloat16_where_it_has_matrix_units(monkeypatch, amx, dtype):
    monkeypatch.setattr(torch.cpu, '_is_amx_tile_supported', lambda: amx)
    assert choose_dtype('auto', CPU) == dtype


@pytest.mark.parametrize('native, dtype', [(True, 'bfloat16'), (False, 'float32')])
def test_a_gpu_computes_in_bfloat16_where_it_is_no_emulation(monkeypatch, native, dtype):
    monkeypatch.setattr(
        torch.cuda, 'is_bf16_supported', lambda including_emulation: native)
    assert choose_dtype('auto', GPU) == dtype


def test_compiling_is_for_gpus_with_a_compiler(monkeypatch):
    monkeypatch.setattr(fast_path, 'find_spec', lambda name: None)
    assert not choose_compile('auto', GPU)
    monkeypatch.setattr(fast_path, 'find_spec', lambda name: name)
    assert choose_compile('auto', GPU) and not choose_compile('auto', CPU)


def test_what_is_asked_for_is_taken():
    assert choose_dtype('float32', GPU) == 'float32'
    assert choose_dtype('bfloat16', CPU) == 'bfloat16'
    assert choose_compile('on', CPU) and not choose_compile('off', GPU)


@pytest.mark.parametrize('choose', [choose_dtype, choose_compile])
def test_another_word_is_refused(choose):
    with pytest.raises(ParameterError, match='maybe'):
        choose('maybe', CPU)
