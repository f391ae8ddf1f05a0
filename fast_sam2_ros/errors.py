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
"""The errors that this package raises, each with a message that says what to do."""

from __future__ import annotations

from collections.abc import Iterable


class FastSam2Error(Exception):
    """Anything that the user can mend; commands print it in one line."""


class CheckpointError(FastSam2Error):
    """A model cannot be found, read or matched to the architecture."""


class InputError(FastSam2Error):
    """An image, a prompt or a video that cannot be used."""


class DeviceMemoryError(FastSam2Error):
    """The device had no memory left for a step, and the frame is lost; the next may be given."""


class ParameterError(FastSam2Error):
    """A setting outside its range, or two that exclude each other."""


def name_some(keys: Iterable[str], limit: int = 4) -> str:
    """Write the first few of some names in one line, with how many there are besides."""
    ordered = sorted(keys)
    rest = len(ordered) - limit
    return ', '.join(ordered[:limit]) + (f' and {rest} more' if rest > 0 else '')
