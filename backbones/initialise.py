"""How a network starts without weights, from its row: `temporal_init`, `conv_std`, `gate_init`."""

import torch
from torch import nn

from .layers import Conv, Gate
from .variants import VariantSpec


def initialise(net: nn.Module, spec: VariantSpec) -> None:
    for module in net.modules():
        if isinstance(module, Conv):
            _initialise_conv(module, spec)
        elif isinstance(module, Gate):
            nn.init.normal_(module.fc.weight, std=0.01)
            if module.fc.bias is not None:
                nn.init.constant_(module.fc.bias, spec.gate_init)


def _initialise_conv(conv: Conv, spec: VariantSpec) -> None:
    kt, kh, _ = conv.kernel_size
    is_temporal = kt > 1 and kh == 1
    if is_temporal and spec.temporal_init == "identity":
        conv.weight.data.copy_(identity_kernel(conv.out_channels, kt))
    elif spec.conv_std and not is_temporal:
        nn.init.trunc_normal_(conv.weight, std=spec.conv_std)
    else:
        nn.init.kaiming_normal_(conv.weight, mode="fan_in", nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def identity_kernel(channels: int, size: int) -> torch.Tensor:
    """(C, C, size, 1, 1): each output step is the input step."""
    kernel = torch.zeros(channels, channels, size, 1, 1)
    kernel[:, :, size // 2, 0, 0] = torch.eye(channels)
    return kernel
