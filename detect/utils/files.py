"""Files: written whole or not at all, read with a clear word where they cannot be, named by their contents."""

import csv
import hashlib
import io
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from detect.utils.errors import UserError


class UnusableFileError(UserError, OSError):
    """A file that cannot be read or written; the message names it and says why."""


def make_folder(path: str | os.PathLike) -> Path:
    """The folder, made with its parents where it is not there. UnusableFileError where it cannot be."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnusableFileError(f"{path}: this folder cannot be made: {error.strerror}") from error
    return Path(path)


@contextmanager
def atomic_file(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A binary file that takes the place of `path` when the block ends, and vanishes if the block fails.

    It is written beside `path`, forced to the disk and renamed, so a crash leaves `path` as it was. UnusableFileError
    where it cannot be made.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    make_folder(path.parent)
    try:
        stream = open(temporary, "wb")  # noqa: SIM115
    except OSError as error:
        raise UnusableFileError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_text(path: str | os.PathLike) -> str:
    """The text of a UTF-8 file, its line ends as \\n; a byte order mark is dropped. UnusableFileError."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UnusableFileError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UnusableFileError(f"{path}: not a text file in UTF-8 ({error})") from error


def write_text(path: str | os.PathLike, text: str) -> None:
    with atomic_file(path) as stream:
        stream.write(text.encode())


def write_json(path: str | os.PathLike, value: Mapping) -> None:
    """Write JSON; numpy values become plain ones, numbers that are not finite become null."""
    write_text(path, json.dumps(_plain(value), indent=2, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def write_csv(path: str | os.PathLike, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A header and a line for each row; None is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def hash_files(*paths: str | os.PathLike) -> str:
    """sha256, in hex, of the files' contents in the given order."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def report_bad_inputs(path: str | os.PathLike, rows: Sequence[tuple[str, str]]) -> None:
    """Name the bad inputs, (file, reason), on stderr and, in place of earlier ones, in `path`."""
    list_bad_inputs(path, rows, keep=False)
    for _, reason in rows:
        print(f"bad input: {reason}", file=sys.stderr)


def list_bad_inputs(path: str | os.PathLike, rows: Iterable[tuple[str, str]], *, keep: bool = True) -> None:
    """Write the lines `file<tab>message` of a bad_inputs.txt, each once, after those that are there (`keep`) or in
    their place; no lines, no file.
    """
    path = Path(path)
    lines = path.read_text().splitlines() if keep and path.exists() else []
    lines = list(dict.fromkeys([*lines, *(f"{file}\t{message}" for file, message in rows)]))
    if lines:
        write_text(path, "\n".join(lines) + "\n")
    else:
        path.unlink(missing_ok=True)
