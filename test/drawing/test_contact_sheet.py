# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Several pictures on one sheet."""

import numpy as np

from fast_sam2_ros.drawing.contact_sheet import contact_sheet


def test_a_contact_sheet_holds_every_picture():
    pictures = [np.full((48, 64, 3), 50 * index, np.uint8) for index in range(5)]
    sheet = contact_sheet(pictures, columns=2, width=64)
    assert sheet.shape == (8 + 3 * 56, 8 + 2 * 72, 3)
    for index in range(5):
        top, left = 8 + index // 2 * 56, 8 + index % 2 * 72
        assert (sheet[top:top + 48, left:left + 64] == 50 * index).all()
    titled = contact_sheet(pictures, columns=2, width=64, title='title')
    assert titled.shape[0] == sheet.shape[0] + 34
