"""Choice of the errors to show: the highest-scoring ones of each kind, and the largest truths not found."""

from dataclasses import dataclass

import numpy as np

from detect.evaluation.errors.breakdown import ErrorBreakdown
from detect.evaluation.tables import Detections, GroundTruth
from detect.utils.iou import pairwise_iou
from detect.utils.runs import run_sizes, run_starts, within

CONSIDERED = 2000  # best candidates of each kind; enough to have many videos among them


@dataclass(frozen=True)
class Example:
    """One error: its kind, position of the video, frame; rows of the detection and of the truth (-1: none), and their
    IoU.
    """

    kind: str
    video: int
    frame: int
    detection: int
    truth: int
    iou: float


def choose(gt: GroundTruth, det: Detections, breakdown: ErrorBreakdown, most: int) -> list[Example]:
    """Up to `most` examples, shared among the kinds that occur and in their order. Each kind begins with its
    highest-scoring detections or largest truths, from as many videos as possible.
    """
    kinds = {name: np.flatnonzero(breakdown.detection_kind == i) for i, name in enumerate(breakdown.categories) if i}
    truths = {name: np.flatnonzero(breakdown.truth_kind == i) for i, name in enumerate(breakdown.truth_kinds) if i}
    left = sum(len(rows) > 0 for rows in (*kinds.values(), *truths.values()))
    area = (gt.boxes[:, 2:] - gt.boxes[:, :2]).prod(axis=1)
    found: list[Example] = []
    for group, table, value in ((kinds, det, det.score), (truths, gt, area)):
        for kind, rows in group.items():
            if len(rows):
                share = (most - len(found)) // left
                chosen = _spread(rows, value, table.video, share)
                found += [_example(kind, row, gt, det, breakdown, table is gt) for row in chosen.tolist()]
                left -= 1
    return found


def _spread(rows: np.ndarray, value: np.ndarray, video: np.ndarray, count: int) -> np.ndarray:
    """The `count` rows with the highest values, first one from each video, then a second one, and so on."""
    if len(rows) > CONSIDERED:
        rows = rows[np.argpartition(-value[rows], CONSIDERED)[:CONSIDERED]]
    rows = rows[np.lexsort((rows, -value[rows]))]
    order = np.argsort(video[rows], kind="stable")
    turn = np.empty(len(rows), np.int64)
    turn[order] = within(run_sizes(run_starts(video[rows][order]), len(rows)))
    return rows[np.argsort(turn, kind="stable")][:count]


def _example(
    kind: str, row: int, gt: GroundTruth, det: Detections, breakdown: ErrorBreakdown, is_truth: bool
) -> Example:
    if not is_truth:
        truth = int(breakdown.detection_truth[row])
        iou = float(pairwise_iou(det.boxes[[row]], gt.boxes[[truth]])[0]) if truth >= 0 else 0.0
        return Example(kind, int(det.video[row]), int(det.frame[row]), row, truth, iou)
    same_frame = (det.video == gt.video[row]) & (det.frame == gt.frame[row])
    there = np.flatnonzero(same_frame & (breakdown.detection_kind >= 0))
    overlap = pairwise_iou(det.boxes[there], np.broadcast_to(gt.boxes[row], (len(there), 4)))
    nearest = int(np.argmax(overlap)) if len(there) else -1
    touching = nearest >= 0 and overlap[nearest] > 0
    detection, iou = (int(there[nearest]), float(overlap[nearest])) if touching else (-1, 0.0)
    return Example(kind, int(gt.video[row]), int(gt.frame[row]), detection, row, iou)
