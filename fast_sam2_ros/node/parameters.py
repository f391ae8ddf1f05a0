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
Every parameter of the tracker node, once: type, default, range, unit, meaning.

The declaration with its descriptors, the validation, `config/tracker.yaml` and the table for the
README all come from `Settings`. Write the two texts with

    python -m fast_sam2_ros.node.parameters yaml > config/tracker.yaml
    python -m fast_sam2_ros.node.parameters table
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
import dataclasses
from dataclasses import dataclass
import textwrap
from typing import Any

from fast_sam2_ros.errors import ParameterError
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
import yaml

Value = bool | int | float | str
KINDS = {'bool': 'true or false', 'int': 'a whole number', 'float': 'a number', 'str': 'a text'}


@dataclass(frozen=True)
class About:
    """
    What is known of a parameter besides its name, type and default.

    One with `choices` may also name a file where it has a `suffix`.
    """

    text: str
    unit: str = ''
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    suffix: str = ''
    changes: str = 'at configure'

    @property
    def range(self) -> str:  # noqa: A003
        """Return the values that are allowed, in words; empty where all are."""
        if self.choices:
            return ', '.join(self.choices) + (f', or a {self.suffix} file' if self.suffix else '')
        return '' if self.low is None else f'{self.low} to {self.high}'


def _fixed(default: Value, text: str, **about: Any) -> Any:
    """Define a parameter that takes effect at configure and cannot change after that."""
    return dataclasses.field(default=default, metadata={'about': About(text, **about)})


def _run_time(default: Value, text: str, **about: Any) -> Any:
    """Define a parameter that can change while the node runs."""
    return _fixed(default, text, changes='at run time', **about)


