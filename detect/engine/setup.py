"""What a run does first: output folder, log, seed, and its config on record."""

from __future__ import annotations

import logging
import os
import platform
import random
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
import torchvision
import yaml

from detect.config import ConfigError, changed_keys
from detect.d2 import HAS_DETECTRON2, CfgNode
from detect.utils.comm import all_gather_object, get_rank, get_world_size, is_main_process
from detect.utils.files import UnusableFileError, make_folder, read_text, remove_leftovers, write_text

logger = logging.getLogger(__name__)

_LOGGERS = ("detect", "backbones", "fvcore", "__main__")


def default_setup(cfg: CfgNode, *, resume: bool = False, eval_only: bool = False) -> int:
    """Make OUTPUT_DIR, log to stdout and OUTPUT_DIR/log.txt, seed, save config.yaml. Returns the seed.

    A training also removes the temporary files of killed runs there; see `detect.utils.lock` for a run beside it.

    Rank r seeds with `seed + r`; ranks above 0 log to `log.txt.rank<r>`, to stdout only warnings. The saved
    config has the seed in use, so that --resume finds it again where SEED is negative (drawn).
    """
    folder = make_folder(cfg.OUTPUT_DIR)
    setup_logger(folder / "log.txt")
    logger.info("Process %d of %d\n%s", get_rank(), get_world_size(), environment_text())
    logger.info("Command line: %s", " ".join(sys.argv))
    if is_main_process() and not eval_only:
        for left in remove_leftovers(folder):
            logger.info("Removed %s, left by a run that was killed", left)
    saved = folder / "config.yaml"
    seed = _choose_seed(cfg.SEED, saved if resume else None)
    seed_everything(seed)
    keep = eval_only and saved.exists()  # an evaluation leaves the training's as it is
    if is_main_process() and not keep:
        write_text(saved, with_seed(cfg, seed).dump())
    changed = "\n".join(f"  {name}: {value!r}" for name, value in changed_keys(cfg).items())
    logger.info("Config, where it is not the default%s:\n%s", "" if keep else f" (all of it in {saved})", changed)
    if not eval_only:
        torch.backends.cudnn.benchmark = cfg.CUDNN_BENCHMARK
    return seed


def _choose_seed(seed: int, earlier: Path | None) -> int:
    """`seed`, or if negative that of an earlier run, or one drawn by rank 0."""
    if seed < 0 and earlier is not None and earlier.exists():
        seed = _saved_seed(earlier)
    if seed < 0:
        seed = int.from_bytes(os.urandom(3), "little")
    return all_gather_object(seed)[0]  # before rank 0 writes the file that the others may be reading


def _saved_seed(path: Path) -> int:
    step = "Next: give SEED, the number after 'Seed:' in log.txt, or delete this file to draw another"
    try:
        tree = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: damaged, no YAML ({' '.join(str(error).split())[:200]}). {step}") from error
    except UnusableFileError as error:
        raise ConfigError(f"{error}. {step}") from error
    seed = tree.get("SEED", -1) if isinstance(tree, dict) else None
    if not isinstance(seed, int) or isinstance(seed, bool) or seed >= 2**32:
        found = "there is no SEED in it" if seed is None else f"its SEED is {seed!r:.80}, not an int below 2^32"
        raise ConfigError(f"{path}: damaged, {found}. {step}")
    return seed


def with_seed(cfg: CfgNode, seed: int) -> CfgNode:
    """The config with SEED as it is in use."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.SEED = seed
    return cfg


def setup_logger(path: str | Path | None = None) -> None:
    """Send this project's log records to stdout and, if given, to the file `path`; may be called again."""
    plain = logging.Formatter("[%(asctime)s %(name)s]: %(message)s", datefmt="%m/%d %H:%M:%S")
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    handlers[0].setLevel(logging.INFO if is_main_process() else logging.WARNING)
    if path is not None:
        handlers.append(logging.FileHandler(path if is_main_process() else f"{path}.rank{get_rank()}"))
    for handler in handlers:
        handler.setFormatter(plain)
    for name in _LOGGERS:
        target = logging.getLogger(name)
        for old in list(target.handlers):
            target.removeHandler(old)
            old.close()
        for handler in handlers:
            target.addHandler(handler)
        target.setLevel(logging.INFO)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch with `seed` plus the rank."""
    logger.info("Seed: %d", seed)
    random.seed(seed + get_rank())
    np.random.seed(seed + get_rank())
    torch.manual_seed(seed + get_rank())


def environment_text() -> str:
    """Versions, device and threads, one per line."""
    rows = {"platform": platform.platform(), "python": platform.python_version()}
    rows.update({module.__name__: module.__version__ for module in (torch, torchvision, np, cv2)})
    rows["detectron2"] = "used" if HAS_DETECTRON2 else "not used"
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    rows["device"] = gpu or f"CPU, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    return "\n".join(f"  {name}: {value}" for name, value in rows.items())
