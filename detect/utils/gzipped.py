"""Files that may be gzipped, which their first bytes say and not their names."""

import gzip
import os
import zlib
from typing import BinaryIO

from detect.utils.errors import UserError
from detect.utils.files import UnusableFileError

MAX_RATIO = 100  # of the unpacked size to that of the file; lists of boxes reach 3 to 10
MAX_LINE = 1 << 16  # bytes of the first line of a table
SPARE = 1 << 26  # bytes that need no justification


class TooLargeError(UserError):
    """A small file that would become a very large one."""


def open_unpacked(path: str | os.PathLike) -> BinaryIO:
    """The content of a file, unpacked where it is gzipped. OSError; while reading also EOFError and zlib.error."""
    with open(path, "rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else open(path, "rb")


def read_start(path: str | os.PathLike, size: int) -> bytes:
    """The first `size` bytes, unpacked. UnusableFileError for a file that cannot be read or is damaged."""
    try:
        with open_unpacked(path) as stream:
            return stream.read(size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnusableFileError(f"{path}: damaged gzip file ({error})") from error
    except OSError as error:
        raise UnusableFileError(f"{path}: cannot be read: {error.strerror}") from error


def read_unpacked(path: str | os.PathLike) -> bytes:
    """All of it. As `read_start`; TooLargeError for one that grows to more than `MAX_RATIO` times its size."""
    limit = SPARE + MAX_RATIO * (os.path.getsize(path) if os.path.exists(path) else 0)
    content = read_start(path, limit + 1)
    if len(content) > limit:
        raise TooLargeError(f"{path}: unpacks to more than {limit:,} bytes; unpack it first, if it is meant to")
    return content
