"""A convolution, with ReLU if wanted: on a CPU handed to oneDNN directly where PyTorch's own choice is slower.

- `conv3d` gives small ones at batch 1 to `slow_conv3d`, half as fast, and its output is NCDHW: all that follows is then
  slower too.
- Convolution and ReLU as one operator save a pass over memory, 4 % of S3D's time. PyTorch has it for its compiler,
  under a name that promises nothing; so it is tried once, and not used where it is absent or gives something else.
  Its ReLU makes 0 of what is no number, so whoever folds a network for inference looks at its weights first.
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import is_in_torch_dispatch_mode


def convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple, padding: tuple, relu: bool = False
) -> Tensor:
    """`conv2d` or `conv3d`, as the weight has dimensions; stride and padding with a value for each of space (and time).

    relu: followed by ReLU.
    """
    direct, graph = _may_go_direct(x), torch.is_grad_enabled()
    if relu and direct and not graph and _fuses():
        return _fused(x, weight, bias, stride, padding)
    if direct and weight.ndim == 5:
        y = torch.mkldnn_convolution(x, weight, bias, padding, stride, (1, 1, 1), 1)
    else:
        y = (F.conv2d if weight.ndim == 4 else F.conv3d)(x, weight, bias, stride, padding)
    # a graph keeps y, and copies the gradients of a view that is changed in place
    return F.relu(y, inplace=not graph) if relu else y


def _may_go_direct(x: Tensor) -> bool:
    """Not under a compiler, a tracer, a counter of operations or autocast, which know the public operators."""
    watched = torch.compiler.is_compiling() or torch.jit.is_tracing() or is_in_torch_dispatch_mode()
    watched = watched or torch.is_autocast_enabled("cpu")
    plain = x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16) and x.numel() > 0
    return plain and not watched and torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled


def _fused(x: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple, padding: tuple) -> Tensor:
    operator = torch.ops.mkldnn._convolution_pointwise
    return operator(x, weight, bias, padding, stride, (1,) * len(stride), 1, "relu", [], "")


@cache
def _fuses() -> bool:
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(size, generator=generator) for size in ((2, 8, 5, 5), (8, 8, 3, 3), (8,)))
    with torch.inference_mode():
        try:
            y = _fused(x, weight, bias, (1, 1), (1, 1))
        except (AttributeError, RuntimeError, TypeError):
            return False
        return torch.allclose(y, F.relu(F.conv2d(x, weight, bias, 1, 1)), atol=1e-5)
