"""Several training runs as one command that can be stopped and started again."""

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from detect.config import load_cfg
from detect.data.catalog import set_datasets_root
from detect.tasks.classification import CLASSIFICATION
from detect.tasks.detection import DETECTION
from detect.tasks.runner import Task, run
from detect.utils.comm import launch
from detect.utils.errors import UserError
from detect.utils.files import write_json

logger = logging.getLogger(__name__)
RESULT = "run.json"  # in the folder of a run that is finished


def task_of(cfg) -> Task:
    """The task that a config is of."""
    return CLASSIFICATION if cfg.MODEL.META_ARCHITECTURE == "ActionClassifier" else DETECTION


def finish_run(
    config_file: str, opts: Sequence[Any], folder: Path, measure: Callable, *, num_gpus: int = 1
) -> dict[str, Any]:
    """Train in `folder` as tools/train_classifier.py or tools/train_net.py do, whichever the config is for, then give
    `measure(cfg)`, a dict for JSON.

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
    launch(run, num_gpus, args=(task_of(cfg), config_file, opts, "", True))
    set_datasets_root(cfg.DATASETS.ROOT)
    result = measure(cfg)
    write_json(path, {"result": result, "config": made_with})
    return result


def choose_checkpoint(
    config_file: str, opts: Sequence[Any], folder: Path, chosen_on: Sequence[str], score: Callable, *, num_gpus: int = 1
) -> Path:
    """Of the checkpoints of a finished run in `folder` the one whose `score(cfg)`, after an evaluation on the sets
    `chosen_on`, is the highest; the earliest of equal ones.

    Writes folder/chosen/<iteration>/ and folder/chosen/chosen.json, from which it is read again.
    """
    output = folder / "chosen"
    if (output / "chosen.json").exists():
        return folder / json.loads((output / "chosen.json").read_text())["checkpoint"]
    checkpoints = sorted(path for path in folder.glob("model_*.pth") if re.fullmatch(r"model_(\d+|final)", path.stem))
    scores = {}
    for path in checkpoints:
        changed = [*opts, "DATASETS.TEST", tuple(chosen_on), "OUTPUT_DIR", str(output / path.stem[len("model_") :])]
        launch(run, num_gpus, args=(task_of(load_cfg(config_file, opts)), config_file, changed, str(path), False, True))
        scores[path.name] = score(load_cfg(config_file, changed))
    if not scores:
        raise UserError(f"{folder} has no checkpoint to choose from")
    best = max(scores, key=scores.get)
    write_json(output / "chosen.json", {"checkpoint": best, "scores": scores, "on": list(chosen_on)})
    logger.info("%s: chosen on %s of %s", best, ", ".join(chosen_on), scores)
    return folder / best


def mean_and_spread(values: Sequence[float | None]) -> dict[str, Any]:
    """{"mean", "std": of the sample (n - 1), None for one value, "values"}. None is the value of a test without truths,
    and does not count.
    """
    known = [value for value in values if value is not None]
    std = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return {"mean": float(np.mean(known)) if known else None, "std": std, "values": list(values)}


def percent(summary: dict[str, Any]) -> str:
    """`mean ± std` in per cent with one decimal, - without a mean."""
    std = summary["std"]
    if summary["mean"] is None:
        return "-"
    return f"{100 * summary['mean']:.1f}" + ("" if std is None else f" ± {100 * std:.1f}")


def network_table(found: Mapping[str, Mapping[str, dict]], columns: Iterable[str]) -> str:
    """{network: {column: `mean_and_spread`}} as a row for each network, in per cent."""
    rows = [(network, *(percent(row[column]) for column in columns)) for network, row in found.items()]
    return tabulate(rows, ("network", *columns), tablefmt="pipe", disable_numparse=True)
