"""From what the region head says of every region and class to the detections that are given out.

Naming: R regions, K classes.
"""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import batched_nms

from detect.d2 import Boxes, Instances


class SelectionRules(NamedTuple):
    """score_thresh: lower scores are dropped.  nms_thresh: IoU from which the weaker box of a class is suppressed.
    detections_per_class, detections_per_image: how many stay.
    """

    score_thresh: float
    nms_thresh: float
    detections_per_class: int
    detections_per_image: int


def select_detections(boxes: Tensor, scores: Tensor, image_size: tuple[int, int], rules: SelectionRules) -> Instances:
    """One image's detections after per-class suppression, best first.

    boxes: (R, K, 4) x0 y0 x1 y1 in pixels of an image of `image_size` (height, width).  scores: (R, K).
    """
    has_area = (boxes[..., 2:] > boxes[..., :2]).all(-1)
    region, classes = ((scores > rules.score_thresh) & has_area).nonzero(as_tuple=True)
    num_classes, scores, boxes = scores.shape[1], scores[region, classes], boxes[region, classes]
    keep = batched_nms(boxes, scores, classes, rules.nms_thresh)
    rank = rank_within_class(classes[keep], num_classes)
    keep = keep[rank < rules.detections_per_class][: rules.detections_per_image]
    return Instances(tuple(image_size), pred_boxes=Boxes(boxes[keep]), scores=scores[keep], pred_classes=classes[keep])


def rank_within_class(classes: Tensor, num_classes: int) -> Tensor:
    """For each entry how many earlier ones have its class."""
    counts = F.one_hot(classes, num_classes).cumsum(0)
    return counts.gather(1, classes[:, None])[:, 0] - 1


def to_original_frame(result: Instances, item: dict) -> Instances:
    """The same boxes in pixels of the original frame."""
    height, width = item["height"], item["width"]
    scale_y, scale_x = height / result.image_size[0], width / result.image_size[1]
    mapped = Instances((height, width), **result.get_fields())
    for name in ("pred_boxes", "proposal_boxes"):
        if mapped.has(name):
            boxes = mapped.get(name).clone()
            boxes.scale(scale_x, scale_y)
            boxes.clip((height, width))
            mapped.set(name, boxes)
    return mapped
