"""Time the networks against torchvision's s3d: in one process, weights copied, outputs compared.

Paired: every network in turn, round after round, in one process, so that a ratio is of the same minutes and the same
memory settings. As met: torchvision's s3d as its user runs it, in a process of its own with glibc's malloc as it is,
against ours as the tools run it; the processes take turns.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import backbones
from backbones.importers import load
from backbones.stages import output_size
from detect.utils.errors import UserError

REFERENCE = "torchvision"  # the name of the network that all ratios are to
COPY = "ours, its weights"  # our network with the reference's weights


def build_networks(names: tuple[str, ...], train: bool) -> dict[str, nn.Module]:
    """The reference, our copy of it, and the rows `names` of our family with random weights."""
    torch.manual_seed(0)
    reference = torchvision.models.video.s3d(weights=None, num_classes=400)
    nets = {REFERENCE: reference, COPY: load("torchvision", reference.state_dict())}
    nets |= {name: backbones.build(name, num_classes=400, conv_std=0.0) for name in names}
    for key, net in nets.items():
        net.train(train)
        if not train and key != REFERENCE:
            backbones.fold_batch_norm(net)
    return nets


def check_size(size: tuple[int, int, int]) -> None:
    """UserError if torchvision's head, an average pool of 2 x 7 x 7, does not fit."""
    last = tuple(size)
    for stage in backbones.build("torchvision_s3d", width=0.125).stages.children():
        last = output_size(stage, last)
    if last[0] < 2 or min(last[1:]) < 7:
        raise UserError(f"--size {size}: torchvision's s3d needs 2 x 7 x 7 cells at its head and would have {last}")


def step(net: nn.Module, clip: Tensor, train: bool) -> Callable[[], None]:
    """One forward pass, or with `train` one of forward and backward."""
    label = torch.zeros(len(clip), dtype=torch.long, device=clip.device)

    def infer() -> None:
        with torch.inference_mode():
            net(clip)

    def learn() -> None:
        net.zero_grad(set_to_none=True)
        cross_entropy(net(clip), label).backward()

    return learn if train else infer


def measure(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every step in every round, after one round to warm up."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, run in steps.items():
            start = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                times[name].append(time.perf_counter() - start)
    return times


def benchmark_networks(size: tuple[int, int, int], names: tuple[str, ...], train: bool, rounds: int) -> None:
    """Print the paired times and ratios at batch 1 and `size` (time, height, width), and how far outputs differ."""
    check_size(size)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    nets = {name: net.to(device) for name, net in build_networks(names, train).items()}
    clip = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)).to(device) * 2 - 1
    what = "training step" if train else "inference, batch normalisation folded"
    print(f"{what}, 1 x {' x '.join(map(str, size))}, {device}, {torch.get_num_threads()} threads")
    if not train:
        with torch.inference_mode():
            theirs, ours = nets[REFERENCE].features(clip), nets[COPY].stages(clip)
        print(f"largest difference of the last map: {float((ours - theirs).abs().max() / theirs.std()):.1e} of its std")
    times = measure({name: step(net, clip, train) for name, net in nets.items()}, rounds)
    print_ratios(times)


def print_ratios(times: dict[str, list[float]]) -> None:
    for name, seconds in times.items():
        ratios = [theirs / ours for theirs, ours in zip(times[REFERENCE], seconds, strict=True)]
        middle = f"median {statistics.median(seconds):6.3f} s, least {min(seconds):6.3f} s"
        print(f"{name:20s} {middle}, {REFERENCE} / this: median {statistics.median(ratios):.2f}")


def benchmark_as_met(size: tuple[int, int, int], names: tuple[str, ...], train: bool, rounds: int) -> None:
    """Print times and peak memory with a process for every network and round, ours tuned as the tools tune it."""
    check_size(size)
    times: dict[str, list[float]] = {name: [] for name in (REFERENCE, COPY, *names)}
    peaks: dict[str, float] = {}
    for _ in range(rounds):
        for name in times:
            seconds, peaks[name] = _run_alone(name, size, train)
            times[name].append(seconds)
    print("each in a process of its own, ours with the tools' malloc settings")
    print_ratios(times)
    print("peak memory: " + ", ".join(f"{name} {peak:.2f} GiB" for name, peak in peaks.items()))


def _run_alone(name: str, size: tuple[int, int, int], train: bool) -> tuple[float, float]:
    code = "import sys; from detect.benchmarks.networks import alone; alone(*sys.argv[1:])"
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
    times = measure({name: step(net, clip, training)}, repeats)[name]
    print(json.dumps([statistics.median(times), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20]))
