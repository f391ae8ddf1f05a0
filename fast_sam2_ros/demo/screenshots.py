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
Make the pictures of the documents: the overlay on the demo's scene, and the demo's own sheet.

    python -m fast_sam2_ros.demo.screenshots docs/overlay.jpg
    python -m fast_sam2_ros.demo.screenshots docs/demo.jpg --of out/demo.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
from fast_sam2_ros.demo.scene import Scene
from fast_sam2_ros.drawing.caption import caption
from fast_sam2_ros.drawing.contact_sheet import contact_sheet
from fast_sam2_ros.drawing.overlay import draw
from fast_sam2_ros.media import read_image
from fast_sam2_ros.session import open_session
import numpy as np

SHOTS = (('cat; cup and saucer', 72, False), ('cat', 30, True),
         ('cat; cup and saucer', 115, False), ('cat', 84, False))
"""Goal, frame of the scene, and whether the kept tokens are drawn: two targets, the tokens, one of
two targets lost, the only one lost."""
WIDTH, QUALITY = 1200, 75
"""Of the JPEG, in pixels and by OpenCV's measure."""


def shoot() -> list[np.ndarray]:
    """Track every goal of `SHOTS` up to its frames, and return the overlays in their order."""
    scene, pictures = Scene(rate=10.0), {}
    session = open_session(model='embedded', device='cpu')
    for text in dict.fromkeys(text for text, _, _ in SHOTS):
        wanted = {index: tokens for goal, index, tokens in SHOTS if goal == text}
        session.clear()
        session.set_text(text)
        for index in range(max(wanted) + 1):
            image, _ = scene.frame(index)
            report = session.process(image, scene.stamp(index))
            if index in wanted:
                pictures[text, index] = draw(image, report.labels(), caption(report),
                                             report.kept if wanted[index] else None)
    return [pictures[text, index] for text, index, _ in SHOTS]


def main() -> None:
    """Write a picture to the file that the command line names."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument('out', type=Path, help='a .jpg file')
    parser.add_argument('--of', type=Path, metavar='PNG',
                        help='a picture that is there, in place of the overlays')
    arguments = parser.parse_args()
    sheet = (contact_sheet(shoot(), columns=2, width=640) if arguments.of is None
             else read_image(arguments.of))
    size = WIDTH, round(sheet.shape[0] * WIDTH / sheet.shape[1])
    sheet = cv2.resize(sheet, size, interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode('.jpg', sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    arguments.out.write_bytes(encoded.tobytes())


if __name__ == '__main__':
    main()
