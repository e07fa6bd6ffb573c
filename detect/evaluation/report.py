"""Results for people (a table, one line) and for programs (JSON), with where they came from."""

import hashlib
import json
import math
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
from tabulate import tabulate

from detect import __version__
from detect.evaluation.frame_ap import PRESETS, FrameAPOptions, FrameAPResult
from detect.files import atomic_file


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


def write_json(path: str | Path, value: Mapping) -> None:
    """Write JSON atomically; numbers that are not finite become null."""
    with atomic_file(path) as stream:
        stream.write(json.dumps(_plain(value), indent=2, allow_nan=False).encode() + b"\n")


def _plain(value):
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def code_version() -> dict[str, str | None]:
    """Version of this package and of numpy; the git commit when the code runs from a checkout, else None."""
    package = Path(__file__).resolve().parents[1]
    try:
        # --show-prefix: an enclosing repository that merely contains a virtual environment is not ours
        where = _git(package, "rev-parse", "--show-prefix")
        commit = _git(package, "rev-parse", "HEAD") if where == "detect/" else None
    except (OSError, subprocess.SubprocessError):
        commit = None
    return {"version": __version__, "git_commit": commit, "numpy": np.__version__}


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(("git", *arguments), cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def file_sha256(path: str | Path) -> str:
    """Hex digest of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
