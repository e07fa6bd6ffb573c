"""What `tools/train_net.py` does: train, evaluate, or see whether a few clips can be learned."""

from collections.abc import Sequence
from typing import Any

from detect.export.facts import is_exported
from detect.speed import speed_lines
from detect.tasks.detection import DETECTION
from detect.tasks.runner import run
from detect.utils.comm import launch
from detect.utils.errors import UserError


def train_net(
    config_file: str,
    opts: Sequence[Any] = (),
    *,
    weights: str = "",
    resume: bool = False,
    eval_only: bool = False,
    speed: str = "exact",
    overfit_check: bool = False,
    clips: int = 4,
    engine: str | None = None,
    num_gpus: int = 1,
    num_machines: int = 1,
    machine_rank: int = 0,
    dist_url: str = "auto",
) -> None:
    """See tools/train_net.py. UserError for arguments that exclude each other."""
    if speed != "exact" and not eval_only:
        raise UserError(f"--speed {speed} is for --eval-only; a training has INPUT.SPAN_FRAMES")
    if is_exported(weights) and (not eval_only or speed != "exact" or config_file):
        raise UserError(f"{weights}: an exported file has its config inside, and is for --eval-only at --speed exact")
    if engine not in (None, "torch") and not is_exported(weights):
        raise UserError(f"--engine {engine} is for an .onnx file of tools/export.py")
    if overfit_check:
        from detect.tasks import overfit

        if eval_only or resume or num_gpus * num_machines > 1:
            raise UserError("--overfit-check is a training of its own, in one process, never resumed")
        overfit.overfit_check(config_file, opts, weights, clips)
        return
    job = (DETECTION, config_file, [*speed_lines(speed), *opts], weights, resume, eval_only)
    if is_exported(weights):
        from detect.tasks.exported import ExportedTask, config_lines

        task = ExportedTask(engine)
        job = (task, "", [*config_lines(weights), *opts], weights, False, True, task.read(weights))
    launch(run, num_gpus, num_machines, machine_rank, dist_url, args=job)
