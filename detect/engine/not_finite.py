"""Steps whose loss or gradient is infinite or no number: named, written down, and a few of them skipped."""

from __future__ import annotations

import logging
import math
import shlex
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from detect.utils.comm import all_gather_object, get_rank, is_main_process
from detect.utils.errors import UserError
from detect.utils.files import write_json

logger = logging.getLogger(__name__)

NOT_FINITE_FILE = "not_finite.json"


class NotFiniteError(UserError, FloatingPointError):
    """A loss or gradient is infinite or no number; the message names the iteration and the samples."""


class NotFiniteSteps:
    """Counts the steps of this run that were not finite; each is written to `folder`/not_finite.json as
    {"iteration", "skipped", "values", "samples"}, beside the run's seed and the command that comes to it again.

    allowed: so many are skipped, with a warning, before one stops the run.
    """

    def __init__(self, model: nn.Module, folder: str, allowed: int = 0, seed: int | None = None):
        self._folder, self._allowed, self._seed = folder, allowed, seed
        self._buffers = list(model.buffers()) if allowed > 0 else []
        self._saved: list[torch.Tensor] = []
        self._steps: list[dict[str, Any]] = []

    @property
    def count(self) -> int:
        return len(self._steps)

    def start_step(self) -> None:
        """Keep the running statistics, which the forward pass of a bad batch would spoil for good."""
        self._saved = [buffer.clone() for buffer in self._buffers]

    def skip(self, iteration: int, values: dict[str, float], samples: list[dict[str, Any]], newest: str) -> None:
        """Undo what the step did to the buffers, or NotFiniteError where no more may be skipped. Called on all ranks.

        samples: of this rank, as `sample_facts` gives them. newest: the last checkpoint, "" without one.
        """
        message = _message(iteration, values, samples)
        skipped = self.count < self._allowed
        self._write({"iteration": iteration, "skipped": skipped, "values": values}, samples)
        if not skipped:
            raise NotFiniteError(self._last_words(message, newest))
        for buffer, saved in zip(self._buffers, self._saved, strict=True):
            buffer.copy_(saved)
        logger.warning("%s. This step is skipped (%d of at most %d)", message, self.count, self._allowed)

    def _last_words(self, message: str, newest: str) -> str:
        before = f" after {self.count - 1} that were skipped" if self.count > 1 else ""
        written = f" (listed in {Path(self._folder) / NOT_FINITE_FILE})" if self._folder else ""
        return (
            f"{message}{before}. The last good checkpoint is {newest or 'none yet'}; the same command with --resume "
            f"comes to this batch again. Next: check these samples{written}, lower SOLVER.BASE_LR, or let "
            "SOLVER.SKIP_NOT_FINITE steps pass"
        )

    def _write(self, step: dict[str, Any], samples: list[dict[str, Any]]) -> None:
        everyone = all_gather_object([{"rank": get_rank(), **facts} for facts in samples])
        self._steps.append({**step, "samples": [facts for own in everyone for facts in own]})
        if self._folder and is_main_process():
            again = sys.argv if "--resume" in sys.argv else [*sys.argv[:1], "--resume", *sys.argv[1:]]
            facts = {"seed": self._seed, "replay": shlex.join(again), "steps": self._steps}
            write_json(Path(self._folder) / NOT_FINITE_FILE, facts)


def sample_facts(item: dict[str, Any]) -> dict[str, Any]:
    """What names a sample of a batch: its video, frame, image id and file, where it has them."""
    return {name: item[name] for name in ("video", "frame_index", "image_id", "file_name") if name in item}


def _message(iteration: int, values: dict[str, float], samples: list[dict[str, Any]]) -> str:
    text = ", ".join(f"{name} = {value:.6g}" for name, value in values.items())
    here = any(not math.isfinite(value) for value in values.values())
    where = f"the batch is {', '.join(map(_name, samples))}" if here else "it is in another process"
    return f"not finite at iteration {iteration}: {text}; {where}"


def _name(facts: dict[str, Any]) -> str:
    name = facts.get("video", facts.get("file_name", "unnamed"))
    return f"{name} frame {facts['frame_index']}" if "frame_index" in facts else str(name)
