"""Frame-AP: average precision of boxes in frames, under the conventions of six published evaluators.

They differ in rules that each move the number by 0.2 to 3 points, so every rule is an option and every
published protocol a row of `PRESETS`. A detection is a true positive when its IoU with a ground-truth box of
its class and frame reaches the threshold (>=) and no earlier detection took that box.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

import numpy as np

from detect.evaluation.average_precision import AP_RULES, MATCHING_RULES, average_precision, matched_pairs
from detect.evaluation.operating_point import OperatingPoint, best_f1
from detect.evaluation.tables import Detections, GroundTruth, TableError
from detect.utils.errors import UserError
from detect.utils.iou import pairwise_iou

FRAME_RULES = ("all", "annotated")
TIE_ORDERS = ("frame", "input", "reversed_input")
CLASS_RULES = ("excluded", "zero")
_PAIRS_AT_A_TIME = 1 << 21


@dataclass(frozen=True)
class FrameAPOptions:
    """One evaluation protocol. Raises UserError for a value that does not exist.

    iou_threshold: in (0, 1]; reached means hit.
    ap_rule: "voc_all_point" | "voc_11_point" | "act_trapezoid" (see average_precision.py).
    plus_one: pixel corners are inclusive, so a side is x2 - x1 + 1.
    matching: "best_of_all" (the best box taken: false) | "best_unmatched" (the best box still free).
    frames: "all" (a detection on a frame without ground truth is false) | "annotated" (it is left out).
    tie_order: of equal scores. "frame": by video, frame, input. "input". "reversed_input": TF-OD's
        argsort()[::-1], once in each frame and once over all: frames are ranked last to first; within one,
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
        for name, legal in (
            ("ap_rule", tuple(AP_RULES)),
            ("matching", MATCHING_RULES),
            ("frames", FRAME_RULES),
            ("tie_order", TIE_ORDERS),
            ("classes_without_gt", CLASS_RULES),
        ):
            if getattr(self, name) not in legal:
                raise UserError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(legal)}")


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
    """ap (C,) float64 in [0, 1], nan for a class left out of the mean; mean (nan without any class);
    num_gt, num_det, num_tp (C,) int counted after dropping; what was dropped; the options; the threshold of the best
    F1 over all classes, None without a hit."""

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
    gt: GroundTruth, det: Detections, num_classes: int, options: FrameAPOptions = PRESETS["voc"]
) -> FrameAPResult:
    """Frame-AP of each class and their plain mean.

    Raises:
        UserError: a label >= num_classes, or frame numbers too large to index.
    """
    check_labels(gt, det, num_classes)
    frames = FrameIndex(gt, det)
    rows, dropped_unannotated, dropped_degenerate = counted_rows(det, frames, options)
    pairs = joined(overlapping(gt, det, rows, frames, options.iou_threshold, options.plus_one, num_classes))
    true_positive = np.sort(taken_pairs(gt, det, pairs, frames, num_classes, options)[0])

    num_gt = np.bincount(gt.label, minlength=num_classes)
    by_class = rows_by_class(det.label, rows, num_classes)
    tp_by_class = rows_by_class(det.label, true_positive, num_classes)
    ap = np.full(num_classes, 0.0 if options.classes_without_gt == "zero" else np.nan)

    def ap_of(label: int) -> float:
        members = by_class[label]
        positive = np.searchsorted(members, tp_by_class[label])
        tie_key = rank_tie_key(members, frames, options.tie_order)
        return average_precision(det.score[members], positive, int(num_gt[label]), options.ap_rule, tie_key)

    with_gt = np.flatnonzero(num_gt)
    with ThreadPoolExecutor(2) as pool:  # numpy's sorts release the interpreter lock
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
    """UserError for a label that is no class."""
    for kind, table in (("ground-truth", gt), ("detection", det)):
        if len(table) and int(table.label.max()) >= num_classes:
            raise UserError(f"{kind} label {table.label.max()}; expected 0 to {num_classes - 1}")


def mean_of_classes(ap: np.ndarray) -> float:
    """The plain mean without the classes that are left out (nan); nan when no class is left."""
    in_mean = ap[~np.isnan(ap)]
    return float(in_mean.mean()) if len(in_mean) else float("nan")


