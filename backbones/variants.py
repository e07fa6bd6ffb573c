"""The layer table and the rows: what tells one network of the family from another.

Source: Xie et al., ECCV 2018 [P]; the authors' slim code (tensorflow/models research/slim/nets/s3dg.py) [S]; the other
public versions as read in their code (docs/weights.md).
"""

from dataclasses import dataclass, replace

from .padding import PADDINGS

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
ALL_UNITS = tuple(range(NUM_UNITS))

LEGAL = {
    "stem": ("joint", "separable", "space_to_depth"),
    "padding": tuple(PADDINGS),
    "gate_placement": ("temporal", "branch"),
    "temporal_init": ("identity", "random"),
}


@dataclass(frozen=True)
class VariantSpec:
    """One network. The defaults follow the paper where it speaks, slim elsewhere."""

    separable: bool  # k x k x k as 1 x k x k, then k x 1 x 1
    temporal_units: tuple[int, ...] = ALL_UNITS  # those with temporal extent; the others are 2D
    all_branches: bool = True  # separable: k x 1 x 1 after the 1 x 1 branches too [P, footnote 5]
    branch_pool_3d: bool = False  # the branch pools of 2D units are 3 x 3 x 3 too [S]
    stem: str = "separable"  # first convolution: "joint" [S], "separable" or "space_to_depth" (HowTo100M)
    stem_kernel: int = 7  # its temporal size [P]; slim's S3D has 3
    padding: str = "same"  # a row of padding.PADDINGS [S]
    bn_gamma: bool = True  # batch normalisation scales; slim's does not
    bn_eps: float = 1e-3  # [S]
    bn_momentum: float = 1e-3  # [S: decay 0.999]
    temporal_bn: bool = False  # after k x 1 x 1: batch normalisation instead of a bias [S: bias]
    gated_units: tuple[int, ...] = ()  # those with feature gates
    gate_placement: str = "temporal"  # after every k x 1 x 1 [P], or at every "branch" end, with or without one [S]
    gate_bias: bool = True  # [P]; slim has none
    gate_init: float = 0.0  # initial bias of the gates: they start at sigmoid(gate_init)
    head_window: tuple[int, int] = (2, 7)  # average pool before the logits, time and space [P]; 0: the whole extent
    temporal_init: str = "identity"  # of k x 1 x 1: "identity" [S] or "random"
    conv_std: float = 0.01  # of the truncated normal that starts the other kernels [S]; 0: He's rule

    def __post_init__(self) -> None:
        for name in ("temporal_units", "gated_units", "head_window"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # YAML has lists
        for name, legal in LEGAL.items():
            if getattr(self, name) not in legal:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(legal)}")
        for name in ("temporal_units", "gated_units"):
            if unknown := set(getattr(self, name)) - set(ALL_UNITS):
                raise ValueError(f"{name} has {sorted(unknown)}; the units are 0 to {NUM_UNITS - 1}")
        if len(self.head_window) != 2 or min(self.head_window) < 0:
            raise ValueError(f"head_window is {self.head_window}; it is two sizes, time and space, 0 for the whole")


def _rows() -> dict[str, VariantSpec]:
    i3d = VariantSpec(separable=False, stem="joint")
    s3d = VariantSpec(separable=True)
    rows = {
        "i3d": i3d,
        "i2d": replace(i3d, temporal_units=()),
        "s3d": s3d,
        "s3dg": replace(s3d, gated_units=ALL_UNITS),
        "fast_s3d": replace(s3d, temporal_units=ALL_UNITS[-2:]),
    }
    for family, base in (("i3d", i3d), ("s3d", s3d)):
        for k in ALL_UNITS:
            rows[f"bottom_heavy_{family}_{k}"] = replace(base, temporal_units=ALL_UNITS[:k])  # the K lowest are 3D
            rows[f"top_heavy_{family}_{k}"] = replace(base, temporal_units=ALL_UNITS[k:])  # those from K up are 3D
    return rows | _public_rows(i3d, s3d)


def _public_rows(i3d: VariantSpec, s3d: VariantSpec) -> dict[str, VariantSpec]:
    """What the public code computes, as their weights need it."""
    above_stem = ALL_UNITS[1:]
    slim = {"bn_gamma": False, "branch_pool_3d": True, "gate_placement": "branch", "gate_bias": False}
    slim_s3d = replace(s3d, **slim, stem="joint", stem_kernel=3, all_branches=False)
    torchvision = replace(s3d, padding="symmetric", temporal_bn=True, all_branches=False)
    return {
        "slim_i3d": replace(i3d, **slim),
        "slim_s3d": slim_s3d,
        "slim_s3dg": replace(slim_s3d, gated_units=above_stem),
        "hassony2_i3d": replace(i3d, padding="even_space"),
        "torchvision_s3d": torchvision,
        "kylemin_s3d": replace(torchvision, head_window=(2, 0)),
        "howto100m_s3dg": replace(
            torchvision, padding="even_pools", stem="space_to_depth", bn_eps=1e-5, bn_momentum=0.1,
            gated_units=above_stem, gate_placement="branch", head_window=(0, 0),
        ),
        "googlenet_i2d": replace(i3d, temporal_units=(), padding="ceil_pools", head_window=(1, 0)),
    }  # fmt: skip


VARIANTS = _rows()


def temporal_stride(endpoint: str) -> int:
    """Frames from one step to the next of the map at this endpoint."""
    stride = 1
    for name, kind, _, row in STAGES:
        if kind == "pool":
            stride *= row[1][0]
        elif kind == "conv":
            stride *= row[2]
        if name == endpoint:
            return stride
    raise ValueError(f"unknown endpoint {endpoint!r}; the endpoints are {', '.join(ENDPOINTS)}")


def per_frame_endpoint(spec: VariantSpec) -> str | None:
    """The last endpoint whose steps depend on one frame each: no temporal kernel, no gate before it; None without."""
    last = None
    for name, kind, unit, row in STAGES:
        temporal = unit in spec.temporal_units or (kind == "pool" and row[0][0] > 1)
        gated = unit in spec.gated_units and spec.gate_placement == "branch"
        if temporal or gated or (kind == "block" and spec.branch_pool_3d) or spec.stem == "space_to_depth":
            return last
        last = name
    return last
