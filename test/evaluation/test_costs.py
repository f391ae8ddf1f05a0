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
"""Operations and bytes, against figures worked out by hand."""

from fast_sam2_ros.evaluation.costs import count_flops, graph_bytes, held_bytes, working_bytes
from fast_sam2_ros.evaluation.random_models import random_model
from fast_sam2_ros.latency import StageClock
from fast_sam2_ros.sam2.loaded import LoadedModel, Preprocess
from fast_sam2_ros.tracker import Tracker
import torch
from torch import nn
from torch.nn import functional

CPU = torch.device('cpu')
MIB = 2 ** 20


@torch.inference_mode()
def count(step):
    return count_flops(step)


def test_a_multiply_add_counts_two():
    linear = nn.Linear(7, 5, bias=False)
    convolution = nn.Conv2d(3, 4, kernel_size=2, bias=False)
    assert count(lambda: linear(torch.zeros(11, 7))) == {'total': 2 * 11 * 7 * 5}
    # 4 x 4 places of a 5 x 5 image, 2 x 2 weights of 3 channels in, 4 out
    assert count(lambda: convolution(torch.zeros(1, 3, 5, 5))) == {
        'total': 2 * 16 * 4 * 3 * 4}


def test_attention_counts_scores_and_sums():
    query, key, value = (torch.zeros(2, 3, tokens, 16) for tokens in (10, 40, 40))
    expected = 2 * (2 * 3) * (10 * 40 * 16) * 2
    for dtype in (torch.float32, torch.bfloat16):
        assert count(lambda: functional.scaled_dot_product_attention(
            query.to(dtype), key.to(dtype), value.to(dtype))) == {'total': expected}


def test_operations_are_those_of_the_stage_that_they_lie_in():
    linear = nn.Linear(8, 8, bias=False)
    one = 2 * 8 * 8

    def step():
        clock = StageClock(CPU)
        linear(torch.zeros(1, 8))
        clock.lap('encode')
        clock.lap('route')
        linear(torch.zeros(3, 8))
        clock.lap('attend')
        linear(torch.zeros(1, 8))
        clock.lap('encode')
        linear(torch.zeros(1, 8))

    assert count(step) == {
        'encode': 2 * one, 'route': 0, 'attend': 3 * one, 'total': 6 * one}
    lap = StageClock.lap
    count(step)
    assert StageClock.lap is lap


def test_working_memory_is_the_peak_and_not_the_sum():
    held = torch.zeros(MIB)

    def step():
        first = torch.zeros(4 * MIB, dtype=torch.uint8)
        del first
        second = torch.zeros(3 * MIB, dtype=torch.uint8)
        third = torch.zeros(2 * MIB, dtype=torch.uint8)
        return second, third, held

    assert working_bytes(step, CPU) == 5 * MIB
    assert working_bytes(step, CPU) == 5 * MIB
    assert working_bytes(lambda: held, CPU) == 0


def test_a_storage_is_held_once():
    tensor = torch.zeros(100, dtype=torch.float32)
    assert held_bytes(tensor, [tensor[:10]], {'a': (tensor.view(10, 10),)}) == 400
    linear = nn.Linear(10, 10)
    linear.table = torch.zeros(5)  # neither a parameter nor a buffer
    assert held_bytes(linear) == 4 * (100 + 10 + 5)


def test_a_tracker_holds_its_model_and_its_bank():
    model = random_model('micro')
    tracker = Tracker(LoadedModel(model, Preprocess(64), 'random:micro', 'random'))
    weights = sum(p.nbytes for p in model.parameters()) + sum(b.nbytes for b in model.buffers())
    assert held_bytes(model) == weights
    assert held_bytes(model, tracker) >= weights + tracker.bank_bytes


def test_a_graph_holds_what_nobody_else_does():
    known = torch.zeros(1000)
    before = graph_bytes(CPU, known)
    more = torch.zeros(500)
    hidden = more.to_mkldnn()
    assert graph_bytes(CPU, known) - before == 4 * 500 + hidden.numel() * 4
    assert graph_bytes(CPU, known, [more]) - before == 4 * 500
    del hidden
    assert graph_bytes(CPU, known, [more]) == before
