"""What the public code computes, written down a second time: plain functions over the source's own variable names.

Each class is one source, as read at the commit that docs/weights.md names: its names, its paddings, its order of
operations, by explicit padding and torch's own convolution, in float64. It shares no code with `backbones`. `Weights`
makes an array at its first use, so that one run of a source yields all its arrays, in the source's layout.
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

    def take(self, name: str, shape: tuple[int, ...], std: float, mean: float = 0.0) -> Tensor:
        if name not in self:
            self[name] = (mean + std * self.rng.standard_normal(shape, dtype=np.float32)).astype(np.float32)
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


def normalise(x: Tensor, mean: Tensor, variance: Tensor, beta: Tensor, gamma: Tensor | None, eps: float) -> Tensor:
    scale = 1 / torch.sqrt(variance + eps)
    mean, scale, beta, gamma = (
        v.reshape(1, -1, 1, 1, 1) for v in (mean, scale, beta, scale.new_ones(scale.numel()) if gamma is None else gamma)
    )
    return (x - mean) * scale * gamma + beta


def windows_then_mean(x: Tensor, logits: Callable[[Tensor], Tensor], time: int = 2, space: int = 7) -> Tensor:
    """Average pool of time x space x space (less where the map is smaller, as slim does), logits, mean over the rest."""
    kernel = [min(n, k) for n, k in zip(x.shape[2:], (time, space, space), strict=True)]
    return logits(F.avg_pool3d(x, kernel, 1)).mean((2, 3, 4))


# TensorFlow ---------------------------------------------------------------------------------------------------------


def tf_same(n: int, k: int, s: int) -> tuple[int, int]:
    """From TensorFlow's documentation of SAME: out = ceil(n / s), the total split with the odd zero behind."""
    out = int(np.ceil(n / s))
    total = max((out - 1) * s + k - n, 0)
    return total // 2, total - total // 2


class TensorFlow(Source):
    """Convolutions (kT, kH, kW, I, O), SAME everywhere, batch normalisation without gamma."""

    kernel_name, bias_name, norm_name = "weights", "biases", "BatchNorm"
    norm_shape: tuple[int, ...] = ()

    def tf_conv(self, x: Tensor, scope: str, out: int, kernel: tuple[int, int, int], stride, std: float, bias=None):
        shape = (*kernel, x.shape[1], out)
        weight = self.w.take(f"{scope}/{self.kernel_name}", shape, std).permute(4, 3, 0, 1, 2)
        pads = [tf_same(n, k, s) for n, k, s in zip(x.shape[2:], kernel, stride, strict=True)]
        return convolve(x, weight, stride, pads, bias)

    def tf_norm(self, x: Tensor, scope: str) -> Tensor:
        c, scope = x.shape[1], f"{scope}/{self.norm_name}"
        beta = self.w.take(f"{scope}/beta", (*self.norm_shape, c), 0.2)
        mean = self.w.take(f"{scope}/moving_mean", (*self.norm_shape, c), 0.2)
        variance = self.w.take(f"{scope}/moving_variance", (*self.norm_shape, c), 0.1, 1.0)
        return normalise(x, mean, variance, beta, None, self.eps)

    def pool(self, x: Tensor, kernel, stride) -> Tensor:
        pads = [tf_same(n, k, s) for n, k, s in zip(x.shape[2:], kernel, stride, strict=True)]
        return F.max_pool3d(F.pad(x, [p for pair in reversed(pads) for p in pair], value=-torch.inf), kernel, stride)


