"""What a network costs: counted from shapes alone, and measured on this machine."""

import copy
import statistics
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .inception import InceptionNet
from .layers import ConvUnit, MaxPool

Size3 = tuple[int, int, int]
BYTES_PER_POOL_INDEX = 8  # max pooling keeps an int64 position for every output


@dataclass(frozen=True)
class Profile:
    """The counts of one network for one clip.

    parameters: trained numbers.
    multiply_adds: of convolutions and linear layers, biases left out, as fvcore counts (one multiply-add is one "flop"
        there). For a convolution: outputs x input channels x kernel volume; products with padding count.
    activation_bytes: what a training step holds for the backward pass: the inputs of every convolution, batch
        normalisation and pool, the outputs of every ReLU and stage, each tensor once, and the pools' int64 indices.
        Left out: parameters, the clip itself, copies that uneven padding makes, and a few numbers per channel.
    """

    parameters: int
    multiply_adds: int
    activation_bytes: int


@dataclass(frozen=True)
class Measurement:
    """seconds: median of a forward pass in inference. peak_bytes: see `measure`; None where it cannot be read."""

    seconds: float
    peak_bytes: int | None


def profile(net: InceptionNet, size: Size3) -> Profile:
    """Count for one clip of `size` (frames, height, width); nothing is computed, whatever the size, and `net` may be on
    any device, "meta" included. ValueError if a side is less than 1.
    """
    _check_size(size)
    net = copy.deepcopy(net).to("meta").eval().requires_grad_(True)
    clip = torch.empty(1, net.in_channels, *size, device="meta").to(memory_format=torch.channels_last_3d)
    multiply_adds, kept, indices = 0, [], 0

    def count(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal multiply_adds, indices
        if isinstance(module, nn.Conv3d | nn.Linear):
            multiply_adds += output.numel() * module.weight[0].numel()
        if isinstance(module, nn.Conv3d | nn.BatchNorm3d | MaxPool) and inputs[0] is not clip:
            kept.append(inputs[0])
        if isinstance(module, ConvUnit) or module in stages:
            kept.append(output)
        if isinstance(module, MaxPool):
            indices += output.numel() * BYTES_PER_POOL_INDEX

    stages = set(net.stages)
    for module in net.modules():
        module.register_forward_hook(count)
    with torch.enable_grad():  # layers may work in place where no gradient is wanted
        net(clip)
    storages = {tensor.untyped_storage()._cdata: tensor.numel() * tensor.element_size() for tensor in kept}
    return Profile(sum(p.numel() for p in net.parameters()), multiply_adds, sum(storages.values()) + indices)


def measure(net: InceptionNet, size: Size3, device: str | torch.device = "cpu", repeat: int = 5) -> Measurement:
    """Time and peak memory of inference on one clip of `size` (frames, height, width) of noise.

    repeat: timed passes, after one that warms up. On CUDA the peak is what the allocator held beyond the network and
    the clip. On a CPU it is the growth of the resident set in the first pass, read from /proc (Linux): call this in a
    fresh process, because memory that the process freed and kept before hides the growth.
    """
    _check_size(size)
    if repeat < 1:
        raise ValueError(f"{repeat} repetitions: at least 1 is needed")
    device = torch.device(device)
    net = net.to(device).eval()
    clip = torch.randn(1, net.in_channels, *size, device=device)
    clip = clip.contiguous(memory_format=torch.channels_last_3d)
    nn.functional.conv2d(clip[:, :, 0], torch.ones(1, clip.shape[1], 1, 1, device=device))  # load the library
    before = _start_peak(device)
    times = []
    with torch.inference_mode():
        for attempt in range(repeat + 1):
            start = time.perf_counter()
            net(clip)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - start)
            if attempt == 0:
                peak = _peak(device)
    return Measurement(statistics.median(times[1:]), None if peak is None else max(peak - before, 0))


def _check_size(size: Size3) -> None:
    if len(size) != 3 or min(size) < 1:
        raise ValueError(f"clip size {tuple(size)}: it must be frames, height and width, each at least 1")


def _start_peak(device: torch.device) -> int:
    """Forget the peak so far, where the system permits it, and return the new one, in bytes."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    else:
        try:
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")  # proc(5): reset the high-water mark of the resident set
        except OSError:
            pass  # not Linux, or not permitted: in a fresh process the mark is about the current size
    return _peak(device) or 0


def _peak(device: torch.device) -> int | None:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return None
