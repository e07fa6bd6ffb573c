"""Gates, folding, checkpointing and the temporal convolution's own backward pass, in float64 against plain torch."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import backbones
from backbones import InceptionNet, fold_batch_norm
from backbones.layers import BatchNorm, Conv, ConvUnit, Gate
from backbones.temporal import temporal_conv


def small_net(name: str = "s3dg", **overrides) -> InceptionNet:
    """An eighth of the width, statistics and scales that are not neutral, float64, evaluation mode."""
    torch.manual_seed(0)
    net = backbones.build(name, width=0.125, num_classes=3, dropout=0.0, conv_std=0, **overrides).double()
    for module in net.modules():
        if isinstance(module, BatchNorm):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                tensor.data.add_(0.2 * torch.rand_like(tensor))
    return net.eval()


def clip(*size: int) -> Tensor:
    return torch.randn(*size, dtype=torch.float64).contiguous(memory_format=torch.channels_last_3d)


# Gate --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [False, True])
def test_gate_is_its_formula_with_and_without_gradients(bias):
    gate, x = Gate(6, bias).double(), clip(2, 6, 3, 4, 5)
    assert (gate.fc.bias is not None) == bias
    mean = x.mean((2, 3, 4)) @ gate.fc.weight.T + (gate.fc.bias if bias else 0)
    expected = (torch.sigmoid(mean)[:, :, None, None, None] * x).detach()
    kept = x.clone()
    torch.testing.assert_close(gate(x), expected)
    assert torch.equal(x, kept)  # with gradients the input is left as it is
    with torch.no_grad():
        torch.testing.assert_close(gate(x), expected)


def test_gradient_of_gate():
    gate = Gate(3).double()
    assert torch.autograd.gradcheck(gate, clip(1, 3, 2, 2, 3).requires_grad_())


# Folding -----------------------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("name", ["s3dg", "slim_s3dg", "torchvision_s3d", "howto100m_s3dg", "i3d"])
def test_folded_network_gives_the_same(name):
    net, x = small_net(name), clip(1, 3, 10, 38, 45)
    before = net.endpoints(x)
    assert fold_batch_norm(net) is net and not any(isinstance(m, BatchNorm) for m in net.modules())
    for endpoint, value in net.endpoints(x).items():
        torch.testing.assert_close(value, before[endpoint], rtol=1e-9, atol=1e-10)
    folded = {k: v.clone() for k, v in net.state_dict().items()}
    fold_batch_norm(net)  # a second time: nothing
    assert all(torch.equal(v, folded[k]) for k, v in net.state_dict().items())


@torch.no_grad()
def test_folding_a_trunk_folds_the_network_and_leaves_the_tail():
    net, x = small_net(), clip(1, 3, 9, 33, 40)
    expected = net(x)
    trunk, tail = net.split("mixed_4e")
    fold_batch_norm(trunk)
    assert any(isinstance(m, BatchNorm) for m in tail.modules())
    torch.testing.assert_close(net.classify(tail(trunk(x))), expected, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(net.classify(fold_batch_norm(tail)(trunk(x))), expected, rtol=1e-9, atol=1e-10)


def test_folding_by_hand():
    unit = ConvUnit(Conv(1, 1, (1, 1, 1), bias=False), BatchNorm(1, eps=0.0))
    with torch.no_grad():
        unit.conv.weight.fill_(3.0)
        unit.bn.weight.fill_(2.0)
        unit.bn.bias.fill_(5.0)
        unit.bn.running_mean.fill_(4.0)
        unit.bn.running_var.fill_(16.0)
    unit.fold()
    assert float(unit.conv.weight.detach()) == 1.5 and float(unit.conv.bias.detach()) == 3.0  # 3 * 2 / 4; 5 - 4 * 2 / 4


# Checkpointing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["s3dg", "torchvision_s3d"])
def test_checkpointing_changes_neither_gradients_nor_statistics(name):
    x, results = clip(2, 3, 6, 24, 30), []
    for checkpointing in (False, True):
        net = small_net(name).train()
        net.stages.checkpointing = checkpointing
        net(x).square().sum().backward()
        results.append((dict(net.named_parameters()), dict(net.named_buffers())))
    (plain, statistics), (again, statistics_again) = results
    for key, parameter in plain.items():
        assert parameter.grad is not None, key
        torch.testing.assert_close(again[key].grad, parameter.grad, rtol=1e-9, atol=1e-12)
    for key, value in statistics.items():  # moved once, not once more when the stage is computed again
        assert torch.equal(statistics_again[key], value), key
        assert not key.endswith("num_batches_tracked") or value == 1
    assert all(m.momentum == net.spec.bn_momentum for m in net.modules() if isinstance(m, BatchNorm))


def test_parts_of_a_network_take_its_checkpointing_over():
    net = small_net()
    net.stages.checkpointing = True
    assert all(part.checkpointing for part in net.split("mixed_3c"))


# Temporal convolution ----------------------------------------------------------------------------------------------


def conv3d_of_time(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: tuple[int, int]) -> Tensor:
    return F.conv3d(F.pad(x, [0, 0, 0, 0, *padding]), weight, bias, (stride, 1, 1))


@pytest.mark.parametrize(
    "frames, kernel, stride, padding",
    [
        (5, 3, 1, (1, 1)),
        (6, 7, 2, (2, 3)),  # uneven, as SAME gives for an even length
        (7, 7, 2, (3, 3)),
        (6, 3, 2, (1, 0)),
        (6, 3, 2, (0, 0)),  # outputs from steps 0 .. 4: the last step is not reached
        (7, 2, 3, (0, 0)),  # steps 2, 5, 6 are not reached
        (4, 1, 2, (0, 0)),  # every other step
        (1, 7, 2, (3, 3)),  # all but one tap on the padding
        (2, 3, 1, (2, 0)),
    ],
)
@pytest.mark.parametrize("bias", [False, True])
def test_gradients_are_those_of_conv3d(frames, kernel, stride, padding, bias):
    torch.manual_seed(0)
    x, weight = clip(2, 3, frames, 4, 5).requires_grad_(), clip(4, 3, kernel, 1, 1).requires_grad_()
    leaves = (x, weight, clip(4, 1, 1, 1, 1).flatten().requires_grad_()) if bias else (x, weight)
    ours = temporal_conv(x, weight, leaves[2] if bias else None, stride, padding)
    reference = conv3d_of_time(x, weight, leaves[2] if bias else None, stride, padding)
    torch.testing.assert_close(ours, reference)
    upstream = torch.randn_like(reference)
    gradients = [torch.autograd.grad(y, leaves, upstream) for y in (ours, reference)]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("frames, kernel, stride, padding", [(4, 3, 1, (1, 1)), (5, 3, 2, (1, 0)), (6, 3, 2, (0, 0))])
def test_gradcheck(frames, kernel, stride, padding):
    inputs = (clip(1, 2, frames, 1, 2).requires_grad_(), clip(3, 2, kernel, 1, 1).requires_grad_())
    bias = torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w, b: temporal_conv(x, w, b, stride, padding), (*inputs, bias))


@pytest.mark.parametrize("needs", [(True, False), (False, True)])
def test_only_what_is_wanted_gets_a_gradient(needs):
    x, weight = clip(1, 2, 4, 2, 2).requires_grad_(needs[0]), clip(2, 2, 3, 1, 1).requires_grad_(needs[1])
    temporal_conv(x, weight, None, 1, (1, 1)).square().sum().backward()
    assert (x.grad is not None, weight.grad is not None) == needs
    wanted = x if needs[0] else weight
    (expected,) = torch.autograd.grad(conv3d_of_time(x, weight, None, 1, (1, 1)).square().sum(), wanted)
    torch.testing.assert_close(wanted.grad, expected)


def test_network_trains_as_one_of_plain_conv3d():
    # the same network with every convolution as nn.Conv3d on explicitly padded input
    net = small_net("s3d").train()
    x = clip(2, 3, 6, 24, 30)
    net(x).square().sum().backward()
    ours = {k: p.grad.clone() for k, p in net.named_parameters()}
    net.zero_grad()
    for module in net.modules():
        if isinstance(module, Conv):
            module.forward = lambda x, relu=False, m=module: F.relu(explicit(m, x)) if relu else explicit(m, x)
    net(x).square().sum().backward()
    for key, parameter in net.named_parameters():
        torch.testing.assert_close(ours[key], parameter.grad, rtol=1e-6, atol=1e-8)


def explicit(conv: nn.Conv3d, x: Tensor) -> Tensor:
    axes = zip(conv.rules, x.shape[2:], conv.kernel_size, conv.stride, strict=True)
    t, h, w = (rule(n, k, s) for rule, n, k, s in axes)
    return F.conv3d(F.pad(x, [*w, *h, *t]), conv.weight, conv.bias, conv.stride)


# One buffer --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [False, True])
def test_every_map_is_one_ndhwc_buffer(training):
    """Else region pooling copies the map it pools from: 488 ms for 300 regions instead of 36, with I3D."""
    for name in ("i3d", "i2d", "s3d", "s3dg", "fast_s3d", "top_heavy_i3d_4", "bottom_heavy_i3d_3", "torchvision_s3d"):
        net = backbones.build(name, width=0.125).train(training)
        x = torch.rand(1, 20, 48, 64, 3).permute(0, 4, 1, 2, 3)  # batch 1, as slow_conv3d takes it
        with torch.set_grad_enabled(training):
            for endpoint, value in net.endpoints(x).items():
                assert value.is_contiguous(memory_format=torch.channels_last_3d), (name, endpoint)
