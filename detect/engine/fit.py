"""From a config and a model to a finished training run; the same for the detector and the classifier."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from detect.d2 import CfgNode
from detect.data.train_stream import build_train_loader
from detect.engine.checkpoint import ActionCheckpointer
from detect.engine.solver import build_lr_scheduler, build_optimizer, clip_norm, scale_learning_rate
from detect.engine.trainer import Trainer, TrainerOptions
from detect.engine.writers import default_writers
from detect.utils.comm import get_rank, get_world_size, is_main_process, wrap_model
from detect.utils.errors import UserError


def fit(
    cfg: CfgNode,
    model: nn.Module,
    batches: Callable[[int], Iterable[list[dict]]],
    evaluate: Callable[[], dict[str, Any]] | None,
    *,
    resumed: tuple[str, dict[str, Any]] | None = None,
    saved: nn.Module | None = None,
    tag: dict[str, Any] | None = None,
    entries: dict[str, Any] | None = None,
    after_step: Callable[[], None] | None = None,
    seed: int | None = None,
    **checkpointables: Any,
) -> dict[str, Any]:
    """Train to SOLVER.MAX_ITER; returns the last evaluation's results.

    model: has its starting weights, or those of `resumed`, what `read_last_checkpoint` gives, replace them.
    batches: from the first iteration to the batches from there on. saved: whose state dict a checkpoint holds as
    "model", by default the model. tag, entries, checkpointables: see `ActionCheckpointer`. after_step: called after
    each optimiser step. seed: of the run, for its records.
    """
    cfg = scale_learning_rate(cfg)
    optimizer = build_optimizer(cfg, model)
    schedule = build_lr_scheduler(cfg, optimizer)
    if after_step is not None:
        optimizer.register_step_post_hook(lambda *_: after_step())
    saved = model if saved is None else saved
    checkpointables.update(optimizer=optimizer, schedule=schedule)
    about = {"tag": tag, "entries": entries, "keep": cfg.SOLVER.KEEP_CHECKPOINTS}
    checkpointer = ActionCheckpointer(saved, cfg.OUTPUT_DIR, **about, **checkpointables)
    loaded = checkpointer.load(resumed[0], complete=True, contents=resumed[1]) if resumed else {}
    start = loaded.get("iteration", -1) + 1
    stream = batches(start)
    checkpointer.add_late("samples", stream, loaded)
    options = TrainerOptions(
        cfg.SOLVER.MAX_ITER,
        start,
        checkpoint_period=cfg.SOLVER.CHECKPOINT_PERIOD,
        eval_period=cfg.TEST.EVAL_PERIOD,
        clip_norm=clip_norm(cfg),
        accumulate=cfg.SOLVER.ACCUMULATE,
        amp_dtype=torch.bfloat16 if cfg.SOLVER.AMP.ENABLED else None,
        skip_not_finite=cfg.SOLVER.SKIP_NOT_FINITE,
        seed=seed,
    )
    writers = default_writers(cfg.OUTPUT_DIR, cfg.SOLVER.MAX_ITER) if is_main_process() else []
    parts = (wrap_model(model), optimizer, schedule, stream, checkpointer)
    return Trainer(*parts, options, writers, evaluate).train()


def training_stream(cfg: CfgNode, dataset, mapper: Callable, seed: int, start_iter: int = 0):
    """Endless batches of this process's share of SOLVER.IMS_PER_BATCH, from where iteration `start_iter` begins."""
    return build_train_loader(
        dataset,
        mapper,
        batch_per_process(cfg),
        seed=seed,
        num_workers=cfg.DATALOADER.NUM_WORKERS,
        start_sample=start_iter * cfg.SOLVER.IMS_PER_BATCH * cfg.SOLVER.ACCUMULATE,
        max_bad_share=cfg.DATALOADER.MAX_BAD_SHARE,
        bad_inputs_file=Path(cfg.OUTPUT_DIR) / "bad_inputs.txt",
        rank=get_rank(),
        world_size=get_world_size(),
    )


def batch_per_process(cfg: CfgNode) -> int:
    """This process's share of SOLVER.IMS_PER_BATCH; UserError if it does not divide."""
    world, batch = get_world_size(), cfg.SOLVER.IMS_PER_BATCH
    if batch % world:
        raise UserError(f"SOLVER.IMS_PER_BATCH is {batch}, not a multiple of the {world} processes")
    return batch // world


def share_buffers(model: nn.Module) -> None:
    """Give every process rank 0's running statistics, those that a checkpoint holds."""
    if get_world_size() > 1:
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, 0)
