"""Optimiser, learning-rate schedule and gradient clipping, from the SOLVER section of the config."""

from __future__ import annotations

import logging
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from detect.d2 import CfgNode
from detect.utils.errors import UserError

logger = logging.getLogger(__name__)

_NORM_LAYERS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
    *(nn.GroupNorm, nn.LayerNorm),
)


def scale_learning_rate(cfg: CfgNode) -> CfgNode:
    """The config with BASE_LR and BASE_LR_END for the clips of a step, IMS_PER_BATCH * ACCUMULATE.

    Linear in the batch (Goyal et al., 2017): a config's rate belongs to SOLVER.REFERENCE_BATCH clips a step; 0 leaves
    it as it is. The steps stay as configured; the log says how many give the same number of epochs.
    """
    solver = cfg.SOLVER
    batch, reference = solver.IMS_PER_BATCH * solver.ACCUMULATE, solver.REFERENCE_BATCH
    if reference < 0:
        raise UserError(f"SOLVER.REFERENCE_BATCH is {reference}; it must be 0 or the clips a step that BASE_LR is for")
    if reference in (0, batch):
        return cfg
    scale = batch / reference
    scaled = cfg.clone()
    scaled.defrost()
    scaled.SOLVER.BASE_LR, scaled.SOLVER.BASE_LR_END = solver.BASE_LR * scale, solver.BASE_LR_END * scale
    scaled.freeze()
    logger.info(
        "%d clips a step instead of SOLVER.REFERENCE_BATCH %d: learning rate %.6g instead of %.6g; as many epochs take "
        "SOLVER.MAX_ITER %d SOLVER.STEPS %s",
        *(batch, reference, scaled.SOLVER.BASE_LR, solver.BASE_LR, round(solver.MAX_ITER / scale)),
        tuple(round(step / scale) for step in solver.STEPS),
    )
    return scaled


def build_optimizer(cfg: CfgNode, model: nn.Module) -> Optimizer:
    """SGD or AdamW over the trainable parameters, grouped by learning rate and weight decay.

    Detectron2's rules: WEIGHT_DECAY_NORM for parameters of normalisation layers; WEIGHT_DECAY_BIAS (if not
    None) and BIAS_LR_FACTOR for every parameter named `bias`, those of normalisation layers included.
    ValueError for an unknown SOLVER.OPTIMIZER or a model without trainable parameters.
    """
    solver = cfg.SOLVER
    groups = parameter_groups(cfg, model)
    if solver.OPTIMIZER == "sgd":
        return torch.optim.SGD(groups, solver.BASE_LR, solver.MOMENTUM, nesterov=solver.NESTEROV)
    if solver.OPTIMIZER == "adamw":
        return torch.optim.AdamW(groups, solver.BASE_LR)
    raise UserError(f"SOLVER.OPTIMIZER is {solver.OPTIMIZER!r}; it must be 'sgd' or 'adamw'")


