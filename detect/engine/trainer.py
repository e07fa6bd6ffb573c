"""The training loop: any model that maps a batch (list of dicts) to a dict of losses."""

from __future__ import annotations

import logging
import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from detect.d2 import EventStorage
from detect.data.train_stream import explain_killed_loader
from detect.engine.checkpoint import ActionCheckpointer, random_state, set_random_state
from detect.engine.not_finite import NotFiniteError, NotFiniteSteps, sample_facts
from detect.engine.solver import clip_gradients
from detect.engine.writers import Writer
from detect.utils.comm import all_gather_object, get_world_size, is_main_process, reduce_mean, stop_signals
from detect.utils.errors import UserError

logger = logging.getLogger(__name__)

__all__ = ["NotFiniteError", "Trainer", "TrainerOptions", "endless", "flatten"]


@dataclass(frozen=True)
class TrainerOptions:
    """How long, how, and when something is due; iterations count from 0.

    max_iter, start_iter: iterations start_iter .. max_iter - 1 are run.  checkpoint_period, write_period, eval_period:
    in iterations; eval_period 0 evaluates at the end only.  clip_norm: largest norm of the whole gradient; None does
    not clip.  accumulate: batches of one optimiser step.  amp_dtype: torch.bfloat16 for autocast, or None.
    skip_not_finite: so many steps of this run may pass without an optimiser step because a loss or gradient is not
    finite; one more stops it.  seed: of the run, for the record of such steps.
    """

    max_iter: int
    start_iter: int = 0
    checkpoint_period: int = 5000
    eval_period: int = 0
    write_period: int = 20
    clip_norm: float | None = None
    accumulate: int = 1
    amp_dtype: torch.dtype | None = None
    skip_not_finite: int = 0
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.amp_dtype not in (None, torch.bfloat16):
            raise ValueError(f"amp_dtype is {self.amp_dtype}; it must be None or bfloat16, which needs no scaling")


