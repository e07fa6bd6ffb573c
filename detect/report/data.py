"""All contents of a report, computed from the ground truth and the detections."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from detect.data.records import ActionDataset
from detect.evaluation.average_precision import COCO_THRESHOLDS
from detect.evaluation.box_overlap import mean_best_overlap, recall_by_number
from detect.evaluation.errors.breakdown import CONFUSED_FROM, ErrorBreakdown, break_down, confusion_matrix
from detect.evaluation.errors.kinds import CORRECT, MatchedTables, compare
from detect.evaluation.frame_ap import (
    FrameAPOptions,
    FrameAPResult,
    ap_without_gt,
    evaluate_frame_ap,
    joined,
    mean_of_classes,
)
from detect.evaluation.ranking import Ranking
from detect.evaluation.tables import Detections, GroundTruth
from detect.report.curves import Part, Positives, parts, positives
from detect.report.examples import Example, choose
from detect.report.training import Training

SCORE_BINS = 20
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
    other_frames: tuple[str, float] | None  # the other frame rule and its mAP, if it can differ
    by_threshold: dict[float, np.ndarray]  # IoU threshold -> (C,) AP, for `COCO_THRESHOLDS`
    breakdown: ErrorBreakdown
    ranked: list[Positives]  # of each class
    first: np.ndarray  # (C, K) counts of kinds among each class's top detections, as many as it has truths
    confusion: np.ndarray
    areas: list[Part]
    lengths: list[Part]
    scores: np.ndarray  # (2, SCORE_BINS) true and false positives in equal bins of the score from 0 to `top_score`
    top_score: float
    examples: list[Example]
    mabo: float  # mean average best overlap
    proposal_recall: dict[int, float]  # proposals per frame -> recall
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
    """The contents of the page. det.video, proposals.video: positions in `dataset.videos`.  proposals: the table, or
    the result of `proposal_recall`.  others: fields of `ReportData` that are not computed here.
    """
    gt, classes = GroundTruth(**dataset.ground_truth_table()), len(dataset.classes)
    result = evaluate_frame_ap(gt, det, classes, options)
    breakdown = break_down(gt, det, classes, options, proposals if isinstance(proposals, Detections) else None)
    matched = compare(gt, det, classes, options)
    ranking = Ranking(det, matched.rows, det.label[matched.rows], classes, matched.frames, options.tie_order)
    kind = breakdown.detection_kind[matched.rows]
    correct = np.flatnonzero(kind == CORRECT)
    truth = breakdown.detection_truth[matched.rows]
    ranked = positives(ranking, correct, det.score[matched.rows], truth, result.num_gt)
    top_score = max(1.0, float(det.score.max(initial=0.0)))
    return ReportData(
        dataset,
        gt,
        det,
        options,
        result,
        _other_frames(dataset, matched, ranking, correct),
        _by_threshold(matched, ranking, result.num_gt),
        breakdown,
        ranked,
        _first_kinds(ranking, kind, breakdown.counts.shape[1], result.num_gt),
        confusion_matrix(gt, det, classes, options, CONFUSED_FROM),
        parts(ranked, gt.label, _areas(dataset, gt), AREA_EDGES, AREA_NAMES),
        _lengths(ranked, gt, dataset.tube_of_boxes()),
        _histograms(det.score[matched.rows], kind == CORRECT, top_score),
        top_score,
        choose(gt, det, breakdown, max_strips),
        mean_best_overlap(gt, det, classes, options.plus_one)[1],
        _proposal_recall(gt, proposals, options.iou_threshold),
        **others,
    )


def _areas(dataset: ActionDataset, gt: GroundTruth) -> np.ndarray:
    """(m,) share of the frame area that each truth covers."""
    size = np.array([(video.height, video.width) for video in dataset.videos], np.float64).reshape(-1, 2)
    return (gt.boxes[:, 2:] - gt.boxes[:, :2]).prod(axis=1) / np.maximum(size.prod(axis=1), 1)[gt.video]


def _lengths(ranked: list[Positives], gt: GroundTruth, tube: np.ndarray) -> list[Part]:
    """Parts by tube length; none if the ground truth has single boxes only. tube: (m,) number of each truth's tube."""
    length = np.bincount(tube)[tube] if len(tube) else tube
    if length.max(initial=0) <= 1:
        return []
    return parts(ranked, gt.label, length, LENGTH_EDGES, LENGTH_NAMES)


