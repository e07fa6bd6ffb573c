"""3D RoI pooling as products of matrices, for graphs: equal to `detect.modeling.roi_pool3d`, whose `embedding_bag` has
no good counterpart in ONNX.

Bilinear samples on a grid are separable. Along each axis a region has a matrix of S cells by as many columns as the map
has there, W or H; a region's features are (rows' matrix) x map x (columns' matrix).
"""

import torch
from torch import Tensor


def matrix_roi_pool3d(features: Tensor, boxes: list[Tensor], size: int, scale: float, sampling_ratio: int) -> Tensor:
    """As `roi_pool3d`, of one image: features (1, C, T, H, W), boxes [(R, 4)]; (R, C, T, size, size)."""
    (regions,), (_, c, t, h, w) = boxes, features.shape
    count = regions.shape[0]
    across = axis_matrix(regions[:, 0], regions[:, 2], w, size, scale, sampling_ratio)  # (R, S, W)
    down = axis_matrix(regions[:, 1], regions[:, 3], h, size, scale, sampling_ratio)  # (R, S, H)
    table = features[0].permute(3, 2, 1, 0).reshape(w, h * t * c)
    part = (across.reshape(count * size, w) @ table).reshape(count, size, h, t * c)  # (R, Sx, H, T*C)
    pooled = down[:, None] @ part  # (R, Sx, Sy, T*C)
    return pooled.reshape(count, size, size, t, c).permute(0, 4, 3, 2, 1)


def axis_matrix(start: Tensor, stop: Tensor, cells: int, size: int, scale: float, points: int) -> Tensor:
    """(R, S, cells): how much of each cell of the map is in each output cell, along one axis."""
    start, stop = (start * scale - 0.5)[:, None, None], (stop * scale - 0.5)[:, None, None]
    cell = (stop - start) / size
    samples = (torch.arange(points, dtype=start.dtype) + 0.5) * cell / points  # (R, 1, P)
    position = start + torch.arange(size, dtype=start.dtype)[:, None] * cell + samples  # (R, S, P)
    inside = ((position >= -1) & (position <= cells)).to(position.dtype)  # roi_align gives 0 beyond one cell outside
    position = position.clamp(0, cells - 1)[..., None]
    near = (1 - (position - torch.arange(cells, dtype=start.dtype)).abs()).clamp(min=0)  # bilinear
    return (near * inside[..., None]).mean(2)
