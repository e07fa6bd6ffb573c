"""Checkpoint files, read without running their code."""

import os
import pickle
from typing import Any

import torch


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be read or does not fit; nothing of it was loaded into the model."""


def read_checkpoint(path: str | os.PathLike) -> dict[str, Any]:
    """The contents of a checkpoint, on the CPU, with "model" in it; a plain state dict becomes {"model": it}, and
    "state_dict", as others call it, becomes "model".

    Read with `weights_only=True`: tensors and plain values only, so that a hostile file cannot run code.
    CheckpointError if there is no such file or it is something else.
    """
    if not os.path.isfile(path):
        raise CheckpointError(f"{path}: no such checkpoint file; see MODEL.WEIGHTS or --resume")
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = "it is damaged or holds more than tensors and plain values, and was not read further"
        raise CheckpointError(f"{path}: not a safe checkpoint: {reason} ({first_line(error)})") from error
    except Exception as error:  # a damaged file can raise anything
        raise CheckpointError(f"{path}: not a checkpoint, or damaged: {first_line(error)}") from error
    if isinstance(data, dict) and isinstance(data.get("state_dict"), dict):
        data["model"] = data.pop("state_dict")
    if isinstance(data, dict) and isinstance(data.get("model"), dict):
        return data
    if isinstance(data, dict) and data and all(isinstance(v, torch.Tensor) for v in data.values()):
        return {"model": data}
    raise CheckpointError(f"{path}: has neither a 'model' entry nor is it a dict of tensors")


def first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
