"""Time everything that an evaluation does, on synthetic tables of the size of UCF101-24's test split (`frame_ap`)."""

import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from detect.benchmarks.frame_ap import CLASSES, synthetic_tables
from detect.evaluation.box_overlap import mean_best_overlap
from detect.evaluation.errors.breakdown import break_down
from detect.evaluation.files.formats import read_columns, write_table
from detect.evaluation.frame_ap import evaluate_frame_ap, preset
from detect.evaluation.linking.rules import link_detections
from detect.evaluation.tables import Detections, GroundTruth
from detect.evaluation.tubes import Tubes, contiguous, make_tubes
from detect.evaluation.video_ap import evaluate_video_ap
from detect.utils.files import write_json
from detect.utils.runs import run_starts

SAME_CLASS = 0.05  # share of the detections that have the video's class: links need something to follow
CSV_LIMIT = 2_000_000  # rows; a CSV of 17 million takes minutes to write


def benchmark_evaluation(scale: float, rules: Sequence[str] = ("act", "gurkirt", "peng"), json_file: str = "") -> None:
    """Print the seconds and the peak memory of each step, in the order in which they run, in this one process."""
    gt, det = synthetic_tables(scale, SAME_CLASS)
    print(f"{len(det):,} detections, {len(gt):,} true boxes, {CLASSES} classes")
    rows = []
    for name, step in _steps(gt, det, rules):
        wall, cpu = time.perf_counter(), time.process_time()
        said = step()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        rows.append({"step": name, "seconds": wall, "cpu_seconds": cpu, "peak_gib": peak, "result": said})
        print(f"{name}: {wall:.2f} s ({cpu:.2f} s CPU), peak {peak:.2f} GiB, {said}", flush=True)
    print(tabulate([row.values() for row in rows], ("step", "s", "s CPU", "peak GiB", ""), "pipe", floatfmt=".2f"))
    if json_file:
        write_json(json_file, {"detections": len(det), "scale": scale, "steps": rows})


def _steps(gt: GroundTruth, det: Detections, rules: Sequence[str]) -> Iterator[tuple[str, Callable[[], Any]]]:
    names = [f"Class/v_{k:04d}" for k in range(int(det.video.max()) + 1)]
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".parquet", ".npz", *((".csv.gz",) if len(det) <= CSV_LIMIT else ())):
            path = Path(folder) / f"table{suffix}"
            yield f"write {suffix}", lambda path=path: (write_table(path, det, names), _size(path, len(det)))[1]
            yield f"read {suffix}", lambda path=path: f"{len(read_columns(path, Detections).columns['label']):,} rows"
            path.unlink()
    for name in ("voc", "act"):
        yield (
            f"frame-mAP, {name}",
            lambda name=name: f"{evaluate_frame_ap(gt, det, CLASSES, preset(name)).mean:.6f}",
        )
    yield "frame-mABO", lambda: f"{mean_best_overlap(gt, det, CLASSES)[1]:.6f}"
    yield "error breakdown", lambda: f"gain of labels {break_down(gt, det, CLASSES, preset('voc')).gains['labels']:.6f}"
    truth = _truth_tubes(gt)
    for rule in rules:
        found: list[Tubes] = []

        def link(rule: str = rule, found: list[Tubes] = found) -> str:
            found.append(link_detections(det, rule))
            return f"{len(found[0]):,} tubes"

        yield f"link, {rule}", link
        yield (
            "video-mAP of these, 12 thresholds",
            lambda found=found: f"{evaluate_video_ap(truth, found[0], CLASSES).average:.6f}",
        )


def _size(path: Path, rows: int) -> str:
    return f"{path.stat().st_size / max(rows, 1):.1f} bytes a row"


def _truth_tubes(gt: GroundTruth) -> Tubes:
    """One tube a video, interrupted where it has no box."""
    parts = np.split(np.arange(len(gt)), run_starts(gt.video)[1:])
    return make_tubes(
        (gt.video[rows[0]], gt.label[rows[0]], 1.0, int(gt.frame[rows[0]]), contiguous(gt.frame[rows], gt.boxes[rows]))
        for rows in parts
    )
