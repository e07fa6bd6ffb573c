"""The protocol of UCF-101 and HMDB-51: train and test on each of three splits, report each and the mean."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from detect.classification.evaluation import folder_name
from detect.config import load_cfg
from detect.d2 import CfgNode
from detect.tasks.runs import finish_run, mean_and_spread, percent
from detect.utils.errors import UserError
from detect.utils.files import write_json
from detect.utils.provenance import code_version

SPLITS = (1, 2, 3)
METRICS = ("top1", "top5")


def of_split(name: str, split: int) -> str:
    """The same set of another split: ucf101_split1_train -> ucf101_split3_train. UserError for a name without one."""
    renamed, count = re.subn(r"split\d+", f"split{split}", name)
    if count != 1:
        raise UserError(f"the set {name!r} has no splits; expected a name such as ucf101_split1_train")
    return renamed


def train_splits(config_file: str, opts: Sequence[Any], *, num_gpus: int = 1) -> dict[str, Any]:
    """Train and test on each of the `SPLITS` in OUTPUT_DIR/split<k>, finished ones not again.

    Writes OUTPUT_DIR/results.json. The config may name any split. Returns {"splits": {"1": {"top1", "top5", ...}},
    "top1", "top5"}, the last two as `mean_and_spread`.
    """
    cfg = load_cfg(config_file, opts)
    if len(cfg.DATASETS.TEST) != 1:
        raise UserError(f"DATASETS.TEST is {cfg.DATASETS.TEST}; the protocol takes exactly one set")
    output, results = Path(cfg.OUTPUT_DIR), {}
    for split in SPLITS:
        sets = {key: tuple(of_split(name, split) for name in cfg.DATASETS[key]) for key in ("TRAIN", "TEST")}
        changed = [*opts, "DATASETS.TRAIN", sets["TRAIN"], "DATASETS.TEST", sets["TEST"]]
        results[str(split)] = finish_run(config_file, changed, output / f"split{split}", _tested, num_gpus=num_gpus)
    summary = {metric: mean_and_spread([result[metric] for result in results.values()]) for metric in METRICS}
    found = {"splits": results, **summary, **code_version()}
    write_json(output / "results.json", found)
    return found


def _tested(cfg: CfgNode) -> dict[str, Any]:
    """What the test after the training wrote."""
    (name,) = cfg.DATASETS.TEST
    path = Path(cfg.OUTPUT_DIR) / "evaluation" / folder_name(name) / "results.json"
    return {key: value for key, value in json.loads(path.read_text()).items() if key in (*METRICS, "dataset", "counts")}


def split_table(found: dict[str, Any]) -> str:
    """A row for each split and one for the mean and its spread, in per cent."""
    rows = [(f"split {k}", *(f"{100 * result[m]:.1f}" for m in METRICS)) for k, result in found["splits"].items()]
    rows.append(("mean ± std", *(percent(found[metric]) for metric in METRICS)))
    return tabulate(rows, ("", "top-1", "top-5"), tablefmt="pipe", disable_numparse=True)
