"""Frame-AP: average precision of boxes in frames, under the conventions of six published evaluators.

The evaluators differ in rules that change the result by 0.2 to 3 points each, so every rule is an option and
every published protocol a row of `PRESETS`. A detection is a true positive when its IoU with a ground-truth box of
its class and frame reaches the threshold (>=) and no earlier detection took that box.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

import numpy as np

from detect.evaluation.average_precision import AP_RULES, MATCHING_RULES, average_precision, matched_pairs
from detect.evaluation.frame_index import FrameIndex
from detect.evaluation.operating_point import OperatingPoint, best_f1
from detect.evaluation.tables import Detections, GroundTruth
from detect.utils.errors import UserError, check_choices
from detect.utils.iou import pairwise_iou
from detect.utils.runs import within

FRAME_RULES = ("all", "annotated")
TIE_ORDERS = ("frame", "input", "reversed_input")
CLASS_RULES = ("excluded", "zero")
RULES = {"ap_rule": AP_RULES, "matching": MATCHING_RULES, "classes_without_gt": CLASS_RULES}  # of boxes and of tubes
_PAIRS_AT_A_TIME = 1 << 21
# numpy's sorts release the interpreter lock. Two at a time, since each holds copies of the scores of its class.
SORTING_THREADS = 2


@dataclass(frozen=True)
class FrameAPOptions:
    """One evaluation protocol. Raises UserError for an illegal value.

    iou_threshold: in (0, 1]; an IoU equal to it is a hit.
    ap_rule: "voc_all_point" | "voc_11_point" | "act_trapezoid" (see average_precision.py).
    plus_one: pixel corners are inclusive, so a side is x2 - x1 + 1.
    matching: "best_of_all" (a detection whose best truth is already matched is false) | "best_unmatched" (a
        detection matches the best truth that is still free).
    frames: "all" (a detection on a frame without ground truth is false) | "annotated" (it is left out).
    tie_order: order of equal scores. "frame": by video, frame, row. "input": by row. "reversed_input": TF-OD's
        argsort()[::-1], once in each frame and once over all: frames are ranked last to first; within a frame,
        boxes are matched last to first and ranked first to last.
    classes_without_gt: "excluded" from the mean (AP nan) | "zero" (AP 0, in the mean).
    drop_degenerate: leave out detections with x2 <= x1 or y2 <= y1 (otherwise they are false positives).
    """

    iou_threshold: float = 0.5
    ap_rule: str = "voc_all_point"
    plus_one: bool = False
    matching: str = "best_of_all"
    frames: str = "all"
    tie_order: str = "frame"
    classes_without_gt: str = "excluded"
    drop_degenerate: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.iou_threshold <= 1:
            raise UserError(f"iou_threshold is {self.iou_threshold}; expected 0 < iou_threshold <= 1")
        check_choices(self, {**RULES, "frames": FRAME_RULES, "tie_order": TIE_ORDERS})


# As in the public code of TF Object Detection API (Pascal metrics), ACT / MOC, Peng and Schmid's
# action-faster-rcnn, gurkirt/realtime-action-detection (Python) and YOWO's pascalvoc.py (Padilla).
PRESETS: dict[str, FrameAPOptions] = {
    "voc": FrameAPOptions(),
    "tfod": FrameAPOptions(tie_order="reversed_input", drop_degenerate=True),
    "act": FrameAPOptions(ap_rule="act_trapezoid", plus_one=True, matching="best_unmatched", tie_order="input"),
    "peng": FrameAPOptions(plus_one=True, matching="best_unmatched"),
    "gurkirt": FrameAPOptions(matching="best_unmatched", classes_without_gt="zero"),
    "yowo": FrameAPOptions(plus_one=True, frames="annotated", tie_order="input"),
    "yowo_11pt": FrameAPOptions(ap_rule="voc_11_point", plus_one=True, frames="annotated", tie_order="input"),
}


def preset(name: str, **changes) -> FrameAPOptions:
    """The options of a preset, with fields replaced: preset("yowo", frames="all")."""
    if name not in PRESETS:
        raise UserError(f"unknown preset {name!r}; choose one of {', '.join(PRESETS)}")
    return replace(PRESETS[name], **changes)


@dataclass(frozen=True)
class FrameAPResult:
    """ap: (C,) float64 in [0, 1], nan for a class left out of the mean.  mean: nan if all classes are left out.
    num_gt, num_det, num_tp: (C,) int, without dropped detections.  dropped_unannotated, dropped_degenerate: number of
    dropped detections.  best_f1: score threshold with the best F1 over all classes, None without a true positive.
    """

    ap: np.ndarray
    mean: float
    num_gt: np.ndarray
    num_det: np.ndarray
    num_tp: np.ndarray
    dropped_unannotated: int
    dropped_degenerate: int
    options: FrameAPOptions
    best_f1: OperatingPoint | None = None

    def protocol(self) -> dict:
        """The options as plain values."""
        return asdict(self.options)


def evaluate_frame_ap(
    gt: GroundTruth,
    det: Detections,
    num_classes: int,
    options: FrameAPOptions = PRESETS["voc"],
    frames: FrameIndex | None = None,
) -> FrameAPResult:
    """Frame-AP of each class and their mean.

    frames: `FrameIndex(gt, det)`, so that a caller with several protocols for the same tables makes it once.

    Raises:
        UserError: a label >= num_classes, or frame numbers too large to index.
    """
    check_labels(gt, det, num_classes)
    frames = frames or FrameIndex(gt, det)
    rows, dropped_unannotated, dropped_degenerate = counted_rows(det, frames, options)
    pairs = joined(overlapping(gt, det, rows, frames, options.iou_threshold, options.plus_one, num_classes))
    true_positive = np.sort(taken_pairs(gt, det, pairs, frames, num_classes, options)[0])

    num_gt = np.bincount(gt.label, minlength=num_classes)
    by_class = rows_by_class(det.label, rows, num_classes)
    tp_by_class = rows_by_class(det.label, true_positive, num_classes)
    ap = np.full(num_classes, ap_without_gt(options))

    def ap_of(label: int) -> float:
        members = by_class[label]
        positive = np.searchsorted(members, tp_by_class[label])
        tie_key = rank_tie_key(members, frames, options.tie_order)
        return average_precision(det.score[members], positive, int(num_gt[label]), options.ap_rule, tie_key)

    with_gt = np.flatnonzero(num_gt)
    with ThreadPoolExecutor(SORTING_THREADS) as pool:
        ap[with_gt] = list(pool.map(ap_of, with_gt))
    return FrameAPResult(
        ap,
        mean_of_classes(ap),
        num_gt,
        np.array([len(members) for members in by_class], dtype=np.int64),
        np.array([len(members) for members in tp_by_class], dtype=np.int64),
        dropped_unannotated,
        dropped_degenerate,
        options,
        best_f1(det.score[rows], det.score[true_positive], len(gt)),
    )


def check_labels(gt: GroundTruth, det: Detections, num_classes: int) -> None:
    """UserError for a label >= num_classes."""
    for kind, table in (("ground-truth", gt), ("detection", det)):
        if len(table) and int(table.label.max()) >= num_classes:
            raise UserError(f"{kind} label {table.label.max()}; expected 0 to {num_classes - 1}")


def ap_without_gt(options) -> float:
    """The AP of a class without ground truth under FrameAPOptions or VideoAPOptions: 0, or nan, which
    `mean_of_classes` leaves out.
    """
    return 0.0 if options.classes_without_gt == "zero" else float("nan")


def mean_of_classes(ap: np.ndarray) -> float:
    """The mean of the values that are not nan; nan if there are none."""
    in_mean = ap[~np.isnan(ap)]
    return float(in_mean.mean()) if len(in_mean) else float("nan")


def counted_rows(det: Detections, frames: FrameIndex, options: FrameAPOptions) -> tuple[np.ndarray, int, int]:
    """Rows of the detections that count; number dropped on frames without truth; number dropped without an area."""
    rows = np.arange(len(det))
    if options.drop_degenerate:
        rows = rows[(det.boxes[:, 2] > det.boxes[:, 0]) & (det.boxes[:, 3] > det.boxes[:, 1])]
    with_area = len(rows)
    if options.frames == "annotated":
        rows = rows[frames.of_det[rows] >= 0]
    return rows, with_area - len(rows), len(det) - with_area


def rows_by_class(label: np.ndarray, rows: np.ndarray, num_classes: int) -> list[np.ndarray]:
    """For each class its members of `rows`, increasing; label: (n,) of all detections."""
    label = label if len(rows) == len(label) else label[rows]
    narrow = np.uint16 if num_classes <= 1 << 16 else np.int64  # numpy's stable sort of 16 bits is a radix sort
    order = np.argsort(label.astype(narrow), kind="stable")
    order = order if len(rows) == len(label) and _is_range(rows) else rows[order]
    return np.split(order, np.cumsum(np.bincount(label, minlength=num_classes))[:-1])


def _is_range(rows: np.ndarray) -> bool:
    return len(rows) == 0 or int(rows[-1]) == len(rows) - 1


def rank_tie_key(members: np.ndarray, frames: FrameIndex, order: str) -> Callable[[np.ndarray], np.ndarray] | None:
    """A function from indices into the rows `members` to keys that order equal scores; None: they keep their order."""
    if order == "frame":
        return lambda tied: frames.key[members[tied]]
    if order == "reversed_input":
        return lambda tied: -np.searchsorted(frames.run_start, members[tied], side="right")
    return None


Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]  # (p,) detection rows, ground-truth rows, IoU


def joined(chunks: Iterable[Pairs]) -> Pairs:
    """The chunks of pairs as one."""
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)), *chunks]
    detection, truth, overlap = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return detection, truth, overlap


def taken_pairs(
    gt: GroundTruth, det: Detections, pairs: Pairs, frames: FrameIndex, num_classes: int, options: FrameAPOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Matches among pairs that reach the threshold: (k,) rows of the detections and (k,) rows of their truths."""
    detection, truth, overlap = pairs
    turn = -detection if options.tie_order == "reversed_input" else detection
    group = frames.of_gt[truth] * num_classes + gt.label[truth]
    return matched_pairs(detection, truth, overlap, group, (-det.score[detection], turn), options.matching)


