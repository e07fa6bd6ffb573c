"""Zero padding as each public source computes it.

A rule maps (size, kernel, stride) of one axis to the zeros (before, after) it; the layer then has
(size + before + after - kernel) // stride + 1 outputs. The sources differ where SAME is uneven and where a size is not
divisible by the stride: a wrong rule shifts the picture by a pixel and costs accuracy without an error.
"""

from collections.abc import Callable
from typing import NamedTuple

Rule = Callable[[int, int, int], tuple[int, int]]


def same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME: ceil(size / stride) outputs, the odd zero behind."""
    return _split(max((-(-size // stride) - 1) * stride + kernel - size, 0))


def symmetric(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """The same on both sides, none for a kernel of 2, which then drops an odd last position."""
    return (kernel - 1) // 2, (kernel - 1) // 2


def even(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """What SAME gives for a size divisible by the stride, whatever the size."""
    return _split(max(kernel - stride, 0))


def even_ceil(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """As `even`, and a last window that reaches beyond the end."""
    before, after = even(size, kernel, stride)
    return _reach(size, kernel, stride, before, -(-(size + before + after - kernel) // stride) + 1)


def unpadded_ceil(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """None before, and a last window that reaches beyond the end; with stride 1 as `symmetric`."""
    if stride == 1:
        return symmetric(size, kernel, stride)
    return _reach(size, kernel, stride, 0, -(-(size - kernel) // stride) + 1)


def space_to_depth(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Of a stem that folds 2 x 2 x 2 pixels into channels, convolves with padding and cuts the first output off."""
    return _reach(size, kernel, stride, kernel // 2 - stride, size // stride)


def _split(total: int) -> tuple[int, int]:
    return total // 2, total - total // 2


def _reach(size: int, kernel: int, stride: int, before: int, outputs: int) -> tuple[int, int]:
    return before, max((outputs - 1) * stride + kernel - before - size, 0)


class Padding(NamedTuple):
    """One rule for each axis: time, rows, columns."""

    conv: tuple[Rule, Rule, Rule]
    pool: tuple[Rule, Rule, Rule]


# The commits that were read stand in docs/weights.md.
PADDINGS: dict[str, Padding] = {
    "same": Padding((same,) * 3, (same,) * 3),  # slim, DeepMind, piergiaj
    "symmetric": Padding((symmetric,) * 3, (symmetric,) * 3),  # torchvision s3d, kylemin
    "even_space": Padding((same, even, even), (same, even_ceil, even_ceil)),  # hassony2
    "even_pools": Padding((symmetric,) * 3, (even_ceil,) * 3),  # HowTo100M
    "ceil_pools": Padding((same, symmetric, symmetric), (same, unpadded_ceil, unpadded_ceil)),  # torchvision googlenet
}
