"""Counted costs against arithmetic by hand, fvcore and autograd; measurements for sanity."""

import math
import re

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import backbones
from backbones.profile import measure, profile

# Paper, section 3: widths of (branch 0, 1 reduce, 1, 2 reduce, 2, 3), units 2 to 10, and the pools before them.
BLOCKS = {
    2: (64, 96, 128, 16, 32, 32), 3: (128, 128, 192, 32, 96, 64), 4: (192, 96, 208, 16, 48, 64),
    5: (160, 112, 224, 24, 64, 64), 6: (128, 128, 256, 24, 64, 64), 7: (112, 144, 288, 32, 64, 64),
    8: (256, 160, 320, 32, 128, 128), 9: (256, 160, 320, 32, 128, 128), 10: (384, 192, 384, 48, 128, 128),
}  # fmt: skip
UNITS = range(11)
FAMILY = [name for name in backbones.names() if re.fullmatch(r"(bottom|top)_heavy_.*|i[23]d|s3dg?|fast_s3d", name)]
# The networks of public code at 64 x 224 x 224, 400 classes, as fvcore counts the originals, in 10^9. HowTo100M (512
# outputs): the original has 73.56, as its stem computes 33 x 113 x 113 positions of 24 x 64 x 2 x 4 x 4 products and
# then drops one along each axis; 32 x 112 x 112 are 0.98 less.
PUBLIC = {
    "slim_i3d": 111.15, "slim_s3d": 64.18, "slim_s3dg": 64.18, "hassony2_i3d": 111.15, "torchvision_s3d": 71.92,
    "kylemin_s3d": 71.92, "howto100m_s3dg": 72.58,
}  # fmt: skip


