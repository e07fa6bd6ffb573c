"""How well boxes cover the truths, whatever class they say: best overlaps, and recall against boxes a frame."""

from collections.abc import Sequence

import numpy as np

from detect.evaluation.frame_ap import FrameIndex, overlapping
from detect.evaluation.tables import Detections, GroundTruth


def best_overlap(gt: GroundTruth, det: Detections, plus_one: bool = False) -> np.ndarray:
    """(m,) IoU of each truth with the box of its frame that covers it best, of any class; 0 where there is none."""
    best = np.zeros(len(gt))
    for _, truth, overlap in overlapping(gt, det, np.arange(len(det)), FrameIndex(gt, det), 1e-9, plus_one):
        np.maximum.at(best, truth, overlap)
    return best


def mean_average_best_overlap(best: np.ndarray, label: np.ndarray) -> float:
    """MABO (Uijlings et al., IJCV 2013): the mean best overlap of each class's truths, averaged over the classes that
    have some; nan without truths.
    """
    if not len(label):
        return float("nan")
    count = np.bincount(label)
    return float((np.bincount(label, best)[count > 0] / count[count > 0]).mean())


def recall_by_boxes(
    gt: GroundTruth, boxes: Detections, limits: Sequence[int], iou_threshold: float = 0.5
) -> dict[int, float]:
    """{k: share of the truths that one of the k best-scored boxes of their frame covers}; nan without truths.

    One box may cover several truths here; `detect.evaluation.proposals` pairs them one to one.
    """
    frames = FrameIndex(gt, boxes)
    rank = _rank_in_frame(boxes, frames)
    first = np.full(len(gt), np.iinfo(np.int64).max)
    for row, truth, _ in overlapping(gt, boxes, np.arange(len(boxes)), frames, iou_threshold, False):
        np.minimum.at(first, truth, rank[row])
    return {k: float((first < k).mean()) if len(gt) else float("nan") for k in limits}


def _rank_in_frame(boxes: Detections, frames: FrameIndex) -> np.ndarray:
    """(n,) how many boxes of the frame come before, by falling score, then by row."""
    order = np.lexsort((-boxes.score, frames.key))
    key = frames.key[order]
    start = np.flatnonzero(np.r_[True, key[1:] != key[:-1]][: len(key)])
    rank = np.empty(len(key), np.int64)
    rank[order] = np.arange(len(key)) - np.repeat(start, np.diff(np.r_[start, len(key)]))
    return rank
