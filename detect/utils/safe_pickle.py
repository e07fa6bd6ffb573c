"""Read pickles from strangers (annotations, weights): arrays and plain Python values, nothing that can run code."""

import collections
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from detect.utils.errors import UserError


class UnsafePickleError(UserError):
    """The pickle names a global that is not needed to hold arrays, or is not a readable pickle at all."""


def _allowed_globals() -> dict[tuple[str, str], Any]:
    """(module, name) as written in the file -> the object to use.

    The objects are made here, never imported by the name in the file. The two functions are made afresh for
    each file, because a pickle may set attributes of what it is given.
    """

    def frombuffer(data, dtype, shape, order, *_):  # protocol 5 arrays
        return np.frombuffer(data, dtype=dtype).reshape(shape, order=order)

    def encode(text: str, codec: str) -> bytes:  # how Python 3 writes bytes in protocols 0 to 2
        if codec not in ("latin1", "latin-1"):
            raise UnsafePickleError(f"codec {codec!r}")
        return text.encode("latin1")

    reconstruct = np.empty(1).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    allowed = {("numpy", "ndarray"): np.ndarray, ("numpy", "dtype"): np.dtype}
    for core in ("numpy.core", "numpy._core"):  # numpy 1 and numpy 2
        allowed[f"{core}.multiarray", "_reconstruct"] = reconstruct
        allowed[f"{core}.multiarray", "scalar"] = scalar
        allowed[f"{core}.numeric", "_frombuffer"] = frombuffer
    for builtins in ("__builtin__", "builtins"):  # an empty array's data, in protocols 0 to 2
        allowed[builtins, "bytes"] = bytes
    allowed["collections", "OrderedDict"] = collections.OrderedDict
    allowed["_codecs", "encode"] = encode
    return allowed


class _ArrayUnpickler(pickle.Unpickler):
    def __init__(self, file, path: Path, encoding: str):
        super().__init__(file, encoding=encoding)
        self.path = path
        self.allowed = _allowed_globals()

    def find_class(self, module: str, name: str) -> Callable:
        try:
            return self.allowed[module, name]
        except KeyError:
            raise UnsafePickleError(
                f"{self.path}: refused to load the global {module}.{name}. Annotations and weights are numpy "
                "arrays and plain Python values; this one could run code. Get it from its original source."
            ) from None


def load_pickle(path: str | Path, encoding: str = "ASCII") -> Any:
    """The content of a pickle of numpy arrays, scalars and plain Python values.

    `encoding`: as in `pickle.load`; "latin1" for files written by Python 2.
    Raises UnsafePickleError, naming the file and what is wrong, for any other global and for a damaged file.
    """
    path = Path(path)
    with path.open("rb") as file:
        try:
            return _ArrayUnpickler(file, path, encoding).load()
        except UnsafePickleError as error:
            if str(path) in str(error):
                raise
            raise UnsafePickleError(f"{path}: refused {error}") from None
        except Exception as error:  # a damaged stream can fail anywhere inside pickle or numpy
            raise UnsafePickleError(
                f"{path}: not a readable pickle ({type(error).__name__}: {error}); it may be cut off"
            ) from error
