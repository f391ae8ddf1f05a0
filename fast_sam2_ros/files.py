# Copyright 2026 The fast_sam2_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Text files that are whole wherever they are found."""

from __future__ import annotations

from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a text under its name only once all of it is in the file."""
    unfinished = path.with_name(f'.{path.name}-unfinished')
    unfinished.write_text(text, encoding='utf-8')
    unfinished.replace(path)
