"""Files of box tables: typed columns, see `typed_tables`, or CSV, see `csv_tables`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detect.evaluation.files.csv_tables import read_csv, write_csv_table
from detect.evaluation.files.typed_tables import Columns, read_typed, typed_kind, typed_suffix, write_typed
from detect.evaluation.tables import LARGEST, Detections, GroundTruth, TableError

SUFFIXES = (".parquet", ".npz", ".csv.gz", ".csv")


def read_tables(ground_truth: str | Path, detections: str | Path) -> tuple[GroundTruth, Detections, list[str]]:
    """Both tables and their common video names, sorted; `video` columns index that list.

    Raises:
        TableError: file missing, empty or damaged; column missing; value not a number, not finite or
            negative; ground-truth box with a negative side. A file with a header and no rows is legal.
    """
    (truth, found), names, _ = read_table_files([(ground_truth, GroundTruth), (detections, Detections)])
    return truth, found, names


def read_detections(paths: Sequence[str | Path]) -> tuple[list[Detections], list[str]]:
    """Several tables of detections and their common video names, as `read_tables`."""
    tables, names, _ = read_table_files([(path, Detections) for path in paths])
    return tables, names


def read_table_files(files: Sequence[tuple[str | Path, type]]) -> tuple[list, list[str], list[str] | None]:
    """Tables, their common video names, and the names of the classes where a file says them; they must be the same."""
    found = [read_columns(path, kind) for path, kind in files]
    names = sorted(set().union(*(one.videos for one in found)))
    number = {name: index for index, name in enumerate(names)}
    tables, classes = [], None
    for (path, kind), one in zip(files, found, strict=True):
        own = np.array([number[name] for name in one.videos] or [0], np.int64)
        tables.append(kind(**{**one.columns, "video": own[one.columns["video"]]}))
        if None not in (classes, one.classes) and classes != one.classes:
            raise TableError(f"{path}: has the classes {one.classes[:5]}, {files[0][0]} has {classes[:5]}")
        classes = classes or one.classes
    return tables, names, classes


def read_columns(path: str | Path, kind: type) -> Columns:
    """The columns of one file, GroundTruth or Detections, whichever way it is written."""
    path = Path(path)
    try:
        with open(path, "rb") as stream:
            typed = typed_kind(stream.read(4))
    except FileNotFoundError as error:
        raise TableError(f"{path}: no such file") from error
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror or error})") from error
    if typed:
        found = read_typed(path, typed, kind is Detections)
        _check_values(path, found.columns)
        return found
    return read_csv(path, kind is Detections)


def find_table(folder: str | Path, name: str) -> Path:
    """The file of the table `name` in a folder of an evaluation, however it is written."""
    paths = [Path(folder) / f"{name}{suffix}" for suffix in SUFFIXES]
    return next((path for path in paths if path.exists()), paths[0])


def _check_values(path: Path, columns: dict[str, np.ndarray]) -> None:
    """TableError for the first value that is not finite, out of range, or, of ground truth, a box's negative side."""
    for name, column in columns.items():
        if column.dtype.kind == "f":
            bad, fault = ~np.isfinite(column), "is not finite"
        else:
            bad, fault = (column < 0) | (column > LARGEST), f"is out of range (0 to {LARGEST})"
        if bad.any():
            row = int(np.argmax(bad.reshape(len(column), -1).any(axis=1)))
            raise TableError(f"{path}: row {row}: {name} {column[row].tolist()} {fault}")
    if "score" not in columns:
        bad = (columns["boxes"][:, 2:] < columns["boxes"][:, :2]).any(axis=1)
        if bad.any():
            row = int(np.argmax(bad))
            box = columns["boxes"][row].tolist()
            raise TableError(f"{path}: row {row}: ground-truth box {box} has a negative side")


def write_beside(
    folder: str | Path,
    name: str,
    table: GroundTruth | Detections,
    video_names: Sequence[str],
    classes: Sequence[str] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Write the table `name` in a folder, typed, in place of one that was written another way."""
    path = Path(folder) / f"{name}{typed_suffix()}"
    write_table(path, table, video_names, classes, facts)
    for suffix in SUFFIXES:
        if (other := path.with_name(f"{name}{suffix}")) != path:
            other.unlink(missing_ok=True)
    return path


def write_table(
    path: str | Path,
    table: GroundTruth | Detections,
    video_names: Sequence[str],
    classes: Sequence[str] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write a table as the path ends, .parquet, .npz, .csv or .csv.gz, atomically; a CSV with the nine digits that
    float32 needs, and without the names of the classes and the facts.
    """
    if Path(path).suffix in (".parquet", ".npz"):
        write_typed(path, table, video_names, classes, facts)
        return
    if not str(path).endswith((".csv", ".csv.gz")):
        raise TableError(f"{path}: a table's name ends in {', '.join(SUFFIXES)}")
    write_csv_table(path, table, video_names)
