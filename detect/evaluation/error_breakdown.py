"""Why a detector loses points: every detection and every truth in one category, and what each kind of error costs.

docs/error_analysis.md compares the categories with those of ACT's frameAP_error and of TIDE.
"""

from dataclasses import dataclass

import numpy as np

from detect.evaluation.frame_ap import FrameAPOptions
from detect.evaluation.tables import Detections, GroundTruth

CATEGORIES = ("correct", "localisation", "classification", "time", "duplicate", "background")
TRUTH_KINDS = ("found", "missed", "lost")
ORACLES = ("boxes", "labels", "timing", "duplicates", "background", "proposals", "head", "all")


@dataclass(frozen=True, eq=False)
class ErrorBreakdown:
    """Where the points of n detections and m truths of C classes go.

    categories: names of the K kinds of detections, see `break_down`.
    detection_kind: (n,) int8 index in `categories` of each row of the detections; -1 where it does not count (the
        protocol dropped it, or its score is below `min_score`).
    detection_truth: (n,) int64 row of the truth that the kind speaks of: the one taken, the one already taken, the
        nearest of the class (localisation), the one of another class that it covers (classification); else -1.
    counts: (C, K) int64 by class of the detection.
    truth_kinds: names of the three kinds of truths.
    truth_kind: (m,) int8 index in `truth_kinds`: found (taken by a correct detection), missed (no box of
        `truth_source` reaches the IoU threshold with it), lost (such a box is there, but no correct detection).
    truth_counts: (C, 3) int64 by class of the truth.
    truth_source: "proposals" where these were given, else "detections" (counted ones of any class).
    gains: for each of `ORACLES` the mAP with that error mended, minus `mean`; gains_per_class: (C,), nan for a class
        that is not in the mean.
    ap: (C,) and `mean`: frame-AP of the counted detections, in [0, 1].
    act: ACT's decomposition in percent, which adds up to 100: AP, localisation, classification, time, other, missed.
        Always under ACT's own rules at this IoU threshold, over classes with truths.
    options, min_score, background_threshold: under which a detection counts, and below which IoU it has nothing to do
        with a truth.
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
    raise NotImplementedError


def confusion_matrix(
    gt: GroundTruth, det: Detections, num_classes: int, options: FrameAPOptions, min_score: float = 0.0
) -> np.ndarray:
    """(C + 1, C + 1) int64: truths by their class (rows) and that of the detection that took them (columns)."""
    raise NotImplementedError


def breakdown_table(breakdown: ErrorBreakdown, class_names) -> str:
    raise NotImplementedError
