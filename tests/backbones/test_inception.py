"""The network family: shapes, counts and layer equality against torch's own 3D operators."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import backbones
from backbones import ENDPOINTS
from backbones.inception import scale_channels
from backbones.layers import Conv, Gate, MaxPool, fold_time, unfold_time
from backbones.padding import same


def parameters(name: str, **overrides) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in backbones.build(name, **overrides).parameters())


def test_i3d_has_the_parameters_of_the_public_graph():
    # pytorch-i3d and hassony2's I3D with BN scale and shift, 400 classes: 12.697 M
    assert round(parameters("i3d") / 1e6, 3) == 12.697


def test_s3d_with_batch_norm_on_two_branches_has_the_parameters_of_torchvision():
    # torchvision.models.video.s3d: separable stem, BN after every convolution, temporal only after 3x3: 8,320,048
    assert parameters("s3d", all_branches=False, temporal_bn=True) == 8_320_048


def test_heavy_families_meet_their_ends():
    assert parameters("top_heavy_i3d_0") == parameters("i3d")
    assert parameters("bottom_heavy_i3d_0") == parameters("i2d")
    assert parameters("top_heavy_s3d_0") == parameters("s3d")
    assert parameters("fast_s3d") == parameters("top_heavy_s3d_9")
    counts = [parameters(f"bottom_heavy_i3d_{k}", width=0.25) for k in range(11)]
    assert counts == sorted(counts) and len(set(counts)) == 11


def test_gates_add_a_square_matrix_and_a_bias_for_every_temporal_convolution():
    block = 64 + 128 + 32 + 32  # mixed_3b
    net, gated = (backbones.build(name).stages.mixed_3b for name in ("s3d", "s3dg"))
    more = sum(p.numel() for p in gated.parameters()) - sum(p.numel() for p in net.parameters())
    assert more == 64**2 + 128**2 + 32**2 + 32**2 + block


# Paper, figure 2: channels, and halvings in time and space since the clip; test_profile.py has the branches' widths.
CHANNELS = (64, 64, 64, 192, 192, 256, 480, 480, 512, 512, 512, 528, 832, 832, 832, 1024)
HALVINGS = ((1, 1), *[(1, 2)] * 3, *[(1, 3)] * 3, *[(2, 4)] * 6, *[(3, 5)] * 3)


def test_endpoints_have_the_channels_and_strides_of_the_table():
    for name in ("i3d", "i2d", "s3d", "s3dg", "fast_s3d", "top_heavy_i3d_5", "bottom_heavy_s3d_3"):
        with torch.device("meta"):
            whole = backbones.build(name).stages.feature_info
        assert tuple(whole) == ENDPOINTS
        assert tuple(info["channels"] for info in whole.values()) == CHANNELS
        assert [info["stride"] for info in whole.values()] == [(2**t, 2**s) for t, s in HALVINGS]
        net = backbones.build(name, width=0.25, num_classes=5).eval()
        x = torch.randn(1, 3, 8, 32, 64)
        with torch.no_grad():
            found = net.endpoints(x)
            assert tuple(found) == (*ENDPOINTS, "logits")
            assert torch.equal(found["logits"][:, :, 0, 0, 0], net(x))
        for endpoint, (t, s) in zip(ENDPOINTS, HALVINGS, strict=True):
            channels = net.stages.feature_info[endpoint]["channels"]
            assert found[endpoint].shape == (1, channels, 8 >> t, 32 >> s, 64 >> s), (name, endpoint)


def test_quarter_width_by_hand():
    # mixed_3b: 64 + 128 + 32 + 32 channels become 16 + 32 + 8 + 8; 4b: 192 + 208 + 48 + 64 become 48 + 48 (of 52, which
    # is half way to 56, to an even multiple of 8) + 16 (of 12) + 16
    info = backbones.build("s3dg", width=0.25).stages.feature_info
    assert [info[name]["channels"] for name in ("conv2d_1a_7x7", "mixed_3b", "mixed_4b")] == [16, 64, 128]
    assert [scale_channels(c, 0.25) for c in (16, 64, 480)] == [8, 16, 120]
    assert all(scale_channels(c, 1.0) == c for c in (16, 24, 48, 112, 208, 384))


def test_trunk_then_tail_is_the_network():
    net = backbones.build("s3dg", width=0.125, temporal_bn=True).eval()
    x = torch.randn(1, 3, 9, 40, 33)
    with torch.no_grad():
        whole = net.endpoints(x)
        for endpoint in ENDPOINTS:
            trunk, tail = net.split(endpoint)
            feature = trunk(x)
            assert torch.equal(feature, whole[endpoint]) and torch.equal(tail(feature), whole["mixed_5c"]), endpoint


def conv3d_same(x, conv: nn.Conv3d):
    """The reference: explicit zero padding, then torch's conv3d."""
    pads = [
        p
        for n, k, s in zip(x.shape[:1:-1], conv.kernel_size[::-1], conv.stride[::-1], strict=True)
        for p in same(n, k, s)
    ]
    return F.conv3d(F.pad(x, pads), conv.weight, conv.bias, conv.stride)