@dataclass(frozen=True)
class Settings:
    """
    The node's parameters, valid as a whole.

    Raises ParameterError when one is of the wrong type or outside its range.
    """

    model: str = _fixed(
        'auto', 'Checkpoint: auto (preferred_model where it is on this machine already, else '
        'embedded), embedded, a hub id that was fetched (id or id@commit), a folder, or a .pt '
        'file.')
    preferred_model: str = _fixed(
        'facebook/sam2.1-hiera-tiny@de431c4043854a71d8101e17995dfe596bf101a5', 'The hub id that '
        'model auto looks for, in just that revision; nothing is downloaded at run time.')
    device: str = _fixed('auto', 'Where the model runs: auto, cpu, cuda or cuda:N.')
    grounder: str = _fixed(
        'auto', 'Finds the target that the text names: auto (for another model than embedded '
        'IDEA-Research/grounding-dino-tiny@a2bb814dd30d776dcf7e30523b00659f4f141c71 where it was '
        'fetched, else embedded), embedded, or a hub id (id or id@commit) or folder of Grounding '
        'DINO, OWLv2 or OmDet-Turbo.')
    describer: str = _fixed(
        'embedded', 'Puts a target that was pointed at in words, by which it is searched for once '
        'it is lost: embedded, none, or a hub id or folder of CLIP, SigLIP, BLIP, GIT or '
        'Florence-2.')
    router: str = _fixed(
        'analytic', 'Chooses the tokens to keep; a file holds a router trained for the model.',
        choices=('analytic', 'learned', 'learned-prior', 'prior-only', 'random'),
        suffix='.safetensors')
    keep_ratio: float = _run_time(
        0.5, "Share of the frame's tokens that enter memory attention.", low=0.05, high=1.0)
    memory_keep_ratio: float = _run_time(
        0.0, "Share of a frame's tokens that the memory bank keeps, at least 0.05; "
        '0 takes keep_ratio.', low=0.0, high=1.0)
    target_latency_ms: float = _run_time(
        0.0, 'Time that a step may take: the node keeps as large a share of the tokens as holds '
        'it, between min_keep_ratio and keep_ratio; 0 for any time.',
        unit='ms', low=0.0, high=60000.0)
    min_keep_ratio: float = _run_time(
        0.2, 'Share of the tokens that target_latency_ms cannot take the node below.',
        low=0.05, high=1.0)
    compile: str = _fixed(  # noqa: A003
        'auto', 'Run compiled graphs: on, off, or auto (on a GPU). They are made before configure '
        'ends, which takes about a minute the first time.', choices=('auto', 'on', 'off'))
    dtype: str = _fixed(
        'auto', "Precision of the model's matrix products; auto is bfloat16 where the GPU or the "
        'CPU has matrix units for it, else float32.', choices=('auto', 'float32', 'bfloat16'))
    roi: float = _fixed(
        0.0, "Encode only a window around the targets, of this share of the frame's sides, or "
        'half-way to all of it for larger targets; 0 encodes whole frames. Whole frames are '
        'encoded all the same where a target is not seen, nears an edge or does not fit.',
        low=0.0, high=1.0)
    roi_refresh: int = _fixed(
        10, 'With roi, the whole frame is encoded at least every so many frames.',
        unit='frames',
        low=1, high=1000)
    target_text: str = _fixed(
        '', 'What to track until a text arrives, several with ; between them; empty for nothing.')
    max_targets: int = _fixed(
        8, 'So many targets can be tracked at once; further ones are refused.', low=1, high=32)
    lost_after: int = _run_time(
        5, 'So long may the target be out of view, by its object score or its looks, before it '
        'counts as lost.',
        unit='frames', low=1, high=1000)
    reground_period: float = _run_time(
        1.0, 'Least time between two searches for a target that is not in view; as long must '
        'something that is not surely the target stay before it is taken for it after a loss.',
        unit='s', low=0.0, high=3600.0)
    image_transport: str = _fixed(
        'raw', 'Subscribe to image (raw) or to image/compressed (compressed).',
        choices=('raw', 'compressed'))
    image_qos: str = _fixed(
        'sensor_data', 'Best effort, which takes reliable cameras too (sensor_data), or reliable, '
        'which hears no best-effort camera.',
        choices=('sensor_data', 'reliable'))
    mask_format: str = _run_time(
        'binary', "A target's value in the mask: 255 for all (binary), or one each from label_id "
        'on (label).', choices=('binary', 'label'))
    label_id: int = _run_time(
        1, "The first target's value where mask_format is label; the second has the next, and so "
        'on.', low=1, high=255)
    label_name: str = _run_time(
        'target', "The first target's name in segmentation/label_info, as Nav2's YAML lists it; "
        'the second is called the same with _2 behind it, and so on.')
    depth_tolerance: float = _run_time(
        0.05, 'So far may the stamp of a depth image be from that of the image that it is taken '
        'for.', unit='s', low=0.0, high=1.0)
    image_rectified: bool = _run_time(
        False, "The images are rectified, so camera_info's p holds for them, not its k and d.")
    overlay_tokens: bool = _run_time(False, 'Draw the kept tokens on the overlay.')
    camera_timeout: float = _run_time(
        1.0, 'After so long without an image the camera counts as gone.',
        unit='s', low=0.1, high=60.0)
    diagnostics_period: float = _run_time(
        1.0, 'Longest time between two messages on /diagnostics; what changes is said at once.',
        unit='s', low=0.1, high=60.0)
    autostart: bool = _fixed(
        False, 'Configure and activate at start, for running the node alone; the launch file '
        'does it from outside.', changes='at start')

    def __post_init__(self) -> None:
        """Check every value against its range, and those that depend on each other."""
        for field in dataclasses.fields(self):
            _check(field.name, getattr(self, field.name))
        if 0.0 < self.memory_keep_ratio < 0.05:
            raise ParameterError(
                f'memory_keep_ratio is {self.memory_keep_ratio}; give 0 or 0.05 to 1.0')
        if self.target_latency_ms > 0.0 and self.min_keep_ratio > self.keep_ratio:
            raise ParameterError(
                f'min_keep_ratio is {self.min_keep_ratio}; with target_latency_ms give at most '
                f'keep_ratio, {self.keep_ratio}')
        if not self.label_name.strip():
            raise ParameterError('label_name is empty; give the name of a class')
        if self.mask_format == 'label' and self.label_id + self.max_targets > 256:
            raise ParameterError(
                f'label_id is {self.label_id}; for {self.max_targets} targets in a mask of '
                f'labels give {256 - self.max_targets} at most')

    @classmethod
    def from_values(cls, values: Mapping[str, Value]) -> Settings:
        """
        Make settings of parameter values.

        A whole number will do where a float is meant, a boolean where the choices are on and off:
        YAML reads these two words as one where they are not quoted.
        """
        return cls(**{name: _meant(name, value) for name, value in values.items()})

    def changed(self, values: Mapping[str, Value], *, running: bool) -> Settings:
        """
        Return the settings with some values replaced, all of them or none.

        While `running` (the node is configured) only those may differ that change at run time.
        Raises ParameterError with the reason.
        """
        after = Settings.from_values(dataclasses.asdict(self) | dict(values))
        for name in values:
            if (running and about(name).changes == 'at configure'
                    and getattr(after, name) != getattr(self, name)):
                raise ParameterError(
                    f'{name} cannot change while the node is configured; clean it up first')
        return after


