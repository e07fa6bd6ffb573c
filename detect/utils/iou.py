"""How much two boxes overlap."""

import numpy as np


def pairwise_iou(a: np.ndarray, b: np.ndarray, plus_one: bool = False) -> np.ndarray:
    """IoU of a[i] with b[i], both (n, 4) x1 y1 x2 y2, in float64; 0 where neither has an area."""
    a, b = a.astype(np.float64, copy=False), b.astype(np.float64, copy=False)
    extra = 1.0 if plus_one else 0.0
    width = np.minimum(a[:, 2], b[:, 2]) - np.maximum(a[:, 0], b[:, 0]) + extra
    height = np.minimum(a[:, 3], b[:, 3]) - np.maximum(a[:, 1], b[:, 1]) + extra
    intersection = np.maximum(width, 0.0) * np.maximum(height, 0.0)
    area_a, area_b = ((c[:, 2] - c[:, 0] + extra) * (c[:, 3] - c[:, 1] + extra) for c in (a, b))
    union = area_a + area_b - intersection
    return np.divide(intersection, union, out=np.zeros(len(a)), where=union > 0)


def component_iou(a: np.ndarray, b: np.ndarray, plus_one: bool = False) -> np.ndarray:
    """IoU of boxes (4, ...), whose first axis is x1, y1, x2, y2 and whose others are broadcast; 0 without an area.

    Such arrays are read without gaps, and few are made between: at full scale this is where the time goes.
    """
    extra = 1.0 if plus_one else 0.0
    areas = [(c[2] - c[0] + extra) * (c[3] - c[1] + extra) for c in (a, b)]
    common = np.minimum(a[2], b[2])
    height, other = np.empty_like(common), np.empty_like(common)
    for low, high, side in ((0, 2, common), (1, 3, height)):
        np.minimum(a[high], b[high], out=side)
        np.maximum(a[low], b[low], out=other)
        side -= other
        side += extra
        np.maximum(side, 0.0, out=side)
    common *= height
    np.add(*areas, out=other)
    other -= common
    common /= np.maximum(other, np.finfo(float).tiny, out=other)
    return common
