"""Read .mat files of MATLAB 5 to 7 from strangers: numbers, text, cells and structs.

scipy's reader takes what a file claims: it unpacks a few bytes to gigabytes, follows cells in cells until the machine's
stack ends, and one changed byte can kill the process. Here every claim is held against the bytes that are there. The
form of the file: "MAT-File Format" of The MathWorks, chapter 1. What is returned is as `scipy.io.loadmat` gives it, but
that numbers have the type they had in MATLAB: of UCF101-24's doubles scipy makes uint8, in which x + w overflows.
"""

import math
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from detect.utils.errors import UserError

MAX_BYTES = 1 << 28  # unpacked; UCF101-24's annotation has 9 MB, a mask of JHMDB 3 MB
MAX_ARRAYS = 1 << 22  # in a file; Gkioxari's has 64 thousand
MAX_DEPTH = 16  # of cells and structs in one another
_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMBERS = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_TEXT = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}  # by how it is stored


class MatError(UserError):
    """A file that is no .mat file of MATLAB 5 to 7, is damaged, or lacks the variable; the message names it."""


def load_mat(path: str | Path, variable: str) -> np.ndarray:
    """The named variable: numbers as an array of at least two dimensions, text as an array of its lines, a cell as an
    array of objects, a struct as one with named fields. MatError, or OSError where there is no such file.
    """
    data = Path(path).read_bytes()
    try:
        order = _order(data)
        for content in _variables(data, order):
            reader = _Reader(content, order)
            name, value = reader.matrix(0, len(content), 0, only=variable)
            if name == variable and value is not None:
                return value
    except MatError as error:
        raise MatError(f"{path}: {error}") from None
    except Exception as error:  # struct, zlib and numpy have many
        raise MatError(f"{path}: not a readable .mat file ({type(error).__name__}: {error})") from error
    raise MatError(f"{path}: no {variable} in it")


def has_words(data: bytes, *words: bytes) -> bool:
    """Whether the file holds all the words, such as names of fields, in the first 64 KiB of its first variable."""
    try:
        kind, start, end = _element(data, _HEADER, len(data), _order(data), cut=True)
        begun = data[start : min(end, start + (1 << 16))]
        begun = zlib.decompressobj().decompress(begun, 1 << 16) if kind == _COMPRESSED else begun
    except (MatError, zlib.error):
        return False
    return all(word in begun for word in words)


def _order(data: bytes) -> str:
    if b"MATLAB 7.3" in data[:_HEADER] or data[:4] == b"\x89HDF":
        raise MatError("a file of MATLAB 7.3 (HDF5); save it with '-v7' to have it read")
    if len(data) < _HEADER or data[126:128] not in (b"IM", b"MI"):
        raise MatError("not a .mat file of MATLAB 5 to 7")
    return "<" if data[126:128] == b"IM" else ">"


def _variables(data: bytes, order: str) -> Iterator[bytes]:
    """The contents of the matrices of the file, unpacked."""
    position, left = _HEADER, MAX_BYTES
    while position < len(data):
        kind, start, end = _element(data, position, len(data), order)
        content = data[start:end]
        if kind == _COMPRESSED:
            unpacked = _inflate(content, left)
            kind, start, stop = _element(unpacked, 0, len(unpacked), order)
            content = unpacked[start:stop]
            left -= len(unpacked)
        if kind == _MATRIX:
            yield content
        position = end


def _inflate(packed: bytes, limit: int) -> bytes:
    stream = zlib.decompressobj()
    part = stream.decompress(packed, limit + 1)
    if len(part) > limit:
        raise MatError(f"it unpacks to more than {MAX_BYTES} bytes; refused")
    if not stream.eof:
        raise MatError("a packed variable is cut off")
    return part


def _element(data: bytes, position: int, end: int, order: str, cut: bool = False) -> tuple[int, int, int]:
    """Type, and where the content starts and ends, of the element at `position`. cut: it need not be there whole."""
    if position + 8 > end:
        raise MatError("it is cut off")
    kind, size = struct.unpack_from(order + "II", data, position)
    if kind >> 16:  # the small form: size and type, and up to four bytes, in eight
        if kind >> 16 > 4:
            raise MatError(f"a small element of {kind >> 16} bytes")
        return kind & 0xFFFF, position + 4, position + 4 + (kind >> 16)
    if size > end - position - 8 and not cut:
        raise MatError(f"an element claims {size} bytes, {end - position - 8} are left; it may be cut off")
    return kind, position + 8, position + 8 + size


