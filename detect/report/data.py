"""Everything that a report says of an evaluation, computed from the truth and the detections."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from detect.data.records import ActionDataset
from detect.evaluation.coverage import best_overlap, mean_average_best_overlap, recall_by_boxes
from detect.evaluation.error_breakdown import ErrorBreakdown, break_down, confusion_matrix
from detect.evaluation.frame_ap import FrameAPOptions, FrameAPResult, evaluate_frame_ap
from detect.evaluation.tables import Detections, GroundTruth
from detect.report.examples import Example, choose
from detect.report.ranking import Part, Ranking, parts, rank_classes
from detect.report.training import Training

THRESHOLDS = tuple(i / 100 for i in range(50, 100, 5))  # COCO's
OTHER_FRAMES = {"all": "annotated", "annotated": "all"}
SCORE_BINS = 20
PROPOSALS = (1, 2, 5, 10, 20, 50, 100, 200, 300)  # a frame
CONFUSED_FROM = 0.05  # the least score in the confusion matrix; below lies what no one would use
AREA_EDGES = (0.0, 0.01, 0.03, 0.1, 0.3, np.inf)  # of the frame
AREA_NAMES = ("below 1 %", "1–3 %", "3–10 %", "10–30 %", "from 30 %")
LENGTH_EDGES = (0, 16, 31, 61, 121, np.inf)  # frames of a tube
LENGTH_NAMES = ("1–15", "16–30", "31–60", "61–120", "from 121")


@dataclass(frozen=True, eq=False)
class ReportData:
    """See `gather`. Classes are numbered as in `dataset.classes`, videos as in `dataset.videos`."""

    dataset: ActionDataset
    gt: GroundTruth
    det: Detections
    options: FrameAPOptions
    result: FrameAPResult
    other_frames: FrameAPResult | None  # under the other rule of frames, where that can differ
    by_threshold: dict[float, FrameAPResult]  # IoU threshold -> result, for `THRESHOLDS`
    breakdown: ErrorBreakdown
    rankings: list[Ranking]
    first: np.ndarray  # (C, K) kinds of each class's highest-scoring detections, as many as it has truths
    confusion: np.ndarray
    areas: list[Part]
    lengths: list[Part]
    scores: np.ndarray  # (2, SCORE_BINS) true and false positives by score, equal bins from 0 to `top_score`
    top_score: float
    examples: list[Example]
    mabo: float  # mean average best overlap
    proposal_recall: dict[int, float]  # proposals a frame -> recall
    video_results: Mapping[str, Any] = field(default_factory=dict)
    training: Training | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)


def gather(
    dataset: ActionDataset,
    det: Detections,
    options: FrameAPOptions,
    *,
    proposals: Detections | Mapping[str, float] | None = None,
    max_strips: int = 24,
    **others: Any,
) -> ReportData:
    """What the page shows. `det.video` and `proposals.video` number `dataset.videos`; `others` are the fields of
    `ReportData` that are not computed here. Of proposals the table, or what `proposal_recall` made of it.
    """
    columns, classes = dataset.ground_truth_table(), len(dataset.classes)
    tube = columns.pop("tube")
    gt = GroundTruth(**columns)
    result = evaluate_frame_ap(gt, det, classes, options)
    breakdown = break_down(gt, det, classes, options, proposals if isinstance(proposals, Detections) else None)
    kind = breakdown.detection_kind
    truth = np.where(kind == breakdown.categories.index("correct"), breakdown.detection_truth, -1)
    rankings = rank_classes(gt, det, truth, np.flatnonzero(kind >= 0), classes, options.tie_order)
    size = np.array([(video.height, video.width) for video in dataset.videos], np.float64).reshape(-1, 2)
    area = (gt.boxes[:, 2:] - gt.boxes[:, :2]).prod(axis=1) / size.prod(axis=1)[gt.video]
    length = np.bincount(tube)[tube] if len(tube) else tube
    top_score = max(1.0, float(det.score.max(initial=0.0)))
    return ReportData(
        dataset,
        gt,
        det,
        options,
        result,
        _other_frames(dataset, gt, det, options),
        _by_threshold(gt, det, classes, options, result),
        breakdown,
        rankings,
        _first_kinds(det, breakdown, result.num_gt),
        confusion_matrix(gt, det, classes, options, CONFUSED_FROM),
        parts(rankings, gt.label, area, AREA_EDGES, AREA_NAMES),
        parts(rankings, gt.label, length, LENGTH_EDGES, LENGTH_NAMES),
        np.stack([np.histogram(det.score[kind == 0], SCORE_BINS, (0, top_score))[0],
                  np.histogram(det.score[kind > 0], SCORE_BINS, (0, top_score))[0]]),
        top_score,
        choose(gt, det, breakdown, max_strips),
        mean_average_best_overlap(best_overlap(gt, det, options.plus_one), gt.label),
        _proposal_recall(gt, proposals, options.iou_threshold),
        **others,
    )  # fmt: skip


def _by_threshold(
    gt: GroundTruth, det: Detections, classes: int, options: FrameAPOptions, result: FrameAPResult
) -> dict[float, FrameAPResult]:
    return {
        threshold: result
        if threshold == options.iou_threshold
        else evaluate_frame_ap(gt, det, classes, replace(options, iou_threshold=threshold))
        for threshold in THRESHOLDS
    }


def _proposal_recall(
    gt: GroundTruth, proposals: Detections | Mapping[str, float] | None, iou_threshold: float
) -> dict[int, float]:
    if isinstance(proposals, Detections):
        return recall_by_boxes(gt, proposals, PROPOSALS, iou_threshold)
    given = {name.removeprefix("recall@0.5@"): value for name, value in (proposals or {}).items()}
    return {int(name): value for name, value in given.items() if name.isdigit()}


def _other_frames(
    dataset: ActionDataset, gt: GroundTruth, det: Detections, options: FrameAPOptions
) -> FrameAPResult | None:
    if sum(len(video.annotated_frames()) for video in dataset.videos) == dataset.num_labelled:
        return None
    other = replace(options, frames=OTHER_FRAMES[options.frames])
    return evaluate_frame_ap(gt, det, len(dataset.classes), other)


def _first_kinds(det: Detections, breakdown: ErrorBreakdown, num_gt: np.ndarray) -> np.ndarray:
    """(C, K) how many of each kind are among a class's highest-scoring detections, as many as it has truths."""
    counts = np.zeros_like(breakdown.counts)
    for label, npos in enumerate(num_gt.tolist()):
        rows = np.flatnonzero((det.label == label) & (breakdown.detection_kind >= 0))
        if len(rows) > npos:
            rows = rows[np.argpartition(-det.score[rows], npos)[:npos]] if npos else rows[:0]
        counts[label] = np.bincount(breakdown.detection_kind[rows], minlength=counts.shape[1])
    return counts
