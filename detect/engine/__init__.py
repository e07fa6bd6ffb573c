"""The training loop and what it needs: optimiser, checkpoints, processes, metric writers, tool set-up."""

from detect.engine.checkpoint import ActionCheckpointer, CheckpointError, read_checkpoint
from detect.engine.defaults import default_argument_parser, default_setup, tune_malloc
from detect.engine.distributed import launch, wrap_model
from detect.engine.solver import build_lr_scheduler, build_optimizer, clip_norm
from detect.engine.trainer import Trainer
from detect.engine.writers import default_writers

__all__ = [
    "ActionCheckpointer",
    "CheckpointError",
    "Trainer",
    "build_lr_scheduler",
    "build_optimizer",
    "clip_norm",
    "default_argument_parser",
    "default_setup",
    "default_writers",
    "launch",
    "read_checkpoint",
    "tune_malloc",
    "wrap_model",
]
