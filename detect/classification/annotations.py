"""Rows of annotation files, and the checks that every listed video passes."""

import csv
import difflib
import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from detect.data.checks import AnnotationError


def read_text(path: str | Path) -> str:
    """UTF-8 text of a file, or of a .gz; a byte order mark is dropped and line ends become \\n. AnnotationError if
    it is not text.
    """
    opener = gzip.open if str(path).endswith(".gz") else open
    try:
        with opener(path, "rt", encoding="utf-8-sig") as stream:
            return stream.read()
    except (UnicodeDecodeError, EOFError, zlib.error, OSError) as error:
        raise AnnotationError(f"{path}: not a text file in UTF-8, or damaged ({error})") from error


def read_lines(path: str | Path) -> list[tuple[int, str]]:
    """(line number, stripped line) of each line that is not blank. AnnotationError if there is none."""
    lines = [(number, line.strip()) for number, line in enumerate(read_text(path).split("\n"), 1)]
    lines = [(number, line) for number, line in lines if line]
    if not lines:
        raise AnnotationError(f"{path}: the file is empty")
    return lines


def read_rows(path: str | Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, stripped fields) of each row that is not blank. AnnotationError if there is none."""
    reader, number = csv.reader(read_text(path).split("\n"), delimiter=delimiter, strict=True), None
    try:
        for row in reader:
            if any(fields := [field.strip() for field in row]):
                number = reader.line_num
                yield number, fields
    except csv.Error as error:
        raise AnnotationError(f"{path} line {reader.line_num}: not a CSV row ({error})") from error
    if number is None:
        raise AnnotationError(f"{path}: the file is empty")


def read_table(path: str | Path, required: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, {column: value}) of a comma-separated file with a header. AnnotationError if a required column
    is missing or a row has not as many fields as the header.
    """
    rows = read_rows(path, ",")
    _, header = next(rows)
    if absent := [column for column in required if column not in header]:
        raise AnnotationError(
            f"{path}: no column {', '.join(absent)}; the first line must name the columns, found {','.join(header)!r}"
        )
    for number, row in rows:
        if len(row) != len(header):
            raise AnnotationError(
                f"{path} line {number}: {len(row)} columns, expected {len(header)} as in the header "
                f"{','.join(header)!r}; found {','.join(row)!r}"
            )
        yield number, dict(zip(header, row, strict=True))


def unknown_class(label: str, classes: Sequence[str]) -> str:
    """What to say of a label that is none of the classes."""
    close = difflib.get_close_matches(label, classes, n=3)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"they are {', '.join(classes[:3])}, ..."
    return f"{label!r} is not one of the {len(classes)} classes; {hint}"


class Listing:
    """Videos in the order of their list: `labels` is {name: class index, or None without a label}."""

    def __init__(self, classes: Sequence[str]):
        self.classes = tuple(classes)
        self.labels: dict[str, int | None] = {}
        self._index = {label: index for index, label in enumerate(self.classes)}
        self._first: dict[str, str] = {}

    def add(self, name: str, label: str | None, where: str) -> None:
        """`where`: file and line. Raises AnnotationError for a name listed before or a label that is not a class."""
        if name in self.labels:
            raise AnnotationError(f"{where}: {name} is listed already, at {self._first[name]}; list a video once")
        if label is not None and label not in self._index:
            raise AnnotationError(f"{where}: {unknown_class(label, self.classes)}")
        self.labels[name] = None if label is None else self._index[label]
        self._first[name] = where
