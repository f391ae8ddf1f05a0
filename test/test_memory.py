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
"""The memory bank: what it holds, in which order, and in how many bytes."""

from dataclasses import fields

from fast_sam2_ros.memory import BankView, FrameMemory, MemoryBank
import pytest
import torch

CONDITIONING = 5


def make_bank(recent_tokens: int = 3, recent_frames: int = 2) -> MemoryBank:
    return MemoryBank(
        recent_frames=recent_frames, conditioning_row=2, max_pointers=4,
        conditioning_tokens=CONDITIONING, recent_tokens=recent_tokens, memory_size=4,
        hidden_size=8, device=torch.device('cpu'))


def frame(value: float, count: int, scores: list[float] | None = None) -> FrameMemory:
    """Return a frame whose features are all `value`, on places 10, 11, ..."""
    return FrameMemory(
        features=torch.full((count, 4), value, dtype=torch.bfloat16),
        index=torch.arange(10, 10 + count, dtype=torch.int32),
        score=torch.tensor(scores) if scores else torch.zeros(count),
    )


def pointer(value: float) -> torch.Tensor:
    return torch.full((8,), float(value))


def read(bank: MemoryBank) -> BankView:
    """Return what the bank says of its one target, without the axis of targets."""
    view = bank.read()
    return BankView(*(getattr(view, field.name)[0] for field in fields(view)))


def fill(bank: MemoryBank, frames: int, count: int = 3) -> None:
    """Store conditioning frame 0, then the frames 1 to `frames`."""
    bank.condition(frame(0, CONDITIONING), pointer(0))
    for value in range(1, frames + 1):
        bank.append(frame(value, count), pointer(value))


def test_reads_the_conditioning_frame_alone_at_first():
    bank = make_bank()
    fill(bank, 0)
    view = read(bank)
    assert view.features.shape == (CONDITIONING, 4)
    assert view.index.tolist() == [10, 11, 12, 13, 14]
    assert view.age_row.tolist() == [2] * CONDITIONING  # the last row of num_maskmem = 3
    assert view.pointers[:, 0].tolist() == [0]
    assert view.pointer_ages.tolist() == [1]


def test_keeps_the_latest_frames_and_pointers_with_their_ages():
    bank = make_bank()
    fill(bank, 7)
    view = read(bank)
    assert view.features[:, 0].tolist() == [0] * CONDITIONING + [6] * 3 + [7] * 3
    # Frame 7 is one frame old (row 0), frame 6 two.
    assert view.age_row.tolist() == [2] * CONDITIONING + [1] * 3 + [0] * 3
    assert view.pointers[:, 0].tolist() == [0, 7, 6, 5]
    assert view.pointer_ages.tolist() == [8, 1, 2, 3]


def test_fewer_frames_leave_the_encodings_of_the_others_as_they_are():
    bank = make_bank(recent_frames=1)
    fill(bank, 7)
    view = read(bank)
    assert view.features[:, 0].tolist() == [0] * CONDITIONING + [7] * 3
    assert view.age_row.tolist() == [2] * CONDITIONING + [0] * 3
    assert view.pointers[:, 0].tolist() == [0, 7, 6, 5]
    # A frame less: 3 tokens of 8 + 4 + 4 bytes and the frame's age.
    assert make_bank().nbytes - bank.nbytes == 3 * 16 + 8


def test_a_new_conditioning_frame_forgets_everything():
    bank = make_bank()
    fill(bank, 7)
    bank.condition(frame(9, CONDITIONING), pointer(9))
    view = read(bank)
    assert view.features[:, 0].tolist() == [9] * CONDITIONING
    assert view.pointer_ages.tolist() == [1]
    bank.append(frame(10, 3), pointer(10))
    assert read(bank).age_row.tolist() == [2] * CONDITIONING + [0] * 3


def test_bytes_do_not_depend_on_what_is_held():
    bank = make_bank()
    empty = bank.nbytes
    fill(bank, 50)
    assert bank.nbytes == empty


def test_bytes_follow_the_tokens():
    # A token: 4 channels in bfloat16, an index and a score of 4 bytes each; 2 frames.
    assert make_bank(recent_tokens=4).nbytes - make_bank(recent_tokens=3).nbytes == 2 * (8 + 8)


def test_shrinking_keeps_the_best_tokens_in_order():
    bank = make_bank(recent_tokens=4)
    bank.condition(frame(0, CONDITIONING), pointer(0))
    bank.append(frame(1, 4, scores=[0.5, 0.1, 0.9, 0.7]), pointer(1))
    before = bank.nbytes
    bank.resize(CONDITIONING, 2)
    view = read(bank)
    assert view.index.tolist() == [10, 11, 12, 13, 14, 12, 13]
    assert view.pointers[:, 0].tolist() == [0, 1]
    assert bank.nbytes == before - 2 * 2 * (8 + 8)


def test_growing_keeps_what_is_there_and_takes_larger_frames():
    bank = make_bank(recent_tokens=2)
    fill(bank, 2, count=2)
    bank.resize(CONDITIONING, 3)
    assert read(bank).features[:, 0].tolist() == [0] * CONDITIONING + [1, 1, 2, 2]
    bank.append(frame(3, 3), pointer(3))
    assert read(bank).features[:, 0].tolist() == [0] * CONDITIONING + [2, 2, 3, 3, 3]
    assert read(bank).age_row.tolist() == [2] * CONDITIONING + [1, 1, 0, 0, 0]


def test_a_frame_with_fewer_tokens_is_read_as_it_is():
    bank = make_bank(recent_tokens=3)
    fill(bank, 7)
    bank.append(frame(8, 2), pointer(8))
    assert read(bank).features[:, 0].tolist() == [0] * CONDITIONING + [7] * 3 + [8] * 2


def test_a_frame_with_more_tokens_than_there_is_room_for_is_refused():
    bank = make_bank(recent_tokens=3)
    bank.condition(frame(0, CONDITIONING), pointer(0))
    with pytest.raises(RuntimeError):
        bank.append(frame(1, 4), pointer(1))


def test_a_full_bank_is_read_at_the_same_size_for_ever():
    bank = make_bank()
    fill(bank, 7)
    assert bank.is_full
    sizes = {bank.read().size}
    for value in range(8, 20):
        bank.append(frame(value, 3), pointer(value))
        sizes.add(bank.read().size)
    assert sizes == {(CONDITIONING + 2 * 3, 4)}


def test_the_memories_of_several_targets_are_joined_along_the_first_axis():
    banks = [make_bank(), make_bank()]
    for bank, frames in zip(banks, (7, 9)):
        fill(bank, frames)
    views = [bank.read() for bank in banks]
    joined = BankView.join(views)
    assert joined.size == views[0].size
    for field in fields(BankView):
        for row, view in enumerate(views):
            assert torch.equal(getattr(joined, field.name)[row], getattr(view, field.name)[0])
