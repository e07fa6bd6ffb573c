"""The protocol of UCF-101, HMDB-51 and JHMDB: train and test on each of three splits, report each and the mean; and
cross-validation of a set of one's own: train without and test on each of its folds."""

import json
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tabulate import tabulate

from detect.classification.evaluation import folder_name
from detect.config import load_cfg
from detect.d2 import CfgNode
from detect.data.catalog import is_own, load_action_dataset, set_datasets_root
from detect.data.held_out import fold_of, group_of
from detect.evaluation.files.formats import find_table, read_table_files, write_beside
from detect.evaluation.tables import Detections, concatenated
from detect.tasks.runner import run
from detect.tasks.runs import choose_checkpoint, finish_run, mean_and_spread, percent, task_of
from detect.utils.comm import launch
from detect.utils.errors import UserError
from detect.utils.files import write_json
from detect.utils.provenance import code_version

logger = logging.getLogger(__name__)
SPLITS = (1, 2, 3)
HEADINGS = {"top1": "top-1", "top5": "top-5", "frame_map": "frame-mAP"}


def of_split(name: str, split: int) -> str:
    """The same set of another split: ucf101_split1_train -> ucf101_split3_train. UserError for a name without one."""
    renamed, count = re.subn(r"split\d+", f"split{split}", name)
    if count != 1:
        raise UserError(f"the set {name!r} has no splits; expected a name such as ucf101_split1_train")
    return renamed


class Division(NamedTuple):
    """One way to part the videos: `name` of its folder ("" for one alone) and table row, the sets of TRAIN and TEST."""

    name: str
    train: str
    test: str


def divisions(cfg: CfgNode, folds: int, test_set: str, repeat: int) -> Iterator[Division]:
    """Those that a config asks for: folds of its own set, or the three splits, or with repetitions its sets alone."""
    if folds:
        yield from _folds(cfg.DATASETS.TRAIN, test_set, folds)
        return
    if len(cfg.DATASETS.TEST) != 1 or len(cfg.DATASETS.TRAIN) != 1:
        raise UserError(f"DATASETS.TRAIN is {cfg.DATASETS.TRAIN}, TEST {cfg.DATASETS.TEST}; each takes exactly one set")
    (train,), (test,) = cfg.DATASETS.TRAIN, cfg.DATASETS.TEST
    if repeat > 1 and "split" not in test:
        yield Division("", train, test)
        return
    yield from (Division(f"split{split}", of_split(train, split), of_split(test, split)) for split in SPLITS)


def _folds(train: Sequence[str], test: str, count: int) -> Iterator[Division]:
    """Of DATASETS.TRAIN; the sets that are tested are the same folds of `test`, if that is given."""
    if len(train) != 1 or not is_own(train[0]):
        raise UserError(f"DATASETS.TRAIN is {tuple(train)}; folds are of one set of your own, json:FILE")
    (name,) = train
    groups = [{group_of(video) for video in load_action_dataset(one).videos} for one in (name, test or name)]
    if groups[0] != groups[1]:
        other = ", ".join(sorted(groups[0] ^ groups[1])[:3])
        raise UserError(f"--test-set {test}: has other groups of videos than {name}, such as {other}")
    fold_of(load_action_dataset(name), name, "held", 1, count)  # too many are said before the first one is trained
    for fold in range(1, count + 1):
        yield Division(f"fold{fold}", f"{name}:fit{fold}of{count}", f"{test or name}:held{fold}of{count}")


