"""Box tables as CSV, plain or gzipped. Columns, by name, in any order, others ignored:
ground truth  video,frame,label,x1,y1,x2,y2
detections    video,frame,label,score,x1,y1,x2,y2
"""

import csv
import gzip
import io
import math
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np

from detect.evaluation.files.typed_tables import SIDES, Columns
from detect.evaluation.tables import LARGEST, Detections, GroundTruth, TableError
from detect.utils.files import atomic_file
from detect.utils.gzipped import MAX_LINE, open_unpacked

GROUND_TRUTH_COLUMNS = ("video", "frame", "label", *SIDES)
DETECTION_COLUMNS = ("video", "frame", "label", "score", *SIDES)
_KINDS = {"video": object, "frame": np.int64, "label": np.int64}  # every other known column is a float
_CHUNK = 100_000  # rows parsed, or written, at a time


def read_csv(path: Path, scored: bool) -> Columns:
    """The columns of a file; TableError names its line and value. scored: a `score` is expected."""
    codes: dict[str, int] = {}
    columns = _read_columns(path, DETECTION_COLUMNS if scored else GROUND_TRUTH_COLUMNS, codes)
    boxes = np.stack([columns.pop(name) for name in SIDES], axis=1)
    return Columns({**columns, "boxes": boxes}, list(codes))


def is_csv_table(path: Path, line: bytes) -> bool:
    """Whether a file's first line names columns of ours, so that it is meant as a table, complete or not. Where the
    line says nothing the name of the file does, so that it is said what is wrong with the table.
    """
    try:
        if line.lstrip()[:1] in (b"[", b"{"):  # JSON, which may be one long line
            return False
        names = {name.strip() for name in next(csv.reader([line.decode("utf-8-sig")]), [])}
    except (UnicodeDecodeError, csv.Error):
        names = set()
    if not names or len(line) >= MAX_LINE:
        return path.suffix in (".csv", ".gz")
    return "video" in names and not names.isdisjoint(SIDES)


class _Codes(dict):
    """Video name -> number by first appearance, on top of a shared plain dict."""

    def __missing__(self, name: str) -> int:
        self[name] = code = len(self)
        return code


def _read_columns(path: Path, names: Sequence[str], codes: dict[str, int]) -> dict[str, np.ndarray]:
    numbering = _Codes(codes)
    parts: dict[str, list[np.ndarray]] = {name: [np.zeros(0, _dtype(name, stored=True))] for name in names}
    try:
        with _open_text(path) as stream:
            header = _header(path, stream, names)
            for rows in _parse(stream, header, names):
                for name in names:
                    column = rows[name]
                    if name == "video":
                        column = np.fromiter(map(numbering.__getitem__, column.tolist()), np.int64, len(column))
                    parts[name].append(np.ascontiguousarray(column))
        columns = {name: np.concatenate(chunks) for name, chunks in parts.items()}
        if not _plausible(columns, numbering):
            raise ValueError("value out of range")
    except TableError:
        raise
    except FileNotFoundError as error:
        raise TableError(f"{path}: no such file") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TableError(f"{path}: damaged gzip file ({error})") from error
    except UnicodeDecodeError as error:
        raise TableError(f"{path}: not UTF-8 text ({error})") from error
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, OverflowError, csv.Error) as error:
        try:
            _explain(path, names)
        except csv.Error as csv_error:  # a field of more than 131,072 characters
            raise TableError(f"{path}: not a CSV table ({csv_error})") from error
        raise TableError(f"{path}: {error}") from error
    codes.update(numbering)
    return columns


def _dtype(name: str, stored: bool = False) -> type:
    kind = _KINDS.get(name, np.float64)
    return np.int64 if stored and kind is object else kind


def _open_text(path: Path) -> TextIO:
    return io.TextIOWrapper(open_unpacked(path), encoding="utf-8-sig", newline="")


def _header(path: Path, stream: TextIO, names: Sequence[str]) -> list[str]:
    line = stream.readline(MAX_LINE)
    expected = f"expected the columns {','.join(names)}"
    if len(line) == MAX_LINE:
        raise TableError(f"{path}: line 1 has {MAX_LINE} characters or more; {expected}")
    header = [name.strip() for name in next(csv.reader([line]), [])]
    if not header:
        raise TableError(f"{path}: the file is empty; {expected}")
    missing = [name for name in names if name not in header]
    if missing:
        raise TableError(f"{path}: line 1: no column {', '.join(missing)} in {','.join(header)!r}; {expected}")
    twice = [name for name in names if header.count(name) > 1]
    if twice:
        raise TableError(f"{path}: line 1: column {twice[0]!r} occurs {header.count(twice[0])} times")
    return header


