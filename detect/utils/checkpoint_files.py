"""Checkpoint files, ours and foreign, read without running their code."""

import os
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detect.utils.download import local_file
from detect.utils.errors import UserError
from detect.utils.safe_npz import read_npz
from detect.utils.safe_pickle import load_pickle

RUN_STATES = ("optimizer", "schedule", "learning", "rng")  # entries of a training's checkpoint that only --resume needs


class CheckpointError(UserError, RuntimeError):
    """A checkpoint that cannot be read or does not fit; nothing of it was loaded into the model."""


def read_checkpoint(path: str | os.PathLike) -> dict[str, Any]:
    """The contents of a checkpoint, on the CPU, with "model" in it; a plain state dict becomes {"model": it}, and
    "state_dict", as others call it, becomes "model".

    Read with `weights_only=True`: tensors and plain values only, so that a hostile file cannot run code.
    path: a file or an address, see `detect.utils.download`. CheckpointError if there is no such file or it is
    something else.
    """
    file = local_file(path)
    if not os.path.isfile(file):
        raise CheckpointError(f"{path}: no such checkpoint file; see --weights, MODEL.WEIGHTS or --resume")
    try:
        data = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise anything
        if not _may_be_checkpoint(file):
            expected = "expected a .pth of tools/train_net.py or PyTorch"
            raise CheckpointError(f"{path}: is not a checkpoint; {expected}") from error
        if isinstance(error, pickle.UnpicklingError):
            reason = "it is damaged or holds more than tensors and plain values, and was not read further"
            raise CheckpointError(f"{path}: not a safe checkpoint: {reason}{_what_stopped(error)}") from error
        raise CheckpointError(f"{path}: not a checkpoint, or damaged: {first_line(error)}") from error
    if isinstance(data, dict) and isinstance(data.get("state_dict"), dict):
        data["model"] = data.pop("state_dict")
    if isinstance(data, dict) and isinstance(data.get("model"), dict):
        return data
    if isinstance(data, dict) and data and all(isinstance(v, torch.Tensor) for v in data.values()):
        return {"model": data}
    raise CheckpointError(f"{path}: has neither a 'model' entry nor is it a dict of tensors")


def _may_be_checkpoint(file: str) -> bool:
    """Whether it begins as a zip archive or a pickle does; torch.save writes no other."""
    with open(file, "rb") as stream:
        return stream.read(4).startswith((b"PK\x03\x04", b"\x80"))


def _what_stopped(error: BaseException) -> str:
    """What of PyTorch's message is about the file, in brackets; the rest is advice on reading it without a guard."""
    found = re.search(r"Unsupported [^\n]*?(?= was not |\. |\n|$)", str(error))
    return f" ({found[0]})" if found else ""


def read_any(path: str | os.PathLike) -> dict[str, Any]:
    """The contents, with "model" in it, of a file that `read_checkpoint` or `read_arrays` takes."""
    file = local_file(path)
    if file.endswith((".npz", ".pkl")) or os.path.exists(f"{file}.index"):
        return {"model": read_arrays(path)[0]}
    return read_checkpoint(path)


def read_arrays(path: str | os.PathLike) -> tuple[dict[str, np.ndarray | Tensor], str]:
    """(the arrays of a weights file by name, the file's `__author__` or "").

    An .npz; a .pkl of numpy arrays, below "model" (Detectron2) or "blobs" (Detectron) or bare; the common prefix of a
    TensorFlow checkpoint's files (needs tensorflow); or else a PyTorch file. CheckpointError if it is something else.
    """
    path = Path(local_file(path))
    if path.with_name(path.name + ".index").exists():
        return _read_tensorflow(path), ""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file, nor {path.name}.index of a TensorFlow checkpoint")
    content: Any
    if path.suffix == ".npz":
        content = read_npz(path)
    elif path.suffix == ".pkl":
        content = load_pickle(path, encoding="latin1")  # Detectron's were written by Python 2
    else:
        content = read_checkpoint(path)
    content = content if isinstance(content, dict) else {}
    arrays = content.get("model", content.get("blobs", content))
    if not isinstance(arrays, dict) or not arrays:
        raise CheckpointError(f"{path}: neither arrays by name nor a dict with them as 'model' or 'blobs'")
    for name, array in arrays.items():
        is_array = isinstance(array, Tensor) or isinstance(array, np.ndarray) and array.dtype.kind in "fiub"
        if not isinstance(name, str) or not is_array:
            raise CheckpointError(f"{path}: {name!r} is no name of an array of numbers ({type(array).__name__})")
    return arrays, str(content.get("__author__", ""))


def _read_tensorflow(path: Path) -> dict[str, np.ndarray]:
    try:
        from tensorflow import train
    except ImportError:
        raise CheckpointError(
            f"{path}: a TensorFlow checkpoint is read by tensorflow (pip install tensorflow), which is not installed; "
            "or write its variables into an .npz where it is"
        ) from None
    reader = train.load_checkpoint(str(path))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
