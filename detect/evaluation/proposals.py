"""Recall of class-agnostic proposals: does the RPN find the actors at all?"""

from collections.abc import Sequence

import numpy as np

from detect.evaluation.average_precision import COCO_THRESHOLDS
from detect.utils.iou import component_iou

LIMITS = (10, 100, 300)  # proposals per frame


def best_overlaps(
    gt_boxes: np.ndarray, proposals: np.ndarray, scores: np.ndarray, limits: Sequence[int] = LIMITS
) -> np.ndarray:
    """IoU of each ground-truth box with the proposal that it is paired with, for each limit.

    Pairs are one to one and greedy, best overlap first, so two actors need two proposals.

    Args:
        gt_boxes: (g, 4), proposals: (p, 4) x1 y1 x2 y2; scores: (p,); only the `limit` top-scoring proposals count.
    Returns:
        (len(limits), g) in [0, 1].
    """
    order = np.argsort(-scores, kind="stable")[: max(limits)]
    overlaps = component_iou(gt_boxes.T[..., None].astype(np.float64), proposals[order].T[:, None].astype(np.float64))
    result = np.zeros((len(limits), len(gt_boxes)))
    for row, limit in zip(result, limits, strict=True):
        free = overlaps[:, :limit].copy()
        for _ in range(min(free.shape)):
            truth, proposal = np.unravel_index(np.argmax(free), free.shape)
            if free[truth, proposal] <= 0:
                break
            row[truth] = free[truth, proposal]
            free[truth, :] = free[:, proposal] = 0
    return result


def proposal_recall(overlaps: np.ndarray, limits: Sequence[int] = LIMITS) -> dict[str, float]:
    """{"AR@k": mean recall over IoU .50:.05:.95, "recall@0.5@k"} for k proposals per frame; nan without boxes.

    `overlaps`: (len(limits), n) from `best_overlaps`, with the boxes of all frames.
    """
    scores = {}
    for row, limit in zip(overlaps, limits, strict=True):
        empty = not row.size
        scores[f"AR@{limit}"] = float("nan") if empty else float((row >= np.array(COCO_THRESHOLDS)[:, None]).mean())
        scores[f"recall@0.5@{limit}"] = float("nan") if empty else float((row >= 0.5).mean())
    return scores
