"""Time the networks against torchvision's s3d and against other engines: weights copied, outputs compared.

Paired: every row in turn, round after round, in one process, so that a ratio is of the same minutes and the same memory
settings.
"""

import copy
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import backbones
from backbones.importers import load
from backbones.stages import output_size
from detect.benchmarks.engines import Run, engine_rows, export_onnx, installed
from detect.benchmarks.sheet import publish, timed_sheet
from detect.modeling.precision import lower_convolutions
from detect.utils.errors import UserError

REFERENCE = "torchvision"  # the name of the network that all ratios are to
COPY = "ours with its weights"  # our network with the reference's weights
FIRST = f"{REFERENCE} fp32"  # the row that all ratios are to


def build_networks(names: tuple[str, ...], train: bool) -> dict[str, nn.Module]:
    """The reference, our copy of it, and the rows `names` of our family with random weights."""
    torch.manual_seed(0)
    reference = torchvision.models.video.s3d(weights=None, num_classes=400)
    calibrate(reference)
    nets = {REFERENCE: reference, COPY: load("torchvision", reference.state_dict())}
    nets |= {name: backbones.build(name, num_classes=400, conv_std=0.0) for name in names}
    for key, net in nets.items():
        net.train(train)
        if not train and key != REFERENCE:
            backbones.fold_batch_norm(net)
    return nets


@torch.no_grad()
def calibrate(net: nn.Module) -> None:
    """Batch normalisation as trained weights have it, activations neither vanishing nor growing: else differences
    between two ways to compute a random network say nothing.
    """
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm3d)]
    for norm in norms:
        norm.momentum = None  # the mean over the passes
        norm.reset_running_stats()
    net.train()(torch.randn(1, 3, 16, 224, 224))


def check_size(size: tuple[int, int, int]) -> None:
    """UserError if torchvision's head, an average pool of 2 x 7 x 7, does not fit."""
    last = tuple(size)
    for stage in backbones.build("torchvision_s3d", width=0.125).stages.children():
        last = output_size(stage, last)
    if last[0] < 2 or min(last[1:]) < 7:
        raise UserError(f"--size {size}: torchvision's s3d needs 2 x 7 x 7 cells at its head and would have {last}")


def measure(steps: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
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


def benchmark_networks(
    size: tuple[int, int, int],
    names: tuple[str, ...],
    *,
    train: bool = False,
    rounds: int = 7,
    engines: bool = True,
    json_file: str = "",
    command: str = "",
) -> None:
    """Every row in turn, round after round, at batch 1 and `size` (time, height, width): times, ratios, and how far the
    outputs of one network's rows differ; print them, and write them to `json_file`.
    """
    check_size(size)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    nets = {name: net.to(device) for name, net in build_networks(names, train).items()}
    clip = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)).to(device) * 2 - 1
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        rows = training_rows(nets, clip) if train else inference_rows(nets, clip)
        if engines and not train and device == "cpu":
            rows |= exported_rows(nets[REFERENCE], clip, Path(folder))
        differences = {} if train else {name: _difference(rows, name) for name in rows}
        times = measure(rows, rounds)
    what = "A training step, forward and backward" if train else "Inference, batch normalisation folded"
    place = f"1 x {' x '.join(map(str, size))}, {device}, medians of {rounds} interleaved rounds,"
    texts = {name: "" if value is None else f"{value:.1g}" for name, value in differences.items()}
    extra = {} if train else {"largest difference / std of the logits": texts}
    name = "train" if train else "networks"
    publish(timed_sheet(name, command, f"{what}, {place}", times, FIRST, extra), json_file)


def inference_rows(nets: dict[str, nn.Module], clip: Tensor) -> dict[str, Run]:
    """A call for each network, and for each of ours in bf16 too, that gives its logits."""
    rows = {}
    for name, net in nets.items():
        rows[f"{name} fp32"] = partial(inferred, net, clip)
        if name != REFERENCE:
            lower = copy.deepcopy(net)
            lower_convolutions(lower.stages, torch.bfloat16)
            rows[f"{name} bf16"] = partial(inferred, lower, clip)
    return rows


def training_rows(nets: dict[str, nn.Module], clip: Tensor) -> dict[str, Run]:
    """A call for each network in fp32 and under autocast to bf16: forward, loss and backward."""
    dtypes = {"fp32": None, "bf16 autocast": torch.bfloat16}
    return {
        f"{name} {text}": partial(learnt, net, clip, dtype)
        for name, net in nets.items()
        for text, dtype in dtypes.items()
    }


def exported_rows(net: nn.Module, clip: Tensor, folder: Path) -> dict[str, Run]:
    """The reference in other engines, as far as they are installed."""
    if not installed("onnx") or not installed("onnxscript"):
        return {}
    export_onnx(net, clip, folder / "network.onnx")
    return engine_rows(folder / "network.onnx", clip)


def inferred(net: nn.Module, clip: Tensor) -> Tensor:
    with torch.inference_mode():
        return net(clip)


def learnt(net: nn.Module, clip: Tensor, dtype: torch.dtype | None) -> None:
    label = torch.zeros(len(clip), dtype=torch.long, device=clip.device)
    net.zero_grad(set_to_none=True)
    with torch.autocast(clip.device.type, dtype=dtype, enabled=dtype is not None):
        logits = net(clip)
    cross_entropy(logits.float(), label).backward()


def _difference(rows: dict[str, Run], name: str) -> float | None:
    """Of the logits from the reference's, as a share of their standard deviation; None where weights are others."""
    same = name.startswith((REFERENCE, COPY, "ONNX Runtime", "OpenVINO"))
    if not same or name == FIRST:
        return None
    theirs, ours = rows[FIRST](), rows[name]()
    return float((ours - theirs).abs().max() / theirs.std())
