"""One process or many: ranks, collectives that also work alone, and the launcher."""

from __future__ import annotations

import ctypes
import functools
import multiprocessing
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from detect.utils.errors import UserError, explain_errors
from detect.utils.shards import torchrun_processes

_TIMEOUT = timedelta(minutes=30)
# Ctrl-C, a scheduler's end, a closed terminal, and SLURM's usual warning before the end
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
# Seconds in which another SIGINT is the same Ctrl-C: a rank gets it from the terminal and from its starter.
_SAME_CTRL_C = 0.5
_PR_SET_PDEATHSIG = 1  # prctl(2): the signal that the kernel sends when the parent ends
# Seconds in which whoever started the processes sees which one ended first, and ends the others
_TO_BE_ENDED = 3
_LOST = ("gloo/transport", "NCCL", "Broken pipe", "by peer")  # in messages of collectives and of their store
_WHERE = re.compile(r"\[[^]]*\.cc:\d+\] ")  # of the library's source


class LostRankError(UserError, ConnectionError):
    """Another process of the run has ended or cannot be reached."""


def get_rank() -> int:
    """Number of this process, 0 where there is only one."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def get_world_size() -> int:
    """Count of all processes on all machines."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_main_process() -> bool:
    return get_rank() == 0


def barrier() -> None:
    """Wait for all processes."""
    if get_world_size() > 1:
        dist.barrier()


def all_gather_object(value: Any) -> list[Any]:
    """[value of rank 0, value of rank 1, ...] on every rank; values are pickled."""
    if get_world_size() == 1:
        return [value]
    values: list[Any] = [None] * get_world_size()
    dist.all_gather_object(values, value)
    return values


@functools.cache
def _cpu_group():
    """NCCL would move pickled values through GPU memory."""
    return dist.new_group(backend="gloo") if dist.get_backend() == "nccl" else None


def gather_object(value: Any) -> list[Any]:
    """[value of rank 0, value of rank 1, ...] on rank 0, an empty list elsewhere; values are pickled."""
    if get_world_size() == 1:
        return [value]
    values: list[Any] | None = [None] * get_world_size() if get_rank() == 0 else None
    dist.gather_object(value, values, dst=0, group=_cpu_group())
    return values or []


def reduce_mean(values: dict[str, float], device: torch.device | str = "cpu") -> dict[str, float]:
    """The mean over ranks of each value, on every rank. All ranks pass the same names.

    `device` holds the numbers on the way: a CUDA device for the NCCL backend.
    """
    if get_world_size() == 1:
        return dict(values)
    names = sorted(values)
    own = torch.tensor([float(values[name]) for name in names], dtype=torch.float64, device=device)
    return dict(zip(names, mean_of_ranks(own).tolist(), strict=True))


def mean_of_ranks(value: torch.Tensor) -> torch.Tensor:
    """The mean over ranks of a tensor, on its device, without a gradient."""
    if get_world_size() > 1:
        value = value.detach().clone()
        dist.all_reduce(value)
        value /= get_world_size()
    return value


def wrap_model(model: nn.Module, find_unused_parameters: bool = False) -> nn.Module:
    """The model itself in one process, DistributedDataParallel over it in several."""
    if get_world_size() == 1:
        return model
    device = next(model.parameters()).device
    ids = [device.index] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(model, device_ids=ids, find_unused_parameters=find_unused_parameters)


def launch(
    main: Callable,
    num_gpus: int = 1,
    num_machines: int = 1,
    machine_rank: int = 0,
    dist_url: str = "auto",
    args: tuple = (),
) -> Any:
    """Run `main(*args)` in `num_gpus * num_machines` processes: over NCCL, or without GPUs over gloo.

    Under torchrun (RANK and WORLD_SIZE in the environment) this process is one of them; none is started.
    Returns what `main` returns if it ran in this process, else None. STOP_SIGNALS are passed on to the processes
    started here; a second Ctrl-C ends them. They end with this process, however it ends. If one of them fails its
    error is raised, as SystemExit if it left with an exit code.
    """
    world_size = num_gpus * num_machines
    if torchrun_processes() > 1:
        return _run_under_torchrun(main, args)
    if world_size == 1:
        return main(*args)
    if torch.cuda.is_available() and num_gpus > torch.cuda.device_count():
        raise UserError(f"--num-gpus {num_gpus}, but this machine has {torch.cuda.device_count()}")
    if dist_url == "auto":
        if num_machines > 1:
            raise UserError("--dist-url must name machine 0 (tcp://host:port) with several machines")
        dist_url = f"tcp://127.0.0.1:{free_port()}"
    worker_args = (main, args, num_gpus, machine_rank, world_size, dist_url)
    processes = mp.start_processes(_worker, worker_args, nprocs=num_gpus, join=False, start_method="spawn")
    _join(processes)
    return None


