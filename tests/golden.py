"""Parameters and clips that are the same on every machine, and losses as plain arithmetic in double precision."""

import math

import numpy as np
import torch
from torch import nn


def fill(model: nn.Module) -> nn.Module:
    """Random parameters from NumPy's RandomState, whose numbers are promised never to change (torch's are not).

    Kernels are uniform with He's variance 2 / fan-in, scales near 1, shifts near 0.
    """
    random = np.random.RandomState(0)
    for name, parameter in sorted(model.named_parameters()):
        if parameter.ndim > 1:
            bound = math.sqrt(6 / parameter[0].numel())
            values = random.uniform(-bound, bound, parameter.shape)
        else:
            values = random.uniform(-0.1, 0.1, parameter.shape) + (0 if name.endswith("bias") else 1)
        parameter.data.copy_(torch.from_numpy(values))
    return model


def pixels(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8))


def cross_entropy(logits: list[float], target: list[float]) -> float:
    """-sum of target * log softmax(logits); `target` has a share for each class."""
    largest = max(logits)
    log_sum = largest + math.log(sum(math.exp(z - largest) for z in logits))
    return sum(share * (log_sum - z) for share, z in zip(target, logits, strict=True))
