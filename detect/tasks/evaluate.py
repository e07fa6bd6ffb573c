"""What `tools/evaluate.py` does: frame-mAP from two tables of boxes."""

from dataclasses import replace

import numpy as np

from detect.evaluation import evaluate_frame_ap, preset, read_tables, report
from detect.evaluation.tables import TableError
from detect.utils.files import hash_files, read_text, write_json
from detect.utils.provenance import code_version


def evaluate(
    ground_truth: str,
    detections: str,
    *,
    preset_name: str = "voc",
    frames: str | None = None,
    iou_threshold: float = 0.5,
    classes_file: str | None = None,
    coco: bool = False,
    json_file: str | None = None,
) -> None:
    """See the docstring of tools/evaluate.py. UserError for bad input."""
    options = preset(preset_name, iou_threshold=iou_threshold, **({"frames": frames} if frames else {}))
    gt, det, _ = read_tables(ground_truth, detections)
    if not len(gt):
        raise TableError(f"{ground_truth}: a header but no rows; without ground truth there is no mAP")
    gt, det, names = use_classes(gt, det, ground_truth, detections, classes_file)
    result = evaluate_frame_ap(gt, det, len(names), options)
    sources = {
        "ground_truth": {
            "file": ground_truth,
            "sha256": hash_files(ground_truth),
            "rows": len(gt),
        },
        "detections": {
            "file": detections,
            "sha256": hash_files(detections),
            "rows": len(det),
        },
    }
    counts = {
        "videos": len(np.unique(gt.video)),
        "annotated_frames": len(np.unique(np.stack([gt.video, gt.frame]), axis=1).T),
        "detections_in_videos_without_ground_truth": int(np.count_nonzero(~np.isin(det.video, gt.video))),
    }
    print(report.class_table(result, names))
    for source, facts in sources.items():
        print(f"{source}: {facts['file']}, {facts['rows']} rows, sha256 {facts['sha256']}")
    print(f"{counts['videos']} videos, {counts['annotated_frames']} annotated frames")
    print(report.protocol_line(options))
    print_left_out(result, counts["detections_in_videos_without_ground_truth"])
    output = {"results": report.result_dict(result, names)}
    if coco:
        from detect.evaluation.coco import coco_scores

        output["coco"] = coco_scores(gt, det, options.frames)
        print("COCO: " + ", ".join(f"{name} {value:.4f}" for name, value in output["coco"].items()))
    if json_file:
        provenance = {**sources, **counts, "preset": preset_name, **code_version()}
        write_json(json_file, {**output, "provenance": provenance})
        print(f"written: {json_file}")
    print(report.summary_line(result.mean, options.iou_threshold))


def use_classes(gt, det, ground_truth: str, detections: str, classes_file: str | None):
    """Both tables with labels as indices into the class names, and the names."""
    if not classes_file:
        present = np.unique(np.concatenate([gt.label, det.label]))
        gt, det = (replace(table, label=np.searchsorted(present, table.label)) for table in (gt, det))
        return gt, det, [str(label) for label in present.tolist()]
    names = read_text(classes_file).split("\n")
    names = [name.strip() for name in names if name.strip()]
    for path, table in ((ground_truth, gt), (detections, det)):
        if len(table) and table.label.max() >= len(names):
            raise TableError(
                f"{path}: label {table.label.max()}, but {classes_file} has {len(names)} classes, 0 to {len(names) - 1}"
            )
    return gt, det, names


def print_left_out(result, strangers: int) -> None:
    if result.options.frames == "annotated":
        print(f"{result.dropped_unannotated} detections dropped, on frames without ground truth")
    if result.options.drop_degenerate:
        print(f"{result.dropped_degenerate} detections dropped, with x2 <= x1 or y2 <= y1")
    if strangers:
        fate = "false positives" if result.options.frames == "all" else "dropped"
        print(f"note: {strangers} detections in videos without ground truth ({fate}); are the names the same?")
