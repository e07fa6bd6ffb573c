"""The k x 1 x 1 convolution over time.

Forward it is a `conv2d` on a view, everywhere. Its backward pass in oneDNN runs at a quarter of a CPU's speed, so on a
CPU the gradients are products of matrices instead, one for each pair of an output step and a kernel offset.

Naming: P = H*W places, S output steps, k kernel offsets; "flat" is (N, C, T, P) in channels-last memory.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor


def temporal_conv(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: tuple[int, int]) -> Tensor:
    """x: (N, C, T, H, W) channels last.  weight: (O, C, k, 1, 1).  padding: zeros before and after in time.

    Returns (N, O, S, H, W), channels last, S = (T + padding - k) // stride + 1.
    """
    n, c, t, h, w = x.shape
    flat = x.permute(0, 2, 3, 4, 1).reshape(n, t, h * w, c).permute(0, 3, 1, 2)  # a view of the NDHWC buffer
    by_products = x.device.type == "cpu" and torch.is_grad_enabled() and _in_full_precision(x, weight)
    conv = _TemporalConv.apply if by_products else _forward
    y = conv(flat, weight[..., 0], bias, stride, padding)
    return y.permute(0, 2, 3, 1).reshape(n, y.shape[2], h, w, y.shape[1]).permute(0, 4, 1, 2, 3)


def _in_full_precision(x: Tensor, weight: Tensor) -> bool:
    return x.dtype == weight.dtype and x.dtype != torch.bfloat16 and not torch.is_autocast_enabled("cpu")


def _forward(flat: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: tuple[int, int]) -> Tensor:
    """weight: (O, C, k, 1).  Returns (N, O, S, P)."""
    before, after = padding
    if before != after:
        flat, before = F.pad(flat, [0, 0, before, after]), 0
    return F.conv2d(flat, weight, bias, (stride, 1), (before, 0))


class _TemporalConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx, flat, weight, bias, stride, padding):
        ctx.save_for_backward(flat, weight)
        ctx.stride, ctx.before = stride, padding[0]
        return _forward(flat, weight, bias, stride, padding)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, upstream):
        flat, weight = ctx.saved_tensors
        need_x, need_weight, need_bias, *_ = ctx.needs_input_grad
        x, g = (v.permute(0, 2, 3, 1).contiguous() for v in (flat, upstream))  # (N, T, P, C), (N, S, P, O)
        kernel = weight[..., 0].permute(2, 0, 1).contiguous()  # (k, O, C)
        grad_x = torch.empty_like(x) if need_x else None
        grad_kernel = torch.zeros_like(kernel) if need_weight else None
        reached = set()
        for step, offset, source in _taps(g.shape[1], x.shape[1], len(kernel), ctx.stride, ctx.before):
            for clip in range(len(x)):
                if need_weight:
                    grad_kernel[offset].addmm_(g[clip, step].t(), x[clip, source])
                if need_x and source in reached:
                    grad_x[clip, source].addmm_(g[clip, step], kernel[offset])
                elif need_x:
                    torch.mm(g[clip, step], kernel[offset], out=grad_x[clip, source])
            reached.add(source)
        if need_x:
            for source in set(range(x.shape[1])) - reached:
                grad_x[:, source] = 0
            grad_x = grad_x.permute(0, 3, 1, 2)
        if need_weight:
            grad_kernel = grad_kernel.permute(1, 2, 0)[..., None]
        return grad_x, grad_kernel, g.sum(dim=(0, 1, 2)) if need_bias else None, None, None


def _taps(outputs: int, inputs: int, kernel: int, stride: int, before: int) -> Iterator[tuple[int, int, int]]:
    """(output step, kernel offset, input step) of every product that is not with padding."""
    for step in range(outputs):
        for offset in range(kernel):
            source = step * stride + offset - before
            if 0 <= source < inputs:
                yield step, offset, source
