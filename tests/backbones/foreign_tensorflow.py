"""What the TensorFlow sources compute: slim and DeepMind (see foreign.py)."""

import numpy as np
import torch
import torch.nn.functional as F
from foreign import STAGES, Place, Source, convolve, normalise, spread, windows_then_mean
from torch import Tensor


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
        centre, variance = spread(x)
        beta = self.w.take(f"{scope}/beta", (*self.norm_shape, c), 0.2)
        mean = self.w.take(f"{scope}/moving_mean", (*self.norm_shape, c), 0.1 * variance.sqrt(), centre)
        variance = self.w.take(f"{scope}/moving_variance", (*self.norm_shape, c), 0.1 * variance, variance)
        return normalise(x, mean, variance, beta, None, self.eps)

    def pool(self, x: Tensor, kernel, stride) -> Tensor:
        pads = [tf_same(n, k, s) for n, k, s in zip(x.shape[2:], kernel, stride, strict=True)]
        return F.max_pool3d(F.pad(x, [p for pair in reversed(pads) for p in pair], value=-torch.inf), kernel, stride)


class Slim(TensorFlow):
    """s3dg() and i3d(); stem, temporal, gates: first_temporal_kernel_size, temporal_conv_startat, gating_startat."""

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
