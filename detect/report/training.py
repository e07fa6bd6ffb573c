"""The curves of a training run, from its metrics.json."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detect.utils.files import read_text

POINTS = 300  # in a drawn curve, to keep the page small


@dataclass(frozen=True)
class Training:
    """Scalars of a run: name -> (iterations (n,), values (n,)), sorted by iteration."""

    scalars: dict[str, tuple[np.ndarray, np.ndarray]]
    lines_skipped: int = 0

    def losses(self) -> list[str]:
        """Names of the parts of the loss, `total_loss` first."""
        names = sorted(name for name in self.scalars if "loss" in name and "/" not in name)
        return sorted(names, key=lambda name: name != "total_loss")

    def scores(self) -> list[str]:
        """Names of the mean scores of evaluations during training."""
        return sorted(name for name in self.scalars if name.endswith("/mAP"))


def read_training(folder: str | Path) -> Training | None:
    """The scalars of `folder`/metrics.json; None without that file. Lines that are not a JSON object with an iteration,
    such as truncated ones, are skipped and counted. If a resumed run wrote an iteration twice, the last line counts.
    """
    path = Path(folder) / "metrics.json"
    if not path.is_file():
        return None
    found: dict[str, dict[int, float]] = {}
    skipped = 0
    for line in read_text(path).splitlines():
        try:
            row = json.loads(line)
            iteration = int(row["iteration"])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            skipped += bool(line.strip())
            continue
        for name, value in row.items():
            if isinstance(value, (int, float)) and np.isfinite(value):
                found.setdefault(name, {})[iteration] = float(value)
    return Training({name: _columns(values) for name, values in found.items() if name != "iteration"}, skipped)


def _columns(values: dict[int, float]) -> tuple[np.ndarray, np.ndarray]:
    iterations = sorted(values)
    return np.array(iterations, np.int64), np.array([values[i] for i in iterations])


def thinned(x: np.ndarray, y: np.ndarray, points: int = POINTS) -> tuple[Sequence[float], Sequence[float]]:
    """A long curve as the medians of about equal parts, so that it stays readable and small."""
    if len(x) <= points:
        return x.tolist(), y.tolist()
    groups = np.array_split(np.arange(len(x)), points)
    return [float(x[group].mean()) for group in groups], [float(np.median(y[group])) for group in groups]
