"""Networks as their users meet them: torchvision's s3d with glibc's malloc as it is, ours as the tools run it, each in
a process of its own; the processes take turns.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path

import torch

from detect.benchmarks.networks import COPY, REFERENCE, build_networks, check_size, inferred, learnt, measure
from detect.benchmarks.sheet import publish, timed_sheet


def benchmark_as_met(
    size: tuple[int, int, int],
    names: tuple[str, ...],
    *,
    train: bool = False,
    rounds: int = 7,
    json_file: str = "",
    command: str = "",
) -> None:
    """Times and peak memory with a process for every network and round, ours tuned as the tools tune it."""
    check_size(size)
    times: dict[str, list[float]] = {name: [] for name in (REFERENCE, COPY, *names)}
    peaks: dict[str, float] = {}
    for _ in range(rounds):
        for name in times:
            seconds, peaks[name] = _run_alone(name, size, train)
            times[name].append(seconds)
    kind = "A training step" if train else "Inference"
    what = (
        f"{kind} in fp32, 1 x {' x '.join(map(str, size))}, each in a process of its own, medians of {rounds} rounds,"
    )
    memory = {"peak memory, GiB": {name: f"{peak:.2f}" for name, peak in peaks.items()}}
    name = "train_as_met" if train else "networks_as_met"
    publish(timed_sheet(name, command, what, times, REFERENCE, memory), json_file)


def _run_alone(name: str, size: tuple[int, int, int], train: bool) -> tuple[float, float]:
    code = "import sys; from detect.benchmarks.as_met import alone; alone(*sys.argv[1:])"
    arguments = [name, json.dumps(size), json.dumps(train)]
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, env=environment
    )
    seconds, peak = json.loads(done.stdout.splitlines()[-1])
    return seconds, peak


def alone(name: str, size: str, train: str, repeats: int = 3) -> None:
    """In a process of its own: print [median seconds, peak resident GiB] of one network."""
    if name != REFERENCE:
        from detect.utils.malloc import tune_malloc

        tune_malloc()
    training = json.loads(train)
    nets = build_networks(() if name in (REFERENCE, COPY) else (name,), training)
    net = nets.pop(name)
    nets.clear()
    clip = torch.rand(1, 3, *json.loads(size)) * 2 - 1
    run = partial(learnt, net, clip, None) if training else partial(inferred, net, clip)
    times = measure({name: run}, repeats)[name]
    print(json.dumps([statistics.median(times), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20]))
