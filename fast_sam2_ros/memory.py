# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The memory bank: what the tracker remembers of one target, in a fixed number of bytes.

It holds the conditioning frame (the one that was prompted), the last `num_maskmem - 1` frames, or
fewer, and an object pointer for the conditioning frame and for each of the last 15 frames. All of
it is allocated at once; the oldest recent frame is overwritten by the newest. Of every frame only
the retained tokens are stored, so the bytes fall with the keep ratio.

Ages and the slot to write next are tensors, so that writing a frame is the same sequence of
operations every time.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    All that is remembered, in one row of T tokens and one of P pointers.

    The order is that of `Sam2VideoModel`: the conditioning frame, then the recent frames from the
    oldest on; its pointer, then the others from the newest on.
    `features` (T, M) bfloat16, `index` (T,) places on the grid, `age_row` (T,) the row of the
    temporal encoding that a token's frame takes; `pointers` (P, C) float32 and `pointer_ages`
    (P,) in frames.
    """

    features: Tensor
    index: Tensor
    age_row: Tensor
    pointers: Tensor
    pointer_ages: Tensor


class _Ring:
    """Slots that are written in turn, with the age of each in frames."""

    def __init__(self, slots: int, device: torch.device) -> None:
        self.slots = slots
        self.held = 0
        self.next = 0
        self.ages = torch.zeros(slots, dtype=torch.int64, device=device)
        self.cursor = torch.zeros(1, dtype=torch.int64, device=device)

    def clear(self) -> None:
        self.held = self.next = 0
        self.ages.zero_()
        self.cursor.zero_()

    def enter(self) -> None:
        """Give the slot at `cursor` to a new frame, which will be 1 frame old when it is read."""
        self.ages.add_(1).index_fill_(0, self.cursor, 1)

    def leave(self) -> None:
        """Move on to the next slot."""
        self.cursor.add_(1).remainder_(self.slots)
        self.next = (self.next + 1) % self.slots
        self.held = min(self.held + 1, self.slots)

    def in_order(self) -> list[int]:
        """Return the slots in use, the oldest first."""
        return [(self.next - self.held + i) % self.slots for i in range(self.held)]

    def tensors(self) -> list[Tensor]:
        return [self.ages, self.cursor]


class _FrameStore:
    """Room for the tokens of `slots` frames, `capacity` tokens each."""

    def __init__(self, slots: int, capacity: int, channels: int, device: torch.device) -> None:
        self.capacity = capacity
        self.counts = [0] * slots
        self.features = torch.zeros(
            slots, capacity, channels, dtype=torch.bfloat16, device=device)
        self.index = torch.zeros(slots, capacity, dtype=torch.int32, device=device)
        self.score = torch.zeros(slots, capacity, dtype=torch.float32, device=device)

    def write(self, slot: int, cursor: Tensor, memory: FrameMemory) -> None:
        """Store a frame of exactly `capacity` tokens at `slot`, which is the value of `cursor`."""
        self.features.index_copy_(0, cursor, memory.features[None])
        self.index.index_copy_(0, cursor, memory.index[None])
        self.score.index_copy_(0, cursor, memory.score[None])
        self.counts[slot] = self.capacity

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
        self._conditioning_slot = torch.zeros(1, dtype=torch.int64, device=device)
        self._pointers = torch.zeros(max_pointers - 1, hidden_size, device=device)
        self._pointer_ring = _Ring(max_pointers - 1, device)

    @property
    def nbytes(self) -> int:
        """The bytes of everything that is held, the same whether the bank is empty or full."""
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
        self._conditioning.write(0, self._conditioning_slot, memory)
        self._conditioning_pointer.copy_(pointer[None])
        self._conditioning_age.fill_(1)

    def append(self, memory: FrameMemory, pointer: Tensor) -> None:
        """Remember a tracked frame with its (C,) object pointer in place of the oldest."""
        self._conditioning_age.add_(1)
        self._frame_ring.enter()
        self._recent.write(self._frame_ring.next, self._frame_ring.cursor, memory)
        self._frame_ring.leave()
        self._pointer_ring.enter()
        self._pointers.index_copy_(0, self._pointer_ring.cursor, pointer[None])
        self._pointer_ring.leave()

    def read(self) -> BankView:
        """Return what the next frame may look at; a conditioning frame must have been stored."""
        ages, slots = self._frame_ring.ages, self._frame_ring.in_order()
        places = [(self._conditioning, 0)] + [(self._recent, slot) for slot in slots]
        counts = [store.counts[slot] for store, slot in places]
        rows = [ages.new_full((1,), self._conditioning_row)]
        rows += [ages[slot:slot + 1] - 1 for slot in slots]
        newest_first = self._pointer_ring.in_order()[::-1]
        return BankView(
            features=torch.cat([s.features[i, :n] for (s, i), n in zip(places, counts)]),
            index=torch.cat([s.index[i, :n] for (s, i), n in zip(places, counts)]),
            age_row=torch.cat([row.expand(n) for row, n in zip(rows, counts)]),
            pointers=torch.cat(
                [self._conditioning_pointer] + [self._pointers[i:i + 1] for i in newest_first]),
            pointer_ages=torch.cat(
                [self._conditioning_age]
                + [self._pointer_ring.ages[i:i + 1] for i in newest_first]),
        )

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
        own = [self._conditioning_pointer, self._conditioning_age, self._conditioning_slot,
               self._pointers]
        parts = (self._conditioning, self._recent, self._frame_ring, self._pointer_ring)
        return own + [tensor for part in parts for tensor in part.tensors()]
