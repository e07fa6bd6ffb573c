"""The ways a convolution may take give the same, forward and backward, and the public operators are a way of them."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from backbones import convolution as module
from backbones.convolution import convolution

CASES = {  # input, weight, stride, padding; the 3D ones are small enough for PyTorch's slow_conv3d
    "2d": ((2, 5, 9, 7), (6, 5, 3, 3), (2, 1), (1, 0)),
    "3d": ((1, 5, 4, 6, 7), (6, 5, 3, 3, 3), (1, 2, 2), (1, 1, 1)),
    "3d of a batch": ((2, 5, 4, 6, 7), (6, 5, 2, 3, 3), (2, 1, 1), (0, 1, 1)),
}


def arguments(case, dtype=torch.float32):
    size, kernel, stride, padding = CASES[case]
    generator = torch.Generator().manual_seed(0)
    form = torch.channels_last if len(size) == 4 else torch.channels_last_3d
    x = torch.randn(size, generator=generator).to(dtype).contiguous(memory_format=form)
    weight, bias = (torch.randn(shape, generator=generator).to(dtype) for shape in (kernel, kernel[:1]))
    return x, weight, bias, stride, padding


def public(x, weight, bias, stride, padding):
    return (F.conv2d if x.ndim == 4 else F.conv3d)(x, weight, bias, stride, padding)


@pytest.fixture(params=["fused", "not fused", "public"])
def way(request, monkeypatch):
    if request.param != "fused":
        monkeypatch.setattr(module, "_fuses", lambda: False)
    if request.param == "public":
        monkeypatch.setattr(module, "_may_go_direct", lambda x: False)
    return request.param


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("relu", [False, True])
def test_forward_is_that_of_double_precision(case, relu, way):
    given = arguments(case)
    expected = public(*(v.double() for v in given[:3]), *given[3:])
    with torch.inference_mode():
        found = convolution(*given, relu)
    expected = expected.relu() if relu else expected
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_double_precision(case, way):
    given = arguments(case)
    ours, theirs = (
        [v.clone().to(dtype).requires_grad_() for v in given[:3]] for dtype in (torch.float32, torch.float64)
    )
    convolution(*ours, *given[3:], relu=True).square().sum().backward()
    public(*theirs, *given[3:]).relu().square().sum().backward()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad.float(), rtol=1e-4, atol=1e-3)


def test_without_bias_and_in_double_precision():
    x, weight, _, stride, padding = arguments("3d")
    torch.testing.assert_close(
        convolution(x, weight, None, stride, padding), F.conv3d(x, weight, None, stride, padding)
    )
    x, weight, bias, stride, padding = arguments("2d", torch.float64)
    with torch.no_grad():
        found = convolution(x, weight, bias, stride, padding, relu=True)
    assert found.dtype == torch.float64 and torch.equal(found, F.conv2d(x, weight, bias, stride, padding).relu())


def test_bf16():
    given = arguments("2d", torch.bfloat16)
    with torch.no_grad():
        found = convolution(*given, relu=True)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(
        found.float(), public(*(v.float() for v in given[:3]), *given[3:]).relu(), rtol=0.01, atol=0.05
    )


def test_no_clips():
    x, weight, bias, stride, padding = arguments("3d")
    with torch.no_grad():
        assert convolution(x[:0], weight, bias, stride, padding, relu=True).shape == (0, 6, 4, 3, 4)


def test_the_output_of_a_small_3d_convolution_stays_channels_last():
    given = arguments("3d")
    assert convolution(*given).is_contiguous(memory_format=torch.channels_last_3d)


def test_counters_see_public_operators():
    given = arguments("3d")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        convolution(*given, relu=True)
    assert counter.get_total_flops() == 2 * 6 * 4 * 3 * 4 * 5 * 27


def test_an_operator_that_is_gone_or_gives_something_else_is_not_used(monkeypatch):
    def gone(*_):
        raise AttributeError("no such operator")

    for operator in (gone, lambda x, *_: torch.zeros_like(x)):
        monkeypatch.setattr(module, "_fused", operator)
        assert module._fuses.__wrapped__() is False
