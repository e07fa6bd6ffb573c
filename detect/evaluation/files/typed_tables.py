"""Tables of boxes as typed columns: .parquet, by pyarrow, or .npz, which needs nothing.

Columns of a parquet file: video (text), frame, label (int), score (of detections), x1, y1, x2, y2 (float), and in its
metadata, under `action-detection`, the JSON of {"classes": names in the order of the labels, or null, ...facts}. The
.npz holds the arrays video (int, a position in `videos`), frame, label, score, boxes (n, 4), videos (text) and about
(that JSON).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from detect.evaluation.tables import Detections, GroundTruth, TableError
from detect.utils.errors import MissingExtraError
from detect.utils.files import atomic_file
from detect.utils.safe_npz import NpzError, read_npz

SIDES = ("x1", "y1", "x2", "y2")
_KEY = b"action-detection"
_ROWS = 1 << 20  # of a row group


@dataclass(frozen=True, eq=False)
class Columns:
    """What a file holds: `video` (n,) positions in `videos`, frame, label, boxes and, of detections, score; the names
    of the classes, if it says them, and further facts.
    """

    columns: dict[str, np.ndarray]
    videos: list[str]
    classes: list[str] | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def typed_suffix() -> str:
    """.parquet where pyarrow is installed, else .npz."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        return ".npz"
    return ".parquet"


def typed_kind(head: bytes) -> str | None:
    """The suffix of the kind of file that begins with these bytes, None for neither."""
    return {b"PAR1": ".parquet", b"PK\x03\x04": ".npz", b"PK\x05\x06": ".npz"}.get(head[:4])


def read_typed(path: Path, kind: str, scored: bool) -> Columns:
    """The columns of a file; TableError for one that is damaged or lacks a column. scored: a `score` is expected."""
    read = _read_parquet if kind == ".parquet" else _read_npz
    found = read(path)
    wanted = ("video", "frame", "label", *(("score",) if scored else ()), "boxes")
    missing = [name for name in wanted if name not in found.columns]
    if missing:
        raise TableError(f"{path}: no column {', '.join(missing)}; expected {', '.join(wanted)}")
    columns = {name: found.columns[name] for name in wanted}
    count = len(columns["video"])
    for name, column in columns.items():
        shape, kinds = ((count, 4), "f") if name == "boxes" else ((count,), "f" if name == "score" else "iu")
        if column.shape != shape or column.dtype.kind not in kinds:
            raise TableError(f"{path}: column {name} is {column.dtype} {column.shape}; expected {kinds} {shape}")
    if count and not 0 <= columns["video"].min() <= columns["video"].max() < len(found.videos):
        raise TableError(f"{path}: column video holds a number that is none of its {len(found.videos)} videos")
    return Columns(columns, found.videos, found.classes, found.facts)


def write_typed(
    path: str | Path,
    table: GroundTruth | Detections,
    videos: Sequence[str],
    classes: Sequence[str] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write a table as its suffix says, atomically. MissingExtraError for .parquet without pyarrow."""
    about = json.dumps({"classes": None if classes is None else list(classes), **(facts or {})})
    columns = {"video": table.video.astype(np.int32), "frame": table.frame.astype(np.int32)}
    columns["label"] = table.label.astype(np.int32)
    if isinstance(table, Detections):
        columns["score"] = table.score
    write = _write_parquet if Path(path).suffix == ".parquet" else _write_npz
    with atomic_file(path) as stream:
        write(stream, {**columns, "boxes": table.boxes}, list(videos), about)


# --- parquet -----------------------------------------------------------------------------------------------


def require_pyarrow():
    """The module; MissingExtraError where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            "a .parquet file needs pyarrow: pip install 'action-detection[parquet]'; or use .npz, or .csv.gz"
        ) from error
    return pyarrow


