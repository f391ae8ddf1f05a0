# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Which part of a frame is encoded: a window around the targets, or all of it.

Once memory attention is pruned, the image encoder is most of a step. A window keeps the detail of
the whole frame and costs as much less as it is smaller; tokens in it have the places that they
have on the whole frame, so the memory does not notice. The whole frame is encoded every few
frames, and whenever a window could miss something: a target was not seen, came close to an edge
of the window, or the targets do not fit into one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fast_sam2_ros.errors import ParameterError
from fast_sam2_ros.sam2.parts import Window

MARGIN = 1  # tokens between a target and the edge of a window, in which it is still well inside


@dataclass(frozen=True)
class Extent:
    """Where a target's mask is: the first and the last row and column of tokens that it covers."""

    top: int
    left: int
    bottom: int
    right: int


class Region:
    """Chooses windows of one size on a token grid."""

    def __init__(self, grid: tuple[int, int], share: float, refresh: int) -> None:
        """
        Take the grid's height and width in tokens.

        `share`, in (0, 1], is a window's side as a share of the frame's; 1 is all of it. `refresh`
        is the number of frames after which the whole frame is encoded again, at the latest.
        Raises ParameterError for values outside their range.
        """
        if not 0 < share <= 1:
            raise ParameterError(f'roi is {share}; it must be above 0 and at most 1')
        if refresh < 1:
            raise ParameterError(f'roi_refresh is {refresh}; it must be 1 frame or more')
        self._grid = grid
        self.rows, self.columns = (min(side, 2 * round(share * side / 2) or 2) for side in grid)
        self._refresh = refresh
        self._since_whole = 0
        self._window: Window | None = None

    def next(self, extents: Sequence[Extent | None]) -> Window | None:
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
        top, left = (min(getattr(extent, side) for extent in extents) for side in ('top', 'left'))
        bottom, right = (
            max(getattr(extent, side) for extent in extents) for side in ('bottom', 'right'))
        if self._window is not None and not _inside(
                self._window, top, left, bottom, right, self._grid):
            return None
        first_row = _start(top, bottom, self.rows, self._grid[0])
        first_column = _start(left, right, self.columns, self._grid[1])
        if first_row is None or first_column is None:
            return None
        return Window(first_row, first_column, self.rows, self.columns)


def _inside(
    window: Window, top: int, left: int, bottom: int, right: int, grid: tuple[int, int]
) -> bool:
    """Tell whether a target keeps clear of the window's edges that are not the frame's."""
    return ((window.top == 0 or top >= window.top + MARGIN)
            and (window.left == 0 or left >= window.left + MARGIN)
            and (window.top + window.rows == grid[0]
                 or bottom < window.top + window.rows - MARGIN)
            and (window.left + window.columns == grid[1]
                 or right < window.left + window.columns - MARGIN))


def _start(first: int, last: int, length: int, limit: int) -> int | None:
    """Return the even start of a window around first..last; None where it is too short."""
    if last - first + 1 + 2 * MARGIN > length and length < limit:
        return None
    centred = (first + last + 1 - length) / 2
    return int(min(max(2 * round(centred / 2), 0), limit - length))