def test_convolution_equals_conv3d_in_value_and_gradient():
    torch.manual_seed(0)
    kernels = [(1, 1, 1), (1, 3, 3), (3, 1, 1), (3, 3, 3), (7, 7, 7), (1, 7, 7), (7, 1, 1)]
    strides = [(1, 1, 1), (2, 2, 2), (1, 2, 2), (2, 1, 1)]
    for kernel, stride, size in product(kernels, strides, [(1, 5, 8), (4, 7, 7), (5, 8, 6)]):
        conv = Conv(3, 4, kernel, stride).double()
        x = torch.randn(2, 3, *size, dtype=torch.float64).requires_grad_()
        ours, reference = conv(x.contiguous(memory_format=torch.channels_last_3d)), conv3d_same(x, conv)
        upstream, leaves = torch.randn_like(reference), (x, conv.weight, conv.bias)
        gradients = (torch.autograd.grad((y * upstream).sum(), leaves) for y in (ours, reference))
        for a, b in zip((ours, *next(gradients)), (reference, *next(gradients)), strict=True):
            torch.testing.assert_close(a, b, msg=lambda text, case=(kernel, stride, size): f"{case}: {text}")


def test_max_pool_equals_padding_with_minus_infinity():
    torch.manual_seed(0)
    pools = [
        ((1, 3, 3), (1, 2, 2)),
        ((3, 3, 3), (2, 2, 2)),
        ((2, 2, 2), (2, 2, 2)),
        ((3, 3, 3), (1, 1, 1)),
        ((1, 3, 3), (1, 1, 1)),
    ]
    for (kernel, stride), size in product(pools, [(1, 1, 1), (2, 3, 4), (5, 7, 8), (4, 13, 6)]):
        x = torch.randn(2, 3, *size).contiguous(memory_format=torch.channels_last_3d)
        pads = [p for n, k, s in zip(size[::-1], kernel[::-1], stride[::-1], strict=True) for p in same(n, k, s)]
        reference = F.max_pool3d(F.pad(x, pads, value=float("-inf")), kernel, stride)
        pool = MaxPool(kernel, stride)
        assert torch.equal(pool(x), reference), (kernel, stride, size)
        assert torch.equal(pool(x.clone().requires_grad_()), reference), (kernel, stride, size)  # differentiable


def test_same_padding_by_hand():
    # TensorFlow: 7 wide, stride 2, 400 inputs, 200 outputs: 199 * 2 + 7 - 400 = 5 zeros, 2 before and 3 behind
    assert same(400, 7, 2) == (2, 3)
    assert same(13, 3, 2) == (1, 1)
    assert same(14, 3, 2) == (0, 1)
    assert same(5, 1, 2) == (0, 0)


def test_folding_time_is_a_view_and_unfolds():
    x = torch.randn(2, 5, 3, 4, 6).contiguous(memory_format=torch.channels_last_3d)
    folded = fold_time(x)
    assert folded.data_ptr() == x.data_ptr() and torch.equal(folded[4], x[1, :, 1])
    assert torch.equal(unfold_time(folded, 2), x)


