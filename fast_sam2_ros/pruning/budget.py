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
"""The token budget: from a keep ratio to a number of tokens that stays fixed."""

from __future__ import annotations

import math

from fast_sam2_ros.errors import ParameterError


def check_ratio(name: str, ratio: float) -> float:
    """Return `ratio` as a float in (0, 1]; else raise ParameterError, with `name` in it."""
    if isinstance(ratio, bool) or not isinstance(ratio, (int, float)) or not 0 < ratio <= 1:
        raise ParameterError(f'{name} must be above 0 and at most 1, not {ratio!r}')
    return float(ratio)


def tokens_to_keep(ratio: float, total: int) -> int:
    """
    Return K, the number of tokens to keep of `total`, at a keep ratio in (0, 1].

    Rounded up, so that no ratio keeps nothing and 1.0 keeps all.
    """
    return min(total, math.ceil(ratio * total - 1e-6))
