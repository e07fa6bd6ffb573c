"""I3D, I2D, Bottom- and Top-Heavy, S3D, Fast-S3D and S3D-G: one layer table, one row per network.

Source: Xie et al., "Rethinking Spatiotemporal Feature Learning", ECCV 2018 [P]; where the paper is silent, the authors'
slim code (tensorflow/models research/slim/nets/s3dg.py) [S].
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from .layers import BatchNorm, Conv, ConvUnit, Gate, MaxPool, Size3

# Every stage in order. The number is the row's temporal unit, the K of the paper's Figure 2 (None: no temporal extent).
# Convolution: (output channels, spatial kernel, spatial and temporal stride). Pool: (kernel, stride).
# Inception block: widths of (branch 0, branch 1 reduce, branch 1, branch 2 reduce, branch 2, branch 3).
STAGES: tuple[tuple[str, str, int | None, tuple], ...] = (
    ("conv2d_1a_7x7", "conv", 0, (64, 7, 2)),
    ("maxpool_2a_3x3", "pool", None, ((1, 3, 3), (1, 2, 2))),
    ("conv2d_2b_1x1", "conv", None, (64, 1, 1)),
    ("conv2d_2c_3x3", "conv", 1, (192, 3, 1)),
    ("maxpool_3a_3x3", "pool", None, ((1, 3, 3), (1, 2, 2))),
    ("mixed_3b", "block", 2, (64, 96, 128, 16, 32, 32)),
    ("mixed_3c", "block", 3, (128, 128, 192, 32, 96, 64)),
    ("maxpool_4a_3x3", "pool", None, ((3, 3, 3), (2, 2, 2))),
    ("mixed_4b", "block", 4, (192, 96, 208, 16, 48, 64)),
    ("mixed_4c", "block", 5, (160, 112, 224, 24, 64, 64)),
    ("mixed_4d", "block", 6, (128, 128, 256, 24, 64, 64)),
    ("mixed_4e", "block", 7, (112, 144, 288, 32, 64, 64)),
    ("mixed_4f", "block", 8, (256, 160, 320, 32, 128, 128)),
    ("maxpool_5a_2x2", "pool", None, ((2, 2, 2), (2, 2, 2))),
    ("mixed_5b", "block", 9, (256, 160, 320, 32, 128, 128)),
    ("mixed_5c", "block", 10, (384, 192, 384, 48, 128, 128)),
)
ENDPOINTS = tuple(name for name, *_ in STAGES)
NUM_UNITS = 1 + max(unit for _, _, unit, _ in STAGES if unit is not None)


@dataclass(frozen=True)
class VariantSpec:
    """What tells one network of the family from another."""

    separable: bool  # k x k x k as 1 x k x k, then k x 1 x 1
    first: int = 0  # the temporal units first .. stop - 1 have temporal extent, the others are 2D
    stop: int = NUM_UNITS
    gating: bool = False  # a gate after every k x 1 x 1 convolution [P]
    gate_bias: bool = True  # [P]; slim has none
    gate_init: float = 0.0  # initial bias of the gates: they start at sigmoid(gate_init)
    all_branches: bool = True  # separable: k x 1 x 1 after the 1 x 1 branches too [P, footnote 5]
    stem_kernel: int = 7  # temporal size of the first convolution
    stem_separable: bool = True  # [P]; slim keeps the first convolution joint
    temporal_bn: bool = False  # after k x 1 x 1: batch normalisation instead of a bias [S: bias]
    temporal_init: str = "identity"  # of k x 1 x 1: "identity" [S] or "random"
    conv_std: float = 0.01  # of the truncated normal that starts the other kernels [S]; 0: He's rule
    bn_eps: float = 1e-3  # [S]
    bn_momentum: float = 1e-3  # [S: decay 0.999]


def _variants() -> dict[str, VariantSpec]:
    i3d = VariantSpec(separable=False)
    s3d = VariantSpec(separable=True)
    rows = {
        "i3d": i3d,
        "i2d": replace(i3d, stop=0),
        "s3d": s3d,
        "s3dg": replace(s3d, gating=True),
        "fast_s3d": replace(s3d, first=NUM_UNITS - 2),
    }
    for family, base in (("i3d", i3d), ("s3d", s3d)):
        for k in range(NUM_UNITS):
            rows[f"bottom_heavy_{family}_{k}"] = replace(base, stop=k)  # the K lowest units are 3D
            rows[f"top_heavy_{family}_{k}"] = replace(base, first=k)  # the units from K up are 3D
    return rows


VARIANTS = _variants()


class TemporalConv(nn.Sequential):
    """One convolution of a temporal unit: 2D, full 3D or separable, with its gate. `k` is the spatial kernel."""

    def __init__(
        self, c: int, o: int, k: int, kt: int, stride: int, spec: VariantSpec, *, temporal: bool, separable: bool
    ):
        unit = partial(ConvUnit, bn_eps=spec.bn_eps, bn_momentum=spec.bn_momentum)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if temporal and separable:
            layers["spatial"] = unit(c, o, (1, k, k), (1, stride, stride))
            layers["temporal"] = unit(o, o, (kt, 1, 1), (stride, 1, 1), bn=spec.temporal_bn)
            if spec.gating:
                layers["gate"] = Gate(o, spec.gate_bias)
        else:
            layers["spatial"] = unit(c, o, (kt if temporal else 1, k, k), (stride,) * 3)
        super().__init__(layers)


class InceptionBlock(nn.Module):
    """Four branches side by side; every branch ends in its temporal convolution where the unit has one."""

    def __init__(self, c: int, widths: tuple[int, ...], spec: VariantSpec, temporal: bool):
        super().__init__()
        o0, r1, o1, r2, o2, o3 = widths
        point = partial(ConvUnit, kernel=(1, 1, 1), bn_eps=spec.bn_eps, bn_momentum=spec.bn_momentum)

        def conv(c: int, o: int, k: int) -> nn.Module:
            if k == 1 and not (temporal and spec.separable and spec.all_branches):
                return point(c, o)
            return TemporalConv(c, o, k, 3, 1, spec, temporal=temporal, separable=spec.separable)

        self.branch_0 = conv(c, o0, 1)
        self.branch_1 = nn.Sequential(point(c, r1), conv(r1, o1, 3))
        self.branch_2 = nn.Sequential(point(c, r2), conv(r2, o2, 3))
        self.branch_3 = nn.Sequential(MaxPool((3 if temporal else 1, 3, 3)), conv(c, o3, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch_0(x), self.branch_1(x), self.branch_2(x), self.branch_3(x)], 1)


class Stages(nn.Sequential):
    """A run of stages, the whole network without its head or a part of it.

    `feature_info` maps each endpoint to {"channels", "stride": (time, space)}, strides relative to the video.
    """

    def __init__(self, stages: "OrderedDict[str, nn.Module]", feature_info: dict[str, dict]):
        super().__init__(stages)
        self.feature_info = feature_info

    def endpoints(self, x: Tensor, names: tuple[str, ...] | None = None) -> dict[str, Tensor]:
        """Activations after the named stages (default: after every stage), each (N, C, T, H, W)."""
        names = tuple(self.feature_info) if names is None else names
        for name in names:
            check_endpoint(name, tuple(self.feature_info))
        found = {}
        for name, stage in self.named_children():
            x = stage(x)
            if name in names:
                found[name] = x
            if len(found) == len(names):
                break
        return found


class InceptionNet(nn.Module):
    """A classifier of the family.

    Input (N, in_channels, T, H, W), RGB or flow, in [-1, 1]; output (N, num_classes) logits.
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
        self.spec = spec
        self.stages = _build_stages(spec, in_channels, width)
        channels = self.stages.feature_info[ENDPOINTS[-1]]["channels"]
        self.dropout = nn.Dropout(dropout)
        self.logits = Conv(channels, num_classes, (1, 1, 1))
        _initialise(self, spec)
        self.to(memory_format=torch.channels_last_3d)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(x.contiguous(memory_format=torch.channels_last_3d))
        x = x.mean(dim=(3, 4), keepdim=True)  # (N, C, T, 1, 1)
        if x.shape[2] > 1:
            x = (x[:, :, 1:] + x[:, :, :-1]) / 2  # windows of two time steps, as the 2 x 7 x 7 average pool
        return self.logits(self.dropout(x)).mean(dim=(2, 3, 4))

    def endpoints(self, x: Tensor, names: tuple[str, ...] | None = None) -> dict[str, Tensor]:
        """See `Stages.endpoints`."""
        return self.stages.endpoints(x.contiguous(memory_format=torch.channels_last_3d), names)

    def split(self, endpoint: str) -> tuple[Stages, Stages]:
        """The stages up to and with `endpoint`, and the stages after it; they share this network's parameters."""
        check_endpoint(endpoint, ENDPOINTS)
        cut = ENDPOINTS.index(endpoint) + 1
        children, info = list(self.stages.named_children()), self.stages.feature_info
        parts = (children[:cut], children[cut:])
        trunk, tail = (Stages(OrderedDict(part), {name: info[name] for name, _ in part}) for part in parts)
        return trunk, tail


