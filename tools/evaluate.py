"""Frame-mAP from two CSV tables, plain or gzipped.

    python tools/evaluate.py --ground-truth GT.csv.gz --detections DET.csv.gz --preset voc

Columns, by name: video,frame,label,x1,y1,x2,y2 and video,frame,label,score,x1,y1,x2,y2. The classes are the
labels that occur in either table, or the lines of --classes. The last line is `frame-mAP@0.5 = 0.xxxxxx`.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from detect.evaluation import PRESETS, evaluate_frame_ap, preset, read_tables, report  # noqa: E402
from detect.evaluation.frame_ap import FRAME_RULES  # noqa: E402
from detect.evaluation.tables import TableError  # noqa: E402


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ground-truth", required=True, metavar="CSV")
    parser.add_argument("--detections", required=True, metavar="CSV")
    parser.add_argument("--preset", choices=PRESETS, default="voc", help="protocol (default %(default)s)")
    parser.add_argument("--frames", choices=FRAME_RULES, help="instead of the preset's own rule")
    parser.add_argument("--iou", type=float, default=0.5, metavar="T", help="threshold (default %(default)s)")
    parser.add_argument("--classes", metavar="TXT", help="class names, one a line; line 1 is label 0")
    parser.add_argument("--coco", action="store_true", help="also COCO-style AP50, AP50:95, AR (slow)")
    parser.add_argument("--json", metavar="OUT", help="write results and provenance there")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse_arguments(arguments)
    try:
        options = preset(args.preset, iou_threshold=args.iou)
        evaluate(args, replace(options, frames=args.frames) if args.frames else options)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


def evaluate(args: argparse.Namespace, options) -> None:
    gt, det, videos = read_tables(args.ground_truth, args.detections)
    if not len(gt):
        raise TableError(f"{args.ground_truth}: a header but no rows; without ground truth there is no mAP")
    gt, det, names = use_classes(gt, det, args)
    result = evaluate_frame_ap(gt, det, len(names), options)
    sources = {
        "ground_truth": {
            "file": args.ground_truth,
            "sha256": report.file_sha256(args.ground_truth),
            "rows": len(gt),
        },
        "detections": {
            "file": args.detections,
            "sha256": report.file_sha256(args.detections),
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
    if args.coco:
        from detect.evaluation.coco import coco_scores

        output["coco"] = coco_scores(gt, det, options.frames)
        print("COCO: " + ", ".join(f"{name} {value:.4f}" for name, value in output["coco"].items()))
    if args.json:
        provenance = {**sources, **counts, "preset": args.preset, **report.code_version()}
        report.write_json(args.json, {**output, "provenance": provenance})
        print(f"written: {args.json}")
    print(report.summary_line(result.mean, options.iou_threshold))


def use_classes(gt, det, args: argparse.Namespace):
    """Both tables with labels as indices into the class names, and the names."""
    if not args.classes:
        present = np.unique(np.concatenate([gt.label, det.label]))
        gt, det = (replace(table, label=np.searchsorted(present, table.label)) for table in (gt, det))
        return gt, det, [str(label) for label in present.tolist()]
    names = Path(args.classes).read_text(encoding="utf-8").split("\n")
    names = [name.strip() for name in names if name.strip()]
    for path, table in ((args.ground_truth, gt), (args.detections, det)):
        if len(table) and table.label.max() >= len(names):
            raise TableError(
                f"{path}: label {table.label.max()}, but {args.classes} has {len(names)} classes, 0 to {len(names) - 1}"
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


if __name__ == "__main__":
    main()