def parameter_groups(cfg: CfgNode, model: nn.Module) -> list[dict]:
    """[{"params", "lr", "weight_decay"}], each trainable parameter in one of them."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    seen: set[nn.Parameter] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad and parameter not in seen:
                seen.add(parameter)
                groups.setdefault(_hyperparameters(cfg.SOLVER, module, name), []).append(parameter)
    if not groups:
        raise UserError("the model has no trainable parameters; see the FREEZE_AT keys of the config")
    return [{"params": params, "lr": lr, "weight_decay": decay} for (lr, decay), params in groups.items()]


def _hyperparameters(solver: CfgNode, module: nn.Module, name: str) -> tuple[float, float]:
    lr, decay = solver.BASE_LR, solver.WEIGHT_DECAY
    if isinstance(module, _NORM_LAYERS):
        decay = solver.WEIGHT_DECAY_NORM
    if name == "bias":
        lr *= solver.BIAS_LR_FACTOR
        decay = decay if solver.WEIGHT_DECAY_BIAS is None else solver.WEIGHT_DECAY_BIAS
    return lr, decay


def build_lr_scheduler(cfg: CfgNode, optimizer: Optimizer) -> LambdaLR:
    """The schedule of `lr_multiplier`; call `.step()` once after every optimiser step."""
    return LambdaLR(optimizer, lr_multiplier(cfg))


def lr_multiplier(cfg: CfgNode) -> Callable[[int], float]:
    """Iteration (0-based) -> factor of the base learning rate; the values are Detectron2's.

        WarmupMultiStepLR  d(i) = GAMMA ** (number of STEPS <= i)
        WarmupCosineLR     d(i) = e + (1 - e) * (1 + cos(pi * i / MAX_ITER)) / 2,  e = BASE_LR_END / BASE_LR
        warm-up, i < W     WARMUP_FACTOR * (1 - i / W) + d(W) * i / W   linear, W = WARMUP_ITERS
                           WARMUP_FACTOR                                constant

    ValueError for an unknown LR_SCHEDULER_NAME or WARMUP_METHOD.
    """
    solver = cfg.SOLVER
    decay, warmup, factor = _decay(solver), min(solver.WARMUP_ITERS, solver.MAX_ITER), solver.WARMUP_FACTOR
    if solver.WARMUP_METHOD not in ("linear", "constant"):
        raise UserError(f"SOLVER.WARMUP_METHOD is {solver.WARMUP_METHOD!r}; it must be 'linear' or 'constant'")

    def multiplier(iteration: int) -> float:
        if iteration >= warmup:
            return decay(iteration)
        progress = iteration / warmup if solver.WARMUP_METHOD == "linear" else 0.0
        return factor * decay(0) * (1 - progress) + decay(warmup) * progress

    return multiplier


def _decay(solver: CfgNode) -> Callable[[int], float]:
    if solver.LR_SCHEDULER_NAME == "WarmupMultiStepLR":
        steps = sorted(solver.STEPS)
        return lambda iteration: solver.GAMMA ** bisect_right(steps, iteration)
    if solver.LR_SCHEDULER_NAME == "WarmupCosineLR":
        end = solver.BASE_LR_END / solver.BASE_LR
        return lambda i: end + (1 - end) * (1 + math.cos(math.pi * min(i / solver.MAX_ITER, 1.0))) / 2
    legal = "'WarmupMultiStepLR' or 'WarmupCosineLR'"
    raise UserError(f"SOLVER.LR_SCHEDULER_NAME is {solver.LR_SCHEDULER_NAME!r}; it must be {legal}")


def clip_norm(cfg: CfgNode) -> float | None:
    """The largest allowed norm of the whole model's gradient, or None where clipping is off.

    ValueError for another CLIP_TYPE or NORM_TYPE than "full_model" and 2, the only ones built here.
    """
    clip = cfg.SOLVER.CLIP_GRADIENTS
    if not clip.ENABLED:
        return None
    if clip.CLIP_TYPE != "full_model" or clip.NORM_TYPE != 2.0:
        found = f"CLIP_TYPE is {clip.CLIP_TYPE!r} and NORM_TYPE {clip.NORM_TYPE}"
        raise UserError(f"SOLVER.CLIP_GRADIENTS: {found}; they must be 'full_model' and 2.0")
    return clip.CLIP_VALUE


def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float) -> torch.Tensor:
    """Scale all gradients so that their joint Euclidean norm is at most `max_norm`; returns it as it was."""
    return nn.utils.clip_grad_norm_(list(parameters), max_norm)


def clip_before_step(optimizer: Optimizer, max_norm: float) -> None:
    """Make every `optimizer.step()` clip first: for loops that are not ours, such as Detectron2's."""

    def clip(optimizer: Optimizer, *_) -> None:
        clip_gradients((p for group in optimizer.param_groups for p in group["params"]), max_norm)

    optimizer.register_step_pre_hook(clip)
