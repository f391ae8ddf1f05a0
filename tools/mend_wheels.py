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
Replace the build machine's paths in the CMake files of the ROS wheels by this environment's.

The wheels were built in a container: their exported targets name its Python and NumPy headers.
"""

from pathlib import Path
import re
import sys
import sysconfig

import numpy

PYTHON_HEADERS = re.compile(r'/opt/python/[^;"\s]*/include/python3\.\d+')
NUMPY_HEADERS = re.compile(r'/[^;"\s]*/site-packages/numpy/_core/include')


def main() -> None:
    """Rewrite `share/**/*.cmake` of the environment that runs this."""
    python_headers = sysconfig.get_paths()['include']
    mended = 0
    for path in Path(sys.prefix, 'share').rglob('*.cmake'):
        text = path.read_text()
        new = PYTHON_HEADERS.sub(python_headers, text)
        new = NUMPY_HEADERS.sub(numpy.get_include(), new)
        if new != text:
            path.write_text(new)
            mended += 1
    print(f'== mended {mended} CMake files of the ROS wheels')


if __name__ == '__main__':
    main()