def _write_parquet(stream, columns: dict[str, np.ndarray], videos: list[str], about: str) -> None:
    pyarrow = require_pyarrow()
    boxes = columns.pop("boxes")
    columns |= {side: np.ascontiguousarray(boxes[:, k]) for k, side in enumerate(SIDES)}
    names = pyarrow.array(videos, pyarrow.string())
    text = pyarrow.DictionaryArray.from_arrays(pyarrow.array(columns.pop("video")), names)
    table = pyarrow.table({"video": text, **columns}).replace_schema_metadata({_KEY: about})
    options = {"row_group_size": _ROWS, "compression": "lz4", "use_dictionary": ["video", "label", "frame"]}
    pyarrow.parquet.write_table(table, stream, **options)


def _read_parquet(path: Path) -> Columns:
    pyarrow = require_pyarrow()
    try:
        with pyarrow.parquet.ParquetFile(path, read_dictionary=["video"], memory_map=True) as file:
            schema = file.schema_arrow
            about = _about((schema.metadata or {}).get(_KEY, b"{}"))
            columns, videos = _row_groups(file)
    except (pyarrow.ArrowException, OSError, ValueError, KeyError) as error:
        raise TableError(f"{path}: not a readable parquet table of boxes: {str(error).splitlines()[0]}") from error
    return Columns(columns, videos, about.pop("classes", None), about)


def _row_groups(file) -> tuple[dict[str, np.ndarray], list[str]]:
    """The columns, each group of rows copied to its place; a table of the whole would need its memory twice."""
    present = [name for name in ("frame", "label", "score") if name in file.schema_arrow.names]
    types = {name: file.schema_arrow.field(name).type.to_pandas_dtype() for name in (*present, *SIDES)}
    count = file.metadata.num_rows
    columns = {name: np.empty(count, types[name]) for name in present}
    sides = np.result_type(*(types[side] for side in SIDES))
    columns |= {"video": np.empty(count, np.int64), "boxes": np.empty((count, 4), sides)}
    numbers: dict[str, int] = {}
    begin = 0
    _check_text(file.schema_arrow.field("video"))
    for group in range(file.num_row_groups):
        rows = file.read_row_group(group)
        part = slice(begin, begin + rows.num_rows)
        for name in present:
            columns[name][part] = _plain(rows, name)
        for k, side in enumerate(SIDES):
            columns["boxes"][part, k] = _plain(rows, side)
        _check_full(rows, "video")
        text = rows["video"].combine_chunks()
        own = [numbers.setdefault(name, len(numbers)) for name in text.dictionary.to_pylist()]
        columns["video"][part] = np.array(own, np.int64)[text.indices.to_numpy()] if len(text) else []
        begin += rows.num_rows
    return columns, list(numbers)


def _check_text(field) -> None:
    if str(getattr(field.type, "value_type", field.type)) not in ("string", "large_string"):
        raise ValueError(f"column {field.name} is of type {field.type}; expected text, the names of the videos")


def _check_full(rows, name: str) -> None:
    if rows[name].null_count:
        raise ValueError(f"column {name} has {rows[name].null_count} empty cells; expected a value in every row")


def _plain(rows, name: str) -> np.ndarray:
    _check_full(rows, name)
    return rows[name].to_numpy()


# --- npz ---------------------------------------------------------------------------------------------------


def _write_npz(stream, columns: dict[str, np.ndarray], videos: list[str], about: str) -> None:
    # not compressed: boxes hardly shrink, and reading would take four times as long
    np.savez(stream, **columns, videos=np.array(videos, dtype=np.str_), about=np.array(about))


def _read_npz(path: Path) -> Columns:
    try:
        arrays = read_npz(path)
        about = _about(str(arrays.pop("about", "{}")))
    except NpzError as error:
        raise TableError(str(error)) from error
    except ValueError as error:
        raise TableError(f"{path}: {error}") from error
    videos = arrays.pop("videos", None)
    if videos is None or videos.dtype.kind != "U" or videos.ndim != 1:
        raise TableError(f"{path}: no array `videos` of names; expected a table written by this program")
    return Columns(arrays, videos.tolist(), about.pop("classes", None), about)


def _about(text: str | bytes) -> dict[str, Any]:
    about = json.loads(text)
    classes = about.get("classes") if isinstance(about, dict) else None
    if not isinstance(about, dict) or not (classes is None or all(isinstance(name, str) for name in classes)):
        raise ValueError("its metadata are not those of a table of boxes")
    return about
