"""A small model, data and trainer for the tests of the engine."""

import numpy as np
import torch
from torch import nn

from detect.config import get_cfg
from detect.d2 import get_event_storage
from detect.engine.checkpoint import ActionCheckpointer
from detect.engine.solver import build_lr_scheduler, build_optimizer
from detect.engine.trainer import Trainer, TrainerOptions


class ToyModel(nn.Module):
    """Two losses; dropout, batch norm and two random generators, all of which resuming must restore."""

    def __init__(self, width: int = 8, noise: bool = True):
        super().__init__()
        self.noise = noise
        self.net = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width) if noise else nn.Identity(), nn.Tanh())
        self.drop = nn.Dropout(0.3 if noise else 0.0)
        self.out = nn.Linear(width, 1)

    def forward(self, batch):
        x = torch.stack([item["x"] for item in batch])
        y = torch.stack([item["y"] for item in batch])
        if self.noise:
            x = x + 0.1 * float(np.random.rand())
        hidden = self.drop(self.net(x))
        error = self.out(hidden)[:, 0] - y
        get_event_storage().put_scalar("toy/error", float(error.detach().abs().mean()))
        return {"loss_fit": error.pow(2).mean(), "loss_small": 1e-3 * hidden.pow(2).mean()}


def toy_batches(count: int = 7, size: int = 4, start: int = 0, step: int = 1):
    """Batches of `size // step` items: those numbered start, start + step, ... of each full batch."""
    rng = np.random.default_rng(5)
    full = [
        [{"x": torch.from_numpy(rng.normal(size=3).astype("float32")), "y": torch.tensor(float(k % 3)),
          "video": f"v{b}", "frame_index": k, "image_id": f"v{b}#{k}"} for k in range(size)]
        for b in range(count)
    ]  # fmt: skip
    return [batch[start::step] for batch in full]


def toy_cfg(optimizer: str = "sgd"):
    cfg = get_cfg()
    cfg.merge_from_list(
        [
            "SOLVER.OPTIMIZER",
            optimizer,
            "SOLVER.BASE_LR",
            0.05,
            "SOLVER.WARMUP_ITERS",
            4,
            "SOLVER.MAX_ITER",
            12,
        ]
        + ["SOLVER.STEPS", (8,), "SOLVER.WEIGHT_DECAY", 0.01, "MODEL.DEVICE", "cpu"]
    )
    return cfg


def toy_trainer(folder, cfg=None, *, seed=0, resume=False, batches=None, max_iter=12, model=None, **options):
    """A trainer that resumes from `folder` if asked; the batches go on where the interrupted run stopped."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    cfg, model = cfg or toy_cfg(), model or ToyModel()
    optimizer = build_optimizer(cfg, model)
    schedule = build_lr_scheduler(cfg, optimizer)
    keep = options.pop("keep", 0)
    checkpointer = ActionCheckpointer(model, str(folder), keep=keep, optimizer=optimizer, schedule=schedule)
    start = checkpointer.resume_or_load("", resume=resume).get("iteration", -1) + 1
    batches = toy_batches() if batches is None else batches
    if isinstance(batches, list) and batches:
        shift = start % len(batches)
        batches = batches[shift:] + batches[:shift]
    rest = {name: options.pop(name) for name in ("writers", "evaluate") if name in options}
    options = TrainerOptions(max_iter, start, **{"checkpoint_period": 5, "clip_norm": 1.0, "seed": seed, **options})
    return Trainer(model, optimizer, schedule, batches, checkpointer, options, **rest)
