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
"""Several pictures on one sheet."""

from fast_sam2_ros.drawing.contact_sheet import contact_sheet
import numpy as np


def test_a_contact_sheet_holds_every_picture():
    pictures = [np.full((48, 64, 3), 50 * index, np.uint8) for index in range(5)]
    sheet = contact_sheet(pictures, columns=2, width=64)
    assert sheet.shape == (8 + 3 * 56, 8 + 2 * 72, 3)
    for index in range(5):
        top, left = 8 + index // 2 * 56, 8 + index % 2 * 72
        assert (sheet[top:top + 48, left:left + 64] == 50 * index).all()
    titled = contact_sheet(pictures, columns=2, width=64, title='title')
    assert titled.shape[0] == sheet.shape[0] + 34
