"""What detections say beyond their APs: how well boxes of any label cover the truths, by mean best overlap and recall
against the number of boxes; and how many videos they name rightly."""

from collections.abc import Sequence

import numpy as np

from detect.evaluation.frame_ap import mean_of_classes, overlapping
from detect.evaluation.frame_index import FrameIndex
from detect.evaluation.tables import Detections, GroundTruth
from detect.utils.runs import run_sizes, run_starts, within

NUMBERS = (1, 2, 5, 10, 20, 50, 100, 300)  # boxes per frame
_TOUCHING = 1e-9  # a least IoU that lists all pairs of boxes with a common area and no others


def mean_best_overlap(
    gt: GroundTruth, det: Detections, num_classes: int, plus_one: bool = False
) -> tuple[np.ndarray, float]:
    """Frame-mABO: the IoU of each truth with the best box in its frame, of any class, averaged over the truths of each
    class ((C,), nan for a class without truths), and the mean over the classes. ACT's frameMABO, which adds a pixel.
    """
    best = np.zeros(len(gt))
    frames = FrameIndex(gt, det)
    for _, truth, overlap in overlapping(gt, det, np.arange(len(det)), frames, _TOUCHING, plus_one):
        np.maximum.at(best, truth, overlap)
    count = np.bincount(gt.label, minlength=num_classes)
    total = np.bincount(gt.label, best, minlength=num_classes)
    of_class = np.divide(total, count, out=np.full(num_classes, np.nan), where=count > 0)
    return of_class, mean_of_classes(of_class)


def recall_by_number(
    gt: GroundTruth, boxes: Detections, iou_threshold: float = 0.5, numbers: Sequence[int] = NUMBERS
) -> dict[int, float]:
    """For each k, the share of truths that reach the threshold with one of the k top-scoring boxes in their frame."""
    frames = FrameIndex(gt, boxes)
    order = np.lexsort((-boxes.score, frames.key))
    rank = np.empty(len(order), np.int64)
    rank[order] = within(run_sizes(run_starts(frames.key[order]), len(order)))
    needed = np.full(len(gt), np.iinfo(np.int64).max)
    for row, truth, _ in overlapping(gt, boxes, np.arange(len(boxes)), frames, iou_threshold, False):
        np.minimum.at(needed, truth, rank[row])
    return {number: float((needed < number).mean()) if len(gt) else float("nan") for number in numbers}


def named_rightly(gt: GroundTruth, det: Detections, num_classes: int) -> tuple[int, int]:
    """Of the videos whose truths are all of one class: how many have that class as the one with the highest sum of
    scores, and how many they are. A video without detections is wrong.
    """
    videos = max(gt.video.max(initial=-1), det.video.max(initial=-1)) + 1
    truths, scores = np.zeros((videos, num_classes)), np.zeros((videos, num_classes))
    np.add.at(truths, (gt.video, gt.label), 1)
    np.add.at(scores, (det.video, det.label), det.score)
    single = (truths > 0).sum(1) == 1
    right = single & (truths.argmax(1) == scores.argmax(1)) & (scores.max(1, initial=0) > 0)
    return int(right.sum()), int(single.sum())
