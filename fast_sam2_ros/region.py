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
Which part of a frame is encoded: a window around the targets, or all of it.

Once memory attention is pruned, the image encoder is most of a step. A window keeps the detail of
the whole frame and costs as much less as it is smaller; tokens in it have the places that they
have on the whole frame, so the memory does not notice. There are two sizes of windows. The whole
frame is encoded every few frames, and whenever a window could miss something: a target was not
seen, came close to an edge of the window, or the targets do not fit into one with room to move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.sam2.parts import Window

CLEAR = 1  # tokens between a target and the edge of a window, as long as it is well inside
ROOM = 12  # a target may move by this part of the frame's side before it leaves a new window


@dataclass(frozen=True)
class Extent:
    """Where a target's mask is: the first and the last row and column of tokens that it covers."""

    top: int
    left: int
    bottom: int
    right: int


class Region:
    """Chooses windows of two sizes on a token grid."""

    def __init__(self, grid: tuple[int, int], share: float, refresh: int) -> None:
        """
        Take the grid's height and width in tokens.

        `share`, in (0, 1], is the smaller window's side as a share of the frame's; 1 is all of it.
        The larger one is half-way between it and the frame. `refresh` is the number of frames
        after which the whole frame is encoded again, at the latest. Raises ParameterError for
        values outside their range.
        """
        if not 0 < share <= 1:
            raise ParameterError(f'roi is {share}; it must be above 0 and at most 1')
        if refresh < 1:
            raise ParameterError(f'roi_refresh is {refresh}; it must be 1 frame or more')
        self._grid = grid
        self._sizes = [tuple(_even(part * side) for side in grid)
                       for part in (share, (1 + share) / 2)]
        self._refresh = refresh
        self._since_whole = 0
        self._window: Window | None = None

    def next(self, extents: Sequence[Extent | None]) -> Window | None:  # noqa: A003
        """
        Return the window to encode next, None for the whole frame.

        `extents` says where each target was on the last frame, None where it was not seen.
        """
        self._window = self._choose(extents)
        self._since_whole = 0 if self._window is None else self._since_whole + 1
        return self._window

    def _choose(self, extents: Sequence[Extent | None]) -> Window | None:
        if None in extents or self._since_whole + 1 >= self._refresh:
            return None
        around = Extent(
            top=min(extent.top for extent in extents),
            left=min(extent.left for extent in extents),
            bottom=max(extent.bottom for extent in extents),
            right=max(extent.right for extent in extents))
        if self._window is not None and not self._is_inside(around):
            return None
        for rows, columns in self._sizes:
            top = _start(around.top, around.bottom, rows, self._grid[0])
            left = _start(around.left, around.right, columns, self._grid[1])
            if top is not None and left is not None:
                return Window(top, left, rows, columns)
        return None

    def _is_inside(self, around: Extent) -> bool:
        """Tell whether targets keep clear of the last window's edges that are not the frame's."""
        window, (height, width) = self._window, self._grid
        below, right = window.top + window.rows, window.left + window.columns
        return ((window.top == 0 or around.top >= window.top + CLEAR)
                and (window.left == 0 or around.left >= window.left + CLEAR)
                and (below == height or around.bottom < below - CLEAR)
                and (right == width or around.right < right - CLEAR))


def _even(length: float) -> int:
    return max(2, 2 * round(length / 2))


def _start(first: int, last: int, length: int, limit: int) -> int | None:
    """Return the even start of a window around first..last; None where it is too short."""
    room = max(CLEAR, limit // ROOM)
    if last - first + 1 + 2 * room > length and length < limit:
        return None
    centred = (first + last + 1 - length) / 2
    return min(max(2 * round(centred / 2), 0), limit - length)
