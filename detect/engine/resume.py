"""The checkpoint that --resume goes on from: the last one, or the newest that can be read."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from detect.d2 import CfgNode
from detect.utils.checkpoint_files import CheckpointError, read_checkpoint

logger = logging.getLogger(__name__)

LAST, FINAL = "last_checkpoint", "model_final.pth"
_NUMBERED = re.compile(r"model_(\d+)\.pth")
_FILE_NAME = re.compile(r"[^/\x00-\x1f]{1,200}\.pth")
_KINDS_OF_STATE = ((int, float), (list, tuple), (dict,))  # bool is an int
_KINDS = {"iteration": int, "tag": dict, "rng": list, "optimizer": dict, "schedule": dict}


def read_last_checkpoint(cfg: CfgNode) -> tuple[str, dict[str, Any]] | None:
    """(path, contents) of the checkpoint in OUTPUT_DIR that --resume goes on from; None, said in the log, without one.

    It is the one that `last_checkpoint` names or, where this cannot be used, the newest that can. CheckpointError if
    none of those that are there can.
    """
    folder = Path(cfg.OUTPUT_DIR)
    found = read_newest(folder)
    if found is None:
        logger.info("--resume: there is no checkpoint in %s; training starts anew", folder)
    return found


def read_newest(folder: str | Path) -> tuple[str, dict[str, Any]] | None:
    """See `read_last_checkpoint`; OUTPUT_DIR is `folder`."""
    folder, named = Path(folder), None
    if not ((folder / LAST).exists() or (folder / FINAL).exists() or numbered(folder)):
        return None
    try:
        named = _named_in(folder / LAST)
        return str(named), _usable(named)
    except CheckpointError as error:
        problem = str(error)
    found = _newest_usable(folder, named)
    if found is None:
        raise CheckpointError(
            f"{problem}. No other model_*.pth in {folder} can be used either. Next: start anew, into another "
            "OUTPUT_DIR and without --resume"
        )
    logger.warning("%s. Going on from the newest one that can be used, %s", problem, found[0])
    return found


def numbered(folder: str | Path) -> dict[int, Path]:
    """The files model_<iteration>.pth by iteration, the newest first."""
    found = {int(m[1]): path for path in Path(folder).glob("model_*.pth") if (m := _NUMBERED.fullmatch(path.name))}
    return dict(sorted(found.items(), reverse=True))


def check_entries(contents: dict[str, Any], path: str | Path) -> None:
    """CheckpointError if an entry that training goes on from is of another kind than what was saved."""
    for name, kind in _KINDS.items():
        value = contents.get(name, kind())
        if not isinstance(value, kind) or isinstance(value, bool) or name == "iteration" and value < -1:
            shown = repr(value) if isinstance(value, (int, float, str)) else "of type " + type(value).__name__
            wanted = "an int from -1" if kind is int else f"a {kind.__name__}"
            raise CheckpointError(
                f"{path}: damaged: its {name} is {shown[:80]}, not {wanted}. Next: another checkpoint of the run, or "
                "its weights alone (MODEL.WEIGHTS, without --resume)"
            )


def mismatch(found: Any, own: Any, name: str) -> str:
    """Where an entry that both have is of another kind; "" where nowhere. A number may stand for another."""
    if own is None or found is None:
        return ""
    kinds = next((kind for kind in _KINDS_OF_STATE if isinstance(own, kind)), (type(own),))
    if not isinstance(found, kinds):
        return f"{name} is of type {type(found).__name__}, not {type(own).__name__}"
    if isinstance(own, dict):
        pairs = [(found[key], own[key], f"{name}.{key}") for key in own.keys() & found.keys()]
    elif isinstance(own, (list, tuple)):
        pairs = [(a, b, f"{name}[{i}]") for i, (a, b) in enumerate(zip(found, own, strict=False))]
    else:
        pairs = []
    return next(filter(None, (mismatch(*pair) for pair in pairs)), "")


def _named_in(note: Path) -> Path:
    """The file that `last_checkpoint` names, which is there."""
    try:
        name = note.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{note}: cannot be read: {getattr(error, 'strerror', 'it is not text')}") from error
    if not _FILE_NAME.fullmatch(name):
        raise CheckpointError(f"{note}: damaged: {name[:80]!r} is no name of a checkpoint, such as model_0000999.pth")
    if not note.with_name(name).is_file():
        raise CheckpointError(f"{note}: names {name}, and there is no such file")
    return note.with_name(name)


def _usable(path: Path) -> dict[str, Any]:
    contents = read_checkpoint(path)
    check_entries(contents, path)
    return contents


def _newest_usable(folder: Path, skip: Path | None) -> tuple[str, dict[str, Any]] | None:
    """model_final.pth does not say its iteration in its name: it is read first, and those after it are tried."""
    best: tuple[str, dict[str, Any]] | None = None
    for iteration, path in [(-1, folder / FINAL), *numbered(folder).items()]:
        if path == skip or not path.is_file():
            continue
        if best and iteration <= best[1].get("iteration", -1):
            break
        try:
            found = str(path), _usable(path)
        except CheckpointError as error:
            logger.warning("%s", error)
            continue
        if path.name != FINAL:
            return found
        best = found
    return best
