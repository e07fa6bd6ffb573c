"""Detections of the frames between two keyframes: boxes move along linked detections."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import box_iou

from detect.d2 import Boxes, Instances

# Of two boxes of one class, a few frames apart, that are taken for one actor. Eight frames apart 2.5 % of the boxes of
# UCF101-24 overlap less with themselves (at 0.3 it would be 7.8 %).
MIN_LINK_IOU = 0.1


def interpolate(first: Instances, second: Instances, shares: Sequence[float]) -> list[Instances]:
    """For each of `shares`, 0 (the time of `first`) to 1 (of `second`), the detections then, best first.

    Boxes and scores of linked detections change linearly; one without a partner stays for the nearer half. Fields:
    pred_boxes, scores, pred_classes; the size is that of `first`.
    """
    a, b = link(first, second)
    alone = _others(len(first), a), _others(len(second), b)
    return [_at(first, second, a, b, alone, share) for share in shares]


def link(first: Instances, second: Instances) -> tuple[Tensor, Tensor]:
    """Indices of the detections that are one actor: of one class, and no other pair of theirs overlaps more.

    Pairs are taken in order of their IoU, from MIN_LINK_IOU up, each detection once.
    """
    iou = box_iou(first.pred_boxes.tensor, second.pred_boxes.tensor)
    iou = iou * (first.pred_classes[:, None] == second.pred_classes[None])
    i, j = (iou >= MIN_LINK_IOU).nonzero(as_tuple=True)
    order = iou[i, j].argsort(descending=True, stable=True)
    used: tuple[set[int], set[int]] = set(), set()
    pairs = []
    for one, other in zip(i[order].tolist(), j[order].tolist(), strict=True):
        if one not in used[0] and other not in used[1]:
            used[0].add(one)
            used[1].add(other)
            pairs.append((one, other))
    found = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _others(count: int, linked: Tensor) -> Tensor:
    free = torch.ones(count, dtype=torch.bool)
    free[linked] = False
    return free.nonzero()[:, 0]


def _at(first: Instances, second: Instances, a: Tensor, b: Tensor, alone, share: float) -> Instances:
    nearer, rest = (first, alone[0]) if share < 0.5 else (second, alone[1])
    boxes = torch.lerp(first.pred_boxes.tensor[a], second.pred_boxes.tensor[b], share)
    scores = torch.lerp(first.scores[a], second.scores[b], share)
    boxes = torch.cat([boxes, nearer.pred_boxes.tensor[rest]])
    scores = torch.cat([scores, nearer.scores[rest]])
    classes = torch.cat([first.pred_classes[a], nearer.pred_classes[rest]])
    order = scores.argsort(descending=True, stable=True)
    return Instances(
        first.image_size, pred_boxes=Boxes(boxes[order]), scores=scores[order], pred_classes=classes[order]
    )
