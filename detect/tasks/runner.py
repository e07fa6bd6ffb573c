"""Train and evaluate from a config: the one path that the detector and the classifiers take.

What differs between them is a `Task`; `detect.tasks.detection` and `detect.tasks.classification` have one each.
"""

import logging
import sys
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from backbones import Preprocessing
from detect.config import check_read
from detect.d2 import CfgNode
from detect.data.catalog import set_datasets_root
from detect.data.train_stream import explain_killed_loader
from detect.engine.checkpoint import ActionCheckpointer, load_cfg_and_checkpoint, random_state, set_random_state
from detect.engine.fit import fit, share_buffers
from detect.engine.resume import read_last_checkpoint
from detect.engine.setup import default_setup, with_seed
from detect.utils.checkpoint_files import read_checkpoint
from detect.utils.comm import barrier, is_main_process
from detect.utils.errors import UserError, explain_errors
from detect.utils.files import write_text
from detect.utils.lock import only_run
from detect.utils.provenance import code_version

logger = logging.getLogger(__name__)


class Task:
    """What the runner asks of the detector or of a classifier."""

    reader: str  # which keys of the config table it reads, see `detect.config.Key`

    def load_set(self, name: str, cfg: CfgNode, classes: Sequence[str] | None = None) -> Any:
        """A set by its name, with `name`, `classes` and `annotation_hash`; UserError where it does not fit the config
        or, if given, the classes of the model that is evaluated.
        """
        raise NotImplementedError

    def load_training_set(self, name: str, cfg: CfgNode) -> Any:
        return self.load_set(name, cfg)

    def saved_classes(self, contents: dict[str, Any]) -> Sequence[str] | None:
        """The classes of a checkpoint's model; None where they are to be those of the set it is evaluated on."""
        return None

    def fitted(self, cfg: CfgNode, dataset: Any, classes: Sequence[str]) -> CfgNode:
        """The config with what it leaves to the set that a model of these classes is built for."""
        return cfg

    def build(self, cfg: CfgNode, classes: Sequence[str], *, initial_weights: bool) -> nn.Module:
        """The model on MODEL.DEVICE; initial_weights: read the files that the config starts its parts from."""
        raise NotImplementedError

    def saved(self, model: nn.Module) -> nn.Module:
        """The part of the model whose state dict a checkpoint holds."""
        raise NotImplementedError

    def tag(self, cfg: CfgNode, classes: Sequence[str]) -> dict[str, Any]:
        """What must agree between a checkpoint and the run that loads it, beyond the shapes of the arrays."""
        raise NotImplementedError

    def facts(self, model: nn.Module) -> dict[str, Any]:
        """Further entries of a checkpoint: what the input of the model's networks must be, at least."""
        raise NotImplementedError

    def read(self, path: str) -> dict[str, Any]:
        """The contents of a checkpoint, at a path or an address."""
        return read_checkpoint(path)

    def normalisation(self, entries: dict[str, Any]) -> dict[str, Any] | None:
        """{"mean", "std"} of the context network's input, in `facts` or a checkpoint; None where they do not say."""
        raise NotImplementedError

    def check_weights(self, model: nn.Module, entries: dict[str, Any], path: str) -> None:
        """CheckpointError if what a checkpoint holds beside its arrays does not fit the model."""

    def training_batches(self, cfg: CfgNode, dataset: Any, seed: int, start_iter: int = 0) -> Iterable[list[dict]]:
        """Endless batches of this process, from iteration `start_iter` on."""
        raise NotImplementedError

    def evaluate(
        self, cfg: CfgNode, model: nn.Module, dataset: Any, classes: Sequence[str], seed: int | None
    ) -> dict[str, Any]:
        """Results of a model of these classes on one set, {} on ranks above 0."""
        raise NotImplementedError

    def rehearse(self, cfg: CfgNode, model: nn.Module, dataset: Any, classes: Sequence[str]) -> None:
        """What an evaluation does, on one batch and without results: so that it fails before a training, not after."""
        raise NotImplementedError

    def bad_share(self, result: dict[str, Any]) -> float:
        """Of a set's frames or videos, those that could not be read."""
        raise NotImplementedError

    def summary(self, cfg: CfgNode, name: str, result: dict[str, Any]) -> str:
        """The last lines that a tool prints of a set's result."""
        raise NotImplementedError


