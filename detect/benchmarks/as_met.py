"""Networks as their users meet them: torchvision's s3d with glibc's malloc as it is, ours as the tools run it, each in
a process of its own; the processes take turns.
"""

import resource
import statistics
from functools import partial

import torch

from detect.benchmarks.alone import run_alone
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
            seconds, peaks[name] = run_alone(alone, name, size, train)
            times[name].append(seconds)
    kind = "A training step" if train else "Inference"
    what = (
        f"{kind} in fp32, 1 x {' x '.join(map(str, size))}, each in a process of its own, medians of {rounds} rounds,"
    )
    memory = {"peak memory, GiB": {name: f"{peak:.2f}" for name, peak in peaks.items()}}
    name = "train_as_met" if train else "networks_as_met"
    publish(timed_sheet(name, command, what, times, REFERENCE, memory), json_file)


def alone(name: str, size: tuple[int, int, int], train: bool, repeats: int = 3) -> tuple[float, float]:
    """In a process of its own: median seconds and peak resident GiB of one network."""
    if name != REFERENCE:
        from detect.utils.malloc import tune_malloc

        tune_malloc()
    nets = build_networks(() if name in (REFERENCE, COPY) else (name,), train)
    net = nets.pop(name)
    nets.clear()
    clip = torch.rand(1, 3, *size) * 2 - 1
    run = partial(learnt, net, clip, None) if train else partial(inferred, net, clip)
    times = measure({name: run}, repeats)[name]
    return statistics.median(times), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