class Trainer:
    """Runs the iterations of `options`, each one optimiser step.

    model: called with a batch, returns {name: scalar loss}; their sum is minimised. May be wrapped in
        DistributedDataParallel. Modules may call `get_event_storage().put_scalar(...)` meanwhile.
    data_iterable: batches; started again when it ends.
    checkpointer: saves `model_<iteration>` when due, before every evaluation and on a stop signal, and `model_final` at
        the end, each with the last finished `iteration`.
    evaluate: called without arguments when due and at the end; its numbers, nested dicts joined by "/", go to the
        writers.

    On SIGINT, SIGTERM, SIGHUP or SIGUSR1 the running step is finished, a checkpoint saved, and SystemExit(128 + the
    signal's number) raised; a second Ctrl-C is a KeyboardInterrupt at once. A loss or a gradient that is not finite
    raises NotFiniteError before the step is taken, or has it skipped. UnusableFileError on a full disk: the checkpoint
    before stays the last.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        schedule: LRScheduler,
        data_iterable: Iterable[list[dict]],
        checkpointer: ActionCheckpointer,
        options: TrainerOptions,
        writers: Sequence[Writer] = (),
        evaluate: Callable[[], dict[str, Any]] | None = None,
    ):
        self.model, self.optimizer, self.schedule = model, optimizer, schedule
        self.data_iterable, self.checkpointer = data_iterable, checkpointer
        self.options, self.iteration = options, options.start_iter
        self.writers = list(writers) if is_main_process() else []
        self.evaluate = evaluate
        self.device = next(model.parameters()).device
        self.stop_signal = 0  # the number of the one that came first
        self.not_finite = NotFiniteSteps(model, checkpointer.save_dir, options.skip_not_finite, options.seed)
        self._evaluating = False

    def train(self) -> dict[str, Any]:
        """Train to the end; returns the last evaluation's results, {} without one."""
        logger.info("Training from iteration %d to %d", self.options.start_iter, self.options.max_iter)
        self.model.train()
        results: dict[str, Any] = {}
        try:
            stops = stop_signals(self._request_stop)
            with EventStorage(self.options.start_iter) as storage, stops, explain_killed_loader():
                batches = self._start_loading()
                for iteration in range(self.options.start_iter, self.options.max_iter):
                    self.iteration = storage.iter = iteration
                    self._step(batches, storage)
                    results = self._after_step(storage) or results
                if self.options.start_iter >= self.options.max_iter:  # resumed after the end
                    results = self._evaluate(storage)
                    self._write(storage)
        finally:
            for writer in self.writers:
                writer.close()
        return results

    def _start_loading(self) -> Iterator[list[dict]]:
        """The batches; a resumed run starts its loader without touching the random generators it restored."""
        batches = endless(self.data_iterable)
        if not 0 < self.options.start_iter < self.options.max_iter:
            return batches
        state = random_state()
        first = next(batches)  # a DataLoader draws its base seed here, as it did when the first run started
        set_random_state(state)
        return chain([first], batches)

    def _step(self, batches: Iterator[list[dict]], storage: EventStorage) -> None:
        start, data_time, samples = time.perf_counter(), 0.0, []
        sums: dict[str, float] = {}
        bad: dict[str, float] = {}
        self.not_finite.start_step()
        for k in range(self.options.accumulate):
            data_start = time.perf_counter()
            batch = self._next_batch(batches)
            data_time += time.perf_counter() - data_start
            if not bad:  # else it is only taken, so that the data go on in step
                samples += map(sample_facts, batch)
                bad = self._backward(batch, sums, last=k == self.options.accumulate - 1)
                samples = samples[-len(batch) :] if bad else samples
        bad = bad or self._clip(storage)
        if bad:
            self.not_finite.skip(self.iteration, bad, samples, self.checkpointer.newest)
            storage.put_scalar("not_finite_steps", self.not_finite.count, smoothing_hint=False)
        else:
            self.optimizer.step()
            storage.put_scalar("total_loss", sum(sums.values()))
            storage.put_scalars(**sums)
        self.optimizer.zero_grad(set_to_none=True)
        storage.put_scalar("lr", self.optimizer.param_groups[0]["lr"], smoothing_hint=False)
        self.schedule.step()
        storage.put_scalars(time=time.perf_counter() - start, data_time=data_time)

    def _next_batch(self, batches: Iterator[list[dict]]) -> list[dict]:
        try:
            return next(batches)
        except RuntimeError:  # a loader process that the same signal ended
            if not self.stop_signal:
                raise
            self._leave(self.iteration - 1)

    def _backward(self, batch: list[dict], sums: dict[str, float], last: bool) -> dict[str, float]:
        """Add the gradients of a batch, and its share of the losses, averaged over ranks, to `sums`.

        Where a loss of any rank is not finite nothing is added; returns this rank's losses then, else {}.
        """
        wait = last or not hasattr(self.model, "no_sync")  # DistributedDataParallel sums gradients once a step
        with nullcontext() if wait else self.model.no_sync():
            with torch.autocast(self.device.type, self.options.amp_dtype, enabled=self.options.amp_dtype is not None):
                losses = self.model(batch)
            values = torch.stack([loss.detach().float() for loss in losses.values()]).tolist()
            own = dict(zip(losses, values, strict=True))
            mean = reduce_mean(own, self.device)
            if not all(map(math.isfinite, mean.values())):
                return own
            (sum(losses.values()) / self.options.accumulate).backward()
        for name, value in mean.items():
            sums[name] = sums.get(name, 0.0) + value / self.options.accumulate
        return {}

    def _clip(self, storage: EventStorage) -> dict[str, float]:
        """Clip the gradient; returns its norm if that is not finite, else {}."""
        limit = self.options.clip_norm
        norm = float(clip_gradients(self.model.parameters(), math.inf if limit is None else limit))
        if not math.isfinite(norm):
            return {"gradient norm": norm}
        if limit is not None:
            storage.put_scalar("grad_norm", norm)
        return {}

    def _after_step(self, storage: EventStorage) -> dict[str, Any]:
        """Checkpoint, evaluate, write, whatever is due; returns the evaluation's results or {}."""
        done = self.iteration + 1
        stop = reduce_mean({"stop": float(self.stop_signal)}, self.device)["stop"] > 0
        if stop:
            self.stop_signal = max(all_gather_object(self.stop_signal))
        last = done == self.options.max_iter
        if stop and not last:
            self._leave(self.iteration, storage)
        evaluation_due = self.evaluate is not None and (last or self._every(self.options.eval_period))
        if last:
            self._save("model_final", self.iteration)
        elif evaluation_due or self._every(self.options.checkpoint_period):
            self._save(f"model_{self.iteration:07d}", self.iteration)
        results = self._evaluate(storage) if evaluation_due and not stop else {}
        if last or evaluation_due or self._every(self.options.write_period):
            self._write(storage)
        if stop:
            raise SystemExit(128 + self.stop_signal)
        return results

    def _every(self, period: int) -> bool:
        return period > 0 and (self.iteration + 1) % period == 0

    def _evaluate(self, storage: EventStorage) -> dict[str, Any]:
        if self.evaluate is None:
            return {}
        state = random_state()  # evaluating leaves no trace in training, be it resumed before or after
        self._evaluating = True
        try:
            results = self.evaluate() or {}
        finally:
            self._evaluating = False
            self.model.train()
            set_random_state(state)
        for name, value in flatten(results).items():
            storage.put_scalar(name, value, smoothing_hint=False)
        return results

    def _leave(self, finished: int, storage: EventStorage | None = None) -> None:
        """Save what iteration `finished` left and exit; without `storage` other ranks may be elsewhere."""
        if finished >= self.options.start_iter and (storage is not None or get_world_size() == 1):
            self._save(f"model_{finished:07d}", finished)
        if storage is not None:
            self._write(storage)
        name = signal.Signals(self.stop_signal).name
        logger.info("Stopped by %s after iteration %d; --resume continues", name, finished)
        raise SystemExit(128 + self.stop_signal)

    def _save(self, name: str, iteration: int) -> None:
        self.checkpointer.save(name, iteration=iteration)

    def _write(self, storage: EventStorage) -> None:
        for writer in self.writers:
            writer.write(storage)

    def _request_stop(self, signum: int) -> None:
        # A loader process that got the same signal must not break into the running step.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.stop_signal = self.stop_signal or signum
        if self._evaluating:  # may take hours; the checkpoint was saved before it
            raise SystemExit(128 + signum)


def endless(batches: Iterable[list[dict]]) -> Iterator[list[dict]]:
    """The batches again and again. UserError if there are none."""
    while True:
        count = 0
        for batch in batches:
            count += 1
            yield batch
        if count == 0:
            raise UserError("the training data has no batches; see DATASETS.TRAIN and SOLVER.IMS_PER_BATCH")


def flatten(results: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """{"a": {"b": 1.0}} -> {"a/b": 1.0}; what is not a finite number is left out, as JSON has none."""
    flat: dict[str, float] = {}
    for name, value in results.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{name}/"))
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            flat[prefix + name] = float(value)
    return flat
