"""How much each choice in a protocol changes the mAP of the same detections."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from detect.evaluation.frame_ap import FRAME_RULES, PRESETS, FrameAPOptions, evaluate_frame_ap
from detect.evaluation.frame_index import FrameIndex
from detect.evaluation.tables import Detections, GroundTruth

CHOICES: tuple[tuple[str, dict], ...] = (
    ("frames all", {"frames": "all"}),
    ("frames annotated", {"frames": "annotated"}),
    ("AP: area under the envelope", {"ap_rule": "voc_all_point"}),
    ("AP: 11 points", {"ap_rule": "voc_11_point"}),
    ("AP: trapezoids, no envelope", {"ap_rule": "act_trapezoid"}),
    ("IoU without the pixel", {"plus_one": False}),
    ("IoU with the pixel", {"plus_one": True}),
    ("matching: the best truth", {"matching": "best_of_all"}),
    ("matching: the best free truth", {"matching": "best_unmatched"}),
    ("ties in reversed order", {"tie_order": "reversed_input"}),
    ("boxes without area left out", {"drop_degenerate": True}),
    ("classes without truth count 0", {"classes_without_gt": "zero"}),
)


@dataclass(frozen=True)
class Choice:
    """A protocol's mAP, and the difference to the mAP of the base protocol; both in [0, 1]."""

    name: str
    mean: float
    difference: float
    options: FrameAPOptions


def preset_scores(
    gt: GroundTruth, det: Detections, num_classes: int, base: FrameAPOptions, frame_rules: Sequence[str] = FRAME_RULES
) -> list[Choice]:
    """Every preset under each of `frame_rules`, at the IoU threshold of `base`."""
    rows = [
        (f"{name}, {frames} frames", replace(options, frames=frames, iou_threshold=base.iou_threshold))
        for name, options in PRESETS.items()
        for frames in frame_rules
    ]
    return _scored(gt, det, num_classes, base, rows)


def choice_scores(gt: GroundTruth, det: Detections, num_classes: int, base: FrameAPOptions) -> list[Choice]:
    """`base` with one choice changed at a time; choices that change nothing are left out."""
    rows = [(name, replace(base, **change)) for name, change in CHOICES]
    return _scored(gt, det, num_classes, base, [row for row in rows if row[1] != base])


def _scored(
    gt: GroundTruth, det: Detections, num_classes: int, base: FrameAPOptions, rows: Sequence[tuple[str, FrameAPOptions]]
) -> list[Choice]:
    known: dict[FrameAPOptions, float] = {}
    frames = FrameIndex(gt, det)

    def mean(options: FrameAPOptions) -> float:
        if options not in known:
            known[options] = evaluate_frame_ap(gt, det, num_classes, options, frames).mean
        return known[options]

    return [Choice(name, mean(options), mean(options) - mean(base), options) for name, options in rows]
