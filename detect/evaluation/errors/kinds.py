"""Which kind of error each detection is, and what became of each truth."""

from dataclasses import dataclass

import numpy as np

from detect.evaluation.frame_ap import (
    FrameAPOptions,
    FrameIndex,
    Pairs,
    check_labels,
    counted_rows,
    joined,
    overlapping,
    place_in,
    taken_pairs,
)
from detect.evaluation.tables import Detections, GroundTruth

CATEGORIES = ("correct", "localisation", "classification", "time", "duplicate", "background")
CORRECT, LOCALISATION, CLASSIFICATION, TIME, DUPLICATE, BACKGROUND = range(len(CATEGORIES))
TRUTH_KINDS = ("found", "missed", "lost")
FOUND, MISSED, LOST = range(len(TRUTH_KINDS))


@dataclass(frozen=True, eq=False)
class MatchedTables:
    """Two tables under one protocol; `rows` are those of the detections that count, increasing."""

    gt: GroundTruth
    det: Detections
    num_classes: int
    options: FrameAPOptions
    frames: FrameIndex
    rows: np.ndarray

    def pairs(self, rows: np.ndarray, minimum: float, *, one_class: bool):
        """`overlapping` pairs of the detections `rows`, of one class or of any."""
        num_classes = self.num_classes if one_class else None
        return overlapping(self.gt, self.det, rows, self.frames, minimum, self.options.plus_one, num_classes)

    def taken(self, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
        return taken_pairs(self.gt, self.det, pairs, self.frames, self.num_classes, self.options)

    def has_truth(self) -> tuple[np.ndarray, np.ndarray]:
        """For each of `rows`, whether its frame and whether its video has a truth of its class, two bool arrays."""
        videos = np.unique(self.gt.video)
        video_of = self.frames.spread(place_in(videos, self.det.video[self.frames.run_start]))
        label, found = self.det.label[self.rows], []
        for of_gt, of_det in (
            (self.frames.of_gt, self.frames.of_det),
            (place_in(videos, self.gt.video), video_of),
        ):
            table = np.zeros((int(of_gt.max(initial=-1)) + 2, self.num_classes), dtype=bool)
            table[of_gt, self.gt.label] = True
            found.append(table[of_det[self.rows], label])  # -1, no truth at all, is the last row, which is empty
        return found[0], found[1]


def compare(
    gt: GroundTruth, det: Detections, num_classes: int, options: FrameAPOptions, min_score: float = 0.0
) -> MatchedTables:
    """UserError for a label >= num_classes. Detections below `min_score` do not count."""
    check_labels(gt, det, num_classes)
    frames = FrameIndex(gt, det)
    rows, _, _ = counted_rows(det, frames, options)
    if len(rows) and min_score > det.score.min():
        rows = rows[det.score[rows] >= min_score]
    return MatchedTables(gt, det, num_classes, options, frames, rows)


@dataclass(frozen=True, eq=False)
class Kinds:
    """kind (n,) int8 and truth (n,) int64 of every detection, as in ErrorBreakdown; hits: the pairs of one class that
    reach the threshold; found and covered (m,) bool: truths that were taken, and that a counted detection reaches.
    """

    kind: np.ndarray
    truth: np.ndarray
    hits: Pairs
    found: np.ndarray
    covered: np.ndarray


def detection_kinds(matched: MatchedTables, background_threshold: float) -> Kinds:
    """The first that holds: correct, duplicate, localisation, classification, time, background."""
    own, other, covered = _near(matched, background_threshold)
    hits = _select(own, own[2] >= matched.options.iou_threshold)
    correct = matched.taken(hits)
    kind = np.full(len(matched.det), -1, dtype=np.int8)
    truth = np.full(len(matched.det), -1, dtype=np.int64)
    kind[matched.rows] = BACKGROUND
    in_frame, in_video = matched.has_truth()
    kind[matched.rows[in_video & ~in_frame]] = TIME
    for number, (detection, nearest) in (  # the last holds
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
    """(m,) int8: found, missed by the proposals (without them: by every counted detection), or lost."""
    covered = kinds.covered
    if proposals is not None:
        covered = np.zeros(len(matched.gt), dtype=bool)
        rows, frames = np.arange(len(proposals)), FrameIndex(matched.gt, proposals)
        threshold, plus_one = matched.options.iou_threshold, matched.options.plus_one
        for _, truth, _ in overlapping(matched.gt, proposals, rows, frames, threshold, plus_one):
            covered[truth] = True
    return np.where(kinds.found, FOUND, np.where(covered, LOST, MISSED)).astype(np.int8)


def _near(matched: MatchedTables, background_threshold: float) -> tuple[Pairs, Pairs, np.ndarray]:
    """Pairs of one class above the background threshold; for each detection its best pair of two classes that reaches
    the IoU threshold; (m,) bool: the truths that any detection reaches.
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
    """Of each detection the pair with the largest IoU, the first of equal ones. Pairs come by detection."""
    detection, _, overlap = pairs
    if not len(detection):
        return pairs
    start = np.flatnonzero(np.r_[True, detection[1:] != detection[:-1]])
    largest = np.repeat(np.maximum.reduceat(overlap, start), np.diff(np.r_[start, len(detection)]))
    top = np.flatnonzero(overlap == largest)
    return _select(pairs, top[np.r_[True, detection[top[1:]] != detection[top[:-1]]]])
