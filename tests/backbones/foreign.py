"""What the public code computes, written down a second time: plain functions over the source's own variable names.

Each class of foreign_tensorflow.py and foreign_torch.py is one source, as read at the commit that docs/weights.md
names: its names, its paddings, its order of operations, by explicit padding and torch's own convolution, in float64.
Nothing is shared with `backbones`. `Weights` makes an array at its first use, so that one run of a source yields all
its arrays, in the source's layout.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# (stage, kind, (channels, kernel, stride) | (kernel, stride) | widths of the block's convolutions)
LAYERS = [
    ("Conv2d_1a_7x7", "conv", (64, 7, 2)),
    ("MaxPool_2a_3x3", "pool", ((1, 3, 3), (1, 2, 2))),
    ("Conv2d_2b_1x1", "conv", (64, 1, 1)),
    ("Conv2d_2c_3x3", "conv", (192, 3, 1)),
    ("MaxPool_3a_3x3", "pool", ((1, 3, 3), (1, 2, 2))),
    ("Mixed_3b", "block", (64, 96, 128, 16, 32, 32)),
    ("Mixed_3c", "block", (128, 128, 192, 32, 96, 64)),
    ("MaxPool_4a_3x3", "pool", ((3, 3, 3), (2, 2, 2))),
    ("Mixed_4b", "block", (192, 96, 208, 16, 48, 64)),
    ("Mixed_4c", "block", (160, 112, 224, 24, 64, 64)),
    ("Mixed_4d", "block", (128, 128, 256, 24, 64, 64)),
    ("Mixed_4e", "block", (112, 144, 288, 32, 64, 64)),
    ("Mixed_4f", "block", (256, 160, 320, 32, 128, 128)),
    ("MaxPool_5a_2x2", "pool", ((2, 2, 2), (2, 2, 2))),
    ("Mixed_5b", "block", (256, 160, 320, 32, 128, 128)),
    ("Mixed_5c", "block", (384, 192, 384, 48, 128, 128)),
]
STAGES = [stage for stage, *_ in LAYERS]


class Weights(dict):
    """name -> float32 array in the source's layout; a missing one is drawn when a source takes it."""

    def __init__(self, seed: int = 0):
        super().__init__()
        self.rng = np.random.default_rng(seed)

    def take(self, name: str, shape: tuple[int, ...], std: float | Tensor, mean: float | Tensor = 0.0) -> Tensor:
        """Float64 values of the array; if it is new, normal ones, `std` and `mean` for all or for each channel."""
        if name not in self:
            noise = self.rng.standard_normal(shape, dtype=np.float32)
            self[name] = (np.asarray(mean) + np.asarray(std) * noise).astype(np.float32)
        assert self[name].shape == tuple(shape), f"{name}: {self[name].shape}, asked for {shape}"
        return torch.from_numpy(self[name]).double()


class Place(NamedTuple):
    """Where a convolution stands: Mixed_3b, branch 1, its "b", kernel 3."""

    stage: str
    branch: int | None = None
    step: str = ""
    k: int = 1

    @property
    def is_end(self) -> bool:
        return self.branch in (None, 0, 3) or self.step == "b"


class Source:
    """The walk that all sources share; a source gives conv, pool and head, and gate where it has any."""

    eps = 1e-3
    classes = 400

    def __init__(self, weights: Weights):
        self.w = weights

    def __call__(self, x: Tensor) -> dict[str, Tensor]:
        """(N, C, T, H, W) in float64 -> endpoint (slim's names in lower case) -> activation; logits (N, classes)."""
        ends = {}
        for stage, kind, row in LAYERS:
            if kind == "conv":
                out, k, stride = row
                x = self.end(x, Place(stage, k=k), out, stride)
            elif kind == "pool":
                x = self.pool(x, *row)
            else:
                x = self.block(x, stage, *row)
            ends[stage.lower()] = x
        ends["logits"] = self.head(x)
        return ends

    def block(self, x: Tensor, stage: str, o0: int, r1: int, o1: int, r2: int, o2: int, o3: int) -> Tensor:
        b0 = self.end(x, Place(stage, 0, "a", 1), o0)
        b1 = self.end(self.conv(x, Place(stage, 1, "a", 1), r1, 1), Place(stage, 1, "b", 3), o1)
        b2 = self.end(self.conv(x, Place(stage, 2, "a", 1), r2, 1), Place(stage, 2, "b", 3), o2)
        b3 = self.end(self.pool(x, (3, 3, 3), (1, 1, 1)), Place(stage, 3, "b", 1), o3)
        return torch.cat([b0, b1, b2, b3], 1)

    def end(self, x: Tensor, place: Place, out: int, stride: int = 1) -> Tensor:
        return self.gate(self.conv(x, place, out, stride), place)

    def gated(self, place: Place) -> bool:
        return False

    def gate(self, x: Tensor, place: Place) -> Tensor:
        return x

    def he(self, fan_in: int, place: Place) -> float:
        """He's standard deviation; a gate halves the signal, so that what leads to one is drawn 1.6 times as wide."""
        return (2 / fan_in) ** 0.5 * (1.6 if place.is_end and self.gated(place) else 1.0)


def convolve(x: Tensor, weight: Tensor, stride: tuple[int, ...], pads: list[tuple[int, int]], bias=None) -> Tensor:
    """pads: zeros before and after, of time, rows, columns."""
    return F.conv3d(F.pad(x, [p for pair in reversed(pads) for p in pair]), weight, bias, stride)


def spread(x: Tensor) -> tuple[Tensor, Tensor]:
    """What running statistics are drawn about, so that no signal dies or explodes: the mean of each channel and the
    variance of a channel on average (on its own it comes from a few positions only, and a tiny one magnifies noise).
    """
    return x.mean((0, 2, 3, 4)), x.var((0, 2, 3, 4), correction=0).mean().clamp(min=0.01)


def normalise(x: Tensor, mean: Tensor, variance: Tensor, beta: Tensor, gamma: Tensor | None, eps: float) -> Tensor:
    scale = 1 / torch.sqrt(variance + eps)
    if gamma is not None:
        scale = scale * gamma
    mean, scale, beta = (v.reshape(1, -1, 1, 1, 1) for v in (mean, scale, beta))
    return (x - mean) * scale + beta


def windows_then_mean(x: Tensor, logits: Callable[[Tensor], Tensor], time: int = 2, space: int = 7) -> Tensor:
    """Average pool of time x space x space (less where the map is smaller, as in slim), logits, mean over the rest."""
    kernel = [min(n, k) for n, k in zip(x.shape[2:], (time, space, space), strict=True)]
    return logits(F.avg_pool3d(x, kernel, 1)).mean((2, 3, 4))
