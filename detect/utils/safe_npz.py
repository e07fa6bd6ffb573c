"""Read .npz files from strangers: arrays of numbers and text, in memory that their size bears out."""

import math
import os
import zipfile

import numpy as np
from numpy.lib import format as npy

from detect.utils.errors import UserError

MAX_RATIO = 50  # of an array to its compressed form; scores and weights reach 2 to 4
SPARE = 1 << 20  # bytes of an array that need no justification


class NpzError(UserError):
    """A file that is no .npz of arrays of numbers and text, or is damaged; the message names it and the reason."""


def read_npz(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays by name. NpzError, or OSError where there is no such file.

    A header that claims more than its member holds, and a member that would grow to more than `MAX_RATIO` times its
    size in the file, are refused before any memory is taken. Objects are never unpickled.
    """
    with open(path, "rb") as stream:
        try:
            file = zipfile.ZipFile(stream)
            return {info.filename.removesuffix(".npy"): _read(file, info) for info in file.infolist()}
        except NpzError as error:
            raise NpzError(f"{path}: {error}") from None
        except Exception as error:  # zipfile, zlib and numpy have many
            reason = str(error) or type(error).__name__
            raise NpzError(f"{path}: not a readable .npz of arrays: {reason}") from error


def _read(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    if info.file_size > MAX_RATIO * info.compress_size + SPARE:
        raise NpzError(f"{info.filename} has {info.compress_size} bytes and would become {info.file_size}; refused")
    with file.open(info) as stream:
        version = npy.read_magic(stream)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read_header(stream)
        if dtype.hasobject or dtype.kind not in "biufcSU":
            raise NpzError(f"{info.filename} holds {dtype}; only numbers and text are read")
        data = stream.read()
    if math.prod(shape) * dtype.itemsize != len(data):
        raise NpzError(f"{info.filename} claims {shape} {dtype} and holds {len(data)} bytes")
    flat = np.frombuffer(data, dtype) if data else np.zeros(0, dtype)
    return flat.reshape(shape, order="F" if fortran else "C").copy(order="K")
