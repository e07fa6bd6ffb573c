"""I3D, I2D, Bottom- and Top-Heavy, S3D, Fast-S3D and S3D-G: one layer table, one network, the row decides.

Source: Xie et al., "Rethinking Spatiotemporal Feature Learning", ECCV 2018 [P]; where the paper is silent, the authors'
slim code (tensorflow/models research/slim/nets/s3dg.py) [S]. The rows are in `variants.py`.
"""

from collections import OrderedDict
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d

from .initialise import initialise
from .layers import BatchNorm, Conv, ConvUnit, Gate, MaxPool, Rules, Size3
from .padding import PADDINGS, space_to_depth
from .preprocessing import Preprocessing
from .stages import Stages, check_endpoint
from .variants import ENDPOINTS, STAGES, VariantSpec

LOGITS = "logits"  # the endpoint after the last stage


class UnitBuilder:
    """Makes the convolutions and pools of one temporal unit as the row says."""

    def __init__(self, spec: VariantSpec, unit: int | None):
        self.spec, self.unit = spec, unit
        self.temporal = unit in spec.temporal_units
        self.rules = PADDINGS[spec.padding]

    def conv(
        self, c: int, o: int, kernel: Size3, stride: Size3 = (1, 1, 1), bn: bool = True, rules: Rules | None = None
    ) -> ConvUnit:
        spec = self.spec
        norm = BatchNorm(o, eps=spec.bn_eps, momentum=spec.bn_momentum, gamma=spec.bn_gamma) if bn else None
        return ConvUnit(Conv(c, o, kernel, stride, rules or self.rules.conv, bias=not bn), norm)

    def pool(self, kernel: Size3, stride: Size3 = (1, 1, 1)) -> MaxPool:
        return MaxPool(kernel, stride, self.rules.pool)

    def branch_pool(self) -> MaxPool:
        return self.pool((3 if self.temporal or self.spec.branch_pool_3d else 1, 3, 3))

    def branch_end(self, c: int, o: int, k: int) -> nn.Sequential:
        """The last convolution of a branch, k x k in space: 2D, 3D or separable, with its gate."""
        spec = self.spec
        separable = self.temporal and spec.separable and (k > 1 or spec.all_branches)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if separable:
            layers["spatial"] = self.conv(c, o, (1, k, k))
            layers["temporal"] = self.conv(o, o, (3, 1, 1), bn=spec.temporal_bn)
        else:
            layers["spatial"] = self.conv(c, o, (3 if self.temporal and k > 1 else 1, k, k))
        if self.unit in spec.gated_units and (separable or spec.gate_placement == "branch"):
            layers["gate"] = Gate(o, spec.gate_bias)
        return nn.Sequential(layers)

    def stem(self, c: int, o: int, k: int, stride: int) -> nn.Sequential:
        spec = self.spec
        kt = spec.stem_kernel if self.temporal else 1
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if spec.stem == "space_to_depth":
            layers["spatial"] = self.conv(c, o, (4, 8, 8), (stride,) * 3, rules=(space_to_depth,) * 3)
        elif spec.stem == "joint" or not self.temporal:
            layers["spatial"] = self.conv(c, o, (kt, k, k), (stride,) * 3)
        else:
            layers["spatial"] = self.conv(c, o, (1, k, k), (1, stride, stride))
            layers["temporal"] = self.conv(o, o, (kt, 1, 1), (stride, 1, 1), bn=spec.temporal_bn)
            if self.unit in spec.gated_units:
                layers["gate"] = Gate(o, spec.gate_bias)
        return nn.Sequential(layers)


class InceptionBlock(nn.Module):
    """Four branches side by side, joined along the channels."""

    def __init__(self, c: int, widths: tuple[int, ...], make: UnitBuilder):
        super().__init__()
        o0, r1, o1, r2, o2, o3 = widths
        reduce = partial(make.conv, c, kernel=(1, 1, 1))
        self.branch_0 = make.branch_end(c, o0, 1)
        self.branch_1 = nn.Sequential(reduce(r1), make.branch_end(r1, o1, 3))
        self.branch_2 = nn.Sequential(reduce(r2), make.branch_end(r2, o2, 3))
        self.branch_3 = nn.Sequential(make.branch_pool(), make.branch_end(c, o3, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch_0(x), self.branch_1(x), self.branch_2(x), self.branch_3(x)], 1)


