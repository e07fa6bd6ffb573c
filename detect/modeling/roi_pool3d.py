"""3D RoI pooling: every region is pooled at the same place over all time steps (paper, section 5.3).

Equal to torchvision's `roi_align` (aligned) of each time step with the same box. The box's bilinear taps do not depend
on time or channel, so they are worked out once and applied to whole rows: on a CPU as one `embedding_bag`, an order of
magnitude faster than `roi_align`; elsewhere as products of matrices (`detect.modeling.roi_pool_matrix`).

Naming: R regions, S output cells a side, P sampling points a cell and axis.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from detect.modeling.roi_pool_matrix import matrix_roi_pool3d
from detect.utils.errors import UserError


def roi_pool3d(
    features: Tensor, boxes: list[Tensor], size: int, scale: float, sampling_ratio: int, max_pool: bool = False
) -> Tensor:
    """Pool regions from (N, C, T, H, W) features: (R, C, T, size, size), channels last, regions image by image.

    boxes: N tensors (R_n, 4) x0 y0 x1 y1 in pixels.  scale: pixels to cells of the feature map (1 / stride).
    sampling_ratio: bilinear samples for each output cell along each axis, averaged; at least 1.  max_pool: pool to
    twice the size, then the maxima of 2 x 2 cells.
    """
    if sampling_ratio < 1:
        raise UserError(f"sampling_ratio is {sampling_ratio}; it must be at least 1")
    if features.device.type != "cpu":
        pooled = matrix_roi_pool3d(features, boxes, size, scale, sampling_ratio, max_pool)
        return pooled.contiguous(memory_format=torch.channels_last_3d)
    if features.dtype in (torch.bfloat16, torch.float16):  # box corners need more than 8 or 11 bits
        features = features.float()
    boxes = [b.to(features.dtype) for b in boxes]
    pooled = _embedding_bag_pool(features, boxes, 2 * size if max_pool else size, scale, sampling_ratio)
    return F.max_pool3d(pooled, (1, 2, 2)) if max_pool else pooled


def _embedding_bag_pool(features: Tensor, boxes: list[Tensor], size: int, scale: float, sampling_ratio: int) -> Tensor:
    """All images at once: one bag for each region, step and cell, its taps rows of the (N*T*H*W, C) buffer."""
    n, c, t, h, w = features.shape
    regions = torch.cat(boxes)
    if len(regions) == 0:
        return features.flatten()[:0].reshape(0, c, t, size, size)  # still a part of the graph
    x_index, x_weight = _axis_taps(regions[:, 0], regions[:, 2], w, size, scale, sampling_ratio)  # (R, S, 2P)
    y_index, y_weight = _axis_taps(regions[:, 1], regions[:, 3], h, size, scale, sampling_ratio)
    index = y_index[:, :, None, :, None] * w + x_index[:, None, :, None, :]  # (R, S, S, 2P, 2P)
    weight = y_weight[:, :, None, :, None] * x_weight[:, None, :, None, :]
    index, weight = (v.reshape(len(regions), 1, size * size, -1) for v in (index, weight))
    image = torch.repeat_interleave(torch.arange(n), torch.tensor([len(b) for b in boxes]))
    first_row = (image[:, None] * t + torch.arange(t)) * (h * w)  # (R, T): where each image and step starts
    index = (index + first_row[:, :, None, None]).flatten(0, 2)  # (R*T*S*S, taps)
    weight = weight.expand(-1, t, -1, -1).flatten(0, 2)
    table = features.permute(0, 2, 3, 4, 1).reshape(n * t * h * w, c)  # a view of the NDHWC buffer
    pooled = F.embedding_bag(index, table, per_sample_weights=weight, mode="sum")
    return pooled.reshape(len(regions), t, size, size, c).permute(0, 4, 1, 2, 3)


def _axis_taps(start: Tensor, stop: Tensor, cells: int, size: int, scale: float, points: int) -> tuple[Tensor, Tensor]:
    """Along one axis: the two cells next to every sampling point and their bilinear weights, each (R, S, 2P)."""
    start, stop = (start * scale - 0.5)[:, None, None], (stop * scale - 0.5)[:, None, None]
    cell = (stop - start) / size
    # in roi_align's order of operations, so that both round alike
    steps = torch.arange(max(size, points), device=start.device, dtype=start.dtype)
    position = start + steps[:size, None] * cell + (steps[:points] + 0.5) * cell / points  # (R, S, P)
    inside = (position >= -1) & (position <= cells)  # roi_align gives 0 beyond one cell outside
    position = position.clamp(0, cells - 1)
    low = position.floor().clamp(max=max(cells - 2, 0))
    upper = position - low
    weight = torch.stack([1 - upper, upper], -1) * (inside.to(position.dtype) / points)[..., None]
    index = torch.stack([low, (low + 1).clamp(max=cells - 1)], -1).long()
    return index.flatten(2), weight.flatten(2)
