"""The kind of every detection (correct, or which error) and of every truth (found, missed, lost)."""

from dataclasses import dataclass

import numpy as np

from detect.evaluation.frame_ap import (
    FrameAPOptions,
    Pairs,
    check_labels,
    counted_rows,
    joined,
    overlapping,
    taken_pairs,
)
from detect.evaluation.frame_index import FrameIndex, place_in
from detect.evaluation.tables import Detections, GroundTruth
from detect.utils.runs import run_sizes, run_starts

CATEGORIES = ("correct", "localisation", "classification", "time", "duplicate", "background")
CORRECT, LOCALISATION, CLASSIFICATION, TIME, DUPLICATE, BACKGROUND = range(len(CATEGORIES))
TRUTH_KINDS = ("found", "missed", "lost")
FOUND, MISSED, LOST = range(len(TRUTH_KINDS))


@dataclass(frozen=True, eq=False)
class MatchedTables:
    """Two tables under one protocol; rows: the detections that count, increasing."""

    gt: GroundTruth
    det: Detections
    num_classes: int
    options: FrameAPOptions
    frames: FrameIndex
    rows: np.ndarray

    def pairs(self, rows: np.ndarray, minimum: float, *, one_class: bool):
        """See `overlapping`; rows: detections; one_class: only pairs of the same class."""
        num_classes = self.num_classes if one_class else None
        return overlapping(self.gt, self.det, rows, self.frames, minimum, self.options.plus_one, num_classes)

    def taken(self, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
        return taken_pairs(self.gt, self.det, pairs, self.frames, self.num_classes, self.options)

    def has_truth(self) -> tuple[np.ndarray, np.ndarray]:
        """Whether the frame and whether the video of each of `self.rows` has a truth of its class: two bool arrays."""
        videos = np.unique(self.gt.video)
        video_of = self.frames.spread(place_in(videos, self.det.video[self.frames.run_start]))
        label, found = self.det.label[self.rows], []
        for of_gt, of_det in (
            (self.frames.of_gt, self.frames.of_det),
            (place_in(videos, self.gt.video), video_of),
        ):
            table = np.zeros((int(of_gt.max(initial=-1)) + 2, self.num_classes), dtype=bool)
            table[of_gt, self.gt.label] = True
            found.append(table[of_det[self.rows], label])  # -1, without any truth, reads the last row, which is empty
        return found[0], found[1]


def compare(
    gt: GroundTruth, det: Detections, num_classes: int, options: FrameAPOptions, min_score: float = 0.0
) -> MatchedTables:
    """Detections below `min_score` do not count. UserError for a label >= num_classes."""
    check_labels(gt, det, num_classes)
    frames = FrameIndex(gt, det)
    rows, _, _ = counted_rows(det, frames, options)
    if len(rows) and min_score > det.score.min():
        rows = rows[det.score[rows] >= min_score]
    return MatchedTables(gt, det, num_classes, options, frames, rows)


@dataclass(frozen=True, eq=False)
class Kinds:
    """kind: (n,) int8, truth: (n,) int64 of every detection, as in ErrorBreakdown.  hits: same-class pairs that reach
    the IoU threshold.  found: (m,) bool, truths with a true positive.  covered: (m,) bool, truths that reach the IoU
    threshold with any counted detection.
    """

    kind: np.ndarray
    truth: np.ndarray
    hits: Pairs
    found: np.ndarray
    covered: np.ndarray


def detection_kinds(matched: MatchedTables, background_threshold: float) -> Kinds:
    """The first kind that applies: correct, duplicate, localisation, classification, time, background."""
    own, other, covered = _near(matched, background_threshold)
    hits = _select(own, own[2] >= matched.options.iou_threshold)
    correct = matched.taken(hits)
    kind = np.full(len(matched.det), -1, dtype=np.int8)
    truth = np.full(len(matched.det), -1, dtype=np.int64)
    kind[matched.rows] = BACKGROUND
    in_frame, in_video = matched.has_truth()
    kind[matched.rows[in_video & ~in_frame]] = TIME
    for number, (detection, nearest) in (  # later ones replace earlier ones
        (CLASSIFICATION, other[:2]),
        (LOCALISATION, _best(own)[:2]),
        (DUPLICATE, _best(hits)[:2]),
        (CORRECT, correct),
    ):
        kind[detection], truth[detection] = number, nearest
    found = np.zeros(len(matched.gt), dtype=bool)
    found[correct[1]] = True
    return Kinds(kind, truth, hits, found, covered)


def truth_kinds(matched: MatchedTables, kinds: Kinds, proposals: Detections | None) -> np.ndarray:
    """(m,) int8: found; missed by all proposals (None: by all counted detections); or lost."""
    covered = kinds.covered
    if proposals is not None:
        covered = np.zeros(len(matched.gt), dtype=bool)
        rows, frames = np.arange(len(proposals)), FrameIndex(matched.gt, proposals)
        threshold, plus_one = matched.options.iou_threshold, matched.options.plus_one
        for _, truth, _ in overlapping(matched.gt, proposals, rows, frames, threshold, plus_one):
            covered[truth] = True
    return np.where(kinds.found, FOUND, np.where(covered, LOST, MISSED)).astype(np.int8)


def _near(matched: MatchedTables, background_threshold: float) -> tuple[Pairs, Pairs, np.ndarray]:
    """Same-class pairs above the background threshold; for each detection its best pair with a truth of another class
    that reaches the IoU threshold; (m,) bool: truths that reach the IoU threshold with any detection.
    """
    own, other, covered = [], [], np.zeros(len(matched.gt), dtype=bool)
    threshold = matched.options.iou_threshold
    for pairs in matched.pairs(matched.rows, min(background_threshold, threshold), one_class=False):
        detection, truth, overlap = pairs
        same = matched.det.label[detection] == matched.gt.label[truth]
        reaches = overlap >= threshold
        covered[truth[reaches]] = True
        own.append(_select(pairs, same))
        other.append(_best(_select(pairs, ~same & reaches)))
    return joined(own), joined(other), covered


def _select(pairs: Pairs, chosen: np.ndarray) -> Pairs:
    detection, truth, overlap = pairs
    return detection[chosen], truth[chosen], overlap[chosen]


def _best(pairs: Pairs) -> Pairs:
    """The pair with the largest IoU of each detection, the first of equal ones; pairs: sorted by detection."""
    detection, _, overlap = pairs
    if not len(detection):
        return pairs
    start = run_starts(detection)
    largest = np.repeat(np.maximum.reduceat(overlap, start), run_sizes(start, len(detection)))
    top = np.flatnonzero(overlap == largest)
    return _select(pairs, top[run_starts(detection[top])])