def check_endpoint(name: str, legal: tuple[str, ...]) -> None:
    if name not in legal:
        raise ValueError(f"unknown endpoint {name!r}; the endpoints are {', '.join(legal)}")


def scale_channels(channels: int, width: float) -> int:
    """`channels` times `width`, as the nearest multiple of 8, at least 8 (vector width; exact at width 1)."""
    return max(8, 8 * round(channels * width / 8))


def _build_stages(spec: VariantSpec, in_channels: int, width: float) -> Stages:
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    feature_info = {}
    c, stride_t, stride_s = in_channels, 1, 1
    for name, kind, unit, row in STAGES:
        temporal = unit is not None and spec.first <= unit < spec.stop
        if kind == "pool":
            kernel, stride = row
            stages[name] = MaxPool(kernel, stride)
            stride_t, stride_s = stride_t * stride[0], stride_s * stride[1]
        elif kind == "conv":
            o, k, stride = row
            o = scale_channels(o, width)
            kt, separable = (spec.stem_kernel, spec.stem_separable) if unit == 0 else (3, True)
            stages[name] = TemporalConv(
                c, o, k, kt, stride, spec, temporal=temporal, separable=spec.separable and separable
            )
            c, stride_t, stride_s = o, stride_t * stride, stride_s * stride
        else:
            widths = tuple(scale_channels(o, width) for o in row)
            stages[name] = InceptionBlock(c, widths, spec, temporal)
            c = widths[0] + widths[2] + widths[4] + widths[5]
        feature_info[name] = {"channels": c, "stride": (stride_t, stride_s)}
    return Stages(stages, feature_info)


def _initialise(net: nn.Module, spec: VariantSpec) -> None:
    for module in net.modules():
        if isinstance(module, Conv):
            _initialise_conv(module, spec)
        elif isinstance(module, Gate):
            nn.init.normal_(module.fc.weight, std=0.01)
            if module.fc.bias is not None:
                nn.init.constant_(module.fc.bias, spec.gate_init)


def _initialise_conv(conv: Conv, spec: VariantSpec) -> None:
    kernel: Size3 = conv.kernel_size
    is_temporal = kernel[0] > 1 and kernel[1] == 1
    if is_temporal and spec.temporal_init == "identity":
        nn.init.zeros_(conv.weight)
        with torch.no_grad():
            conv.weight[:, :, kernel[0] // 2, 0, 0] = torch.eye(conv.out_channels)
    elif spec.conv_std and not is_temporal:
        nn.init.trunc_normal_(conv.weight, std=spec.conv_std)
    else:
        nn.init.kaiming_normal_(conv.weight, mode="fan_in", nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def freeze_batch_norm(module: nn.Module) -> None:
    """Hold every batch normalisation of `module` at its running statistics."""
    for child in module.modules():
        if isinstance(child, BatchNorm):
            child.freeze()
