"""A measurement in a process of its own, so that its peak of memory is its own."""

import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from detect.utils.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
KIB_A_GIB = 2**20


class NotMeasuredError(UserError):
    """The process failed or was killed; the message says how."""


class Measured(NamedTuple):
    """x: how much there was of what grows.  seconds: median.  before_gib: resident before it; peak_gib: the most."""

    x: float
    seconds: float
    before_gib: float
    peak_gib: float


def run_alone(function: Callable, *arguments: Any) -> Any:
    """What `function(*arguments)` of a module gives in a new process; both as JSON. NotMeasuredError."""
    code = (
        "import importlib, json, sys; module, name, arguments = sys.argv[1:]; "
        "print(json.dumps(getattr(importlib.import_module(module), name)(*json.loads(arguments))))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", code, function.__module__, function.__name__, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode < 0:
        memory = ", probably as memory ran out" if done.returncode == -signal.SIGKILL else ""
        raise NotMeasuredError(f"killed by {signal.Signals(-done.returncode).name}{memory}")
    if done.returncode:
        raise NotMeasuredError((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
    return json.loads(done.stdout.splitlines()[-1])


def measured(x: float, run: Callable[[], Any], repeats: int = 1, warm_up: bool = False) -> Measured:
    """Run it: the peak is of all runs, where the kernel lets it be counted from now on (Linux), else of the process."""
    _forget_peak()
    before, times = resident("VmRSS"), []
    if warm_up:
        run()
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return Measured(x, statistics.median(times), before, resident("VmHWM"))


def _forget_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def resident(name: str) -> float:
    """GiB of this process: "VmRSS" is now, "VmHWM" the most so far."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_A_GIB
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / KIB_A_GIB
