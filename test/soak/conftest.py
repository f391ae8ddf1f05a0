# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tests that take minutes; they share the bench of the tests of the node."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

SPEC = spec_from_file_location('bench', Path(__file__).parents[1] / 'node' / 'conftest.py')
MODULE = module_from_spec(SPEC)
SPEC.loader.exec_module(MODULE)

bench, _environment = MODULE.bench, MODULE._environment
_shared_memory = MODULE._shared_memory