class Slim(TensorFlow):
    """s3dg() and i3d(): stem = first_temporal_kernel_size; temporal and gates: temporal_conv_startat, gating_startat."""

    def __init__(self, weights, stem=3, separable=True, temporal="Conv2d_2c_3x3", gates="Conv2d_2c_3x3"):
        super().__init__(weights)
        self.stem, self.separable, self.temporal, self.gates = stem, separable, temporal, gates

    def scope(self, place: Place) -> str:
        if place.branch is None:
            return f"InceptionV1/{place.stage}"
        return f"InceptionV1/{place.stage}/Branch_{place.branch}/Conv2d_0{place.step}_{place.k}x{place.k}"

    def conv(self, x: Tensor, place: Place, out: int, stride: int) -> Tensor:
        scope, k = self.scope(place), place.k
        kt = 3 if k == 3 and self.temporal and STAGES.index(place.stage) >= STAGES.index(self.temporal) else 1
        if place.stage == "Conv2d_1a_7x7":
            kt = self.stem
        split = self.separable and kt > 1 and k == 3
        kernel, std = (1 if split else kt, k, k), self.he(x.shape[1] * (1 if split else kt) * k * k, place)
        x = F.relu(self.tf_norm(self.tf_conv(x, scope, out, kernel, (stride,) * 3, std), scope))
        if not split:
            return x
        bias = self.w.take(f"{scope}/temporal/biases", (out,), 0.2)
        return F.relu(self.tf_conv(x, f"{scope}/temporal", out, (kt, 1, 1), (1, 1, 1), self.he(out * kt, place), bias))

    def gated(self, place: Place) -> bool:
        where = STAGES.index(place.stage)
        return bool(self.gates) and where >= STAGES.index(self.gates) and where > 0

    def gate(self, x: Tensor, place: Place) -> Tensor:
        if not self.gated(place):
            return x
        scope = f"{self.scope(place)}/self_gating/transformer_W"
        mean = x.mean((2, 3, 4), keepdim=True)
        return torch.sigmoid(self.tf_conv(mean, scope, x.shape[1], (1, 1, 1), (1, 1, 1), 2 / x.shape[1] ** 0.5)) * x

    def head(self, x: Tensor) -> Tensor:
        scope = "InceptionV1/Logits/Conv2d_0c_1x1"
        bias = self.w.take(f"{scope}/biases", (self.classes,), 0.2)
        return windows_then_mean(x, lambda y: self.tf_conv(y, scope, self.classes, (1, 1, 1), (1, 1, 1), 0.05, bias))


class SlimInceptionV1(Slim):
    """inception_v1() of images: (N, 3, 1, H, W), kernels (kH, kW, I, O), 1001 classes, one name that differs."""

    classes = 1001

    def __init__(self, weights):
        super().__init__(weights, stem=1, temporal=None, gates=None)

    def scope(self, place: Place) -> str:
        slip = (place.stage, place.branch, place.step) == ("Mixed_5b", 2, "b")
        return super().scope(place._replace(step="a") if slip else place)

    def tf_conv(self, x: Tensor, scope: str, out: int, kernel, stride, std: float, bias=None) -> Tensor:
        weight = self.w.take(f"{scope}/weights", (*kernel[1:], x.shape[1], out), std).permute(3, 2, 0, 1)
        (top, bottom), (left, right) = (tf_same(n, k, stride[1]) for n, k in zip(x.shape[3:], kernel[1:], strict=True))
        return F.conv2d(F.pad(x[:, :, 0], [left, right, top, bottom]), weight, bias, stride[1:])[:, :, None]

    def pool(self, x: Tensor, kernel, stride) -> Tensor:
        return super().pool(x, (1, *kernel[1:]), (1, *stride[1:]))


class DeepMind(TensorFlow):
    """Sonnet's I3D: Conv3d_..., conv_3d/w and b, statistics of shape (1, 1, 1, 1, C), the same slip in Mixed_5b."""

    kernel_name, norm_name, norm_shape = "conv_3d/w", "batch_norm", (1, 1, 1, 1)

    def conv(self, x: Tensor, place: Place, out: int, stride: int) -> Tensor:
        stage, branch, step, k = place
        scope = stage.replace("Conv2d", "Conv3d")
        if branch is not None:
            step = "a" if (stage, branch) == ("Mixed_5b", 2) else step
            scope = f"{stage}/Branch_{branch}/Conv3d_0{step}_{k}x{k}"
        std = self.he(x.shape[1] * k**3, place)
        return F.relu(self.tf_norm(self.tf_conv(x, scope, out, (k, k, k), (stride,) * 3, std), scope))

    def head(self, x: Tensor) -> Tensor:
        bias = self.w.take("Logits/Conv3d_0c_1x1/conv_3d/b", (self.classes,), 0.2)
        ones = (1, 1, 1)
        return windows_then_mean(
            x, lambda y: self.tf_conv(y, "Logits/Conv3d_0c_1x1", self.classes, ones, ones, 0.05, bias)
        )


# PyTorch ------------------------------------------------------------------------------------------------------------