def _histograms(score: np.ndarray, correct: np.ndarray, top_score: float) -> np.ndarray:
    """(2, SCORE_BINS) int: true and false detections; correct: (n,) bool."""
    both = np.histogram(score, SCORE_BINS, (0, top_score))[0]
    true = np.histogram(score[correct], SCORE_BINS, (0, top_score))[0]
    return np.stack([true, both - true])


def _by_threshold(matched: MatchedTables, ranking: Ranking, num_gt: np.ndarray) -> dict[float, np.ndarray]:
    """Threshold -> (C,) AP, as by `evaluate_frame_ap`; boxes are compared and detections ranked only once."""
    pairs = joined(matched.pairs(matched.rows, COCO_THRESHOLDS[0], one_class=True))
    every, found = np.ones(len(matched.rows), bool), {}
    for threshold in COCO_THRESHOLDS:
        reaches = pairs[2] >= threshold
        correct, _ = matched.taken(tuple(column[reaches] for column in pairs))
        entries = np.searchsorted(matched.rows, correct)
        found[threshold] = _ap(matched, ranking, every, entries, num_gt)
    return found


def _ap(
    matched: MatchedTables, ranking: Ranking, kept: np.ndarray, entries: np.ndarray, num_gt: np.ndarray
) -> np.ndarray:
    """(C,) AP if only the detections at the places `kept` count, and `entries` are true."""
    ap = ranking.average_precision(kept, entries, num_gt, matched.options.ap_rule)
    return np.where(num_gt > 0, ap, ap_without_gt(matched.options))


def means(by_threshold: Mapping[float, np.ndarray]) -> list[float]:
    """The mAP at each threshold."""
    return [mean_of_classes(ap) for ap in by_threshold.values()]


def _proposal_recall(
    gt: GroundTruth, proposals: Detections | Mapping[str, float] | None, iou_threshold: float
) -> dict[int, float]:
    if isinstance(proposals, Detections):
        return recall_by_number(gt, proposals, iou_threshold)
    given = {name.removeprefix("recall@0.5@"): value for name, value in (proposals or {}).items()}
    return {int(name): value for name, value in given.items() if name.isdigit()}


def _other_frames(
    dataset: ActionDataset, matched: MatchedTables, ranking: Ranking, correct: np.ndarray
) -> tuple[str, float] | None:
    if sum(len(video.annotated_frames()) for video in dataset.videos) == dataset.num_labelled:
        return None
    if matched.options.frames == "all":  # the ranking has the detections on annotated frames
        annotated = matched.frames.of_det[matched.rows][ranking.order] >= 0
        num_gt = np.bincount(matched.gt.label, minlength=matched.num_classes)
        return "annotated", mean_of_classes(_ap(matched, ranking, annotated, correct, num_gt))
    other = replace(matched.options, frames="all")
    return "all", evaluate_frame_ap(matched.gt, matched.det, matched.num_classes, other).mean


def _first_kinds(ranking: Ranking, kind: np.ndarray, kinds: int, num_gt: np.ndarray) -> np.ndarray:
    """(C, K) counts of kinds among each class's top detections, as many as it has truths."""
    starts, ends = ranking.bounds[:-1], np.minimum(ranking.bounds[:-1] + num_gt, ranking.bounds[1:])
    first = [kind[ranking.order[start:end]] for start, end in zip(starts, ends, strict=True)]
    return np.array([np.bincount(one, minlength=kinds) for one in first]).reshape(-1, kinds)