class _Reader:
    """The matrices in the content of one variable."""

    def __init__(self, data: bytes, order: str):
        self.data, self.order, self.left = data, order, MAX_ARRAYS

    def next(self, position: int, end: int) -> tuple[int, int, int, int]:
        """An element's type, start and end, and where the next one starts, at a multiple of eight."""
        kind, start, stop = _element(self.data, position, end, self.order)
        return kind, start, stop, position + -(-(stop - position) // 8) * 8

    def matrix(self, position: int, end: int, depth: int, only: str | None = None) -> tuple[str, Any]:
        """Name and value of the matrix whose content is there; of another name than `only` not the value."""
        self.left -= 1
        if depth > MAX_DEPTH or self.left < 0:
            raise MatError(f"more than {MAX_ARRAYS} arrays, or cells and structs in one another {MAX_DEPTH} deep")
        if position == end:  # how an empty cell may be written
            return "", np.zeros((0, 0))
        _, start, stop, position = self.next(position, end)
        flags = struct.unpack_from(self.order + "I", self.data[start:stop])[0]
        _, start, stop, position = self.next(position, end)
        shape = struct.unpack_from(f"{self.order}{(stop - start) // 4}i", self.data, start)
        _, start, stop, position = self.next(position, end)
        name = self.data[start:stop].decode("latin-1")
        if only not in (None, name):
            return name, None
        if len(shape) < 2 or min(shape) < 0:
            raise MatError(f"an array of the shape {shape}")
        kind = flags & 0xFF
        read: dict[int, Callable] = {_CELL: self.cell, _STRUCT: self.struct}
        if kind in _NUMBERS and not flags & 0x800:  # complex
            return name, self.numbers(position, end, shape, _NUMBERS[kind])
        if kind == _CHAR:
            return name, self.text(position, end, shape)
        if kind not in read:
            raise MatError(f"an array of class {kind}; numbers, text, cells and structs are read")
        return name, read[kind](position, end, shape, depth)

    def numbers(self, position: int, end: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        kind, start, stop, _ = self.next(position, end)
        if kind not in _STORED or (stop - start) != math.prod(shape) * np.dtype(_STORED[kind]).itemsize:
            raise MatError(f"an array of the shape {shape} in {stop - start} bytes of type {kind}")
        stored = np.frombuffer(self.data, self.order + _STORED[kind], math.prod(shape), start)
        return stored.reshape(shape, order="F").astype(dtype)

    def text(self, position: int, end: int, shape: tuple[int, ...]) -> np.ndarray:
        kind, start, stop, _ = self.next(position, end)
        if kind not in _TEXT:
            raise MatError(f"text of type {kind}")
        codec = _TEXT[kind] + ("-le" if self.order == "<" else "-be") * (_TEXT[kind] == "utf-16")
        letters = self.data[start:stop].decode(codec)
        if len(shape) != 2 or len(letters) != math.prod(shape):
            raise MatError(f"text of the shape {shape} has {len(letters)} letters")
        return np.array([letters[row :: shape[0]] for row in range(shape[0])], str)

    def cell(self, position: int, end: int, shape: tuple[int, ...], depth: int) -> np.ndarray:
        return self.objects(position, end, math.prod(shape), depth).reshape(shape, order="F")

    def struct(self, position: int, end: int, shape: tuple[int, ...], depth: int) -> np.ndarray:
        _, start, stop, position = self.next(position, end)
        (length,) = struct.unpack_from(self.order + "i", self.data[start:stop])
        _, start, stop, position = self.next(position, end)
        if not 0 < length <= 64 or (stop - start) % length:
            raise MatError(f"names of fields of {length} letters in {stop - start} bytes")
        texts = [self.data[place : place + length].split(b"\0")[0] for place in range(start, stop, length)]
        names = [text.decode("latin-1") for text in texts]
        values = self.objects(position, end, math.prod(shape) * len(names), depth)
        made = np.empty(math.prod(shape) if names else 0, [(name, object) for name in names])
        for place, name in enumerate(names):
            made[name] = values[place :: len(names)]
        return made.reshape(shape if names else (0, 0), order="F")

    def objects(self, position: int, end: int, count: int, depth: int) -> np.ndarray:
        """As many matrices as are claimed."""
        if count > (end - position) // 8:
            raise MatError(f"{count} arrays in {end - position} bytes")
        made = np.empty(count, object)
        for place in range(count):
            kind, start, stop, position = self.next(position, end)
            if kind != _MATRIX:
                raise MatError(f"an element of type {kind} in place of an array")
            made[place] = self.matrix(start, stop, depth + 1)[1]
        return made
