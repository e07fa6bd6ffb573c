"""A run of stages of a network: what it computes, at which sizes, and how it is cut in two."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from itertools import islice

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .layers import Conv, ConvUnit, Gate, MaxPool, Size3, held_statistics


class InputSizeError(ValueError):
    """A clip that is too short or too small for a network; the message says what is needed."""


class Stages(nn.Sequential):
    """A run of stages, the whole network without its head or a part of it.

    `feature_info` maps each endpoint to {"channels", "stride": (time, space)}, strides relative to the video.
    `checkpointing`: in training keep only what passes between stages and compute the rest again in the backward pass.
    """

    checkpointing = False

    def __init__(self, stages: "OrderedDict[str, nn.Module]", feature_info: dict[str, dict]):
        super().__init__(stages)
        self.feature_info = feature_info

    def forward(self, x: Tensor) -> Tensor:
        self._check_size(x, len(self))
        x = self._as_weights(x)
        for stage in self:
            x = self._run(stage, x)
        return x

    def endpoints(self, x: Tensor, names: tuple[str, ...] | None = None) -> dict[str, Tensor]:
        """Activations after the named stages (default: after every stage), each (N, C, T, H, W)."""
        names = tuple(self.feature_info) if names is None else tuple(names)
        for name in names:
            check_endpoint(name, tuple(self.feature_info))
        found = {}
        count = max((1 + list(self.feature_info).index(name) for name in names), default=0)
        self._check_size(x, count)
        x = self._as_weights(x)
        for name, stage in islice(self.named_children(), count):
            x = self._run(stage, x)
            if name in names:
                found[name] = x
        return found

    def split(self, endpoint: str) -> tuple["Stages", "Stages"]:
        """The stages up to and with `endpoint`, and the stages after it; they share this one's parameters."""
        check_endpoint(endpoint, tuple(self.feature_info))
        cut = list(self.feature_info).index(endpoint) + 1
        children = list(self.named_children())
        parts = []
        for part in (children[:cut], children[cut:]):
            stages = Stages(OrderedDict(part), {name: self.feature_info[name] for name, _ in part})
            stages.checkpointing, stages.training = self.checkpointing, self.training
            parts.append(stages)
        return parts[0], parts[1]

    def steps(self, num_frames: int) -> int:
        """Time steps of the last map, of a clip of so many frames."""
        return [steps for _, steps in self._steps(num_frames)][-1]

    def slide_gates(self, num_frames: int) -> None:
        """Let the gates of a longer input have the mean over the steps of so many frames around each step."""
        for stage, steps in self._steps(num_frames):
            for module in stage.modules():
                if isinstance(module, Gate):
                    module.window = steps

    def _steps(self, steps: int) -> Iterator[tuple[nn.Module, int]]:
        """Each stage and the time steps after it."""
        for stage in self.children():
            steps = output_size(stage, (steps, 64, 64))[0]
            yield stage, steps

    def _check_size(self, x: Tensor, count: int) -> None:
        """InputSizeError if x is too small for one of the first `count` stages."""
        size = tuple(x.shape[2:])
        for name, stage in islice(self.named_children(), count):
            size = output_size(stage, size)
            if min(size) < 1:
                given, least = (" x ".join(map(str, values)) for values in (x.shape[2:], self.least_input()))
                raise InputSizeError(
                    f"an input of {given} (time x height x width) is too small for {name}; the least input of these "
                    f"stages is {least}"
                )

    def _as_weights(self, x: Tensor) -> Tensor:
        """x in the precision of the weights, which may be bf16 in inference; under autocast PyTorch sees to it."""
        weight = next(self.parameters(), x)
        same = x.dtype == weight.dtype or torch.is_autocast_enabled(x.device.type)
        return x if same else x.to(weight.dtype)

    def _run(self, stage: nn.Module, x: Tensor) -> Tensor:
        if self.checkpointing and torch.is_grad_enabled() and self.training:
            contexts = partial(_checkpoint_contexts, stage)
            return checkpoint(stage, x, use_reentrant=False, context_fn=contexts)
        return stage(x)

    def least_input(self) -> Size3:
        """The smallest (time, height, width) that every stage accepts."""
        size = [1, 1, 1]
        for axis in range(3):
            while not self._accepts(tuple(size[axis] if a == axis else 64 for a in range(3))):
                size[axis] += 1
        return size[0], size[1], size[2]

    def _accepts(self, size: Size3) -> bool:
        for stage in self.children():
            size = output_size(stage, size)
            if min(size) < 1:
                return False
        return True


def _checkpoint_contexts(stage: nn.Module):
    return nullcontext(), held_statistics(stage)  # the first pass, the second


def output_size(module: nn.Module, size: Size3) -> Size3:
    """(time, height, width) after a convolution, a pool, a branch or a stage; less than 1 where it does not fit."""
    if hasattr(module, "branch_3"):  # an Inception block; its pool accepts least
        return output_size(module.branch_3, size)
    if isinstance(module, ConvUnit):
        return output_size(module.conv, size)
    if isinstance(module, nn.Sequential):
        for child in module:
            size = output_size(child, size)
        return size
    if isinstance(module, (Conv, MaxPool)):
        kernel, stride = (
            (module.kernel_size, module.stride) if isinstance(module, Conv) else (module.kernel, module.stride)
        )
        axes = zip(module.rules, size, kernel, stride, strict=True)
        return tuple((n + sum(rule(n, k, s)) - k) // s + 1 for rule, n, k, s in axes)
    return size


def check_endpoint(name: str, legal: tuple[str, ...]) -> None:
    if name not in legal:
        raise ValueError(f"unknown endpoint {name!r}; the endpoints are {', '.join(legal)}")
