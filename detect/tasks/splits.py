"""The protocol of UCF-101, HMDB-51 and JHMDB: train and test on each of three splits, report each and the mean."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from detect.classification.evaluation import folder_name
from detect.config import load_cfg
from detect.d2 import CfgNode
from detect.tasks.runner import run
from detect.tasks.runs import choose_checkpoint, finish_run, mean_and_spread, percent, task_of
from detect.utils.comm import launch
from detect.utils.errors import UserError
from detect.utils.files import write_json
from detect.utils.provenance import code_version

SPLITS = (1, 2, 3)
HEADINGS = {"top1": "top-1", "top5": "top-5", "frame_map": "frame-mAP"}


def of_split(name: str, split: int) -> str:
    """The same set of another split: ucf101_split1_train -> ucf101_split3_train. UserError for a name without one."""
    renamed, count = re.subn(r"split\d+", f"split{split}", name)
    if count != 1:
        raise UserError(f"the set {name!r} has no splits; expected a name such as ucf101_split1_train")
    return renamed


def train_splits(
    config_file: str, opts: Sequence[Any], *, num_gpus: int = 1, repeat: int = 1, choose: bool = False
) -> dict[str, Any]:
    """Train and test on each of the `SPLITS` in OUTPUT_DIR/split<k>, finished ones not again.

    The config, of the detector or of a classifier, may name any split. repeat: so many seeds of each, from the config's
    on (0 where that is drawn), in split<k>_seed<n>; sets without splits are then repeated alone. choose: train without
    the videos held back (`..._fit`), test the checkpoint that is the best on those (`..._held`).

    Writes OUTPUT_DIR/results.json. Returns {"splits": {"1": its result, or with seeds the mean of each metric}, "runs":
    {folder: result}, metric: `mean_and_spread` over the splits}.
    """
    cfg = load_cfg(config_file, opts)
    if len(cfg.DATASETS.TEST) != 1 or len(cfg.DATASETS.TRAIN) != 1:
        raise UserError(f"DATASETS.TRAIN is {cfg.DATASETS.TRAIN}, TEST {cfg.DATASETS.TEST}; each takes exactly one set")
    output, found, splits = Path(cfg.OUTPUT_DIR), {}, {}
    for split in (None,) if repeat > 1 and "split" not in cfg.DATASETS.TEST[0] else SPLITS:
        results = []
        for number in range(repeat):
            seed = max(cfg.SEED, 0) + number
            parts = ([] if split is None else [f"split{split}"]) + ([] if repeat == 1 else [f"seed{seed}"])
            sets = {key: tuple(_named(name, split) for name in cfg.DATASETS[key]) for key in ("TRAIN", "TEST")}
            changed = [*opts, "DATASETS.TRAIN", sets["TRAIN"], "DATASETS.TEST", sets["TEST"]]
            changed += [] if repeat == 1 else ["SEED", seed]
            folder = output / "_".join(parts)
            train = _train_and_choose if choose else _train_and_test
            found[folder.name] = train(config_file, changed, folder, num_gpus)
            results.append(found[folder.name])
        metrics = [name for name in HEADINGS if name in results[0]]
        splits[str(split or "all")] = results[0] if repeat == 1 else {
            metric: mean_and_spread([result[metric] for result in results]) for metric in metrics
        }  # fmt: skip
    means = {m: [mean_of(result[m]) for result in splits.values()] for m in metrics}
    summary = {metric: mean_and_spread(values) for metric, values in means.items()}
    report = {"splits": splits, "runs": found, **summary, **code_version()}
    write_json(output / "results.json", report)
    return report


def _named(name: str, split: int | None) -> str:
    return name if split is None else of_split(name, split)


def _train_and_test(config_file: str, opts: Sequence[Any], folder: Path, num_gpus: int) -> dict[str, Any]:
    return finish_run(config_file, opts, folder, tested, num_gpus=num_gpus)


def _train_and_choose(config_file: str, opts: Sequence[Any], folder: Path, num_gpus: int) -> dict[str, Any]:
    """Train on the part to fit, choose on the part held back, test the chosen one."""
    cfg = load_cfg(config_file, opts)
    (name,) = cfg.DATASETS.TRAIN
    if task_of(cfg).reader != "detector" or not name.endswith("_train"):
        raise UserError(f"{name}: only of the detector's sets ..._train are videos held back to choose a checkpoint by")
    stem = name.removesuffix("_train")
    fitting = [*opts, "DATASETS.TRAIN", (f"{stem}_fit",), "DATASETS.TEST", ()]

    def chosen_and_tested(_: CfgNode) -> dict[str, Any]:
        path = choose_checkpoint(config_file, fitting, folder, [f"{stem}_held"], _score, num_gpus=num_gpus)
        changed = [*opts, "OUTPUT_DIR", str(folder)]
        launch(run, num_gpus, args=(task_of(cfg), config_file, changed, str(path), False, True))
        return {**tested(load_cfg(config_file, changed)), "checkpoint": path.name}

    return finish_run(config_file, fitting, folder, chosen_and_tested, num_gpus=num_gpus)


def _score(cfg: CfgNode) -> float:
    return tested(cfg)["frame_map"]


def tested(cfg: CfgNode) -> dict[str, Any]:
    """What the test after a training wrote: of a classifier top1, top5; of the detector frame_map and its protocol."""
    (name,) = cfg.DATASETS.TEST
    path = Path(cfg.OUTPUT_DIR) / "evaluation" / folder_name(name) / "results.json"
    written = json.loads(path.read_text())
    if "results" not in written:
        return {key: value for key, value in written.items() if key in ("top1", "top5", "dataset", "counts")}
    results, about = written["results"], written["provenance"]
    return {
        "frame_map": results["frame_ap"]["mAP"],
        "dataset": about["dataset"],
        "protocol": about["protocol"],
        "coverage": results["coverage"],
    }


def mean_of(value: Any) -> float:
    return value["mean"] if isinstance(value, dict) else value


def split_table(found: dict[str, Any]) -> str:
    """A row for each split and one for the mean and its spread, in per cent."""
    metrics = [name for name in HEADINGS if name in found]
    rows = []
    for split, result in found["splits"].items():
        shown = [percent(result[m]) if isinstance(result[m], dict) else f"{100 * result[m]:.1f}" for m in metrics]
        rows.append(("all" if split == "all" else f"split {split}", *shown))
    if len(rows) > 1:
        rows.append(("mean ± std", *(percent(found[metric]) for metric in metrics)))
    return tabulate(rows, ("", *(HEADINGS[metric] for metric in metrics)), tablefmt="pipe", disable_numparse=True)
