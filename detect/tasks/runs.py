"""Several training runs as one command that can be stopped and started again."""

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detect.config import load_cfg
from detect.data.catalog import set_datasets_root
from detect.tasks.classification import CLASSIFICATION
from detect.tasks.runner import run
from detect.utils.comm import launch
from detect.utils.errors import UserError
from detect.utils.files import write_json

logger = logging.getLogger(__name__)
RESULT = "run.json"  # in the folder of a run that is finished


def finish_run(
    config_file: str, opts: Sequence[Any], folder: Path, measure: Callable, *, num_gpus: int = 1
) -> dict[str, Any]:
    """Train a classifier in `folder` as tools/train_classifier.py does, then give `measure(cfg)`, a dict for JSON.

    A run that was interrupted goes on from its last checkpoint. Of one that is finished, the result is read from
    folder/run.json; UserError if it was made with another config.
    """
    opts = [*opts, "OUTPUT_DIR", str(folder)]
    cfg = load_cfg(config_file, opts)
    made_with, path = cfg.dump(), folder / RESULT
    if path.exists():
        found = json.loads(path.read_text())
        if found["config"] != made_with:
            raise UserError(f"{path} is of a run with another config; remove {folder} or name another output folder")
        logger.info("%s is finished", folder)
        return found["result"]
    launch(run, num_gpus, args=(CLASSIFICATION, config_file, opts, "", True))
    set_datasets_root(cfg.DATASETS.ROOT)
    result = measure(cfg)
    write_json(path, {"result": result, "config": made_with})
    return result


def mean_and_spread(values: Sequence[float]) -> dict[str, Any]:
    """{"mean", "std": of the sample (n - 1), None for one value, "values"}."""
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "std": std, "values": list(values)}


def percent(summary: dict[str, Any]) -> str:
    """`mean ± std` in per cent with one decimal."""
    std = summary["std"]
    return f"{100 * summary['mean']:.1f}" + ("" if std is None else f" ± {100 * std:.1f}")
