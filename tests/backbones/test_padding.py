"""Each padding rule by hand and against the library whose behaviour it describes."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import backbones
from backbones import VariantSpec, layers
from backbones.layers import Conv, MaxPool, pad
from backbones.padding import PADDINGS, even, even_ceil, same, space_to_depth, symmetric, unpadded_ceil
from backbones.stages import output_size
from backbones.variants import VARIANTS

SIZES = [(1, 2, 3), (2, 3, 4), (3, 5, 8), (4, 7, 6), (5, 9, 13)]


@pytest.mark.parametrize(
    "rule, size, kernel, stride, zeros",
    [
        # same: ceil(7 / 2) = 4 outputs reach 3 * 2 + 3 = 9 positions, 2 more than 7; of 8, 4 outputs reach 9, 1 more
        (same, 7, 3, 2, (1, 1)),
        (same, 8, 3, 2, (0, 1)),
        (same, 224, 7, 2, (2, 3)),
        (same, 225, 7, 2, (3, 3)),
        (same, 5, 2, 2, (0, 1)),
        (same, 1, 3, 1, (1, 1)),
        (same, 4, 1, 3, (0, 0)),
        (symmetric, 7, 7, 2, (3, 3)),
        (symmetric, 8, 3, 2, (1, 1)),
        (symmetric, 5, 2, 2, (0, 0)),  # two windows, the fifth position dropped
        (even, 8, 3, 2, (0, 1)),
        (even, 7, 3, 2, (0, 1)),  # as for 8
        (even, 9, 7, 2, (2, 3)),
        (even, 9, 3, 1, (1, 1)),
        (even, 9, 1, 2, (0, 0)),
        (even_ceil, 8, 3, 2, (0, 1)),
        (even_ceil, 7, 3, 2, (0, 2)),  # 7 + 1: windows at 0, 2, 4 and, reaching beyond, 6 .. 8
        (even_ceil, 5, 2, 2, (0, 1)),
        (unpadded_ceil, 7, 3, 2, (0, 0)),  # 0, 2, 4 .. 6 fits
        (unpadded_ceil, 8, 3, 2, (0, 1)),  # 0, 2, 4, 6 .. 8
        (unpadded_ceil, 5, 2, 2, (0, 1)),
        (unpadded_ceil, 5, 3, 1, (1, 1)),
        (space_to_depth, 10, 8, 2, (2, 4)),  # five outputs from -2: the last is 6 .. 13
        (space_to_depth, 10, 4, 2, (0, 2)),
    ],
)
def test_by_hand(rule, size, kernel, stride, zeros):
    assert rule(size, kernel, stride) == zeros


def outputs(rule, size: int, kernel: int, stride: int) -> int:
    return (size + sum(rule(size, kernel, stride)) - kernel) // stride + 1


def test_same_has_ceil_outputs_and_no_zero_too_many():
    for stride, kernel, size in product([1, 2, 3], [1, 2, 3, 4, 7, 8], range(1, 30)):
        before, after = same(size, kernel, stride)
        assert outputs(same, size, kernel, stride) == -(-size // stride)
        assert 0 <= after - before <= 1
        if before + after:  # with one zero less an output would be lost
            assert (size + before + after - 1 - kernel) // stride + 1 < -(-size // stride)
        if size % stride == 0:
            assert even(size, kernel, stride) == (before, after)


def test_same_of_stride_1_is_torchs():
    x = torch.randn(1, 2, 4, 5, 6)
    for kernel in ((1, 3, 3), (3, 5, 1), (7, 7, 7)):
        weight = torch.randn(3, 2, *kernel)
        pads = [same(n, k, 1) for n, k in zip(x.shape[2:], kernel, strict=True)]
        torch.testing.assert_close(F.conv3d(pad(x, pads), weight), F.conv3d(x, weight, padding="same"))


def positive(size: tuple[int, int, int], channels: int = 3) -> Tensor:
    """As after a ReLU: the sources pad their pools with zeros, ours with minus infinity."""
    x = torch.randn(2, channels, *size).relu()
    return x.contiguous(memory_format=torch.channels_last_3d)


def zeros_then_ceil(x: Tensor, kernel, stride) -> Tensor:
    """hassony2 (space) and HowTo100M: zeros as for even sizes, then ceil_mode."""
    totals = [max(k - s, 0) for k, s in zip(kernel, stride, strict=True)]
    return F.max_pool3d(pad(x, [(n // 2, n - n // 2) for n in totals]), kernel, stride, ceil_mode=True)


LIBRARY = {
    symmetric: lambda x, kernel, stride: F.max_pool3d(x, kernel, stride, [(k - 1) // 2 for k in kernel]),
    even_ceil: zeros_then_ceil,
    unpadded_ceil: lambda x, kernel, stride: F.max_pool3d(
        x, kernel, stride, [(k - 1) // 2 if s == 1 else 0 for k, s in zip(kernel, stride, strict=True)], ceil_mode=True
    ),
}
POOLS = [
    ((1, 3, 3), (1, 2, 2)),
    ((3, 3, 3), (2, 2, 2)),
    ((2, 2, 2), (2, 2, 2)),
    ((3, 3, 3), (1, 1, 1)),
    ((1, 3, 3), (1, 1, 1)),
]
CONVOLUTIONS = [((7, 7, 7), (2, 2, 2)), ((1, 7, 7), (1, 2, 2)), ((7, 1, 1), (2, 1, 1)), ((3, 3, 3), (1, 1, 1))]


@pytest.mark.parametrize("rule", LIBRARY, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("by_axes", [False, True], ids=["as on a CPU", "as on CUDA"])
def test_pools_are_the_librarys(rule, by_axes, monkeypatch):
    if by_axes:
        monkeypatch.setattr(layers, "max_pool3d", layers.max_pool_by_axes)
    for kernel, stride in POOLS:
        tested = 0
        for size in SIZES:
            x, pool = positive(size), MaxPool(kernel, stride, (rule,) * 3)
            if min(output_size(pool, size)) < 1:
                with pytest.raises(RuntimeError):
                    LIBRARY[rule](x, kernel, stride)
                continue
            expected = LIBRARY[rule](x, kernel, stride)
            for grad in (False, True):  # two ways of computing it
                assert torch.equal(pool(x.requires_grad_(grad)), expected), (kernel, stride, size, grad)
            tested += 1
        assert tested >= 3


@pytest.mark.parametrize("mode", PADDINGS)
def test_layers_of_every_mode_equal_explicit_padding(mode):
    conv_rules, pool_rules = PADDINGS[mode]

    def padded(x: Tensor, rules, kernel, stride, value: float = 0.0) -> Tensor:
        (t, h, w) = (rule(n, k, s) for rule, n, k, s in zip(rules, x.shape[2:], kernel, stride, strict=True))
        return F.pad(x, [*w, *h, *t], value=value)

    for (kernel, stride), size in product(POOLS, SIZES):
        x, pool = positive(size), MaxPool(kernel, stride, pool_rules)
        if min(output_size(pool, size)) > 0:
            expected = F.max_pool3d(padded(x, pool_rules, kernel, stride, -torch.inf), kernel, stride)
            assert torch.equal(pool(x), expected) and expected.shape[2:] == output_size(pool, size), (kernel, size)
    for (kernel, stride), size in product(CONVOLUTIONS, SIZES):
        x, conv = positive(size).double(), Conv(3, 4, kernel, stride, conv_rules).double()
        expected = F.conv3d(padded(x, conv_rules, kernel, stride), conv.weight, conv.bias, stride)
        torch.testing.assert_close(conv(x), expected, msg=lambda text, case=(kernel, size): f"{case}: {text}")
        assert expected.shape[2:] == output_size(conv, size)


@pytest.mark.parametrize("size", [(4, 10, 16), (6, 14, 8)])
def test_space_to_depth_kernel_equals_folded_pixels(size):
    # the stem as HowTo100M computes it: 2 x 2 x 2 pixels as channels, padding (1, 2, 2), first output cut off
    folded = nn.Conv3d(8 * 3, 4, (2, 4, 4), padding=(1, 2, 2), bias=False)
    x = torch.randn(1, 3, *size)
    corners = [x[:, :, t::2, h::2, w::2] for t in (0, 1) for h in (0, 1) for w in (0, 1)]
    expected = folded(torch.cat(corners, 1))[:, :, 1:, 1:, 1:]
    conv = Conv(3, 4, (4, 8, 8), (2, 2, 2), (space_to_depth,) * 3, bias=False)
    with torch.no_grad():  # at pixel (2a + t, 2b + h, 2c + w) the folded kernel at (a, b, c) of corner t, h, w
        for corner, (t, h, w) in enumerate((t, h, w) for t in (0, 1) for h in (0, 1) for w in (0, 1)):
            conv.weight[:, :, t::2, h::2, w::2] = folded.weight[:, 3 * corner : 3 * corner + 3]
    torch.testing.assert_close(conv(x), expected)


# What is too small ---------------------------------------------------------------------------------------------------

ROWS = ["i3d", "s3dg", "slim_s3d", "hassony2_i3d", "torchvision_s3d", "howto100m_s3dg", "googlenet_i2d"]


@torch.no_grad()
@pytest.mark.parametrize("name", ROWS)
def test_least_input(name):
    net = backbones.build(name, width=0.125, num_classes=2).eval()
    least = net.stages.least_input()
    net.logits.bias.copy_(torch.tensor([3.0, -2.0]))
    net.logits.weight.zero_()  # so that the scores are the bias, whatever is pooled, unless nothing is
    assert net(torch.zeros(1, 3, *least)).tolist() == [[3.0, -2.0]]
    for axis in range(3):
        if least[axis] == 1:
            continue
        smaller = [n - (a == axis) for a, n in enumerate(least)]
        text = f"too small for \\w+; the least input of these stages is {' x '.join(map(str, least))}$"
        with pytest.raises(ValueError, match=text):
            net(torch.zeros(1, 3, *smaller))


def test_least_inputs_by_hand():
    # SAME keeps one position whatever the size. symmetric: only the pool of 2 loses any; before it stand three halvings
    # of space (n -> ceil(n / 2) four times, 2 left: at least 17) and two of time (ceil twice, 2 left: at least 5)
    assert backbones.build("i3d", width=0.125).stages.least_input() == (1, 1, 1)
    assert backbones.build("torchvision_s3d", width=0.125).stages.least_input() == (5, 17, 17)
    # torchvision's own figure for googlenet: GoogLeNet_Weights' min_size
    assert backbones.build("googlenet_i2d", width=0.125).stages.least_input() == (1, 15, 15)


@torch.no_grad()
@pytest.mark.parametrize("mode", PADDINGS)
def test_every_stage_has_the_size_that_is_foretold(mode):
    net = backbones.build("i3d", width=0.125, num_classes=2, padding=mode).eval()
    for size in ((9, 38, 45), (10, 51, 64)):
        found = net.stages.endpoints(torch.zeros(1, 3, *size))
        for name, stage in net.stages.named_children():
            size = output_size(stage, size)
            assert tuple(found[name].shape[2:]) == size


def test_every_public_row_has_a_legal_padding():
    assert {spec.padding for spec in VARIANTS.values()} == set(PADDINGS)
    with pytest.raises(ValueError, match="padding is 'valid'; it must be one of same, symmetric"):
        VariantSpec(separable=True, padding="valid")