def test_gate_by_hand():
    gate = Gate(2)
    with torch.no_grad():
        gate.fc.weight.copy_(torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
        gate.fc.bias.copy_(torch.tensor([0.0, 100.0]))
    x = torch.stack([torch.full((1, 2, 2), 3.0), torch.tensor([[[1.0, 3.0], [2.0, 2.0]]])])[None]
    y = gate(x)
    # channel 0: mean of channel 1 is 2, so 3 * sigmoid(2); channel 1: sigmoid(100) = 1
    torch.testing.assert_close(y[0, 0], 3 * torch.sigmoid(torch.tensor(2.0)).expand(1, 2, 2))
    torch.testing.assert_close(y[0, 1], x[0, 1])


def test_identity_initialised_s3d_starts_as_the_2d_network():
    s3d, i2d = backbones.build("s3d", width=0.125), backbones.build("i2d", width=0.125)
    spatial = [v for k, v in s3d.state_dict().items() if ".temporal." not in k]
    i2d.load_state_dict(dict(zip(i2d.state_dict(), spatial, strict=True)))
    still = torch.randn(1, 3, 1, 32, 32).expand(1, 3, 8, 32, 32)  # so that pooling over time changes nothing
    a, b = (net.train().endpoints(still, ("mixed_3c",))["mixed_3c"] for net in (s3d, i2d))
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_head_averages_windows_of_two_steps():
    # steps 1 2 6: windows 1.5, 4; mean 2.75, where the plain mean is 3
    net = backbones.build("i2d", width=0.125, num_classes=1).eval()
    channels = net.logits.in_channels
    nn.init.constant_(net.logits.weight, 1 / channels)
    nn.init.zeros_(net.logits.bias)
    steps = torch.tensor([1.0, 2.0, 6.0]).reshape(1, 1, 3, 1, 1).expand(1, channels, 3, 2, 2)
    net.stages = nn.Identity()
    torch.testing.assert_close(net(steps), torch.tensor([[2.75]]))


def test_flow_input_and_frozen_statistics():
    net = backbones.build("s3dg", in_channels=2, width=0.25, num_classes=3)
    backbones.freeze_batch_norm(net)
    before = {k: v.clone() for k, v in net.state_dict().items() if "running" in k}
    clips = torch.randn(2, 2, 8, 32, 32)
    scores = net.train().endpoints(clips)["logits"].mean((2, 3, 4))
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items() if k in before)
    torch.testing.assert_close(net.eval()(clips), scores)  # nothing is normalised by the batch
    assert scores.shape == (2, 3)


def test_errors_name_the_legal_values():
    with pytest.raises(ValueError, match="unknown network 's3dgg'.*s3dg"):
        backbones.build("s3dgg")
    with pytest.raises(ValueError, match="unknown field 'gate'.*gated_units"):
        backbones.build("s3d", gate=True)
    with pytest.raises(ValueError, match="unknown endpoint 'mixed_4z'.*mixed_4e"):
        backbones.build("i2d", width=0.125).split("mixed_4z")


@pytest.mark.parametrize("frames, equal", [(13, True), (29, True), (15, False), (16, False)])
def test_i2d_is_blind_to_the_direction_of_time_where_its_strides_fall_alike_both_ways(frames, equal):
    # 13 frames: the stem takes 0, 2 .. 12 (7), the pools 01 123 345 56 and then 01 23; with 16: 012 234 456 67
    torch.manual_seed(0)
    net = backbones.build("i2d", width=0.125, conv_std=0.0).eval()
    x = torch.randn(1, 3, frames, 32, 32)
    with torch.no_grad():
        forward, backward = net(x), net(x.flip(2))
    assert torch.allclose(forward, backward, rtol=1e-4, atol=1e-6) == equal


@torch.no_grad()
def test_i3d_and_s3d_see_the_direction_of_time():
    x = torch.randn(1, 3, 13, 32, 32)
    for name in ("i3d", "s3d"):
        net = backbones.build(name, width=0.125, conv_std=0.0, temporal_init="random").eval()
        forward, backward = net(x), net(x.flip(2))
        assert float((forward - backward).abs().max()) > 1e-2 * float(forward.std()), name
