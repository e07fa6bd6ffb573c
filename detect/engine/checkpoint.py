"""Checkpoints: Detectron2's files, written atomically, read without running their code, loaded whole."""

from __future__ import annotations

import hashlib
import logging
import os
import random
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from fvcore.common.checkpoint import Checkpointer
from torch import nn

from detect.config import load_cfg, load_cfg_of_checkpoint
from detect.d2 import CfgNode
from detect.engine.resume import LAST, check_entries, mismatch, numbered, read_newest
from detect.utils.checkpoint_files import CheckpointError, first_line, read_checkpoint
from detect.utils.comm import all_gather_object, barrier, get_rank, is_main_process
from detect.utils.files import atomic_file

logger = logging.getLogger(__name__)
_LISTED_IN_FULL = 30  # entries of a list in a message
# What the parts of a run, and the random generators, raise on a state that is not theirs.
_ON_A_WRONG_STATE = (ValueError, LookupError, TypeError, RuntimeError, AttributeError, OverflowError)


class ActionCheckpointer(Checkpointer):
    """Saves `{"model", "<checkpointable>", ..., "tag", "rng"}`; loads it, Detectron2's files and state dicts.

    `tag` identifies the model beyond its shapes, as {"meta_architecture": "ActionRCNN", "classes": [...]};
    strict loading refuses a file with another value for the same entry. `entries` are saved along as they are.
    `keep`: how many model_<iteration>.pth stay, the newest; 0 keeps all. `newest` is the path of the one that was
    saved, or resumed from, last. Call `save` and `load` on every rank; rank 0 writes.
    """

    def __init__(
        self,
        model: nn.Module,
        save_dir: str = "",
        *,
        tag: dict | None = None,
        entries: dict[str, Any] | None = None,
        keep: int = 0,
        **checkpointables: Any,
    ):
        super().__init__(model, save_dir, save_to_disk=is_main_process(), **checkpointables)
        self.entries, self.keep, self.newest = dict(entries or {}), keep, ""
        self.tag = {name: _as_list(value) for name, value in (tag or {}).items()}

    def save(self, name: str, **kwargs: Any) -> None:
        """Write `<save_dir>/<name>.pth` and then `last_checkpoint`; `kwargs` are saved along.

        A crash or a full disk (UnusableFileError) at any moment leaves the files of before or those of after.
        """
        if not self.save_dir:
            return
        data = {**self.entries, "tag": self.tag, "rng": all_gather_object(random_state()), **kwargs}
        data.update({key: obj.state_dict() for key, obj in self.checkpointables.items()})
        path = os.path.join(self.save_dir, f"{name}.pth")
        if self.save_to_disk:
            data["model"] = self.model.state_dict()
            logger.info("Saving checkpoint to %s", path)
            with atomic_file(path, _size(data)) as file:
                torch.save(data, file)
            self.tag_last_checkpoint(f"{name}.pth")
            self._remove_older(f"{name}.pth")
        self.newest = path
        barrier()

    def _remove_older(self, last: str) -> None:
        """Leave the newest `keep` numbered files up to `last`, which `last_checkpoint` names."""
        files = list(numbered(self.save_dir).values())
        names = [path.name for path in files]
        older = files[names.index(last) if last in names else 0 :][self.keep :] if self.keep > 0 else []
        for path in older:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                logger.warning("%s: cannot be removed: %s", path, error.strerror)

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """Make this the checkpoint that `--resume` continues from."""
        path = os.path.join(self.save_dir, LAST)
        with atomic_file(path) as file:
            file.write(last_filename_basename.encode())

    def load(
        self,
        path: str,
        checkpointables: Sequence[str] | None = None,
        *,
        strict: bool = True,
        complete: bool = False,
        contents: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Load the model and the named `checkpointables`, by default all; returns the file's other entries.

        Random generators go on where they were if everything is loaded (`checkpointables` is None). An empty
        `path` loads nothing and returns {}. With `strict` the file must have the model's keys and shapes and
        no others; without it what fits is loaded and the rest is logged, as for a head of other classes.
        With `complete` the file must have a state for every checkpointable. contents: what `read_checkpoint(path)`
        gave, where it was read already.
        CheckpointError, with the model untouched, if the file cannot be read or does not fit.
        """
        if not path:
            logger.info("MODEL.WEIGHTS is empty: the model stays as it was built")
            return {}
        logger.info("Loading checkpoint %s", path)
        data = read_checkpoint(path) if contents is None else dict(contents)
        if complete:
            check_entries(data, path)
        if complete and (missing := [name for name in self.checkpointables if name not in data]):
            raise CheckpointError(
                f"{path}: holds no state of {', '.join(missing)}, so training cannot go on from it (another engine "
                "saved it?); start from its weights instead: MODEL.WEIGHTS, without --resume"
            )
        state = _without_prefix(data.pop("model"), path)
        fitting = _fit(self.model, state, path, strict)
        if strict:
            _compare_tags(data.get("tag", {}), self.tag, path)
        for key in self.checkpointables if checkpointables is None else checkpointables:
            if key in data:
                _load_part(self.checkpointables[key], data.pop(key), key, path)
        if checkpointables is None and "rng" in data:
            _restore_rng(data.pop("rng"), path)
        self.model.load_state_dict(fitting, strict=False)
        self.newest = path if complete else ""
        return data

    def add_late(self, name: str, part: Any, loaded: dict[str, Any]) -> None:
        """Save `part` too from now on, if it has a state; `loaded`, what `load` returned, may hold its earlier one."""
        if not hasattr(part, "state_dict"):
            return
        self.add_checkpointable(name, part)
        if name in loaded:
            _load_part(part, loaded.pop(name), name, self.newest)

    def resume_or_load(self, path: str, *, resume: bool = True, strict: bool = True) -> dict[str, Any]:
        """With `resume` and a checkpoint in `save_dir` load all of it (`read_newest`), else the model from `path`.

        Returns the other entries of the file; `iteration` among them is the last finished one.
        """
        if resume and (found := read_newest(self.save_dir)):
            return self.load(found[0], complete=True, contents=found[1])
        return self.load(path, checkpointables=[], strict=strict)


def load_cfg_and_checkpoint(
    config_file: str, opts: Sequence[Any] = (), weights: str = "", contents: dict[str, Any] | None = None
) -> tuple[CfgNode, dict[str, Any] | None]:
    """The config of a tool and, where it came from there, the contents of the checkpoint `weights` that holds it.

    With `config_file`, or with neither, the config is `load_cfg` and the contents are None. weights: MODEL.WEIGHTS.
    contents: of it, where it was read already.
    CheckpointError if the checkpoint is to give the config and has none.
    """
    if config_file or not weights:
        return load_cfg(config_file, [*opts, *(("MODEL.WEIGHTS", weights) if weights else ())]), None
    contents = read_checkpoint(weights) if contents is None else contents
    if not isinstance(contents.get("config"), str):
        raise CheckpointError(
            f"{weights}: holds no config (an older or a foreign file?); give --config-file, the config it was trained "
            "with, such as the config.yaml beside it"
        )
    return load_cfg_of_checkpoint(contents["config"], weights, opts), contents


def weights_hash(model: nn.Module) -> str:
    """sha256 over every name and value of the model's state; of an exported model what it says itself."""
    if isinstance(known := getattr(model, "weights_hash", None), str):
        return known
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def random_state() -> dict[str, Any]:
    """State of Python's, NumPy's, PyTorch's and the current GPU's generators, as tensors and plain values."""
    numpy_state = np.random.get_state(legacy=False)
    numpy_state["state"]["key"] = torch.from_numpy(numpy_state["state"]["key"].astype(np.int64))
    gpu = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return {"python": random.getstate(), "numpy": numpy_state, "torch": torch.get_rng_state(), "cuda": gpu}


def set_random_state(state: dict[str, Any]) -> None:
    """Undo everything drawn since `random_state()` returned `state`."""
    version, key, gauss = state["python"]
    random.setstate((version, tuple(key), gauss))
    numpy_state = {**state["numpy"], "state": dict(state["numpy"]["state"])}
    numpy_state["state"]["key"] = numpy_state["state"]["key"].numpy().astype(np.uint32)
    np.random.set_state(numpy_state)
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def _restore_rng(states: list[dict[str, Any]], path: str) -> None:
    if get_rank() >= len(states):
        logger.warning("%s: saved by %d processes; rank %d keeps its seed", path, len(states), get_rank())
        return
    before = random_state()
    try:
        set_random_state(states[get_rank()])
    except _ON_A_WRONG_STATE as error:
        set_random_state(before)
        raise CheckpointError(
            f"{path}: damaged: its rng, the state of the random generators, cannot be used: {first_line(error)}. "
            "Next: another checkpoint of the run, or its weights alone (MODEL.WEIGHTS, without --resume)"
        ) from error


def _size(data: Any) -> int:
    """Bytes of the tensors in nested dicts and lists."""
    if isinstance(data, torch.Tensor):
        return data.nbytes
    if isinstance(data, dict):
        return sum(map(_size, data.values()))
    return sum(map(_size, data)) if isinstance(data, (list, tuple)) else 0


def _without_prefix(state: dict[str, Any], path: str, prefix: str = "module.") -> dict[str, Any]:
    """Undo the prefix that a DistributedDataParallel wrapper puts before every key."""
    for key, value in state.items():
        if not (isinstance(key, str) and isinstance(value, torch.Tensor)):
            kind = type(value).__name__
            raise CheckpointError(f"{path}: its model holds {key!r}, of type {kind}, and not only tensors by name")
    if state and all(key.startswith(prefix) for key in state):
        return {key[len(prefix) :]: value for key, value in state.items()}
    return dict(state)


def _fit(model: nn.Module, state: dict[str, Any], path: str, strict: bool) -> dict[str, Any]:
    """The entries of `state` that fit the model; CheckpointError unless all (`strict`) or some do."""
    wanted = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    found = {key: tuple(getattr(value, "shape", ())) for key, value in state.items()}
    missing = [f"{k} {s}" for k, s in wanted.items() if k not in found]
    unexpected = [f"{k} {s}" for k, s in found.items() if k not in wanted]
    reshaped = [f"{k} {s}, model {wanted[k]}" for k, s in found.items() if k in wanted and s != wanted[k]]
    fitting = {k: v for k, v in state.items() if k in wanted and found[k] == wanted[k]}
    if not (missing or unexpected or reshaped):
        return fitting
    lists = (("only in the model", missing), ("only in the file", unexpected), ("of another shape", reshaped))
    detail = "; ".join(f"{len(keys)} {what}: {_few(keys)}" for what, keys in lists if keys)
    count = f"{len(fitting)} of the model's {len(wanted)} entries fit"
    if strict or not fitting:
        step = "check MODEL.* of the config against the one it was trained with (config.yaml beside it)"
        raise CheckpointError(f"{path}: a checkpoint of another architecture, {count}; {detail}. Next: {step}")
    logger.warning("%s: loaded in part, %s; %s", path, count, detail)
    return fitting


def _compare_tags(found: dict[str, Any], own: dict[str, Any], path: str) -> None:
    check_entries({"tag": found}, path)
    for name in sorted(found.keys() & own.keys()):
        if found[name] != own[name]:
            theirs, ours = _difference(found[name], own[name])
            raise CheckpointError(f"{path}: was saved with {name} {theirs}, but this model has {ours}")


def _difference(found: Any, own: Any) -> tuple[Any, Any]:
    """Both values; of two long lists, such as label maps, their lengths and the first places where they differ."""
    if not (isinstance(found, list) and isinstance(own, list)) or max(len(found), len(own)) <= _LISTED_IN_FULL:
        return found, own
    where = [i for i, (a, b) in enumerate(zip_longest(found, own)) if a != b][:3]

    def shown(values: list) -> str:
        return f"(of {len(values)} entries) {', '.join(f'{i}: {values[i]}' for i in where if i < len(values))}"

    return shown(found), shown(own)


def _load_part(obj: Any, state: Any, key: str, path: str) -> None:
    try:
        if problem := mismatch(state, obj.state_dict(), key):
            raise TypeError(problem)
        obj.load_state_dict(state)
    except _ON_A_WRONG_STATE as error:
        raise CheckpointError(
            f"{path}: its {key} state does not fit this run: {first_line(error)}. Next: the config of the run that "
            "saved it, another checkpoint, or its weights alone (MODEL.WEIGHTS, without --resume)"
        ) from error


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _few(names: list[str], count: int = 3) -> str:
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")
