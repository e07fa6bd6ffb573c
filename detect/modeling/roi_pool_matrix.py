"""3D RoI pooling as products of matrices: on GPUs, where `roi_align` reads a map sample by sample, and in exported
graphs, which have no `embedding_bag`.

Bilinear samples on a grid are separable. Along each axis a region has a matrix of S cells by as many columns as the map
has there, W or H; a region's features are (rows' matrix) x map x (columns' matrix).
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def matrix_roi_pool3d(
    features: Tensor, boxes: list[Tensor], size: int, scale: float, sampling_ratio: int, max_pool: bool = False
) -> Tensor:
    """As `roi_pool3d`, in the precision of the features; the matrices are worked out in that of the boxes."""
    cells = 2 * size if max_pool else size
    found = [
        _pool_image(of_image, regions, cells, scale, sampling_ratio, max_pool)
        for of_image, regions in zip(features, boxes, strict=True)
    ]
    return found[0] if len(found) == 1 else torch.cat(found)


def _pool_image(features: Tensor, boxes: Tensor, size: int, scale: float, sampling_ratio: int, halve: bool) -> Tensor:
    """(C, T, H, W), (R, 4) -> (R, C, T, size, size), or half the size of it with maxima of 2 x 2 cells."""
    count, (c, t, h, w) = boxes.shape[0], features.shape
    across = axis_matrix(boxes[:, 0], boxes[:, 2], w, size, scale, sampling_ratio).to(features.dtype)  # (R, S, W)
    down = axis_matrix(boxes[:, 1], boxes[:, 3], h, size, scale, sampling_ratio).to(features.dtype)  # (R, S, H)
    table = features.permute(3, 2, 1, 0).reshape(w, h * t * c)
    part = (across.reshape(count * size, w) @ table).reshape(count, size, h, t * c)  # (R, Sx, H, T*C)
    pooled = down[:, None] @ part  # (R, Sx, Sy, T*C)
    if halve:
        size = size // 2
        pooled = F.max_pool2d(pooled.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    return pooled.reshape(count, size, size, t, c).permute(0, 4, 3, 2, 1)


def axis_matrix(start: Tensor, stop: Tensor, cells: int, size: int, scale: float, points: int) -> Tensor:
    """(R, S, cells): how much of each cell of the map is in each output cell, along one axis."""
    start, stop = (start * scale - 0.5)[:, None, None], (stop * scale - 0.5)[:, None, None]
    cell = (stop - start) / size
    numbers = torch.arange(max(cells, size, points), dtype=start.dtype, device=start.device)
    samples = (numbers[:points] + 0.5) * cell / points  # (R, 1, P)
    position = start + numbers[:size, None] * cell + samples  # (R, S, P)
    inside = ((position >= -1) & (position <= cells)).to(position.dtype)  # roi_align gives 0 beyond one cell outside
    position = position.clamp(0, cells - 1)[..., None]
    near = (1 - (position - numbers[:cells]).abs()).clamp(min=0)  # bilinear
    return (near * inside[..., None]).mean(2)