class FrameIndex:
    """Numbers the annotated frames 0 .. F-1 and finds the number of every detection's frame.

    Detections usually come frame by frame, so runs of equal (video, frame) are looked up, not rows.
    """

    def __init__(self, gt: GroundTruth, det: Detections) -> None:
        span = 1 + max((int(column.max()) for column in (gt.frame, det.frame) if len(column)), default=0)
        videos = 1 + max((int(column.max()) for column in (gt.video, det.video) if len(column)), default=0)
        if span * videos >= 2**62:
            raise TableError(f"frame {span - 1} is too large a number with {videos} videos; count frames from 0")
        annotated, self.of_gt = np.unique(_int64(gt.video) * span + _int64(gt.frame), return_inverse=True)
        self.key = _int64(det.video) * span + _int64(det.frame)  # (n,) orders detections by video and frame
        start = np.flatnonzero(np.r_[True, self.key[1:] != self.key[:-1]][: len(det)])
        self.run_start = start
        self.of_det = self.spread(place_in(annotated, self.key[start]))  # (n,) frame number, -1: not annotated

    def spread(self, of_run: np.ndarray) -> np.ndarray:
        """(n,) values of the detections from (runs,) values of the runs."""
        return np.repeat(of_run, np.diff(np.r_[self.run_start, len(self.key)]))


def place_in(known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where each value stands in the increasing `known`, int64; -1 where it does not."""
    if not len(known):
        return np.full(len(values), -1, dtype=np.int64)
    slot = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.where(known[slot] == values, slot, -1)


def _int64(column: np.ndarray) -> np.ndarray:
    return column.astype(np.int64, copy=False)  # narrow ones would overflow, uint64 would become float


def counted_rows(det: Detections, frames: FrameIndex, options: FrameAPOptions) -> tuple[np.ndarray, int, int]:
    """Row numbers of the detections that count, and how many were left out by either rule."""
    rows = np.arange(len(det))
    if options.drop_degenerate:
        rows = rows[(det.boxes[:, 2] > det.boxes[:, 0]) & (det.boxes[:, 3] > det.boxes[:, 1])]
    with_area = len(rows)
    if options.frames == "annotated":
        rows = rows[frames.of_det[rows] >= 0]
    return rows, with_area - len(rows), len(det) - with_area


def rows_by_class(label: np.ndarray, rows: np.ndarray, num_classes: int) -> list[np.ndarray]:
    """For each class, its rows in increasing order."""
    label = label if len(rows) == len(label) else label[rows]
    narrow = np.uint16 if num_classes <= 1 << 16 else np.int64  # numpy's stable sort of 16 bits is a radix sort
    order = np.argsort(label.astype(narrow), kind="stable")
    order = order if len(rows) == len(label) and _is_range(rows) else rows[order]
    return np.split(order, np.cumsum(np.bincount(label, minlength=num_classes))[:-1])


def _is_range(rows: np.ndarray) -> bool:
    return len(rows) == 0 or int(rows[-1]) == len(rows) - 1


def rank_tie_key(members: np.ndarray, frames: FrameIndex, order: str) -> Callable[[np.ndarray], np.ndarray] | None:
    """For indices into `members`, which are rows, the keys that order equal scores; None: the input does."""
    if order == "frame":
        return lambda tied: frames.key[members[tied]]
    if order == "reversed_input":
        return lambda tied: -np.searchsorted(frames.run_start, members[tied], side="right")
    return None


Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]  # (p,) detection rows, ground-truth rows, IoU


def joined(portions: Iterable[Pairs]) -> Pairs:
    """The portions of pairs end to end."""
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)), *portions]
    detection, truth, overlap = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return detection, truth, overlap


def taken_pairs(
    gt: GroundTruth, det: Detections, pairs: Pairs, frames: FrameIndex, num_classes: int, options: FrameAPOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Of pairs that reach the threshold, those where the detection takes the truth: (k,) rows of both."""
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
    """Pairs of one frame whose IoU is at least `minimum`, in portions: by detection in the order of `rows`, and the
    pairs of a detection, which no portion parts, by truth. `num_classes`: only pairs of one class, of so many.
    """
    if not len(gt) or not len(rows):
        return

    def group_of(frame: np.ndarray, label: np.ndarray) -> np.ndarray:
        return frame if num_classes is None else frame * num_classes + label

    gt_group = group_of(frames.of_gt, gt.label)
    gt_order = np.argsort(gt_group, kind="stable")
    groups, first, count = np.unique(gt_group[gt_order], return_index=True, return_counts=True)
    # A bit table of hashed groups turns most detections away before the binary search.
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
        while begin < len(part):  # again in portions: a crowded frame has many pairs for each detection
            reached = total[begin - 1] if begin else 0
            end = max(begin + 1, int(np.searchsorted(total, reached + _PAIRS_AT_A_TIME, side="right")))
            size, origin = count[slot[begin:end]], first[slot[begin:end]]
            detection = np.repeat(part[begin:end], size)
            within = np.arange(len(detection)) - np.repeat(np.cumsum(size) - size, size)
            truth = gt_order[np.repeat(origin, size) + within]
            overlap = pairwise_iou(det.boxes[detection], gt.boxes[truth], plus_one)
            hit = overlap >= minimum
            yield detection[hit], truth[hit], overlap[hit]
            begin = end