def about(name: str) -> About:
    """Return what is known of the parameter `name`."""
    return Settings.__dataclass_fields__[name].metadata['about']


def names() -> tuple[str, ...]:
    """Return the names of all parameters, in the order of their definition."""
    return tuple(field.name for field in dataclasses.fields(Settings))


def declare(node: Node) -> Settings:
    """
    Declare every parameter on the node and return what the user set.

    Raises ParameterError when a value is not allowed; rclpy raises its own for a wrong type.
    """
    return Settings.from_values({
        field.name: node.declare_parameter(
            field.name, field.default, _descriptor(field)).value
        for field in dataclasses.fields(Settings)})


def to_yaml() -> str:
    """Return the text of `config/tracker.yaml`: every parameter with its default, commented."""
    lines = [
        '# Every parameter of the tracker with its default.',
        '# Written by: python -m fast_sam2_ros.node.parameters yaml',
        '/**:',
        '  ros__parameters:']
    for field in dataclasses.fields(Settings):
        for line in textwrap.wrap(
                _summary(field.metadata['about']), 90, break_on_hyphens=False):
            lines.append(f'    # {line}')
        value = yaml.safe_dump(field.default, default_style='"' if field.type == 'str' else None)
        lines.append(f'    {field.name}: {value.splitlines()[0]}')
    return '\n'.join(lines) + '\n'


def to_table() -> str:
    """Return the parameters as a Markdown table."""
    lines = ['| parameter | type | default | range | unit | changes | meaning |',
             '|---|---|---|---|---|---|---|']
    for field in dataclasses.fields(Settings):
        known = field.metadata['about']
        default = f'`{field.default}`' if field.default != '' else 'empty'
        lines.append(f'| `{field.name}` | {field.type} | {default} | {known.range} | '
                     f'{known.unit} | {known.changes} | {known.text} |')
    return '\n'.join(lines) + '\n'


def _summary(known: About) -> str:
    extras = [known.range, known.unit, f'changes {known.changes}']
    return f'{known.text} [{"; ".join(extra for extra in extras if extra)}]'


def _descriptor(field: dataclasses.Field[Any]) -> ParameterDescriptor:
    known = field.metadata['about']
    descriptor = ParameterDescriptor(
        name=field.name, description=known.text, read_only=known.changes == 'at start',
        additional_constraints='; '.join(filter(None, (
            f'one of {known.range}' if known.choices else '',
            f'unit: {known.unit}' if known.unit else '',
            f'changes {known.changes}'))))
    # Where not statically typed, `keep_ratio:=1` and `compile:=off` work; Settings takes no other
    # type.
    descriptor.dynamic_typing = field.type == 'float' or _is_switch(known)
    if field.type == 'float':
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=float(known.low), to_value=float(known.high))]
    elif field.type == 'int':
        descriptor.integer_range = [IntegerRange(from_value=known.low, to_value=known.high)]
    return descriptor


def _meant(name: str, value: Value) -> Value:
    if type(value) is int and Settings.__dataclass_fields__[name].type == 'float':
        return float(value)
    if type(value) is bool and _is_switch(about(name)):
        return 'on' if value else 'off'
    return value


def _is_switch(known: About) -> bool:
    return {'on', 'off'} <= set(known.choices)


def _check(name: str, value: object) -> None:
    known = about(name)
    wanted = Settings.__dataclass_fields__[name].type
    if type(value).__name__ != wanted:
        raise ParameterError(f'{name} is {value!r}; give {KINDS[wanted]}')
    if known.choices:
        inside = value in known.choices or bool(known.suffix) and value.endswith(known.suffix)
    else:
        inside = known.low is None or known.low <= value <= known.high
    if not inside:
        raise ParameterError(f'{name} is {value!r}; give {known.range}')


def main() -> None:
    """Print one of the two texts that are made from the definition."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument('what', choices=('yaml', 'table'))
    print(to_yaml() if parser.parse_args().what == 'yaml' else to_table(), end='')


if __name__ == '__main__':
    main()
