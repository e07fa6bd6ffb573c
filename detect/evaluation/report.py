"""Results as text for people and as plain values for JSON."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields

import numpy as np

from detect.evaluation.average_precision import COCO_THRESHOLDS
from detect.evaluation.bootstrap import CONFIDENCE, VideoBootstrap
from detect.evaluation.choices import Choice
from detect.evaluation.frame_ap import PRESETS, FrameAPOptions, FrameAPResult
from detect.evaluation.video_ap import THRESHOLDS, VideoAPResult
from detect.utils.tables import text_table


def summary_line(mean: float, iou_threshold: float) -> str:
    """`frame-mAP@0.5 = 0.123456`: the last line of every command that evaluates."""
    return f"frame-mAP@{iou_threshold:g} = {mean:.6f}"


def class_table(result: FrameAPResult, class_names: Sequence[str]) -> str:
    """One row per class: boxes, detections, true positives, AP in [0, 1] ("-": not in the mean)."""
    columns = (class_names, result.num_gt, result.num_det, result.num_tp, result.ap)
    rows = [
        (name, gt, det, tp, "-" if math.isnan(ap) else f"{ap:.4f}")
        for name, gt, det, tp, ap in zip(*columns, strict=True)
    ]
    rows.append(("mean", result.num_gt.sum(), result.num_det.sum(), result.num_tp.sum(), f"{result.mean:.4f}"))
    return text_table(rows, ("class", "#gt", "#det", "#tp", "AP"))


def option_values(options) -> str:
    """The options of a protocol with their values."""
    return ", ".join(f"{field.name} {getattr(options, field.name)}" for field in fields(options))


def protocol_line(options: FrameAPOptions) -> str:
    """The name of the preset, "custom" for other options, and every option."""
    values = option_values(options)
    names = [name for name, row in PRESETS.items() if row == options]
    return f"protocol {names[0] if names else 'custom'}: {values}"


def result_dict(result: FrameAPResult, class_names: Sequence[str]) -> dict:
    """Plain values for JSON; AP in [0, 1], nan becomes null on writing."""
    columns = (class_names, result.ap, result.num_gt, result.num_det, result.num_tp)
    return {
        "mAP": result.mean,
        "best_f1": result.best_f1 and result.best_f1._asdict(),
        "protocol": result.protocol(),
        "dropped_detections": {
            "on_unannotated_frames": result.dropped_unannotated,
            "degenerate": result.dropped_degenerate,
        },
        "classes": [
            {"name": name, "AP": float(ap), "gt": int(gt), "detections": int(det), "true_positives": int(tp)}
            for name, ap, gt, det, tp in zip(*columns, strict=True)
        ],
    }


def recall_line(recall: Mapping[int, float], iou_threshold: float, what: str) -> str:
    values = ", ".join(f"{number}: {share:.4f}" for number, share in recall.items())
    """recall: k -> share; what: whose recall it is."""
    return f"recall at IoU {iou_threshold:g} of the best k {what} of a frame, k: {values}"


def choice_tables(presets: Sequence[Choice], choices: Sequence[Choice], base: FrameAPOptions) -> str:
    """The mAP of every preset, and of `base` with one choice changed at a time, with the differences to `base`."""
    return "\n\n".join(
        text_table(
            [(one.name, f"{100 * one.mean:.2f}", f"{100 * one.difference:+.2f}") for one in rows],
            (heading, f"mAP@{base.iou_threshold:g}, %", "difference"),
        )
        for heading, rows in (("protocol", presets), ("changed", choices))
    )


def comparison_table(found: VideoBootstrap, class_names: Sequence[str]) -> str:
    """AP of A and B, and the difference with its confidence interval, in percent."""
    columns = (class_names, *found.ap, found.class_low, found.class_high)
    rows = [(name, *_difference(*values)) for name, *values in zip(*columns, strict=True)]
    rows.append(("mean", *_difference(*found.mean, found.low, found.high)))
    return text_table(rows, ("class", "A", "B", "B - A", f"{CONFIDENCE:.0%} interval"))


def _difference(a: float, b: float, low: float, high: float) -> tuple[str, ...]:
    if math.isnan(a) or math.isnan(b):
        return "-", "-", "-", "-"
    return f"{100 * a:.2f}", f"{100 * b:.2f}", f"{100 * (b - a):+.2f}", f"{100 * low:+.2f} to {100 * high:+.2f}"


def comparison_line(found: VideoBootstrap) -> str:
    """The result of the bootstrap in words."""
    if found.mean[0] == found.mean[1] and found.low == found.high == 0:
        return f"B - A: no difference, in none of {found.repeats} draws of videos"
    ahead = "B" if found.mean[1] > found.mean[0] else "A"
    sure = "more" if found.low > 0 or found.high < 0 else "no more"
    return (
        f"B - A {100 * (found.mean[1] - found.mean[0]):+.2f} points, {CONFIDENCE:.0%} interval {100 * found.low:+.2f} "
        f"to {100 * found.high:+.2f} over {found.repeats} draws of videos: {ahead} is ahead by {sure} than the choice "
        f"of test videos explains; B ahead in {found.better:.1%} of the draws"
    )


def tube_table(result: VideoAPResult, class_names: Sequence[str]) -> str:
    """One row per class: annotated and detected tubes, AP at each threshold in [0, 1]."""
    averages = np.mean([result.ap[threshold] for threshold in COCO_THRESHOLDS], axis=0)
    columns = [*(result.ap[threshold] for threshold in THRESHOLDS), averages]
    rows = [
        (name, gt, det, *("-" if math.isnan(ap) else f"{ap:.4f}" for ap in values))
        for name, gt, det, *values in zip(class_names, result.num_gt, result.num_det, *columns, strict=True)
    ]
    means = [*(result.mean[threshold] for threshold in THRESHOLDS), result.average]
    rows.append(("mean", result.num_gt.sum(), result.num_det.sum(), *(f"{mean:.4f}" for mean in means)))
    return text_table(rows, ("class", "#gt", "#tubes", *(f"AP@{threshold:g}" for threshold in THRESHOLDS), "@0.5:0.95"))


def video_dict(result: VideoAPResult, class_names: Sequence[str]) -> dict:
    """Plain values for JSON."""
    classes = [
        {"name": name, "gt": int(result.num_gt[k]), "tubes": int(result.num_det[k])}
        | {f"AP@{threshold:g}": float(result.ap[threshold][k]) for threshold in result.ap}
        for k, name in enumerate(class_names)
    ]
    kept = {"scores": result.scores(), "protocol": result.protocol(), "suppressed": result.suppressed}
    return {**kept, "classes": classes}
