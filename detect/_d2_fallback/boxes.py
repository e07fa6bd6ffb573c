"""Stand-ins for `detectron2.structures.Boxes` and `ImageList`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


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

    def clip(self, box_size: tuple[int, int]) -> None:
        """Move every corner into the image of `box_size` (height, width), in place."""
        assert torch.isfinite(self.tensor).all(), "boxes to clip contain infinity or NaN"
        height, width = box_size
        x, y = self.tensor[:, 0::2].clamp(0, width), self.tensor[:, 1::2].clamp(0, height)
        self.tensor = torch.stack((x[:, 0], y[:, 0], x[:, 1], y[:, 1]), dim=1)

    def scale(self, scale_x: float, scale_y: float) -> None:
        """Multiply x and y coordinates, in place."""
        self.tensor[:, 0::2] *= scale_x
        self.tensor[:, 1::2] *= scale_y

    def __getitem__(self, item) -> Boxes:
        """Boxes at an index, slice or mask; always a list of boxes, also for one index."""
        if isinstance(item, int):
            return Boxes(self.tensor[item][None])
        chosen = self.tensor[item]
        assert chosen.dim() == 2, f"indexing boxes with {item} does not give boxes"
        return Boxes(chosen)

    def __len__(self) -> int:
        return len(self.tensor)

    def __repr__(self) -> str:
        return f"Boxes({self.tensor})"


class ImageList:
    """Images in one `tensor` (N, ..., H, W); `image_sizes`: their (height, width)."""

    def __init__(self, tensor: Tensor, image_sizes: list[tuple[int, int]]):
        self.tensor = tensor
        self.image_sizes = image_sizes

    def __len__(self) -> int:
        return len(self.image_sizes)