def _parse(stream: TextIO, header: list[str], names: Sequence[str]) -> Iterator[np.ndarray]:
    """Structured arrays of up to _CHUNK rows. numpy's C reader takes 1.2 us a row, the csv module several."""
    layout = [
        (name if name in names else f"_{i}", _dtype(name) if name in names else object) for i, name in enumerate(header)
    ]
    lines = iter(stream)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # "3.7" as an integer
        warnings.simplefilter("ignore", UserWarning)  # no rows, or blank lines
        while True:
            rows = np.loadtxt(
                lines, dtype=layout, delimiter=",", quotechar='"', comments=None, ndmin=1, max_rows=_CHUNK
            )
            if len(rows):
                yield rows
            if len(rows) < _CHUNK:
                return


def _plausible(columns: dict[str, np.ndarray], codes: dict[str, int]) -> bool:
    if any(not name.strip() for name in codes):
        return False
    for name, column in columns.items():
        if not np.isfinite(column).all():
            return False
        if name in _KINDS and column.size and not 0 <= column.min() <= column.max() <= LARGEST:
            return False
    if "score" in columns:
        return True
    return not ((columns["x2"] < columns["x1"]) | (columns["y2"] < columns["y1"])).any()


def _explain(path: Path, names: Sequence[str]) -> None:
    """Raise TableError for the first bad row. Slow; called only once something is known to be wrong."""
    with _open_text(path) as stream:
        reader = csv.reader(stream)
        header = [name.strip() for name in next(reader)]
        for row in reader:
            if not row:
                continue
            where = f"{path}: line {reader.line_num}"
            if len(row) != len(header):
                raise TableError(
                    f"{where}: {len(row)} fields, but the header has {len(header)} "
                    f"(quote video names that hold a comma): {','.join(row)!r}"
                )
            values = dict(zip(header, row, strict=True))
            for name in names:
                fault = _fault(name, values[name])
                if fault:
                    raise TableError(f"{where}: {name} {values[name][:80]!r} {fault}")
            x1, y1, x2, y2 = (float(values[name]) for name in ("x1", "y1", "x2", "y2"))
            if "score" not in names and (x2 < x1 or y2 < y1):
                raise TableError(
                    f"{where}: ground-truth box {x1:g},{y1:g},{x2:g},{y2:g} has a negative side; "
                    "expected x1 <= x2 and y1 <= y2 (corners, not width and height)"
                )


def _fault(name: str, text: str) -> str:
    """What is wrong with one field, or an empty string."""
    if name == "video":
        return "" if text.strip() else "is empty"
    try:
        if "_" in text or not text.isascii():  # 1_000 and digits of other scripts are numbers to Python alone
            raise ValueError
        if _dtype(name) is np.float64:
            return "" if math.isfinite(float(text)) else "is not finite"
        value = int(text)
    except ValueError:
        return "is not a number" if _dtype(name) is np.float64 else "is not an integer"
    return "" if 0 <= value <= LARGEST else f"is out of range (0 to {LARGEST})"


def write_csv_table(path: str | Path, table: GroundTruth | Detections, video_names: Sequence[str]) -> None:
    """Write CSV, gzipped if `path` ends in .gz, atomically, with the nine digits that float32 needs."""
    with csv_table(path, type(table)) as add:
        add(table, video_names)


@contextmanager
def csv_table(
    path: str | Path, kind: type
) -> Iterator[Callable[[GroundTruth | Detections, Sequence[str]], None]]:
    """As `write_csv_table`, in parts: gives `add(table, video_names)`. The file appears when the block ends.

    kind: GroundTruth or Detections.
    """
    with atomic_file(path) as raw, ExitStack() as stack:
        binary = raw
        if Path(path).suffix == ".gz":  # no name and no time in the header: equal tables, equal bytes
            binary = stack.enter_context(gzip.GzipFile("", "wb", 1, raw, mtime=0))
        stream = io.TextIOWrapper(binary, encoding="utf-8", errors="backslashreplace", newline="")
        stack.callback(stream.detach)
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(DETECTION_COLUMNS if kind is Detections else GROUND_TRUTH_COLUMNS)
        yield lambda table, video_names: _write_rows(writer, table, video_names)


def _write_rows(writer, table: GroundTruth | Detections, video_names: Sequence[str]) -> None:
    for start in range(0, len(table), _CHUNK):
        part = slice(start, start + _CHUNK)
        columns = [
            [video_names[code] for code in table.video[part]],
            table.frame[part].tolist(),
            table.label[part].tolist(),
        ]
        if isinstance(table, Detections):
            columns.append([f"{value:.9g}" for value in table.score[part].tolist()])
        columns += [[f"{value:.9g}" for value in side] for side in table.boxes[part].T.tolist()]
        writer.writerows(zip(*columns, strict=True))
