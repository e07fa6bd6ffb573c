"""Where the scalars of an `EventStorage` go: metrics.json, TensorBoard and the log."""

from __future__ import annotations

import json
import logging
import math
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import torch

from detect.d2 import EventStorage
from detect.utils.files import UnusableFileError

logger = logging.getLogger(__name__)
LONGEST_LINE = 1 << 20  # bytes of metrics.json


class Writer(Protocol):
    """Called every few iterations with everything recorded so far, and closed at the end."""

    def write(self, storage: EventStorage) -> None: ...

    def close(self) -> None: ...


def default_writers(output_dir: str | Path, max_iter: int, window_size: int = 20) -> list[Writer]:
    """Log, `metrics.json` and TensorBoard events in `output_dir`; noisy scalars as medians of some steps."""
    Path(output_dir).mkdir(parents=True, exist_ok=True)
    return [
        LogWriter(max_iter, window_size),
        JsonWriter(Path(output_dir) / "metrics.json", window_size),
        TensorBoardWriter(output_dir, window_size),
    ]


class JsonWriter:
    """Appends one line `{"iteration": i, name: value, ...}` per iteration that gave new scalars. Those that are not
    finite, which JSON has not, are left out. UnusableFileError where it cannot be written.
    """

    def __init__(self, path: str | Path, window_size: int = 20):
        self._path = path
        with _explained(path):
            _end_last_line(path)
            self._file = open(path, "a")  # noqa: SIM115
        self._window_size, self._written = window_size, -1

    def write(self, storage: EventStorage) -> None:
        by_iteration: dict[int, dict[str, float]] = {}
        for name, (value, iteration) in storage.latest_with_smoothing_hint(self._window_size).items():
            if iteration > self._written and math.isfinite(value):
                by_iteration.setdefault(iteration, {})[name] = value
        for iteration in sorted(by_iteration):
            line = json.dumps({"iteration": iteration, **by_iteration[iteration]}, sort_keys=True)
            with _explained(self._path):
                self._file.write(line + "\n")
                self._file.flush()
            self._written = iteration

    def close(self) -> None:
        with suppress(OSError):  # `write` said so before
            self._file.close()


@contextmanager
def _explained(path: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnusableFileError(f"{path}: cannot be written: {error.strerror}") from error


def _end_last_line(path: str | Path) -> None:
    """Of a run that was killed while it wrote: a whole line gets its end, a part of one is dropped."""
    if not Path(path).is_file():
        return
    with open(path, "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - LONGEST_LINE, 0))
        *_, last = file.read(LONGEST_LINE).rsplit(b"\n", 1)
        if not last:
            return
        try:
            json.loads(last)
        except ValueError:
            file.truncate(size - len(last))
        else:
            file.write(b"\n")


class TensorBoardWriter:
    """TensorBoard event files; the folder is made at the first scalar."""

    def __init__(self, log_dir: str | Path, window_size: int = 20):
        self._log_dir, self._window_size, self._written = str(log_dir), window_size, -1
        self._writer = None

    def write(self, storage: EventStorage) -> None:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # importing it takes a second

            self._writer = SummaryWriter(self._log_dir)
        newest = self._written
        for name, (value, iteration) in storage.latest_with_smoothing_hint(self._window_size).items():
            if iteration > self._written:
                self._writer.add_scalar(name, value, iteration)
                newest = max(newest, iteration)
        self._written = newest

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class LogWriter:
    """One readable line: time left, iteration, losses, seconds per iteration and for data, lr, memory."""

    def __init__(self, max_iter: int, window_size: int = 20):
        self._max_iter, self._window_size = max_iter, window_size

    def write(self, storage: EventStorage) -> None:
        logger.info(log_line(storage, self._max_iter, self._window_size))

    def close(self) -> None:
        pass


def log_line(storage: EventStorage, max_iter: int, window_size: int = 20) -> str:
    """`eta: 0:01:40  iter: 19  total_loss: 1.2 ...`; eta from the mean of all steps."""
    values = {name: value for name, (value, _) in storage.latest_with_smoothing_hint(window_size).items()}
    parts = []
    if "time" in values:
        seconds = storage.history("time").global_avg() * (max_iter - storage.iter - 1)
        parts.append(f"eta: {timedelta(seconds=int(max(seconds, 0)))}")
    parts.append(f"iter: {storage.iter}")
    parts += [f"{name}: {values[name]:.4g}" for name in sorted(values, key=_losses_first) if "loss" in name]
    parts += [f"{name}: {values[name]:.4f}" for name in ("time", "data_time") if name in values]
    parts += [f"lr: {values['lr']:.5g}"] if "lr" in values else []
    return "  ".join([*parts, f"max_mem: {max_memory_mib():.0f}M"])


def _losses_first(name: str) -> tuple[bool, str]:
    return name != "total_loss", name


def max_memory_mib() -> float:
    """Largest memory so far in MiB: of the GPU where one is used, else resident memory of this process."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # macOS counts bytes, Linux KiB
