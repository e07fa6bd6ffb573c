"""The training loop: any model that maps a batch (list of dicts) to a dict of losses."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from detect.d2 import EventStorage
from detect.engine.checkpoint import ActionCheckpointer, random_state, set_random_state
from detect.engine.solver import clip_gradients
from detect.engine.writers import Writer
from detect.utils.comm import get_world_size, is_main_process, reduce_mean
from detect.utils.errors import UserError

logger = logging.getLogger(__name__)

_EXIT_ON_SIGTERM = 128 + signal.SIGTERM  # the status that a shell reports for a process ended by SIGTERM


class NotFiniteError(UserError, FloatingPointError):
    """A loss or gradient is infinite or no number; the message names the iteration and the samples."""


@dataclass(frozen=True)
class TrainerOptions:
    """How long, how, and when something is due; iterations count from 0.

    max_iter, start_iter: iterations start_iter .. max_iter - 1 are run.  checkpoint_period, write_period, eval_period:
    in iterations; eval_period 0 evaluates at the end only.  clip_norm: largest norm of the whole gradient; None does
    not clip.  accumulate: batches of one optimiser step.  amp_dtype: torch.bfloat16 for autocast, or None.
    """

    max_iter: int
    start_iter: int = 0
    checkpoint_period: int = 5000
    eval_period: int = 0
    write_period: int = 20
    clip_norm: float | None = None
    accumulate: int = 1
    amp_dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        if self.amp_dtype not in (None, torch.bfloat16):
            raise ValueError(f"amp_dtype is {self.amp_dtype}; it must be None or bfloat16, which needs no scaling")


class Trainer:
    """Runs the iterations of `options`, each one optimiser step.

    model: called with a batch, returns {name: scalar loss}; their sum is minimised. May be wrapped in
        DistributedDataParallel. Modules may call `get_event_storage().put_scalar(...)` meanwhile.
    data_iterable: batches; started again when it ends.
    checkpointer: saves `model_<iteration>` when due, before every evaluation and on SIGTERM, and `model_final` at the
        end, each with the last finished `iteration`.
    evaluate: called without arguments when due and at the end; its numbers, nested dicts joined by "/", go to the
        writers.

    On SIGTERM the running step is finished, a checkpoint saved, and SystemExit(143) raised. A loss or a
    gradient that is not finite raises NotFiniteError before the step is taken.
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
        self.stop_requested = False
        self._evaluating = False

    def train(self) -> dict[str, Any]:
        """Train to the end; returns the last evaluation's results, {} without one."""
        logger.info("Training from iteration %d to %d", self.options.start_iter, self.options.max_iter)
        self.model.train()
        results: dict[str, Any] = {}
        try:
            with EventStorage(self.options.start_iter) as storage, self._sigterm_requests_stop():
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
        start, data_time = time.perf_counter(), 0.0
        sums: dict[str, float] = {}
        for k in range(self.options.accumulate):
            data_start = time.perf_counter()
            batch = self._next_batch(batches)
            data_time += time.perf_counter() - data_start
            for name, value in self._backward(batch, last=k == self.options.accumulate - 1).items():
                sums[name] = sums.get(name, 0.0) + value / self.options.accumulate
        self._clip(batch, storage)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        storage.put_scalar("total_loss", sum(sums.values()))
        storage.put_scalars(**sums)
        storage.put_scalar("lr", self.optimizer.param_groups[0]["lr"], smoothing_hint=False)
        self.schedule.step()
        storage.put_scalars(time=time.perf_counter() - start, data_time=data_time)

    def _next_batch(self, batches: Iterator[list[dict]]) -> list[dict]:
        try:
            return next(batches)
        except RuntimeError:  # a loader process that the same SIGTERM ended
            if not self.stop_requested:
                raise
            self._leave(self.iteration - 1)

    def _backward(self, batch: list[dict], last: bool) -> dict[str, float]:
        """Add the gradients of a batch; returns its losses, averaged over ranks."""
        wait = last or not hasattr(self.model, "no_sync")  # DistributedDataParallel sums gradients once a step
        with nullcontext() if wait else self.model.no_sync():
            with torch.autocast(self.device.type, self.options.amp_dtype, enabled=self.options.amp_dtype is not None):
                losses = self.model(batch)
            values = torch.stack([loss.detach().float() for loss in losses.values()]).tolist()
            own = dict(zip(losses, values, strict=True))
            mean = reduce_mean(own, self.device)
            if not all(map(math.isfinite, mean.values())):
                raise NotFiniteError(self._not_finite(own, batch))
            (sum(losses.values()) / self.options.accumulate).backward()
        return mean

    def _clip(self, batch: list[dict], storage: EventStorage) -> None:
        if self.options.clip_norm is None:
            return
        norm = float(clip_gradients(self.model.parameters(), self.options.clip_norm))
        if not math.isfinite(norm):
            raise NotFiniteError(self._not_finite({"gradient norm": norm}, batch))
        storage.put_scalar("grad_norm", norm)

    def _not_finite(self, values: dict[str, float], batch: list[dict]) -> str:
        text = ", ".join(f"{name} = {value:.6g}" for name, value in values.items())
        here = any(not math.isfinite(value) for value in values.values())
        where = f"the batch is {', '.join(map(_sample_name, batch))}" if here else "it is in another process"
        step = "lower SOLVER.BASE_LR or check these samples"
        return f"not finite at iteration {self.iteration}: {text}; {where}. Next: {step}"

    def _after_step(self, storage: EventStorage) -> dict[str, Any]:
        """Checkpoint, evaluate, write, whatever is due; returns the evaluation's results or {}."""
        done = self.iteration + 1
        stop = reduce_mean({"stop": float(self.stop_requested)}, self.device)["stop"] > 0
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
            raise SystemExit(_EXIT_ON_SIGTERM)
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
        logger.info("Stopped by SIGTERM after iteration %d; --resume continues", finished)
        raise SystemExit(_EXIT_ON_SIGTERM)

    def _save(self, name: str, iteration: int) -> None:
        self.checkpointer.save(name, iteration=iteration)

    def _write(self, storage: EventStorage) -> None:
        for writer in self.writers:
            writer.write(storage)

    @contextmanager
    def _sigterm_requests_stop(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():  # Python allows handlers only there
            yield
            return
        owner, previous = os.getpid(), signal.getsignal(signal.SIGTERM)

        def request_stop(signum, frame) -> None:
            if os.getpid() != owner:  # a forked loader process
                return
            # A loader process that got the same signal must not break into the running step.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self.stop_requested = True
            if self._evaluating:  # may take hours; the checkpoint was saved before it
                raise SystemExit(_EXIT_ON_SIGTERM)

        signal.signal(signal.SIGTERM, request_stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, previous)


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


def _sample_name(item: dict) -> str:
    name = item.get("video", item.get("file_name", "unnamed"))
    return f"{name} frame {item['frame_index']}" if "frame_index" in item else str(name)
