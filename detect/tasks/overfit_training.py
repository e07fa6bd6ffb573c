"""Training on a few clips until all of them are found."""

import logging
from collections.abc import Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from detect.d2 import CfgNode
from detect.data.records import KeyframeDataset
from detect.engine.checkpoint import random_state, set_random_state
from detect.engine.fit import fit
from detect.engine.not_finite import NotFiniteError
from detect.evaluation.overfit_measures import Measures, measure
from detect.tasks.detection import DETECTION
from detect.tasks.overfit_verdict import Learned
from detect.tasks.runner import load_weights, settled

logger = logging.getLogger(__name__)
MOST_STEPS, TRIAL_STEPS = 1000, 40
EVERY = 10  # steps between two looks at the score
REFRESHED = 20  # batches of which running statistics are taken anew

Items = Sequence[dict[str, Any]]  # the clips as a test gives them


class _Reached(Exception):
    """All are found: no more steps."""


def overfit_config(cfg: CfgNode, count: int) -> CfgNode:
    """The run's config without what makes learning by heart harder: augmentation, dropout, decay, a falling rate.

    A batch has no more than `count` clips: it would have the same ones again.
    """
    steps = min(cfg.SOLVER.MAX_ITER, MOST_STEPS)
    return cfg.changed([
        "INPUT.FLIP_PROB", 0.0, "INPUT.COLOR_JITTER", 0.0, "INPUT.SCALE_JITTER", (1.0, 1.0), "INPUT.SPAN_FRAMES", 0,
        "INPUT.SPEED_JITTER", (1.0, 1.0), "INPUT.BACKGROUND_PROB", 0.0,
        "MODEL.ROI_BOX_HEAD.DROPOUT", 0.0, "SOLVER.WEIGHT_DECAY", 0.0, "SOLVER.EMA_DECAY", 0.0,
        "SOLVER.LR_SCHEDULER_NAME", "WarmupMultiStepLR", "SOLVER.STEPS", (), "SOLVER.MAX_ITER", steps,
        "SOLVER.IMS_PER_BATCH", min(cfg.SOLVER.IMS_PER_BATCH, count), "SOLVER.REFERENCE_BATCH", 0,
        "SOLVER.WARMUP_ITERS", min(cfg.SOLVER.WARMUP_ITERS, steps // 20), "SOLVER.CHECKPOINT_PERIOD", steps + 1,
        "DATASETS.TEST", (), "SEED", max(cfg.SEED, 0), "OUTPUT_DIR", str(Path(cfg.OUTPUT_DIR) / "overfit_check"),
    ])  # fmt: skip


def learn(cfg: CfgNode, clips: KeyframeDataset, items: Items, contents: dict[str, Any] | None = None) -> Learned:
    """Train a new model on the clips until it finds all of them, or to SOLVER.MAX_ITER; without `items` its score is
    not looked at. contents: of MODEL.WEIGHTS, where it was read already.
    """
    torch.manual_seed(cfg.SEED)
    model = DETECTION.build(cfg, clips.classes, initial_weights=True)
    cfg = settled(DETECTION, cfg, DETECTION.facts(model))
    load_weights(DETECTION, cfg, model, clips.classes, contents)
    learned = Learned()

    def note_loss(_model: nn.Module, _inputs: Any, losses: Any) -> None:
        if model.training and isinstance(losses, dict):
            learned.losses.append(float(sum(losses.values()).detach()))

    def after_step() -> None:
        steps = len(learned.losses) // cfg.SOLVER.ACCUMULATE
        if items and (steps % EVERY == 0 or steps == cfg.SOLVER.MAX_ITER):
            learned.measures.append(look(cfg, model, clips, items))
            logger.info("step %d: %s", steps, learned.measures[-1].line())
            if learned.reached:
                raise _Reached

    handle = model.register_forward_hook(note_loss)
    try:
        fit(cfg, model, partial(DETECTION.training_batches, cfg, clips, cfg.SEED), None, after_step=after_step)
    except _Reached:
        pass
    except NotFiniteError as error:
        learned.not_finite = str(error)
    handle.remove()
    if learned.measures and not learned.reached and not learned.not_finite:
        # batch normalisation, but for what is frozen: that is never in training mode
        norms = [module for module in model.modules() if hasattr(module, "reset_running_stats") and module.training]
        learned.momentum = min((norm.momentum for norm in norms), default=1.0)
        learned.refreshed = look_with_new_statistics(cfg, model, norms, clips, items) if norms else None
    return learned


@torch.no_grad()
def look(cfg: CfgNode, model: nn.Module, clips: KeyframeDataset, items: Items) -> Measures:
    """How far the model is on the clips; leaves no trace in the training."""
    state, size = random_state(), max(1, cfg.TEST.IMS_PER_BATCH)
    model.eval()
    outputs = [output for start in range(0, len(items), size) for output in model(list(items[start : start + size]))]
    model.train()
    set_random_state(state)
    return measure(clips.dataset, items, outputs, cfg.TEST.PRESET)


@torch.no_grad()
def look_with_new_statistics(
    cfg: CfgNode, model: nn.Module, norms: Sequence[nn.Module], clips: KeyframeDataset, items: Items
) -> Measures:
    """As `look`, after the running statistics of batch normalisation were taken anew from batches of the clips."""
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
    model.train()
    for batch in islice(DETECTION.training_batches(cfg, clips, cfg.SEED), REFRESHED):
        model(batch)
    return look(cfg, model, clips, items)


def try_out(
    cfg: CfgNode,
    clips: KeyframeDataset,
    items: Items,
    contents: dict[str, Any] | None,
    opts: Sequence[Any],
    whole: bool = False,
) -> Learned:
    """A training with changes of the config, KEY VALUE ...: of TRIAL_STEPS without a score or, `whole`, as `learn`."""
    steps = cfg.SOLVER.MAX_ITER if whole else min(TRIAL_STEPS, cfg.SOLVER.MAX_ITER)
    logger.info("trying for %d steps: %s", steps, " ".join(map(str, opts)) or "the config as it is")
    where = ["SOLVER.MAX_ITER", steps, "OUTPUT_DIR", str(Path(cfg.OUTPUT_DIR) / "trial")]
    return learn(cfg.changed([*where, *opts]), clips, items if whole else (), contents)
