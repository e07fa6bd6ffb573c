"""Results for people (a table, one line) and for programs (JSON), with where they came from."""

import math
from collections.abc import Sequence
from dataclasses import fields

from tabulate import tabulate

from detect.evaluation.frame_ap import PRESETS, FrameAPOptions, FrameAPResult


def summary_line(mean: float, iou_threshold: float) -> str:
    """`frame-mAP@0.5 = 0.123456`: the last line of every command that evaluates."""
    return f"frame-mAP@{iou_threshold:g} = {mean:.6f}"


def class_table(result: FrameAPResult, class_names: Sequence[str]) -> str:
    """One row a class: boxes, detections, true positives, AP in [0, 1] ("-" where not in the mean)."""
    columns = (class_names, result.num_gt, result.num_det, result.num_tp, result.ap)
    rows = [
        (name, gt, det, tp, "-" if math.isnan(ap) else f"{ap:.4f}")
        for name, gt, det, tp, ap in zip(*columns, strict=True)
    ]
    rows.append(("mean", result.num_gt.sum(), result.num_det.sum(), result.num_tp.sum(), f"{result.mean:.4f}"))
    align = ("left", "right", "right", "right", "right")
    return tabulate(rows, ("class", "#gt", "#det", "#tp", "AP"), tablefmt="pipe", colalign=align, disable_numparse=True)


def protocol_line(options: FrameAPOptions) -> str:
    """The preset's name, if the options are one, and every option."""
    values = ", ".join(f"{field.name} {getattr(options, field.name)}" for field in fields(options))
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