def overlapping(
    gt: GroundTruth,
    det: Detections,
    rows: np.ndarray,
    frames: FrameIndex,
    minimum: float,
    plus_one: bool,
    num_classes: int | None = None,
) -> Iterator[Pairs]:
    """Yields chunks of same-frame pairs with IoU >= `minimum`, sorted by detection (in the order of `rows`), then
    truth; a detection's pairs are never split. `num_classes`: only pairs of the same class; None: of any classes.
    """
    if not len(gt) or not len(rows):
        return

    def group_of(frame: np.ndarray, label: np.ndarray) -> np.ndarray:
        return frame if num_classes is None else frame * num_classes + label

    gt_group = group_of(frames.of_gt, gt.label)
    gt_order = np.argsort(gt_group, kind="stable")
    groups, first, count = np.unique(gt_group[gt_order], return_index=True, return_counts=True)
    # A table of hashed groups rejects most detections before the binary search.
    mask = (1 << 22) - 1
    present = np.zeros(mask + 1, dtype=bool)
    present[groups & mask] = True
    for start in range(0, len(rows), _PAIRS_AT_A_TIME):
        part = rows[start : start + _PAIRS_AT_A_TIME]
        det_group = group_of(frames.of_det[part], det.label[part])
        maybe = np.flatnonzero(present[det_group & mask])
        part, det_group = part[maybe], det_group[maybe]
        slot = np.minimum(np.searchsorted(groups, det_group), len(groups) - 1)
        same = groups[slot] == det_group
        part, slot = part[same], slot[same]
        total = np.cumsum(count[slot])
        begin = 0
        while begin < len(part):  # chunks again: a crowded frame has many pairs for each detection
            reached = total[begin - 1] if begin else 0
            end = max(begin + 1, int(np.searchsorted(total, reached + _PAIRS_AT_A_TIME, side="right")))
            size, origin = count[slot[begin:end]], first[slot[begin:end]]
            detection = np.repeat(part[begin:end], size)
            truth = gt_order[np.repeat(origin, size) + within(size)]
            overlap = pairwise_iou(det.boxes[detection], gt.boxes[truth], plus_one)
            hit = overlap >= minimum
            yield detection[hit], truth[hit], overlap[hit]
            begin = end
