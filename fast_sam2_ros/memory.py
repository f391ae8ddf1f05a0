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
"""
The memory bank: what the tracker remembers of one target, in a fixed number of bytes.

It holds the conditioning frame (the one that was prompted), the last `num_maskmem - 1` frames, or
fewer, and an object pointer for the conditioning frame and for each of the last 15 frames. All of
it is allocated at once; the oldest recent frame is overwritten by the newest. Of every frame only
the retained tokens are stored, so the bytes fall with the keep ratio.

Once every slot is in use, reading gives tensors of the same sizes on every frame, which is what
compiled graphs need.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class FrameMemory:
    """
    The retained tokens of one frame.

    `features` (K, M) bfloat16, `index` (K,) int32 places on the token grid in rising order,
    `score` (K,) float32 the router's score, by which a smaller bank chooses among them.
    """

    features: Tensor
    index: Tensor
    score: Tensor


@dataclass(frozen=True)
class BankView:
    """
    All that is remembered of B targets, in one row of T tokens and one of P pointers each.

    The order is that of `Sam2VideoModel`: the conditioning frame, then the recent frames from the
    oldest on; its pointer, then the others from the newest on.
    `features` (B, T, M) bfloat16, `index` (B, T) places on the grid, `age_row` (B, T) the row of
    the temporal encoding that a token's frame takes; `pointers` (B, P, C) float32 and
    `pointer_ages` (B, P) in frames.
    """

    features: Tensor
    index: Tensor
    age_row: Tensor
    pointers: Tensor
    pointer_ages: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """Return the numbers T of tokens, P of pointers; only views of one size can be joined."""
        return self.features.shape[1], self.pointers.shape[1]

    @classmethod
    def join(cls, views: list[BankView]) -> BankView:
        """Put the memories of several targets, all of one size, into one view."""
        if len(views) == 1:
            return views[0]
        return cls(*(torch.cat([getattr(view, field.name) for view in views])
                     for field in fields(cls)))


class _Ring:
    """Slots that are written in turn, with the age of each in frames."""

    def __init__(self, slots: int, device: torch.device) -> None:
        self.slots = slots
        self.held = 0
        self.next = 0
        self.ages = torch.zeros(slots, dtype=torch.int64, device=device)

    def clear(self) -> None:
        self.held = self.next = 0
        self.ages.zero_()

    def enter(self) -> int:
        """Return the slot of a new frame, which will be 1 frame old when it is read."""
        slot = self.next
        self.ages.add_(1)
        self.ages[slot] = 1
        self.next = (slot + 1) % self.slots
        self.held = min(self.held + 1, self.slots)
        return slot

    def in_order(self) -> list[int]:
        """Return the slots in use, the oldest first."""
        return [(self.next - self.held + i) % self.slots for i in range(self.held)]


class _FrameStore:
    """Room for the tokens of `slots` frames, `capacity` tokens each."""

    def __init__(self, slots: int, capacity: int, channels: int, device: torch.device) -> None:
        self.capacity = capacity
        self.counts = [0] * slots
        self.features = torch.zeros(
            slots, capacity, channels, dtype=torch.bfloat16, device=device)
        self.index = torch.zeros(slots, capacity, dtype=torch.int32, device=device)
        self.score = torch.zeros(slots, capacity, dtype=torch.float32, device=device)

    def write(self, slot: int, memory: FrameMemory) -> None:
        """Store a frame of at most `capacity` tokens at `slot`."""
        count = len(memory.index)
        self.features[slot, :count].copy_(memory.features)
        self.index[slot, :count].copy_(memory.index)
        self.score[slot, :count].copy_(memory.score)
        self.counts[slot] = count

    def resized(self, capacity: int) -> _FrameStore:
        """Return a store of another capacity with the best tokens of every frame in this one."""
        other = _FrameStore(
            len(self.counts), capacity, self.features.shape[2], self.features.device)
        for slot, count in enumerate(self.counts):
            kept = min(count, capacity)
            best = self.score[slot, :count].topk(kept).indices.sort().values
            other.features[slot, :kept] = self.features[slot].index_select(0, best)
            other.index[slot, :kept] = self.index[slot].index_select(0, best)
            other.score[slot, :kept] = self.score[slot].index_select(0, best)
            other.counts[slot] = kept
        return other

    def tensors(self) -> list[Tensor]:
        return [self.features, self.index, self.score]


class MemoryBank:
    """The bounded memory of one target."""

    def __init__(
        self,
        *,
        recent_frames: int,
        conditioning_row: int,
        max_pointers: int,
        conditioning_tokens: int,
        recent_tokens: int,
        memory_size: int,
        hidden_size: int,
        device: torch.device,
    ) -> None:
        """
        Allocate an empty bank.

        It has room for one conditioning frame of `conditioning_tokens` tokens, `recent_frames`
        frames of `recent_tokens` tokens, all of `memory_size` channels, and `max_pointers` object
        pointers of `hidden_size` channels, one of them the conditioning frame's.
        `conditioning_row` is the row of the temporal encoding that the conditioning frame takes
        whatever its age: the last one, also where there are fewer recent frames than other rows.
        """
        self.memory_size = memory_size
        self.hidden_size = hidden_size
        self.device = device
        self._conditioning_row = conditioning_row
        self._conditioning = _FrameStore(1, conditioning_tokens, memory_size, device)
        self._recent = _FrameStore(recent_frames, recent_tokens, memory_size, device)
        self._frame_ring = _Ring(recent_frames, device)
        self._conditioning_pointer = torch.zeros(1, hidden_size, device=device)
        self._conditioning_age = torch.zeros(1, dtype=torch.int64, device=device)
        self._pointers = torch.zeros(max_pointers - 1, hidden_size, device=device)
        self._pointer_ring = _Ring(max_pointers - 1, device)

    @property
    def nbytes(self) -> int:
        """Return the bytes of what is held, the same whether the bank is empty or full."""
        return sum(tensor.nbytes for tensor in self._tensors())

    @property
    def recent_tokens(self) -> int:
        """How many tokens of a tracked frame are remembered."""
        return self._recent.capacity

    @property
    def is_full(self) -> bool:
        """Whether the next frame will replace an older one and its pointer an older pointer."""
        return all(ring.held == ring.slots for ring in (self._frame_ring, self._pointer_ring))

    def clear(self) -> None:
        """Forget the target; the memory stays allocated."""
        self._conditioning.counts = [0]
        self._recent.counts = [0] * self._frame_ring.slots
        self._frame_ring.clear()
        self._pointer_ring.clear()
        self._conditioning_age.zero_()

    def condition(self, memory: FrameMemory, pointer: Tensor) -> None:
        """Forget everything and remember a prompted frame with its (C,) object pointer."""
        self.clear()
        self._conditioning.write(0, memory)
        self._conditioning_pointer.copy_(pointer[None])
        self._conditioning_age.fill_(1)

    def append(self, memory: FrameMemory, pointer: Tensor) -> None:
        """Remember a tracked frame with its (C,) object pointer in place of the oldest."""
        self._conditioning_age.add_(1)
        self._recent.write(self._frame_ring.enter(), memory)
        self._pointers[self._pointer_ring.enter()].copy_(pointer)

    def fill(self) -> None:
        """
        Fill what is empty with noise, after the conditioning frame, to see what a step costs.

        Twenty frames would do the same and take longer: the time of a step depends on how many
        tokens there are and not on what they say.
        """
        generator = torch.Generator(self.device).manual_seed(0)
        count = self._recent.capacity
        while not self.is_full:
            self.append(
                FrameMemory(
                    features=torch.randn(
                        count, self.memory_size, generator=generator,
                        device=self.device).bfloat16(),
                    index=torch.arange(count, dtype=torch.int32, device=self.device),
                    score=torch.zeros(count, device=self.device)),
                torch.randn(self.hidden_size, generator=generator, device=self.device))

    def read(self) -> BankView:
        """Return what the next frame may look at; a conditioning frame must have been stored."""
        ages, slots = self._frame_ring.ages, self._frame_ring.in_order()
        places = [(self._conditioning, 0)] + [(self._recent, slot) for slot in slots]
        counts = [store.counts[slot] for store, slot in places]
        rows = [ages.new_full((1,), self._conditioning_row)]
        rows += [ages[slot:slot + 1] - 1 for slot in slots]
        newest_first = self._pointer_ring.in_order()[::-1]
        view = BankView(
            features=torch.cat([s.features[i, :n] for (s, i), n in zip(places, counts)]),
            index=torch.cat([s.index[i, :n] for (s, i), n in zip(places, counts)]),
            age_row=torch.cat([row.expand(n) for row, n in zip(rows, counts)]),
            pointers=torch.cat(
                [self._conditioning_pointer] + [self._pointers[i:i + 1] for i in newest_first]),
            pointer_ages=torch.cat(
                [self._conditioning_age]
                + [self._pointer_ring.ages[i:i + 1] for i in newest_first]),
        )
        return BankView(*(getattr(view, field.name)[None] for field in fields(view)))

    def resize(self, conditioning_tokens: int, recent_tokens: int) -> None:
        """
        Change how many tokens a frame has room for, and keep what is remembered.

        Frames with more tokens keep their best; frames with fewer stay as they are until newer
        ones replace them.
        """
        if conditioning_tokens != self._conditioning.capacity:
            self._conditioning = self._conditioning.resized(conditioning_tokens)
        if recent_tokens != self._recent.capacity:
            self._recent = self._recent.resized(recent_tokens)

    def _tensors(self) -> list[Tensor]:
        own = [self._conditioning_pointer, self._conditioning_age, self._pointers,
               self._frame_ring.ages, self._pointer_ring.ages]
        return own + self._conditioning.tensors() + self._recent.tensors()