def half(n: int) -> int:
    return -(-n // 2)  # SAME padding, stride 2


def units_of(name: str) -> tuple[range, bool, bool]:
    """Temporal units, separable, gated."""
    if heavy := re.fullmatch(r"(bottom|top)_heavy_(i3d|s3d)_(\d+)", name):
        side, family, k = heavy[1], heavy[2], int(heavy[3])
        return (range(k) if side == "bottom" else range(k, 11)), family == "s3d", False
    return {
        "i3d": (UNITS, False, False),
        "i2d": (range(0), False, False),
        "s3d": (UNITS, True, False),
        "s3dg": (UNITS, True, True),
        "fast_s3d": (range(9, 11), True, False),
    }[name]


def closed_form_multiply_adds(name: str, size: tuple[int, int, int], classes: int = 400) -> int:
    """The sum over the layer table: outputs x input channels x kernel volume."""
    temporal, separable, gated = units_of(name)
    t, h, w = size
    total = 0

    def conv(unit: int, c: int, o: int, k: int, kt: int = 3) -> int:
        """A convolution of a temporal unit at stride 1 on the current t x h x w."""
        if unit not in temporal or (k == 1 and not separable):
            return t * h * w * c * o * k * k
        if not separable:
            return t * h * w * c * o * k * k * kt
        return t * h * w * o * (c * k * k + o * kt) + (o * o if gated else 0)

    frames, t, h, w = t, half(t), half(h), half(w)  # stem: 7 x 7 (x 7), stride 2 in time and space
    if 0 in temporal and separable:  # all frames see the spatial part, half of them the temporal one
        total += frames * h * w * 3 * 64 * 49 + t * h * w * 64 * 64 * 7 + (64 * 64 if gated else 0)
    else:
        total += conv(0, 3, 64, 7, kt=7)
    h, w = half(h), half(w)  # MaxPool_2a
    total += t * h * w * 64 * 64 + conv(1, 64, 192, 3)  # Conv2d_2b has no temporal part
    h, w, c = half(h), half(w), 192  # MaxPool_3a
    for unit, (b0, r1, b1, r2, b2, b3) in BLOCKS.items():
        if unit in (4, 9):  # MaxPool_4a, MaxPool_5a
            t, h, w = half(t), half(h), half(w)
        total += t * h * w * c * (r1 + r2)
        total += conv(unit, c, b0, 1) + conv(unit, r1, b1, 3) + conv(unit, r2, b2, 3) + conv(unit, c, b3, 1)
        c = b0 + b1 + b2 + b3
    window_t, window_s = backbones.VariantSpec(separable=True).head_window  # of the average pool; 0: everywhere
    windows = [max(n - k + 1, 1) if k else 1 for n, k in ((t, window_t), (h, window_s), (w, window_s))]
    return total + math.prod(windows) * 1024 * classes


def on_meta(name: str, **options) -> nn.Module:
    with torch.device("meta"):
        return backbones.build(name, **options)


@pytest.fixture
def shapes_only(monkeypatch):
    """Without values torch takes batch normalisation apart in Python, which is most of the time; it keeps the shape."""
    monkeypatch.setattr(nn.functional, "batch_norm", lambda x, *arguments, **options: torch.empty_like(x))


@pytest.mark.parametrize("name", FAMILY)
def test_multiply_adds_are_those_of_the_layer_table(shapes_only, name):
    size = (13, 97, 130)
    assert profile(on_meta(name), size).multiply_adds == closed_form_multiply_adds(name, size)


def test_odd_sizes_follow_same_padding(shapes_only):
    for name in ("s3dg", "i3d"):
        net = on_meta(name)
        for size in ((64, 224, 224), (7, 33, 65), (20, 320, 400), (65, 225, 223), (3, 1, 1)):
            assert profile(net, size).multiply_adds == closed_form_multiply_adds(name, size), (name, size)


def test_the_paper_s_i3d_has_the_multiply_adds_of_the_public_graphs():
    assert round(profile(on_meta("i3d"), (64, 224, 224)).multiply_adds / 1e9, 2) == 111.15


@pytest.mark.parametrize("name", [name for name in PUBLIC if name in backbones.names()])
def test_networks_of_public_code_have_its_multiply_adds(shapes_only, name):
    net = on_meta(name, num_classes=512 if name.startswith("howto100m") else 400)
    assert round(profile(net, (64, 224, 224)).multiply_adds / 1e9, 2) == PUBLIC[name]


def test_multiply_adds_agree_with_fvcore():
    # the first six stages of S3D-G have every kind of layer; fvcore takes seconds to trace a whole network
    net, size = backbones.build("s3dg", width=0.25).eval(), (9, 33, 50)
    net.stages, _ = net.split("mixed_3b")
    net.logits = nn.Conv3d(net.stages.feature_info["mixed_3b"]["channels"], 7, 1)
    with torch.no_grad():  # its tracer cannot follow an autograd.Function
        counted = FlopCountAnalysis(net, torch.randn(1, 3, *size)).unsupported_ops_warnings(False).by_operator()
    assert counted["linear"] + counted["addmm"] > 0
    assert profile(net, size).multiply_adds == sum(counted[op] for op in ("conv", "linear", "addmm"))


@pytest.mark.parametrize("name", ["i3d", "s3dg", "kylemin_s3d", "howto100m_s3dg", "hassony2_i3d"])
def test_multiply_adds_agree_with_torchs_counter(name):
    net, size = backbones.build(name, width=0.25, num_classes=7).eval(), (9, 33, 50)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        net(torch.randn(1, 3, *size))
    assert 2 * profile(net, size).multiply_adds == counter.get_total_flops()  # one for the product, one for the sum


def bytes_kept_by_autograd(net: nn.Module, clip: torch.Tensor) -> int:
    ours = {tensor.untyped_storage().data_ptr() for tensor in (clip, *net.parameters(), *net.buffers())}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in ours:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = net.train()(clip)
    del output
    return sum(kept.values())


@pytest.mark.parametrize("name", ["i3d", "i2d", "s3d", "s3dg"])
def test_activation_memory_is_what_autograd_keeps(name):
    # Odd sizes, so that the stem's padding is even and needs no copy. Autograd keeps a little more: a gate's mean, the
    # mean and deviation of batch normalisation.
    net = backbones.build(name, width=0.25, num_classes=7)
    size = (15, 65, 65)
    counted = profile(net, size).activation_bytes
    clip = torch.randn(1, 3, *size).contiguous(memory_format=torch.channels_last_3d)  # so that it is not copied
    assert counted == pytest.approx(bytes_kept_by_autograd(net, clip), rel=0.01)


def test_activation_memory_by_hand():
    # i2d's stem at width 1/8 on 2 x 8 x 8: convolution and normalisation, each 8 channels x 1 x 4 x 4 of 4 bytes
    net = backbones.build("i2d", width=0.125, num_classes=5)
    stem, _ = net.split("conv2d_1a_7x7")
    net.stages, net.logits = stem, nn.Identity()
    assert profile(net, (2, 8, 8)).activation_bytes == 2 * 8 * 16 * 4


def test_counting_leaves_the_network_as_it_was():
    net = backbones.build("s3dg", width=0.125, num_classes=5, in_channels=2).train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    counts = profile(net, (8, 32, 32))
    assert counts.parameters == sum(p.numel() for p in net.parameters())
    assert net.training and not any(module._forward_hooks for module in net.modules())
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert net.in_channels == 2


def test_measurement_is_of_this_network():
    net = backbones.build("i2d", width=0.125, num_classes=5)
    calls = []
    net.register_forward_hook(lambda module, inputs, output: calls.append((module.training, inputs[0].shape)))
    measured = measure(net, (2, 32, 32), repeat=3)
    assert calls == [(False, (1, 3, 2, 32, 32))] * 4  # one to warm up
    assert 0 < measured.seconds < 60
    assert measured.peak_bytes is None or measured.peak_bytes >= 0  # its size: tests/analysis/test_family.py


@pytest.mark.parametrize("size", [(0, 32, 32), (8, 32, -1), (8, 32)])
def test_impossible_sizes(size):
    with pytest.raises(ValueError, match="frames, height and width"):
        profile(on_meta("i2d"), size)
    with pytest.raises(ValueError, match="frames, height and width"):
        measure(backbones.build("i2d", width=0.125), size)


def test_no_repetitions():
    with pytest.raises(ValueError, match="0 repetitions"):
        measure(backbones.build("i2d", width=0.125), (2, 16, 16), repeat=0)
