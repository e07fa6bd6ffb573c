"""Read pickles from strangers (annotations, weights): arrays and plain Python values, nothing that can run code.

Nothing that a file names is imported. Its numpy types and arrays are made anew here, from bytes of a checked size;
memory stays within a small multiple of the file's. What is refused is refused by name.
"""

import collections
import io
import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from detect.utils.errors import UserError
from detect.utils.pickle_scan import scan

KINDS = re.compile(r"[biufSU]\d*")  # bool, integers, floats, text; an object array would be pointers out of the file
MAX_DEPTH = 64  # of lists and dicts in one another
BUDGET = 8  # bytes that a file may make for each of its own, and some to start with
SPARE = 1 << 16


class UnsafePickleError(UserError):
    """The pickle names a global that is not needed to hold arrays, or is not a readable pickle at all."""


class _Allowed:
    """What a global of the file stands for: it can be called, and nothing else; BUILD cannot change it."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable):
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, _: Any) -> None:
        raise UnsafePickleError("a state for a function")


class _Type:
    """A dtype as it is being read: its code, and its byte order, which comes as its state."""

    __slots__ = ("dtype",)

    def __init__(self, code: Any):
        code = code.decode("ascii") if isinstance(code, bytes) else code
        if not isinstance(code, str) or not KINDS.fullmatch(code):
            raise UnsafePickleError(f"arrays of the type {code!r}; only numbers and text are read")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 5 else None
        order = order.decode("ascii") if isinstance(order, bytes) else order
        if order not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise UnsafePickleError("a type of several fields, or without a byte order")
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """An array as it is being read."""

    __slots__ = ("_make", "value")

    def __init__(self, make: Callable[[Any, Any, Any, str], np.ndarray]):
        self._make, self.value = make, None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise UnsafePickleError("an array without its five parts")
        _, shape, dtype, fortran, data = state
        self.value = self._make(data, dtype, shape, "F" if fortran else "C")


class _Reader:
    """The allowed globals of one file, and the memory that they may still take."""

    def __init__(self, size: int):
        self.left = BUDGET * size + SPARE

    def spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise UnsafePickleError(f"it makes more than {BUDGET} times its own size of arrays and text")

    def array(self, data: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
        data = data.encode("latin1") if isinstance(data, str) else data  # as Python 2 wrote it
        sizes = shape if isinstance(shape, tuple) else (shape,)
        if not isinstance(dtype, _Type) or not isinstance(data, (bytes, bytearray)) or order not in ("C", "F"):
            raise UnsafePickleError("an array of something else than a type, a shape and bytes")
        if not all(type(size) is int and 0 <= size < 1 << 40 for size in sizes) or len(sizes) > 16:
            raise UnsafePickleError(f"an array of the shape {shape!r}")
        if math.prod(sizes) * dtype.dtype.itemsize != len(data):
            raise UnsafePickleError(f"an array of {sizes} {dtype.dtype} in {len(data)} bytes")
        self.spend(len(data))
        return np.frombuffer(data, dtype.dtype).reshape(sizes, order=order).copy(order="K")

    def scalar(self, dtype: Any, data: Any = None) -> np.generic:
        return self.array(data, dtype, (), "C")[()]

    def encode(self, text: Any, codec: Any) -> bytes:  # how Python 3 writes bytes in protocols 0 to 2
        if codec not in ("latin1", "latin-1"):
            raise UnsafePickleError(f"codec {codec!r}")
        self.spend(len(text))
        return text.encode("latin1")

    def empty_bytes(self, *arguments: Any) -> bytes:  # an empty array's data, in protocols 0 to 2
        if arguments:
            raise UnsafePickleError("bytes made of something else than nothing")
        return b""

    def bytearray(self, data: Any = b"") -> bytes:  # an array's data, in protocols 2 to 4 of some writers
        if not isinstance(data, bytes):
            raise UnsafePickleError("a bytearray made of something else than bytes")
        return data

    def buffer_array(self, data: Any, dtype: Any, shape: Any, order: Any, *_: Any) -> np.ndarray:  # protocol 5
        return self.array(data, dtype, shape, order)

    def globals(self) -> dict[tuple[str, str], Any]:
        """(module, name) as written in the file -> what it stands for here."""
        ndarray = _Allowed(lambda *_: self._refuse("an array called like a function"))
        allowed: dict[tuple[str, str], Any] = {
            ("numpy", "ndarray"): ndarray,
            ("numpy", "dtype"): _Allowed(lambda code, *_: _Type(code)),
            ("_codecs", "encode"): _Allowed(self.encode),
            ("collections", "OrderedDict"): collections.OrderedDict,
        }
        for core in ("numpy.core", "numpy._core"):  # numpy 1 and numpy 2
            allowed[f"{core}.multiarray", "_reconstruct"] = _Allowed(lambda *_: _Array(self.array))
            allowed[f"{core}.multiarray", "scalar"] = _Allowed(self.scalar)
            allowed[f"{core}.numeric", "_frombuffer"] = _Allowed(self.buffer_array)
        for builtins in ("__builtin__", "builtins"):
            allowed[builtins, "bytes"] = _Allowed(self.empty_bytes)
            allowed[builtins, "bytearray"] = _Allowed(self.bytearray)
        return allowed

    @staticmethod
    def _refuse(what: str) -> None:
        raise UnsafePickleError(what)


class _ArrayUnpickler(pickle.Unpickler):
    def __init__(self, data: bytes, path: Path, encoding: str):
        super().__init__(io.BytesIO(data), encoding=encoding)
        self.path, self.allowed = path, _Reader(len(data)).globals()

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

    `encoding`: as in `pickle.load`; "latin1" for files written by Python 2. Arrays are of bools, numbers or text, never
    of objects. Raises UnsafePickleError, naming the file and what is wrong, for any other global, for claims that the
    file's size does not bear out, and for a damaged file.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnsafePickleError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        scan(data)
        return _plain(_ArrayUnpickler(data, path, encoding).load(), len(data))
    except UnsafePickleError as error:
        if str(path) in str(error):
            raise
        raise UnsafePickleError(f"{path}: refused {error}") from None
    except Exception as error:  # a damaged stream can fail anywhere inside pickle or numpy
        raise UnsafePickleError(
            f"{path}: not a readable pickle ({type(error).__name__}: {error}); it may be cut off"
        ) from error


def _plain(content: Any, size: int) -> Any:
    """The content with arrays for the stand-ins, as a tree: a list that is there a thousand times counts as often."""
    left = size + SPARE

    def convert(value: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or depth > MAX_DEPTH:
            raise UnsafePickleError(f"lists or dicts that hold each other more than {MAX_DEPTH} deep or {size} times")
        if isinstance(value, _Array):
            if value.value is None:
                raise UnsafePickleError("an array without content")
            return value.value
        if isinstance(value, (_Type, _Allowed)):
            raise UnsafePickleError("a type or a function in place of a value")
        if isinstance(value, dict):
            return type(value)((convert(k, depth + 1), convert(v, depth + 1)) for k, v in value.items())
        if isinstance(value, (list, tuple)):
            return type(value)([convert(item, depth + 1) for item in value])
        return value

    return convert(content, 0)
