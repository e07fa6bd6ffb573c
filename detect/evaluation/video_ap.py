"""Video-AP: average precision of tubes in videos, under the conventions of the published evaluators.

A tube is a true positive when its overlap in space and time with an annotated tube of its class and video reaches the
threshold and no better tube has matched that one: frame-AP with tubes for boxes and videos for frames.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from detect.evaluation.average_precision import COCO_THRESHOLDS, average_precision, match
from detect.evaluation.frame_ap import RULES, ap_without_gt, mean_of_classes
from detect.evaluation.tubes import Tubes, suppress_tubes, tube_overlaps
from detect.utils.errors import UserError, check_choices
from detect.utils.runs import within

THRESHOLDS = (0.2, 0.5, 0.75)


@dataclass(frozen=True)
class VideoAPOptions:
    """One protocol. Raises UserError for an illegal value.

    ap_rule, plus_one, matching, classes_without_gt: as in FrameAPOptions.  strict: the overlap must exceed the
    threshold; an equal one is no hit.  shift: added to x1, y1, width = x2 - x1 and height = y2 - y1 of detections.
    min_common: tubes with fewer common frames do not overlap.  spatial_only: the overlap is the mean IoU in the common
    frames, for trimmed videos.  tube_nms: overlap with a better tube of the same class and video above which a tube is
    suppressed; 1 keeps all.  nms_min_common: `min_common` for this overlap.
    """

    ap_rule: str = "voc_all_point"
    plus_one: bool = False
    matching: str = "best_of_all"
    strict: bool = False
    shift: float = 0.0
    min_common: int = 1
    spatial_only: bool = False
    classes_without_gt: str = "excluded"
    tube_nms: float = 0.3
    nms_min_common: int = 1

    def __post_init__(self) -> None:
        check_choices(self, RULES)
        if not 0 < self.tube_nms <= 1:
            raise UserError(f"tube_nms is {self.tube_nms}; it must be above 0 and at most 1; 1 keeps all tubes")


# As in the public code of ACT / MOC (videoAP), Peng and Schmid's action-faster-rcnn and YOWO (evaluate_videoAP: an
# overlap of a single frame counts as none), and gurkirt/realtime-action-detection (get_PR_curve.m, the same).
VIDEO_PRESETS: dict[str, VideoAPOptions] = {
    "voc": VideoAPOptions(),
    "act": VideoAPOptions(ap_rule="act_trapezoid", plus_one=True, matching="best_unmatched"),
    "peng": VideoAPOptions(plus_one=True, matching="best_unmatched", min_common=2, nms_min_common=2),
    "gurkirt": VideoAPOptions(
        matching="best_unmatched", strict=True, shift=1.0, min_common=2, classes_without_gt="zero", tube_nms=1.0
    ),
}

# YOWO scores tubes as Peng and Schmid do; TF-OD has no tubes.
_SAME_AS = {"yowo": "peng", "yowo_11pt": "peng", "tfod": "voc"}


def video_preset(name: str, **changes) -> VideoAPOptions:
    """The options of a preset, with fields replaced. Presets of frame-AP without rules of their own use another's."""
    name = _SAME_AS.get(name, name)
    if name not in VIDEO_PRESETS:
        raise UserError(f"no preset {name!r} for tubes; choose one of {', '.join(VIDEO_PRESETS)}")
    return replace(VIDEO_PRESETS[name], **changes)


@dataclass(frozen=True, eq=False)
class VideoAPResult:
    """ap: threshold -> (C,) float64 in [0, 1], nan for a class left out of the mean.  mean: threshold -> mean.  num_gt,
    num_det: (C,) number of tubes, after suppression.  num_tp: threshold -> (C,).  suppressed: number of suppressed
    tubes.
    """

    ap: dict[float, np.ndarray]
    mean: dict[float, float]
    num_gt: np.ndarray
    num_det: np.ndarray
    num_tp: dict[float, np.ndarray]
    suppressed: int
    options: VideoAPOptions

    @property
    def average(self) -> float:
        """The mean over the thresholds 0.5, 0.55, ..., 0.95; KeyError if one was not evaluated."""
        return float(np.mean([self.mean[threshold] for threshold in COCO_THRESHOLDS]))

    def scores(self) -> dict[str, float]:
        """{"video-mAP@0.2", ..., "video-mAP@0.5:0.95"} in printing order."""
        single = {f"video-mAP@{threshold:g}": self.mean[threshold] for threshold in THRESHOLDS}
        return {**single, "video-mAP@0.5:0.95": self.average}

    def protocol(self) -> dict:
        return asdict(self.options)


def evaluate_video_ap(
    gt: Tubes,
    det: Tubes,
    num_classes: int,
    options: VideoAPOptions = VIDEO_PRESETS["voc"],
    thresholds: Sequence[float] = (*THRESHOLDS, *COCO_THRESHOLDS),
) -> VideoAPResult:
    """Video-AP of each class at each threshold, and the means over classes."""
    if options.tube_nms < 1:
        # Between two detections a shift of 1 is the added pixel. gurkirt has no rule for NMS of tubes; this is ACT's.
        plus_one = options.plus_one or options.shift == 1
        kept = suppress_tubes(det, options.tube_nms, plus_one=plus_one, min_common=options.nms_min_common)
    else:
        kept = np.arange(len(det))
    suppressed, det = len(det) - len(kept), det.take(kept)
    i, j = _candidates(gt, det, num_classes)
    overlap = tube_overlaps(
        det, gt, i, j,
        plus_one=options.plus_one, shift=options.shift,
        min_common=options.min_common, spatial_only=options.spatial_only,
    )  # fmt: skip
    num_gt = np.bincount(gt.label, minlength=num_classes)
    members = [np.flatnonzero(det.label == label) for label in range(num_classes)]
    ap, mean, num_tp = {}, {}, {}
    for threshold in thresholds:
        hit = overlap > threshold if options.strict else overlap >= threshold
        group = gt.video[j[hit]] * num_classes + gt.label[j[hit]]
        positive = match(i[hit], j[hit], overlap[hit], group, (-det.score[i[hit]], i[hit]), options.matching)
        ap[threshold] = np.array(
            [
                average_precision(det.score[rows], np.isin(rows, positive), int(num_gt[label]), options.ap_rule)
                for label, rows in enumerate(members)
            ]
        )
        ap[threshold][num_gt == 0] = ap_without_gt(options)
        mean[threshold] = mean_of_classes(ap[threshold])
        num_tp[threshold] = np.bincount(det.label[positive], minlength=num_classes)
    num_det = np.array([len(rows) for rows in members])
    return VideoAPResult(ap, mean, num_gt, num_det, num_tp, suppressed, options)


def _candidates(gt: Tubes, det: Tubes, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of a detection and a truth of the same video and class, two (p,)."""
    of_gt, of_det = (tubes.video * num_classes + tubes.label for tubes in (gt, det))
    order = np.argsort(of_gt, kind="stable")
    low, high = (np.searchsorted(of_gt[order], of_det, side=side) for side in ("left", "right"))
    count = high - low
    return np.repeat(np.arange(len(det)), count), order[np.repeat(low, count) + within(count)]
