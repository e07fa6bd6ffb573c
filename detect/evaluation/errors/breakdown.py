"""Why a detector loses AP: every detection and every truth has one kind, and each kind of error has a cost.

docs/error_analysis.md compares the categories with those of ACT's frameAP_error and of TIDE.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detect.evaluation.average_precision import matched_pairs
from detect.evaluation.errors.act import act_decomposition
from detect.evaluation.errors.kinds import CATEGORIES, TRUTH_KINDS, MatchedTables, compare, detection_kinds, truth_kinds
from detect.evaluation.errors.oracles import oracle_ap
from detect.evaluation.frame_ap import FrameAPOptions, joined, mean_of_classes, overlapping
from detect.evaluation.frame_index import FrameIndex
from detect.evaluation.tables import Detections, GroundTruth, take
from detect.utils.errors import UserError
from detect.utils.tables import text_table

CONFUSED_FROM = 0.05  # least score in the confusion matrices that are shown; lower ones are of no use in practice


@dataclass(frozen=True, eq=False)
class ErrorBreakdown:
    """Kinds and costs of the errors among n detections and m truths of C classes.

    categories: names of the K kinds of detection, see `break_down`.
    detection_kind: (n,) int8 index in `categories` of each detection; -1 if it does not count (the protocol drops it,
        or its score is below `min_score`).
    detection_truth: (n,) int64 row of the truth that decided the kind: the matched one (correct), the best of the class
        (duplicate, localisation), the best of another class (classification); else -1.
    counts: (C, K) int64 by class of the detection.
    truth_kinds: names of the three kinds of truth.
    truth_kind: (m,) int8 index in `truth_kinds`: found (a correct detection matches it), missed (no box of
        `truth_source` reaches the IoU threshold with it), lost (such a box exists, but no correct detection).
    truth_counts: (C, 3) int64 by class of the truth.
    truth_source: "proposals" if they were given, else "detections" (counted ones of every class).
    gains: for each oracle of `detect.evaluation.errors.oracles` the mAP with that error corrected, minus `mean`.
    gains_per_class: (C,), nan for a class that is not in the mean.
    ap: (C,), mean: frame-AP of the counted detections, in [0, 1].
    act: ACT's decomposition in percent, which adds up to 100: AP, localisation, classification, time, other, missed;
        by ACT's own rules at this IoU threshold, mean over the classes with truths.
    act_per_class: (C,).
    options, min_score, background_threshold: as given to `break_down`.
    """

    categories: tuple[str, ...]
    detection_kind: np.ndarray
    detection_truth: np.ndarray
    counts: np.ndarray
    truth_kinds: tuple[str, ...]
    truth_kind: np.ndarray
    truth_counts: np.ndarray
    truth_source: str
    gains: dict[str, float]
    gains_per_class: dict[str, np.ndarray]
    ap: np.ndarray
    mean: float
    act: dict[str, float]
    act_per_class: dict[str, np.ndarray]
    options: FrameAPOptions
    min_score: float
    background_threshold: float


def break_down(
    gt: GroundTruth,
    det: Detections,
    num_classes: int,
    options: FrameAPOptions,
    proposals: Detections | None = None,
    min_score: float = 0.0,
    *,
    background_threshold: float = 0.1,
) -> ErrorBreakdown:
    """The kind of every detection and truth under a protocol, and the cost of each kind of error.

    A counted detection of class c has the first kind that applies; t is the protocol's IoU threshold:
    1. correct: it matches a truth of c (the protocol's true positive).
    2. duplicate: IoU >= t with a truth of c that a better ranked detection matches.
    3. localisation: IoU >= `background_threshold` with a truth of c.
    4. classification: IoU >= t with a truth of another class.
    5. time: its frame has no truth of c, but another frame of its video has.
    6. background: all others.

    proposals: boxes of the proposal stage, of any label and score, to tell truths missed by the proposals from truths
    lost by the head; None: counted detections of every class are used instead.  min_score: detections below it are
    ignored, also for mAP and gains.  UserError for a label >= num_classes or a background_threshold outside [0, 1).
    """
    if not 0 <= background_threshold < 1:
        raise UserError(f"background_threshold is {background_threshold}; expected 0 <= background_threshold < 1")
    matched = compare(gt, det, num_classes, options, min_score)
    kinds = detection_kinds(matched, background_threshold)
    truth_kind = truth_kinds(matched, kinds, proposals)
    base, ap = oracle_ap(matched, kinds, truth_kind)
    act = act_decomposition(gt, det, num_classes, options.iou_threshold, min_score)
    return ErrorBreakdown(
        CATEGORIES,
        kinds.kind,
        kinds.truth,
        _crosstab(det.label[matched.rows], kinds.kind[matched.rows], (num_classes, len(CATEGORIES))),
        TRUTH_KINDS,
        truth_kind,
        _crosstab(gt.label, truth_kind, (num_classes, len(TRUTH_KINDS))),
        "detections" if proposals is None else "proposals",
        {name: mean_of_classes(corrected) - mean_of_classes(base) for name, corrected in ap.items()},
        {name: corrected - base for name, corrected in ap.items()},
        base,
        mean_of_classes(base),
        {name: mean_of_classes(values) for name, values in act.items()},
        act,
        options,
        min_score,
        background_threshold,
    )


def _crosstab(row: np.ndarray, column: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.bincount(row.astype(np.int64) * shape[1] + column, minlength=shape[0] * shape[1]).reshape(shape)


def confusion_matrix(
    gt: GroundTruth, det: Detections, num_classes: int, options: FrameAPOptions, min_score: float = 0.0
) -> np.ndarray:
    """(C + 1, C + 1) int64: truths by their class (row) and the class of the detection matched to them (column).

    First, truths and detections are matched as in the protocol, which gives the diagonal. Then the detections that
    overlap no truth of their class match, best score first, the best free truth in their frame whose IoU reaches the
    threshold. Truths without a detection are in the last column, detections without a truth (duplicates among them) in
    the last row. A row adds up to the truths of the class, a column to its counted detections of at least `min_score`.
    """
    matched = compare(gt, det, num_classes, options, min_score)
    hits = joined(matched.pairs(matched.rows, options.iou_threshold, one_class=True))
    correct, found = matched.taken(hits)
    left = np.ones(len(gt), dtype=bool)
    left[found] = False
    beside = np.zeros(len(det), dtype=bool)
    beside[matched.rows], beside[hits[0]] = True, False
    lost, wrong = _confused(matched, np.flatnonzero(left), np.flatnonzero(beside))

    matrix = np.zeros((num_classes + 1, num_classes + 1), dtype=np.int64)
    np.add.at(matrix, (gt.label[np.r_[found, lost]], det.label[np.r_[correct, wrong]]), 1)
    matrix[:-1, -1] = np.bincount(gt.label, minlength=num_classes) - matrix[:-1].sum(axis=1)
    matrix[-1, :-1] = np.bincount(det.label[matched.rows], minlength=num_classes) - matrix[:, :-1].sum(axis=0)
    return matrix


def _confused(matched: MatchedTables, truths: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Match the unmatched `truths` and detections `rows` regardless of class: (k,) truths and (k,) detections."""
    gt = take(matched.gt, truths)
    frames, options = FrameIndex(gt, matched.det), matched.options
    pairs = overlapping(gt, matched.det, rows, frames, options.iou_threshold, options.plus_one)
    detection, truth, overlap = joined(pairs)
    order = (-matched.det.score[detection], detection)
    taker, taken = matched_pairs(detection, truth, overlap, frames.of_gt[truth], order, "best_unmatched")
    return truths[taken], taker


def breakdown_table(breakdown: ErrorBreakdown, class_names: Sequence[str]) -> str:
    """Tables of text: counts per class, the gain of every oracle, ACT's decomposition."""
    source = breakdown.truth_source
    header = ("class", "#det", *breakdown.categories, "#gt", "found", f"missed by {source}", "lost", "AP")
    counts = np.vstack([breakdown.counts, breakdown.counts.sum(axis=0)])
    truths = np.vstack([breakdown.truth_counts, breakdown.truth_counts.sum(axis=0)])
    rows = [
        (name, det.sum(), *det, gt.sum(), *gt, "-" if np.isnan(ap) else f"{ap:.4f}")
        for name, det, gt, ap in zip(
            (*class_names, "all"), counts, truths, (*breakdown.ap, breakdown.mean), strict=True
        )
    ]
    gains = [(name, f"{gain:+.4f}", f"{breakdown.mean + gain:.4f}") for name, gain in breakdown.gains.items()]
    act = [(name, f"{share:.2f}") for name, share in breakdown.act.items()]
    return "\n\n".join(
        text_table(table, head)
        for table, head in (
            (rows, header),
            (gains, ("corrected", "mAP gain", "mAP")),
            (act, ("ACT's decomposition", "%")),
        )
    )