class InceptionNet(nn.Module):
    """A classifier of the family.

    Input (N, in_channels, T, H, W) of any length and size, normalised as `preprocessing` says; output (N, num_classes).
    """

    def __init__(
        self,
        spec: VariantSpec,
        *,
        num_classes: int = 400,
        in_channels: int = 3,
        width: float = 1.0,
        dropout: float = 0.2,
    ):
        super().__init__()
        self.spec, self.width, self.in_channels = spec, width, in_channels
        self.preprocessing = Preprocessing.default(in_channels)
        self.stages = _build_stages(spec, in_channels, width)
        channels = self.stages.feature_info[ENDPOINTS[-1]]["channels"]
        self.dropout = nn.Dropout(dropout)
        self.logits = Conv(channels, num_classes, (1, 1, 1))
        initialise(self, spec)
        self.to(memory_format=torch.channels_last_3d)

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.stages(_channels_last(x)))

    def classify(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) of the last stage -> (N, num_classes): average pool, linear, mean over what remains."""
        window_t, window_s = self.spec.head_window
        kernel = [min(window or n, n) for window, n in zip((window_t, window_s, window_s), x.shape[2:], strict=True)]
        x = x.float() if x.dtype == torch.bfloat16 else x  # the head stays in fp32; a CPU has no other avg_pool3d
        return self.logits(self.dropout(avg_pool3d(x, kernel, 1))).mean(dim=(2, 3, 4))

    def endpoints(self, x: Tensor, names: tuple[str, ...] | None = None) -> dict[str, Tensor]:
        """Activations of the named endpoints, each (N, C, T, H, W): any of `ENDPOINTS`, and "logits", which is
        (N, num_classes, 1, 1, 1). Default: all. Computes no stage after the last one named.
        """
        names = (*ENDPOINTS, LOGITS) if names is None else tuple(names)
        for name in names:
            check_endpoint(name, (*ENDPOINTS, LOGITS))
        wanted = {name for name in names if name != LOGITS} | ({ENDPOINTS[-1]} if LOGITS in names else set())
        found = self.stages.endpoints(_channels_last(x), tuple(wanted))
        if LOGITS in names:
            found[LOGITS] = self.classify(found[ENDPOINTS[-1]])[:, :, None, None, None]
        return {name: found[name] for name in (*ENDPOINTS, LOGITS) if name in names}

    def split(self, endpoint: str) -> tuple[Stages, Stages]:
        """The stages up to and with `endpoint`, and the stages after it; they share this network's parameters."""
        return self.stages.split(endpoint)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last_3d)


def scale_channels(channels: int, width: float) -> int:
    """`channels` times `width`, as the nearest multiple of 8, at least 8 (vector width; exact at width 1)."""
    return max(8, 8 * round(channels * width / 8))


def _build_stages(spec: VariantSpec, in_channels: int, width: float) -> Stages:
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    feature_info = {}
    c, stride_t, stride_s = in_channels, 1, 1
    for name, kind, unit, row in STAGES:
        make = UnitBuilder(spec, unit)
        stride = (1, 1)  # time, space
        if kind == "pool":
            kernel, strides = row
            stages[name] = make.pool(kernel, strides)
            stride = strides[:2]
        elif kind == "conv":
            o, k, s = row
            o, stride = scale_channels(o, width), (s, s)
            stages[name] = make.stem(c, o, k, s) if unit == 0 else make.branch_end(c, o, k)
            c = o
        else:
            widths = tuple(scale_channels(o, width) for o in row)
            stages[name] = InceptionBlock(c, widths, make)
            c = widths[0] + widths[2] + widths[4] + widths[5]
        stride_t, stride_s = stride_t * stride[0], stride_s * stride[1]
        feature_info[name] = {"channels": c, "stride": (stride_t, stride_s)}
    return Stages(stages, feature_info)


def freeze_batch_norm(module: nn.Module) -> None:
    """Hold every batch normalisation of `module` at its running statistics."""
    for child in module.modules():
        if isinstance(child, BatchNorm):
            child.freeze()


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """Move every batch normalisation of a network, trunk or tail into the convolution before it, for inference.

    Changes `module` itself, for good, and returns it: the outputs in evaluation mode stay the same up to rounding, the
    state has other names, and it can no longer be trained as before.
    """
    for child in module.modules():
        if isinstance(child, ConvUnit):
            child.fold()
    return module.eval()
