"""Stand-ins for `detectron2.structures.Boxes` and `ImageList`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad


class Boxes:
    """`tensor`: (N, 4) float32 boxes x0 y0 x1 y1 in absolute pixels."""

    def __init__(self, tensor: Tensor | Sequence):
        tensor = torch.as_tensor(tensor).to(torch.float32)
        if tensor.numel() == 0:
            tensor = tensor.reshape(-1, 4)
        assert tensor.dim() == 2 and tensor.size(-1) == 4, f"boxes must be (N, 4), not {tuple(tensor.shape)}"
        self.tensor = tensor

    def clone(self) -> Boxes:
        return Boxes(self.tensor.clone())

    def to(self, device: torch.device | str) -> Boxes:
        return Boxes(self.tensor.to(device=device))

    @property
    def device(self) -> torch.device:
        return self.tensor.device

    def area(self) -> Tensor:
        """(N,) width times height."""
        return (self.tensor[:, 2:] - self.tensor[:, :2]).prod(dim=1)

    def clip(self, box_size: tuple[int, int]) -> None:
        """Move every corner into the image of `box_size` (height, width), in place."""
        assert torch.isfinite(self.tensor).all(), "boxes to clip contain infinity or NaN"
        height, width = box_size
        x, y = self.tensor[:, 0::2].clamp(0, width), self.tensor[:, 1::2].clamp(0, height)
        self.tensor = torch.stack((x[:, 0], y[:, 0], x[:, 1], y[:, 1]), dim=1)

    def nonempty(self, threshold: float = 0.0) -> Tensor:
        """(N,) bool: both sides longer than `threshold`."""
        return ((self.tensor[:, 2:] - self.tensor[:, :2]) > threshold).all(dim=1)

    def inside_box(self, box_size: tuple[int, int], boundary_threshold: int = 0) -> Tensor:
        """(N,) bool: reaches at most `boundary_threshold` beyond the image of `box_size` (height, width)."""
        height, width = box_size
        start_inside = (self.tensor[:, :2] >= -boundary_threshold).all(dim=1)
        end = self.tensor.new_tensor([width, height]) + boundary_threshold
        return start_inside & (self.tensor[:, 2:] < end).all(dim=1)

    def get_centers(self) -> Tensor:
        """(N, 2) x, y."""
        return (self.tensor[:, :2] + self.tensor[:, 2:]) / 2

    def scale(self, scale_x: float, scale_y: float) -> None:
        """Multiply x and y coordinates, in place."""
        self.tensor[:, 0::2] *= scale_x
        self.tensor[:, 1::2] *= scale_y

    @classmethod
    def cat(cls, boxes_list: Sequence[Boxes]) -> Boxes:
        assert isinstance(boxes_list, (list, tuple)) and all(isinstance(b, Boxes) for b in boxes_list)
        return cls(torch.cat([b.tensor for b in boxes_list]) if boxes_list else torch.empty(0))

    def __getitem__(self, item) -> Boxes:
        """Boxes at an index, slice or mask; always a list of boxes, also for one index."""
        if isinstance(item, int):
            return Boxes(self.tensor[item][None])
        chosen = self.tensor[item]
        assert chosen.dim() == 2, f"indexing boxes with {item} does not give boxes"
        return Boxes(chosen)

    def __len__(self) -> int:
        return len(self.tensor)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.tensor)

    def __repr__(self) -> str:
        return f"Boxes({self.tensor})"


class ImageList:
    """Images in one padded `tensor` (N, ..., H, W); `image_sizes`: their (height, width) unpadded."""

    def __init__(self, tensor: Tensor, image_sizes: list[tuple[int, int]]):
        self.tensor = tensor
        self.image_sizes = image_sizes

    def __len__(self) -> int:
        return len(self.image_sizes)

    def __getitem__(self, index: int) -> Tensor:
        height, width = self.image_sizes[index]
        return self.tensor[index, ..., :height, :width]

    def to(self, *args: Any, **kwargs: Any) -> ImageList:
        return ImageList(self.tensor.to(*args, **kwargs), self.image_sizes)

    @property
    def device(self) -> torch.device:
        return self.tensor.device

    @staticmethod
    def from_tensors(
        tensors: Sequence[Tensor],
        size_divisibility: int = 0,
        pad_value: float = 0.0,
        padding_constraints: dict[str, int] | None = None,
    ) -> ImageList:
        """Pad (..., H_i, W_i) on the right and bottom to one size, a multiple of `size_divisibility`."""
        assert len(tensors) > 0 and isinstance(tensors, (tuple, list))
        assert all(t.shape[:-2] == tensors[0].shape[:-2] for t in tensors), "leading dimensions differ"
        constraints = padding_constraints or {}
        sizes = [tuple(t.shape[-2:]) for t in tensors]
        square = constraints.get("square_size", 0)
        step = constraints.get("size_divisibility", size_divisibility)
        height, width = (square, square) if square > 0 else (max(s) for s in zip(*sizes, strict=True))
        if step > 1:
            height, width = -(-height // step) * step, -(-width // step) * step
        margins = [[0, width - w, 0, height - h] for h, w in sizes]
        padded = [pad(t, margin, value=pad_value) for t, margin in zip(tensors, margins, strict=True)]
        return ImageList(torch.stack(padded), sizes)
