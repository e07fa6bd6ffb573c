"""Read .mat files of MATLAB 5 to 7 from strangers, in memory that is bounded beforehand.

scipy's reader takes what a file claims: a few packed bytes that unpack to gigabytes, and cells in cells until the
machine's stack ends. Here the file is unpacked up to a limit and its elements are counted through before scipy sees it.
"""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import scipy.io

from detect.utils.errors import UserError

MAX_BYTES = 1 << 29  # unpacked; UCF101-24's annotation has 9 MB, a mask of JHMDB 3 MB
MAX_DEPTH = 16  # of cells and structs in one another
_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15


class MatError(UserError):
    """A file that is no .mat file of MATLAB 5 to 7, is damaged, or lacks the variable; the message names it."""


def load_mat(path: str | Path, variable: str) -> np.ndarray:
    """The named variable as `scipy.io.loadmat` gives it. MatError, or OSError where there is no such file."""
    data = Path(path).read_bytes()
    try:
        unpacked = unpack(data)
        found = scipy.io.loadmat(io.BytesIO(unpacked), variable_names=[variable])
    except MatError as error:
        raise MatError(f"{path}: {error}") from None
    except Exception as error:  # scipy raises many kinds for damaged files
        raise MatError(f"{path}: not a readable .mat file ({type(error).__name__}: {error})") from error
    if variable not in found:
        raise MatError(f"{path}: no readable {variable} in it")
    return found[variable]


def has_words(data: bytes, *words: bytes) -> bool:
    """Whether the file holds all the words, such as names of fields, in the first 64 KiB of its first variable."""
    if len(data) < _HEADER + 8 or data[126:128] not in (b"IM", b"MI"):
        return False
    kind = struct.unpack_from("<I" if data[126:128] == b"IM" else ">I", data, _HEADER)[0]
    start = data[_HEADER + 8 : _HEADER + 8 + (1 << 16)]
    try:
        start = zlib.decompressobj().decompress(start, 1 << 16) if kind == _COMPRESSED else start
    except zlib.error:
        return False
    return all(word in start for word in words)


def unpack(data: bytes, limit: int = MAX_BYTES) -> bytes:
    """The same file without compression. MatError where it would be larger than `limit`, is cut off or too deep."""
    if b"MATLAB 7.3" in data[:_HEADER] or data[:4] == b"\x89HDF":
        raise MatError("a file of MATLAB 7.3 (HDF5); save it with '-v7' to have it read")
    if len(data) < _HEADER or data[126:128] not in (b"IM", b"MI"):
        raise MatError("not a .mat file of MATLAB 5 to 7")
    order = "<" if data[126:128] == b"IM" else ">"
    parts, position, left = [data[:_HEADER]], _HEADER, limit
    while position < len(data):
        kind, start, end = _element(data, position, len(data), order)
        part = _inflate(data[start:end], left) if kind == _COMPRESSED else data[position:end]
        _check(part, order)
        parts.append(part)
        left -= len(part)
        position = end
    return b"".join(parts)


def _inflate(packed: bytes, limit: int) -> bytes:
    stream = zlib.decompressobj()
    part = stream.decompress(packed, limit + 1)
    if len(part) > limit:
        raise MatError(f"it unpacks to more than {MAX_BYTES} bytes; refused")
    if not stream.eof:
        raise MatError("a packed variable is cut off")
    return part


def _element(data: bytes, position: int, end: int, order: str) -> tuple[int, int, int]:
    """Type, and where the content starts and ends, of the element at `position`."""
    if position + 8 > end:
        raise MatError("it is cut off")
    kind, size = struct.unpack_from(order + "II", data, position)
    if kind >> 16:  # the small form: type, size and up to four bytes in eight
        return kind & 0xFFFF, position + 4, position + 8
    if size > end - position - 8:
        raise MatError(f"an element claims {size} bytes, {end - position - 8} are left; it may be cut off")
    return kind, position + 8, position + 8 + size


def _check(data: bytes, order: str) -> None:
    """That the elements of a variable lie within each other, at most `MAX_DEPTH` deep."""
    waiting = [(0, len(data), 0)]
    while waiting:
        position, end, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise MatError(f"cells or structs that hold each other more than {MAX_DEPTH} deep")
        while position < end:
            kind, start, stop = _element(data, position, end, order)
            if kind == _MATRIX:
                waiting.append((start, stop, depth + 1))
            position += -(-(stop - position) // 8) * 8  # elements start at multiples of eight