@explain_errors()  # here too, so that it is one message in a process that `launch` started
def run(
    task: Task,
    config_file: str = "",
    opts: Sequence[Any] = (),
    weights: str = "",
    resume: bool = False,
    eval_only: bool = False,
    contents: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """One process of a training tool; returns the last evaluation's results by set.

    config_file: empty for the config in the checkpoint `weights`, MODEL.WEIGHTS. opts: KEY, VALUE, ... contents: of it.
    """
    if not (config_file or weights or opts):
        raise UserError("neither a config nor weights: give --config-file FILE, such as one of configs/")
    cfg, contents = load_cfg_and_checkpoint(config_file, opts, weights, contents)
    check_read(cfg, task.reader)
    if contents is not None and not (eval_only or resume) and "OUTPUT_DIR" not in opts:
        raise UserError(f"{weights} gives the config, and training would write over its folder; give OUTPUT_DIR FOLDER")
    set_datasets_root(cfg.DATASETS.ROOT)
    with nullcontext() if eval_only else only_run(cfg.OUTPUT_DIR):
        seed = default_setup(cfg, resume=resume, eval_only=eval_only)
        if eval_only:
            with explain_killed_loader():
                results = evaluate_checkpoint(task, cfg, seed, contents)
        else:
            results = train(task, cfg, seed, resume, contents)
    if is_main_process():
        for name, result in results.items():
            print(task.summary(cfg, name, result), flush=True)
        complain_of_bad_shares(task, cfg, results)
    return results


def complain_of_bad_shares(task: Task, cfg: CfgNode, results: dict[str, Any]) -> None:
    """Exit status 1, after the figures are printed, if they are of too few of a set's frames or videos."""
    shares = {name: task.bad_share(result) for name, result in results.items()}
    bad = {name: share for name, share in shares.items() if share > cfg.TEST.MAX_BAD_SHARE}
    for name, share in bad.items():
        what = "nothing was evaluated" if share == 1 else f"{share:.1%} of it could not be read"
        print(f"error: {name}: {what}; TEST.MAX_BAD_SHARE allows {cfg.TEST.MAX_BAD_SHARE:.1%}", file=sys.stderr)
    if bad:
        raise SystemExit(1)


def train(
    task: Task, cfg: CfgNode, seed: int, resume: bool = False, contents: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Train to SOLVER.MAX_ITER, evaluating as TEST.EVAL_PERIOD says; returns the last results by set.

    With SOLVER.EMA_DECAY the averaged model is the one that is evaluated and saved as "model"; the one that learns
    goes on beside it. contents: of MODEL.WEIGHTS, where it was read already.
    """
    if len(cfg.DATASETS.TRAIN) != 1:
        raise UserError(f"DATASETS.TRAIN is {cfg.DATASETS.TRAIN}; training takes exactly one set")
    given = cfg
    dataset = task.load_training_set(cfg.DATASETS.TRAIN[0], cfg)
    classes = dataset.classes
    cfg = task.fitted(cfg, dataset, classes)
    # a wrong name or label map is found now, not after days
    test_sets = [task.load_set(name, cfg, classes) for name in cfg.DATASETS.TEST]
    resumed = read_last_checkpoint(cfg) if resume else None
    if resumed:
        cfg = settled(task, cfg, resumed[1])
    model = task.build(cfg, classes, initial_weights=not resumed)
    logger.info("%s with %.2f M parameters", type(model).__name__, sum(p.numel() for p in model.parameters()) / 1e6)
    cfg = settled(task, cfg, task.facts(model))
    if cfg is not given and is_main_process():
        write_text(Path(cfg.OUTPUT_DIR) / "config.yaml", with_seed(cfg, seed).dump())
    if not resumed:
        load_weights(task, cfg, model, classes, contents)
    rehearse_evaluations(task, cfg, model, test_sets, classes)
    evaluated, options = model, {}
    if cfg.SOLVER.EMA_DECAY:
        average = averaged(model, cfg.SOLVER.EMA_DECAY)
        evaluated = average.module
        options = {"after_step": lambda: average.update_parameters(model), "learning": task.saved(model)}
    return fit(
        cfg,
        model,
        lambda start: task.training_batches(cfg, dataset, seed, start),
        (lambda: evaluate_all(task, cfg, evaluated, classes, seed)) if cfg.DATASETS.TEST else None,
        resumed=resumed,
        seed=seed,
        saved=task.saved(evaluated),
        tag=task.tag(cfg, classes),
        entries=checkpoint_entries(task, cfg, model, dataset, seed),
        **options,
    )


def rehearse_evaluations(
    task: Task, cfg: CfgNode, model: nn.Module, test_sets: Sequence[Any], classes: Sequence[str]
) -> None:
    """One batch of every test set through everything that evaluates it; leaves no trace in the training."""
    state = random_state()
    with torch.no_grad():
        for dataset in test_sets:
            task.rehearse(cfg, model.eval(), dataset, classes)
    model.train()
    set_random_state(state)


def settled(task: Task, cfg: CfgNode, entries: dict[str, Any]) -> CfgNode:
    """The config with the normalisation that MODEL.CONTEXT.WEIGHTS decided, where the config had the default.

    entries: `task.facts` of the model, or a checkpoint of this run.
    """
    found, default = task.normalisation(entries), Preprocessing()
    given = (tuple(cfg.MODEL.CONTEXT.PIXEL_MEAN), tuple(cfg.MODEL.CONTEXT.PIXEL_STD))
    if not found or len(found["mean"]) != 3 or given != (default.mean, default.std):
        return cfg
    if given == (tuple(found["mean"]), tuple(found["std"])):
        return cfg
    logger.info("MODEL.CONTEXT: normalised as the weights want it: mean %s, deviation %s", found["mean"], found["std"])
    section = "MODEL.CONTEXT.PIXEL_"
    return cfg.changed([f"{section}MEAN", list(found["mean"]), f"{section}STD", list(found["std"])])


def checkpoint_entries(task: Task, cfg: CfgNode, model: nn.Module, dataset: Any, seed: int) -> dict[str, Any]:
    """What makes a checkpoint complete: its config, the input it wants, and where it comes from."""
    sections = {
        "MODEL": cfg.MODEL,
        "MODEL.BACKBONE": cfg.MODEL.BACKBONE,
        "MODEL.CONTEXT": cfg.MODEL.CONTEXT,
        "MODEL.FLOW": cfg.MODEL.FLOW,
    }
    provenance = {
        "dataset": dataset.name,
        "annotation_hash": dataset.annotation_hash,
        "seed": seed,
        "started_from": {f"{name}.WEIGHTS": node.WEIGHTS for name, node in sections.items() if node.WEIGHTS},
        **code_version(),
    }
    return {**task.facts(model), "config": with_seed(cfg, seed).dump(), "provenance": provenance}


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """A copy of the model that after each `update_parameters` is decay * itself + (1 - decay) * the model."""
    if not 0 < decay < 1:
        raise UserError(f"SOLVER.EMA_DECAY is {decay}; it must be 0 (none) or below 1, such as 0.9999")
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    average.n_averaged.fill_(1)  # or the first update would copy the model, in a resumed run too
    return average


def load_weights(
    task: Task, cfg: CfgNode, model: nn.Module, classes: Sequence[str], contents: dict[str, Any] | None = None
) -> None:
    """Load MODEL.WEIGHTS if given; CheckpointError for another architecture, other classes or another normalisation."""
    path = cfg.MODEL.WEIGHTS
    contents = task.read(path) if path and contents is None else contents
    checkpointer = ActionCheckpointer(task.saved(model), tag=task.tag(cfg, classes))
    task.check_weights(model, checkpointer.load(path, checkpointables=[], contents=contents), path)


def load_evaluated(task: Task, cfg: CfgNode, contents: dict | None = None) -> tuple[nn.Module, Any, Sequence[str]]:
    """The model of MODEL.WEIGHTS with its weights, the first set of DATASETS.TEST, and the model's classes."""
    if not cfg.MODEL.WEIGHTS:
        raise UserError("an evaluation needs a checkpoint: give --weights FILE")
    if not cfg.DATASETS.TEST:
        raise UserError("an evaluation needs DATASETS.TEST, the names of the sets to evaluate on")
    contents = task.read(cfg.MODEL.WEIGHTS) if contents is None else contents
    classes = task.saved_classes(contents)
    dataset = task.load_set(cfg.DATASETS.TEST[0], cfg, classes)
    classes = dataset.classes if classes is None else classes
    cfg = task.fitted(cfg, dataset, classes)
    model = task.build(cfg, classes, initial_weights=False)
    load_weights(task, cfg, model, classes, contents)
    return model, dataset, classes


def evaluate_checkpoint(
    task: Task, cfg: CfgNode, seed: int | None, contents: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Evaluate MODEL.WEIGHTS on every set of DATASETS.TEST."""
    model, _, classes = load_evaluated(task, cfg, contents)
    return evaluate_all(task, cfg, model, classes, seed)


def evaluate_all(
    task: Task, cfg: CfgNode, model: nn.Module, classes: Sequence[str], seed: int | None = None
) -> dict[str, Any]:
    """Evaluate on every set of DATASETS.TEST: {set: results}, {} on ranks above 0."""
    share_buffers(model)
    results = {}
    for name in cfg.DATASETS.TEST:
        result = task.evaluate(cfg, model, task.load_set(name, cfg, classes), classes, seed)
        if is_main_process():
            results[name] = result
        barrier()
    return results