def free_port() -> int:
    """A TCP port of this machine that nothing listens on now."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@contextmanager
def stop_signals(handle: Callable[[int], None]) -> Iterator[None]:
    """Within the block each of STOP_SIGNALS calls `handle` with its number, and a second Ctrl-C raises
    KeyboardInterrupt.

    One that was ignored, as nohup does with SIGHUP, still is. Forked processes do nothing on these signals: the one
    that entered the block ends them. Python has handlers in the main thread only; elsewhere nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner, interrupts = os.getpid(), []

    def on_signal(signum: int, frame: Any) -> None:
        if os.getpid() != owner:
            return
        if signum == signal.SIGINT:
            interrupts.append(time.monotonic())
            if len(interrupts) > 1 and interrupts[-1] - interrupts[-2] < _SAME_CTRL_C:
                interrupts.pop()
                return
            if len(interrupts) > 1:
                raise KeyboardInterrupt
        handle(signum)

    previous = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    previous = {number: old for number, old in previous.items() if old not in (signal.SIG_IGN, None)}
    try:
        for number in previous:
            signal.signal(number, on_signal)
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old)


def _worker(local_rank, main, args, num_gpus, machine_rank, world_size, dist_url) -> None:
    end_with_parent()
    take_own_gpu(local_rank)
    rank = machine_rank * num_gpus + local_rank
    try:
        with explain_errors():
            _run_as_rank(main, args, init_method=dist_url, rank=rank, world_size=world_size)
    except KeyboardInterrupt:  # which torch would take for success
        raise SystemExit(128 + signal.SIGINT) from None


def end_with_parent() -> None:
    """Make this process end when the one that started it does, also by kill -9 and where SIGINT is ignored.

    On Linux when the thread that started it does: prctl(2).
    """
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) == 0:
        if not multiprocessing.parent_process().is_alive():  # before the kernel knew
            os._exit(1)
        return

    def wait() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _run_under_torchrun(main: Callable, args: tuple) -> Any:
    take_own_gpu()
    return _run_as_rank(main, args, init_method="env://")


def take_own_gpu(local_rank: int | None = None) -> None:
    """Make "cuda" the GPU of this process: number `local_rank` of this machine, by default as torchrun says."""
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)) if local_rank is None else local_rank)


def _run_as_rank(main: Callable, args: tuple, **where: Any) -> Any:
    """`main(*args)` within the process group. LostRankError if another process ends before its end."""
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    try:
        dist.init_process_group(backend, timeout=_TIMEOUT, **where)
        barrier()
        result = main(*args)
    except RuntimeError as error:
        if isinstance(error, UserError) or not any(text in str(error) for text in _LOST):
            raise
        time.sleep(_TO_BE_ENDED)  # the process that ended first is to be the one that is named
        rank = os.environ.get("RANK", where.get("rank"))
        raise LostRankError(
            f"rank {rank}: another process of this run has ended or cannot be reached, see its own message "
            f"({_WHERE.sub('', str(error)).splitlines()[0].split('. ')[0]}). Next: mend that, then go on with --resume"
        ) from error
    dist.destroy_process_group()
    _cpu_group.cache_clear()  # the process may have further runs
    return result


def _join(context: mp.ProcessContext) -> None:
    """Wait for the processes; pass stop signals on to them, so that each can save and leave."""

    def forward(signum: int) -> None:
        for process in context.processes:
            if process.is_alive():
                os.kill(process.pid, signum)

    try:
        with stop_signals(forward):
            while not context.join():
                pass
    except mp.ProcessExitedException as error:
        if error.exit_code == -signal.SIGKILL:
            print(f"error: process {error.error_index} of {len(context.processes)} here was killed (out of memory?)",
                  file=sys.stderr)  # fmt: skip
        raise SystemExit(error.exit_code if error.exit_code > 0 else 128 - error.exit_code) from error
    except KeyboardInterrupt:
        forward(signal.SIGKILL)
        raise
