"""Arithmetic of inference: convolutions in fp32 or bf16 (MODEL.PRECISION).

In bf16 weights and activations of the convolutions have 8 significant bits instead of 24; sums inside a convolution
stay in fp32. What is sensitive and cheap stays in fp32: the gates' means and weights, the last pool and the layers
after it, objectness and box deltas, boxes, softmax, suppression.
"""

import time
from functools import cache
from typing import Any

import torch
from torch import nn

from backbones.layers import Conv
from detect.d2 import CfgNode

PRECISIONS = ("fp32", "bf16", "auto")
WORTH_IT = 1.1  # times as fast: below that the fewer bits buy nothing


def inference_options(cfg: CfgNode) -> dict[str, Any]:
    """What the config says of how networks run in inference, for fold_for_inference and inference_copy."""
    return {"precision": cfg.MODEL.PRECISION, "graphs": cfg.MODEL.CUDA_GRAPHS, "compiled": cfg.MODEL.COMPILE}


def inference_dtype(precision: str, device: torch.device) -> torch.dtype:
    """What convolutions are computed in; "auto" is bf16 where this device is faster with it."""
    lower = precision == "bf16" or (precision == "auto" and _faster_in_bf16(device))
    return torch.bfloat16 if lower else torch.float32


def lower_convolutions(module: nn.Module, dtype: torch.dtype) -> None:
    """Give the 2D and 3D convolutions of a folded network weights of `dtype`; its input is converted on the way in."""
    for part in module.modules():
        if isinstance(part, (Conv, nn.Conv2d)):
            part.to(dtype)


@cache
def _faster_in_bf16(device: torch.device) -> bool:
    """Measured, since having the instructions does not mean that they pay: on one Xeon bf16 is half as fast as fp32,
    on an EPYC almost twice as fast.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    x = torch.zeros(8, 96, 28, 28).contiguous(memory_format=torch.channels_last)
    conv = nn.Conv2d(96, 96, 3, padding=1).to(memory_format=torch.channels_last)
    seconds = {}
    with torch.inference_mode():
        for dtype in (torch.float32, torch.bfloat16):
            inputs, layer = x.to(dtype), conv.to(dtype)
            seconds[dtype] = min(_seconds(layer, inputs) for _ in range(5))
    return seconds[torch.float32] > WORTH_IT * seconds[torch.bfloat16]


def _seconds(layer: nn.Module, inputs: torch.Tensor) -> float:
    start = time.perf_counter()
    layer(inputs)
    return time.perf_counter() - start