def train_splits(
    config_file: str,
    opts: Sequence[Any],
    *,
    num_gpus: int = 1,
    repeat: int = 1,
    choose: bool = False,
    folds: int = 0,
    test_set: str = "",
    start: str = "",
) -> dict[str, Any]:
    """Train and test on each of the `SPLITS` in OUTPUT_DIR/split<k>, finished ones not again.

    The config, of the detector or of a classifier, may name any split. repeat: so many seeds of each, from the config's
    on (0 where that is drawn), in split<k>_seed<n>; sets without splits are then repeated alone. choose: train without
    the videos held back (`..._fit`), test the checkpoint that is the best on those (`..._held`). folds: of
    DATASETS.TRAIN, a `json:FILE`, so many are tested on in turn, in fold<k>, with the labels of `test_set` if given;
    DATASETS.TEST is not read. start: the folder of such runs of a classifier, whose checkpoint of the same split or
    fold, and seed, is MODEL.CONTEXT.WEIGHTS.

    Writes OUTPUT_DIR/results.json and, of a detector's folds, the detections of all of them as one table. Returns
    {"splits": {"1": its result, or with seeds the mean of each metric}, "runs": {folder: result}, metric:
    `mean_and_spread` over the splits}.
    """
    cfg = load_cfg(config_file, opts)
    set_datasets_root(cfg.DATASETS.ROOT)
    output, found, splits = Path(cfg.OUTPUT_DIR), {}, {}
    seeds = [max(cfg.SEED, 0) + number for number in range(repeat)]
    parted = list(divisions(cfg, folds, test_set, repeat))
    for division in parted:
        results = []
        for seed in seeds:
            changed = [*opts, "DATASETS.TRAIN", (division.train,), "DATASETS.TEST", (division.test,)]
            changed += [] if repeat == 1 else ["SEED", seed]
            folder = output / _folder_name(division, seed, repeat)
            if start:
                changed += ["MODEL.CONTEXT.WEIGHTS", str(Path(start) / folder.name / "model_final.pth")]
            train = _train_and_choose if choose else _train_and_test
            found[folder.name] = train(config_file, changed, folder, num_gpus)
            results.append(found[folder.name])
        metrics = [name for name in HEADINGS if name in results[0]]
        splits[division.name.removeprefix("split") or "all"] = results[0] if repeat == 1 else {
            metric: mean_and_spread([result[metric] for result in results]) for metric in metrics
        }  # fmt: skip
    if folds and task_of(cfg).reader == "detector":
        for seed in seeds:
            evaluations = [
                output / _folder_name(division, seed, repeat) / "evaluation" / folder_name(division.test)
                for division in parted
            ]
            _pool(evaluations, cfg, output if repeat == 1 else output / f"seed{seed}")
    means = {m: [mean_of(result[m]) for result in splits.values()] for m in metrics}
    summary = {metric: mean_and_spread(values) for metric, values in means.items()}
    report = {"splits": splits, "runs": found, **summary, **code_version()}
    write_json(output / "results.json", report)
    return report


def _folder_name(division: Division, seed: int, repeat: int) -> str:
    return "_".join(([division.name] if division.name else []) + ([] if repeat == 1 else [f"seed{seed}"]))


def _pool(evaluations: Sequence[Path], cfg: CfgNode, output: Path) -> None:
    """The detections, and proposals if they were saved, of the folds: of each video those of the fold that held it."""
    classes = load_action_dataset(cfg.DATASETS.TRAIN[0]).classes
    for name in ("detections", "proposals") if cfg.TEST.SAVE_PROPOSALS else ("detections",):
        tables, videos, _ = read_table_files([(find_table(folder, name), Detections) for folder in evaluations])
        path = write_beside(output, name, concatenated(tables), videos, classes if name == "detections" else None)
        logger.info("%s of all folds: %s", name, path)


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
        shown = [percent(result[m] if isinstance(result[m], dict) else mean_and_spread([result[m]])) for m in metrics]
        rows.append((split if not split.isdecimal() else f"split {split}", *shown))
    if len(rows) > 1:
        rows.append(("mean ± std", *(percent(found[metric]) for metric in metrics)))
    return tabulate(rows, ("", *(HEADINGS[metric] for metric in metrics)), tablefmt="pipe", disable_numparse=True)