class Torch(Source):
    """Convolutions (O, I, kT, kH, kW) without bias, batch normalisation with gamma."""

    def unit(self, x: Tensor, conv: str, norm: str, out: int, kernel, stride, pads, place: Place) -> Tensor:
        """Convolution, batch normalisation, ReLU."""
        fan_in = x.shape[1] * int(np.prod(kernel))
        weight = self.w.take(f"{conv}.weight", (out, x.shape[1], *kernel), self.he(fan_in, place))
        mean = self.w.take(f"{norm}.running_mean", (out,), 0.2)
        variance = self.w.take(f"{norm}.running_var", (out,), 0.1, 1.0)
        gamma = self.w.take(f"{norm}.weight", (out,), 0.1, 1.0)
        beta = self.w.take(f"{norm}.bias", (out,), 0.2)
        self.w.setdefault(f"{norm}.num_batches_tracked", np.array(7))
        return F.relu(normalise(convolve(x, weight, stride, pads), mean, variance, beta, gamma, self.eps))

    def linear(self, x: Tensor, name: str) -> Tensor:
        """A 1 x 1 x 1 convolution."""
        weight = self.w.take(f"{name}.weight", (self.classes, x.shape[1], 1, 1, 1), 0.05)
        return F.conv3d(x, weight, self.w.take(f"{name}.bias", (self.classes,), 0.2))


