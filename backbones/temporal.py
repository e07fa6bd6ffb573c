"""The k x 1 x 1 convolution over time.

Forward it is a `conv2d` on a view, everywhere. Its backward pass in oneDNN runs at a quarter of a CPU's speed, so on a
CPU the gradients are products of matrices instead, a few for each kernel offset.

Naming: P = H*W places, S output steps, k kernel offsets; "flat" is (N, C, T, P) in channels-last memory.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from .convolution import convolution

ROWS_OF_A_SHARE = 4096


def temporal_conv(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: tuple[int, int], relu: bool = False
) -> Tensor:
    """x: (N, C, T, H, W) channels last.  weight: (O, C, k, 1, 1).  padding: zeros before and after in time.  relu: with
    ReLU after it.

    Returns (N, O, S, H, W), channels last, S = (T + padding - k) // stride + 1.
    """
    n, c, t, h, w = x.shape
    flat = x.permute(0, 2, 3, 4, 1).reshape(n, t, h * w, c).permute(0, 3, 1, 2)  # a view of the NDHWC buffer
    by_products = x.device.type == "cpu" and torch.is_grad_enabled() and _in_full_precision(x, weight)
    if by_products:
        y = _TemporalConv.apply(flat, weight[..., 0], bias, stride, padding)
        y = F.relu(y) if relu else y
    else:
        y = _forward(flat, weight[..., 0], bias, stride, padding, relu)
    return y.permute(0, 2, 3, 1).reshape(n, y.shape[2], h, w, y.shape[1]).permute(0, 4, 1, 2, 3)


def _in_full_precision(x: Tensor, weight: Tensor) -> bool:
    return x.dtype == weight.dtype and x.dtype != torch.bfloat16 and not torch.is_autocast_enabled("cpu")


def _forward(
    flat: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: tuple[int, int], relu: bool = False
) -> Tensor:
    """weight: (O, C, k, 1).  Returns (N, O, S, P)."""
    before, after = padding
    if before == after:
        return convolution(flat, weight, bias, (stride, 1), (before, 0), relu)
    if flat.device.type == "cpu" and _in_full_precision(flat, weight) and not torch.compiler.is_compiling():
        y = _forward_products(flat, weight, bias, stride, padding)
        return F.relu(y, inplace=not torch.is_grad_enabled()) if relu else y
    return convolution(F.pad(flat, [0, 0, before, after]), weight, bias, (stride, 1), (0, 0), relu)


def _forward_products(
    flat: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: tuple[int, int]
) -> Tensor:
    """For uneven padding: as fast as `conv2d` on a padded copy, without the copy, which is the largest of S3D."""
    n, _, t, p = flat.shape
    o, _, k, _ = weight.shape
    steps = (t + sum(padding) - k) // stride + 1
    x, kernel = flat.permute(0, 2, 3, 1).contiguous(), weight[..., 0].permute(2, 1, 0).contiguous()  # (k, C, O)
    y = x.new_zeros(n, steps, p, o) if bias is None else bias.expand(n, steps, p, o).contiguous()
    for run, offset, sources in sorted(_products(steps, t, k, stride, padding[0]), key=lambda run: run[0].start):
        for clip in range(n):
            y[clip, run].flatten(0, 1).addmm_(x[clip, sources].flatten(0, 1), kernel[offset])
    return y.permute(0, 3, 1, 2)


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
        grad_x = torch.zeros_like(x) if need_x else None
        grad_kernel = torch.zeros_like(kernel) if need_weight else None
        for steps, offset, sources in _products(g.shape[1], x.shape[1], len(kernel), ctx.stride, ctx.before):
            for clip in range(len(x)):
                g_rows, x_rows = g[clip, steps].flatten(0, 1), x[clip, sources].flatten(0, 1)  # views
                if need_weight:
                    grad_kernel[offset] += _inner(g_rows, x_rows)
                if need_x:
                    grad_x[clip, sources].flatten(0, 1).addmm_(g_rows, kernel[offset])
        if need_x:
            grad_x = grad_x.permute(0, 3, 1, 2)
        if need_weight:
            grad_kernel = grad_kernel.permute(1, 2, 0)[..., None]
        return grad_x, grad_kernel, g.sum(dim=(0, 1, 2)) if need_bias else None, None, None


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """a.t() @ b of (R, O) and (R, C), R long: by a share of the rows for each thread, up to 1.8 times as fast."""
    parts = max(min(torch.get_num_threads(), len(a) // ROWS_OF_A_SHARE), 1)
    if parts == 1:
        return a.t() @ b
    rows = len(a) // parts
    shares = [v[: parts * rows].unflatten(0, (parts, rows)) for v in (a, b)]
    total = torch.bmm(shares[0].transpose(1, 2), shares[1]).sum(0)
    return total.addmm_(a[parts * rows :].t(), b[parts * rows :])


def _products(outputs: int, inputs: int, kernel: int, stride: int, before: int) -> Iterator[tuple[slice, int, slice]]:
    """(output steps, kernel offset, input steps), runs of steps that meet under an offset, without the padding.

    A run is all the steps where the stride is 1, so that one product of matrices does them; otherwise one step.
    """
    for offset in range(kernel):
        first = max(0, -(-(before - offset) // stride))
        last = min(outputs - 1, (inputs - 1 + before - offset) // stride)
        length = max(last - first + 1, 1) if stride == 1 else 1
        for step in range(first, last + 1, length):
            source = step * stride + offset - before
            yield slice(step, step + length), offset, slice(source, source + length)
