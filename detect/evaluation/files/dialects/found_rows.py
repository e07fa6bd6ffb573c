"""Detections as a reader found them, and the checks that all pass before they become a table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from detect.data.checks import Notes
from detect.data.records import ActionDataset
from detect.evaluation.tables import LARGEST, Detections, TableError
from detect.utils.names import safe_name


@dataclass(frozen=True, eq=False)
class FoundRows:
    """names: of the videos, by number, in any order; video, frame (from 0), label (from 0) (n,) int64; score (n,) and
    boxes (n, 4), x1 y1 x2 y2 in pixels, float64.  where(row): the row's place in the file, for messages.
    """

    names: Sequence[str]
    video: np.ndarray
    frame: np.ndarray
    label: np.ndarray
    score: np.ndarray
    boxes: np.ndarray
    where: Callable[[int], str]


def no_rows(names: Sequence[str] = ()) -> FoundRows:
    none = np.zeros(0, np.int64)
    return FoundRows(names, none, none, none, np.zeros(0), np.zeros((0, 4)), str)


def as_table(path: Path, rows: FoundRows, dataset: ActionDataset | None, notes: Notes) -> tuple[Detections, list[str]]:
    """The table and its video names, sorted: those of the dataset, else those of the file.

    TableError, naming the file, the row and the value, for a score or a box that is not finite and for a video, frame
    or class that the dataset does not have. Reversed boxes are kept and noted: they overlap nothing.
    """
    rows = replace(rows, names=[safe_name(name) for name in rows.names])  # as the readers of ground truth have them
    _check(path, rows, ~np.isfinite(rows.score), lambda row: f"score {rows.score[row]} is not finite")
    _check(path, rows, ~np.isfinite(rows.boxes).all(1), lambda row: f"box {rows.boxes[row].tolist()} is not finite")
    if dataset is None:
        limit = np.full(len(rows.names), LARGEST)
        classes, names = LARGEST, sorted(set(rows.names))
    else:
        lengths = {video.name: video.num_frames for video in dataset.videos}
        limit = np.array([lengths.get(name, -1) for name in rows.names] or [0], np.int64)
        classes, names = len(dataset.classes), sorted(lengths)
        some = f"{dataset.name} has {len(lengths)} videos, such as {', '.join(map(repr, names[:3]))}"
        _check(path, rows, limit[rows.video] < 0, lambda row: f"unknown video {rows.names[rows.video[row]]!r}; {some}")
    _check(path, rows, (rows.frame < 0) | (rows.frame >= limit[rows.video]), lambda row: _frame(rows, row, limit))
    _check(
        path, rows, (rows.label < 0) | (rows.label >= classes),
        lambda row: f"label {rows.label[row]}, from 0; there are {classes} classes, 0 to {classes - 1}",
    )  # fmt: skip
    turned = np.flatnonzero((rows.boxes[:, 2:] < rows.boxes[:, :2]).any(1))
    examples = (f"{rows.where(row)} {rows.boxes[row].tolist()}" for row in turned)
    notes.add_many("boxes with x2 < x1 or y2 < y1, which overlap nothing", len(turned), examples)
    number = {name: index for index, name in enumerate(names)}
    place = np.array([number.get(name, -1) for name in rows.names] or [0], np.int64)
    return Detections(place[rows.video], rows.frame, rows.label, rows.score, rows.boxes), names


def _frame(rows: FoundRows, row: int, limit: np.ndarray) -> str:
    name, count = rows.names[rows.video[row]], limit[rows.video[row]]
    return f"frame {rows.frame[row]} of {name}, from 0; it has {count} frames, 0 to {count - 1}"


def _check(path: Path, rows: FoundRows, bad: np.ndarray, message: Callable[[int], str]) -> None:
    if bad.any():
        row, count = int(np.argmax(bad)), int(np.count_nonzero(bad))
        more = f" ({count} such rows)" if count > 1 else ""
        raise TableError(f"{path}: {rows.where(row)}: {message(row)}{more}")
