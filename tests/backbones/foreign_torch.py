"""What the PyTorch sources compute: piergiaj, hassony2, kylemin, HowTo100M (see foreign.py)."""

import numpy as np
import torch
import torch.nn.functional as F
from foreign import STAGES, Place, Source, convolve, normalise, spread, windows_then_mean
from torch import Tensor


class Torch(Source):
    """Convolutions (O, I, kT, kH, kW) without bias, batch normalisation with gamma."""

    def unit(self, x: Tensor, conv: str, norm: str, out: int, kernel, stride, pads, place: Place) -> Tensor:
        """Convolution, batch normalisation, ReLU."""
        fan_in = x.shape[1] * int(np.prod(kernel))
        weight = self.w.take(f"{conv}.weight", (out, x.shape[1], *kernel), self.he(fan_in, place))
        x = convolve(x, weight, stride, pads)
        centre, variance = spread(x)
        mean = self.w.take(f"{norm}.running_mean", (out,), 0.1 * variance.sqrt(), centre)
        variance = self.w.take(f"{norm}.running_var", (out,), 0.1 * variance, variance)
        gamma = self.w.take(f"{norm}.weight", (out,), 0.1, 1.0)
        beta = self.w.take(f"{norm}.bias", (out,), 0.2)
        self.w.setdefault(f"{norm}.num_batches_tracked", np.array(7))
        return F.relu(normalise(x, mean, variance, beta, gamma, self.eps))

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
