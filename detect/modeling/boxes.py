"""Boxes against boxes: regression targets, matching and sampling, shared by the RPN and the region head.

Naming: R boxes, G ground-truth boxes. A box is x0 y0 x1 y1 in pixels of the network's input.
"""

import math

import torch
from torch import Tensor
from torchvision.ops import box_iou

from detect.utils.errors import UserError

# A predicted log scale above this is cut, so that exp() stays finite: 1000 pixels over an anchor of 16.
MAX_LOG_SCALE = math.log(1000.0 / 16)


def encode(boxes: Tensor, targets: Tensor, weights: tuple[float, ...]) -> Tensor:
    """The deltas (dx, dy, dw, dh) from `boxes` (R, 4) to `targets` (R, 4), times `weights` (Girshick et al. 2014)."""
    size, centre = boxes[:, 2:] - boxes[:, :2], (boxes[:, 2:] + boxes[:, :2]) / 2
    target_size, target_centre = targets[:, 2:] - targets[:, :2], (targets[:, 2:] + targets[:, :2]) / 2
    deltas = torch.cat([(target_centre - centre) / size, torch.log(target_size / size)], 1)
    return torch.stack([part * weight for part, weight in zip(deltas.unbind(1), weights, strict=True)], 1)


def decode(boxes: Tensor, deltas: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Apply deltas (R, 4*k), k sets for each of `boxes` (R, 4): (R, k, 4)."""
    deltas = deltas.reshape(len(boxes), deltas.shape[1] // 4, 4)
    deltas = torch.stack([part / weight for part, weight in zip(deltas.unbind(2), weights, strict=True)], 2)
    size, centre = (boxes[:, 2:] - boxes[:, :2])[:, None], ((boxes[:, 2:] + boxes[:, :2]) / 2)[:, None]
    centre = centre + deltas[..., :2] * size
    half = size * torch.exp(deltas[..., 2:].clamp(max=MAX_LOG_SCALE)) / 2
    return torch.cat([centre - half, centre + half], -1)


def match(gt_boxes: Tensor, boxes: Tensor, low: float, high: float, keep_best: bool) -> tuple[Tensor, Tensor]:
    """Which ground truth each box stands for.

    Returns (index of the best ground truth (R,), label (R,)): label 1 where IoU >= high, 0 where IoU < low, -1 between.
    keep_best: also label 1 for every box that has the highest IoU with some ground truth, however low (the RPN's rule).
    """
    if not len(gt_boxes) or not len(boxes):
        zeros = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
        return zeros, zeros.clone()
    iou = box_iou(gt_boxes, boxes)  # (G, R)
    best_iou, best = iou.max(0)
    positive = best_iou >= high
    if keep_best:
        highest = iou.max(1, keepdim=True).values
        positive = positive | ((iou == highest) & (highest > 0)).any(0)
    return best, torch.where(positive, 1, torch.where(best_iou < low, 0, -1))


def sample(labels: Tensor, count: int, positive_fraction: float) -> tuple[Tensor, Tensor]:
    """A random sample of each row of labels (N, R): up to `count * positive_fraction` positives (label > 0), then as
    many negatives (0) as there are to fill `count`.

    Returns (indices (N, n), which of them are chosen (N, n)), n = min(count, R), positives first; where a row has too
    few of both its last indices stand for nothing. So n does not depend on the labels, and a GPU is not waited for.
    """
    positive, negative = labels > 0, labels == 0
    order = (torch.rand(labels.shape, device=labels.device) + torch.where(positive, 0, 2 - negative.int())).argsort(1)
    found, rest = positive.sum(1, keepdim=True), negative.sum(1, keepdim=True)
    taken = found.clamp(max=int(count * positive_fraction))
    place = torch.arange(min(count, labels.shape[1]), device=labels.device)[None]  # (1, n)
    index = torch.where(place < taken, place, found + place - taken).clamp(max=max(labels.shape[1] - 1, 0))
    return order.gather(1, index), place < taken + rest


def require_finite(what: str, *values: Tensor) -> None:
    """UserError if a network gives infinities or no numbers: they would vanish in the selection that follows."""
    if not all(bool(torch.isfinite(value.sum())) for value in values):
        raise UserError(
            f"the {what} gives values that are not finite: its checkpoint is damaged, or of a training that diverged"
        )


def smooth_l1(prediction: Tensor, target: Tensor, beta: float, rows: Tensor) -> Tensor:
    """Sum of 0.5 d^2 / beta where |d| < beta, else |d| - 0.5 beta; the plain absolute difference at beta 0.

    rows: (R,) bool, which rows of prediction and target, (R, 4), count.
    """
    prediction, target = (torch.where(rows[:, None], value, 0) for value in (prediction, target))
    return torch.nn.functional.smooth_l1_loss(prediction, target, beta=beta, reduction="sum")
