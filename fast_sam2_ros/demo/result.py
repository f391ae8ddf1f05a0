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
"""What a run of the demo answered: judged against the truth, drawn, and written to files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
import zlib

from fast_sam2_ros.demo.footage import Footage, Shot
from fast_sam2_ros.demo.scene import Goal
from fast_sam2_ros.drawing.caption import Caption
from fast_sam2_ros.drawing.contact_sheet import contact_sheet
from fast_sam2_ros.drawing.overlay import draw
from fast_sam2_ros.evaluation.metrics import jaccard
from fast_sam2_ros.media import VideoWriter, write_image
from fast_sam2_ros.recording import FrameRecord, summarise, Summary, write_track
import numpy as np

SHEET = 12  # pictures on the contact sheet


@dataclass(frozen=True)
class Answer:
    """
    What came back for one frame: the record (its iou not yet known), the mask, words.

    size: (H, W); packed: the mask, a bit for each pixel, compressed, since a run keeps them all;
    kept: (h, w) bool, the retained tokens, or None.
    """

    record: FrameRecord
    size: tuple[int, int]
    packed: bytes
    label: str
    message: str
    kept: np.ndarray | None = None

    @classmethod
    def of(cls, record: FrameRecord, mask: np.ndarray, label: str, message: str,
           kept: np.ndarray | None = None) -> Answer:
        """Keep an answer with its mask, (H, W), not zero on the target."""
        packed = zlib.compress(np.packbits(mask != 0).tobytes(), 1)
        return cls(record, mask.shape, packed, label, message, kept)

    @property
    def mask(self) -> np.ndarray:
        """Return the mask, (H, W) uint8 of 0 and 1."""
        bits = np.frombuffer(zlib.decompress(self.packed), dtype=np.uint8)
        return np.unpackbits(bits, count=self.size[0] * self.size[1]).reshape(self.size)


@dataclass(frozen=True)
class Run:
    """
    A run of the demo.

    answers: by the index of the frame; seconds: what they took; sent: frames that the camera
    sent; fallback: why another model than the wanted one ran, or None.
    """

    answers: dict[int, Answer]
    seconds: float
    sent: int
    model: str
    device: str
    keep_ratio: float
    fallback: str | None


@dataclass(frozen=True)
class GoalResult:
    """
    How one goal was answered.

    frames: answered under this goal; tracked: of them, with the target tracked; delay: seconds
    from the goal to the stamp of the first tracked frame, None for none; mean_iou: None where no
    truth is known; message: the last thing said about it.
    """

    goal: Goal
    frames: int
    tracked: int
    delay: float | None
    mean_iou: float | None
    message: str


def judge(answer: Answer, shot: Shot) -> float | None:
    """Return the IoU of an answer with the truth; None where the target is not in the truth."""
    truth = (shot.truth or {}).get(answer.record.target_text)
    return jaccard(answer.mask, truth) if truth is not None and truth.any() else None


def conclude(footage: Footage, run: Run, out: Path, show_tokens: bool = False
             ) -> tuple[Summary, list[GoalResult]]:
    """Play the footage again and write demo.mp4, demo.png and track.json to the folder `out`."""
    records: list[FrameRecord] = []
    sheet: list[np.ndarray] = []
    wanted = _spread(sorted(run.answers), SHEET)
    with VideoWriter(out / 'demo.mp4', footage.rate) as writer:
        for shot, answer in _answered(footage, run):
            iou = judge(answer, shot)
            records.append(replace(answer.record, iou=iou))
            truth = (shot.truth or {}).get(answer.record.target_text)
            picture = draw(shot.image, answer.mask, _caption(answer, iou),
                           answer.kept if show_tokens else None, truth)
            writer.write(picture, shot.stamp)
            if shot.index in wanted:
                sheet.append(picture)
    summary = summarise(records, len(records) / run.seconds, run.model, run.device,
                        run.keep_ratio)
    if sheet:
        write_image(out / 'demo.png', contact_sheet(sheet, columns=3, title=_title(summary)))
    write_track(out / 'track.json', records, summary)
    results = [_goal_result(goal, records, run) for goal in footage.goals]
    return summary, results


def failures(run: Run, results: list[GoalResult], summary: Summary, min_iou: float) -> list[str]:
    """Return what did not hold, in words; empty when all is well."""
    if not run.answers:
        return ['no frame was answered']
    wrong = []
    for result in results:
        text = result.goal.text
        if not result.frames:
            wrong.append(f"no frame was answered after the goal '{text}'")
        elif result.goal.present is True and not result.tracked:
            wrong.append(f"'{text}' is in view, but was not found: {result.message}")
        elif result.goal.present is False and result.tracked:
            wrong.append(f"'{text}' is not there, but was tracked in {result.tracked} frames")
    if summary.mean_iou is not None and summary.mean_iou < min_iou:
        wrong.append(f'the mean IoU is {summary.mean_iou:.3f}, below {min_iou:g}')
    return wrong


def _answered(footage: Footage, run: Run) -> Iterator[tuple[Shot, Answer]]:
    for shot in footage.shots():
        if shot.index in run.answers:
            yield shot, run.answers[shot.index]


def _spread(indices: list[int], count: int) -> set[int]:
    """Choose `count` of the indices, evenly."""
    if len(indices) <= count:
        return set(indices)
    return {indices[round(place)] for place in np.linspace(0, len(indices) - 1, count)}


def _caption(answer: Answer, iou: float | None) -> Caption:
    entry = answer.record
    return Caption(state=entry.state, target_text=entry.target_text, label=answer.label,
                   score=entry.score, message=answer.message,
                   tokens_retained=entry.tokens_retained, tokens_total=entry.tokens_total,
                   latency=entry.latency_ms if entry.tokens_retained else None, iou=iou)


def _title(summary: Summary) -> str:
    title = (f'fast_sam2_ros   {summary.model} on {summary.device}, keep ratio '
             f'{summary.keep_ratio:g}, {summary.fps:.1f} frames/s')
    return title if summary.mean_iou is None else f'{title}, mean IoU {summary.mean_iou:.2f}'


def _goal_result(goal: Goal, records: list[FrameRecord], run: Run) -> GoalResult:
    mine = [entry for entry in records
            if entry.target_text == goal.text and entry.index >= goal.index]
    tracked = [entry for entry in mine if entry.state == 'tracking']
    ious = [entry.iou for entry in mine if entry.iou is not None]
    return GoalResult(
        goal, len(mine), len(tracked),
        delay=tracked[0].stamp - goal.stamp if tracked else None,
        mean_iou=float(np.mean(ious)) if ious else None,
        message=run.answers[mine[-1].index].message if mine else '')
