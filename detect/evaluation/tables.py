"""Tables of boxes: one row per box, columns of equal length.

`video` numbers the videos; `frame` counts from 0 inside this program, though any base that both tables share will
do. Boxes are x1 y1 x2 y2 in pixels of the original frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from detect.utils.errors import UserError

LARGEST = 2**31 - 1  # frame or label


class TableError(UserError):
    """A table that cannot be used; the message names file, line and value."""


@dataclass(frozen=True)
class GroundTruth:
    """Annotated boxes: video, frame, label (n,) int >= 0; boxes (n, 4) float with x2 >= x1, y2 >= y1."""

    video: np.ndarray
    frame: np.ndarray
    label: np.ndarray
    boxes: np.ndarray

    def __post_init__(self) -> None:
        _check_columns(self)
        bad = (self.boxes[:, 2] < self.boxes[:, 0]) | (self.boxes[:, 3] < self.boxes[:, 1])
        if bad.any():
            row = int(np.argmax(bad))
            raise TableError(f"ground-truth row {row}: box {self.boxes[row].tolist()} has a negative side")

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True)
class Detections:
    """Scored boxes: video, frame, label (n,) int >= 0; score (n,) float; boxes (n, 4) float, of any shape."""

    video: np.ndarray
    frame: np.ndarray
    label: np.ndarray
    score: np.ndarray
    boxes: np.ndarray

    def __post_init__(self) -> None:
        _check_columns(self)

    def __len__(self) -> int:
        return len(self.label)


def take(table, rows: np.ndarray):
    """The rows ((k,) int or (n,) bool) of a table of either kind, in that order."""
    return type(table)(*(getattr(table, field.name)[rows] for field in fields(table)))


def concatenated(tables: Sequence):
    """One table of one or more of a kind, end to end."""
    columns = ([getattr(table, field.name) for table in tables] for field in fields(tables[0]))
    return type(tables[0])(*map(np.concatenate, columns))


def _check_columns(table) -> None:
    n = len(table.label)
    for field in fields(table):
        column = np.asarray(getattr(table, field.name))
        object.__setattr__(table, field.name, column)
        shape = (n, 4) if field.name == "boxes" else (n,)
        where = f"{type(table).__name__}.{field.name}"
        if column.shape != shape:
            raise TableError(f"{where} has shape {column.shape}, expected {shape}")
        if field.name in ("score", "boxes"):
            if not np.issubdtype(column.dtype, np.floating):
                object.__setattr__(table, field.name, column.astype(np.float64))
            elif not np.isfinite(column).all():
                row = int(np.argmin(np.isfinite(column).reshape(n, -1).all(axis=1)))
                raise TableError(f"{where} row {row} is not finite: {column[row]}")
        elif not np.issubdtype(column.dtype, np.integer) and n:
            raise TableError(f"{where} has dtype {column.dtype}, expected integers")
        elif n and column.min() < 0:
            raise TableError(f"{where} row {int(np.argmin(column))} is negative: {column.min()}")
        elif not n:
            object.__setattr__(table, field.name, column.astype(np.int64))