class Piergiaj(Torch):
    def pads(self, x: Tensor, kernel, stride) -> list[tuple[int, int]]:
        totals = [max(k - (n % s or s), 0) for n, k, s in zip(x.shape[2:], kernel, stride, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]

    def conv(self, x: Tensor, place: Place, out: int, stride: int) -> Tensor:
        stage, branch, step, k = place
        name = stage.replace("Conv2d", "Conv3d")
        if branch is not None:
            name = f"{stage}.b{branch}{'' if branch == 0 else step}"
        size = ((k, k, k), (stride,) * 3)
        return self.unit(x, f"{name}.conv3d", f"{name}.bn", out, *size, self.pads(x, *size), place)

    def pool(self, x: Tensor, kernel, stride) -> Tensor:
        pads = self.pads(x, kernel, stride)  # it pads with zeros: never above what a ReLU gave
        return F.max_pool3d(F.pad(x, [p for pair in reversed(pads) for p in pair]), kernel, stride)

    def head(self, x: Tensor) -> Tensor:
        return windows_then_mean(x, lambda y: self.linear(y, "logits.conv3d"))


def tf_pads_of_even_sizes(kernel, stride) -> list[tuple[int, int]]:
    """What hassony2 and HowTo100M compute from kernel and stride alone."""
    totals = [max(k - s, 0) for k, s in zip(kernel, stride, strict=True)]
    return [(total // 2, total - total // 2) for total in totals]


class Hassony2(Torch):
    """The remainder of the length is looked at, that of height and width is not; pools in ceil mode."""

    def pads(self, x: Tensor, kernel, stride) -> list[tuple[int, int]]:
        pads = tf_pads_of_even_sizes(kernel, stride)
        if remainder := x.shape[2] % stride[0]:
            total = max(kernel[0] - remainder, 0)
            pads[0] = (total // 2, total - total // 2)
        return pads

    def conv(self, x: Tensor, place: Place, out: int, stride: int) -> Tensor:
        stage, branch, step, k = place
        name = stage.replace("Conv2d", "conv3d").replace("Mixed", "mixed")
        if branch is not None:
            name += f".branch_{branch}" + {0: "", 3: ".1"}.get(branch, ".0" if step == "a" else ".1")
        size = ((k, k, k), (stride,) * 3)
        return self.unit(x, f"{name}.conv3d", f"{name}.batch3d", out, *size, self.pads(x, *size), place)

    def pool(self, x: Tensor, kernel, stride) -> Tensor:
        pads = self.pads(x, kernel, stride)
        padded = F.pad(x, [p for pair in reversed(pads) for p in pair])
        return F.max_pool3d(padded, kernel, stride, ceil_mode=True)

    def head(self, x: Tensor) -> Tensor:
        return windows_then_mean(x, lambda y: self.linear(y, "conv3d_0c_1x1.conv3d"))


class Kylemin(Torch):
    """Padding k // 2 on both sides; pools of 3 padded by 1, that of 2 not at all; the whole map in the head."""

    def conv(self, x: Tensor, place: Place, out: int, stride: int) -> Tensor:
        stage, branch, step, k = place
        name = f"base.{STAGES.index(stage)}"
        if branch is not None:
            name += f".branch{branch}." + ("0" if branch == 0 or step == "a" else "1")
        p = (0, 0), (k // 2, k // 2)
        if k == 1:
            return self.unit(x, f"{name}.conv", f"{name}.bn", out, (1, 1, 1), (1, 1, 1), [p[0]] * 3, place)
        spatial = ((1, k, k), (1, stride, stride), [p[0], p[1], p[1]])
        x = self.unit(x, f"{name}.conv_s", f"{name}.bn_s", out, *spatial, place)
        temporal = ((k, 1, 1), (stride, 1, 1), [p[1], p[0], p[0]])
        return self.unit(x, f"{name}.conv_t", f"{name}.bn_t", out, *temporal, place)

    def pool(self, x: Tensor, kernel, stride) -> Tensor:
        return F.max_pool3d(x, kernel, stride, [1 if k == 3 else 0 for k in kernel])

    def head(self, x: Tensor) -> Tensor:
        return windows_then_mean(x, lambda y: self.linear(y, "fc.0"), space=10_000)


class HowTo100M(Torch):
    """S3D-G with gates that have a bias; space_to_depth: the stem sees 2 x 2 x 2 pixels as 24 channels."""

    eps = 1e-5
    classes = 512

    def __init__(self, weights, space_to_depth: bool = True):
        super().__init__(weights)
        self.space_to_depth = space_to_depth

    def conv(self, x: Tensor, place: Place, out: int, stride: int) -> Tensor:
        stage, branch, step, k = place
        if stage == "Conv2d_1a_7x7":
            return self.stem(x, place, out)
        name = {"Conv2d_2b_1x1": "conv_2b", "Conv2d_2c_3x3": "conv_2c"}.get(stage, stage.lower())
        if branch is not None:
            name += f".conv_b{branch}" + ("" if branch == 0 else f"_{step}")
        if k == 1:
            return self.unit(x, f"{name}.conv1", f"{name}.bn1", out, (1, 1, 1), (1, 1, 1), [(0, 0)] * 3, place)
        x = self.unit(x, f"{name}.conv1", f"{name}.bn1", out, (1, 3, 3), (1, 1, 1), [(0, 0), (1, 1), (1, 1)], place)
        return self.unit(x, f"{name}.conv2", f"{name}.bn2", out, (3, 1, 1), (1, 1, 1), [(1, 1), (0, 0), (0, 0)], place)

    def stem(self, x: Tensor, place: Place, out: int) -> Tensor:
        names = ("conv1.conv1", "conv1.bn1")
        if not self.space_to_depth:
            return self.unit(x, *names, out, (3, 7, 7), (2, 2, 2), [(1, 1), (3, 3), (3, 3)], place)
        corners = [x[:, :, t::2, h::2, w::2] for t in (0, 1) for h in (0, 1) for w in (0, 1)]
        pads = [(1, 1), (2, 2), (2, 2)]
        return self.unit(torch.cat(corners, 1), *names, out, (2, 4, 4), (1, 1, 1), pads, place)[:, :, 1:, 1:, 1:]

    def gated(self, place: Place) -> bool:
        return place.stage not in ("Conv2d_1a_7x7", "Conv2d_2b_1x1")

    def gate(self, x: Tensor, place: Place) -> Tensor:
        if not self.gated(place):
            return x
        name = "gating" if place.branch is None else f"{place.stage.lower()}.gating_b{place.branch}"
        c = x.shape[1]
        weight = self.w.take(f"{name}.fc.weight", (c, c), 2 / c**0.5)
        bias = self.w.take(f"{name}.fc.bias", (c,), 0.2)
        return torch.sigmoid(F.linear(x.mean((2, 3, 4)), weight, bias))[:, :, None, None, None] * x

    def pool(self, x: Tensor, kernel, stride) -> Tensor:
        if stride == (1, 1, 1):
            return F.max_pool3d(x, kernel, stride, 1)
        padded = F.pad(x, [p for pair in reversed(tf_pads_of_even_sizes(kernel, stride)) for p in pair])
        return F.max_pool3d(padded, kernel, stride, ceil_mode=True)

    def head(self, x: Tensor) -> Tensor:
        weight = self.w.take("fc.weight", (self.classes, x.shape[1]), 0.05)
        return F.linear(x.mean((2, 3, 4)), weight, self.w.take("fc.bias", (self.classes,), 0.2))
