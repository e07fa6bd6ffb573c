"""What `tools/evaluate.py` does with boxes: frame-mAP under any protocol, and what stands behind the number."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from detect.evaluation import report
from detect.evaluation.bootstrap import compare
from detect.evaluation.box_overlap import mean_best_overlap, recall_by_number
from detect.evaluation.case import Case, make_case
from detect.evaluation.choices import choice_scores, preset_scores
from detect.evaluation.errors.breakdown import break_down, breakdown_table
from detect.evaluation.frame_ap import FrameAPOptions, evaluate_frame_ap, preset
from detect.evaluation.truth import read_truth
from detect.tasks.evaluate_tubes import evaluate_tubes
from detect.utils.cli import key_values
from detect.utils.errors import UserError
from detect.utils.files import write_json
from detect.utils.provenance import code_version


def evaluate(
    detections: Sequence[str] = (),
    *,
    dataset: str | None = None,
    ground_truth: str | None = None,
    truth_format: str | None = None,
    truth_options: Sequence[str] = (),
    format: str | None = None,
    options: Sequence[str] = (),
    preset_name: str = "voc",
    protocol: str | None = None,
    frames: str | None = None,
    iou_thresholds: Sequence[float] = (0.5,),
    classes_file: str | None = None,
    coco: bool = False,
    compared: bool = False,
    errors: bool = False,
    proposals: str | None = None,
    report_folder: str | None = None,
    tubes: str | None = None,
    link: str | None = None,
    json_file: str | None = None,
    **tube_options: Any,
) -> dict[str, Any]:
    """See the docstring of tools/evaluate.py. Gives what goes to the JSON file; UserError for bad input."""
    _check_request(detections, tubes, link, compared, report_folder)
    truth = read_truth(dataset, ground_truth, truth_format, key_values(truth_options))
    output: dict[str, Any] = {}
    case, closing = None, []
    if detections:
        case = make_case(truth, detections, classes_file, format, key_values(options), proposals)
        changes = {"frames": frames} if frames else {}
        rules = [preset(preset_name, iou_threshold=value, **changes) for value in iou_thresholds]
        output |= _compare(case, rules[0]) if compared else _score(case, rules, coco, protocol, errors)
        closing += [report.summary_line(mean, float(value)) for value, mean in output["mAP"].items()]
    if tubes or link:
        output |= evaluate_tubes(truth, case, tubes, link, preset_name, classes_file, **tube_options)
        closing += [f"{name} = {value:.6f}" for name, value in output["video"]["scores"].items()]
    if report_folder:
        output["report"] = str(_write_report(report_folder, case, rules[0], output))
        print(f"report: {output['report']}")
    if json_file:
        facts = (_facts(case) if case else {"ground_truth": truth.facts}) | output.pop("sources", {})
        provenance = {**facts, **_counts(case), "preset": preset_name, **code_version()}
        write_json(json_file, {**output, "provenance": provenance})
        print(f"written: {json_file}")
    print("\n".join(closing))
    return output


def _check_request(
    detections: Sequence[str], tubes: str | None, link: str | None, compared: bool, report_folder: str | None
) -> None:
    if not (detections or tubes):
        raise UserError("nothing to evaluate: give a file of detections, or --tubes FILE")
    if compared and len(detections) != 2:
        raise UserError(f"--compare takes two files of detections, not {len(detections)}")
    if len(detections) > 1 and not compared:
        raise UserError(f"{len(detections)} files of detections: one is evaluated; --compare puts two side by side")
    if report_folder and not detections:
        raise UserError("--report explains detections; name their file")
    if link and tubes:
        raise UserError("--link makes tubes of detections, --tubes reads them; give one of them")
    if link and (not detections or compared):
        raise UserError("--link makes tubes of one file of detections; name it")


def _facts(case: Case) -> dict[str, Any]:
    """Where the tables come from; one file of detections as it is, several as a list."""
    files = case.facts["detections"]
    return {**case.facts, "detections": files[0] if len(files) == 1 else files}


def _counts(case: Case | None) -> dict[str, Any]:
    if case is None:
        return {}
    annotated = np.unique(np.stack([case.gt.video, case.gt.frame]), axis=1).T
    return {
        "videos": len(np.unique(case.gt.video)),
        "annotated_frames": len(annotated),
        "detections_in_videos_without_ground_truth": case.strangers[0],
        "detections_on_unlabelled_frames": case.unlabelled(0),
    }


def _score(
    case: Case,
    options: Sequence[FrameAPOptions],
    coco: bool,
    protocol: str | None,
    errors: bool,
) -> dict[str, Any]:
    """The results of one file, printed as they come."""
    gt, det, proposals, classes = case.gt, case.found[0], case.proposals, len(case.classes)
    results = [evaluate_frame_ap(gt, det, classes, one) for one in options]
    print(report.class_table(results[0], case.classes))
    _print_sources(case)
    print(report.protocol_line(options[0]))
    _print_left_out(case, results[0])
    of_class, mabo = mean_best_overlap(gt, det, classes, options[0].plus_one)
    boxes, what = (det, "boxes of any class") if proposals is None else (proposals, "proposals")
    recall = recall_by_number(gt, boxes, options[0].iou_threshold)
    print(f"frame-mABO {mabo:.4f}: mean over the classes of the mean IoU of a truth with the best box of its frame")
    print(report.recall_line(recall, options[0].iou_threshold, what))
    output = {
        "mAP": {f"{one.iou_threshold:g}": result.mean for one, result in zip(options, results, strict=True)},
        "results": report.result_dict(results[0], case.classes),
        "mABO": {"mean": mabo, "classes": dict(zip(case.classes, of_class.tolist(), strict=True))},
        "recall": recall,
    }
    if protocol == "all":
        presets, choices = (scores(gt, det, classes, options[0]) for scores in (preset_scores, choice_scores))
        print(report.choice_tables(presets, choices, options[0]))
        output["protocols"] = {choice.name: choice.mean for choice in (*presets, *choices)}
    if coco:
        from detect.evaluation.coco import coco_scores

        output["coco"] = coco_scores(gt, det, options[0].frames)
        print("COCO: " + ", ".join(f"{name} {value:.4f}" for name, value in output["coco"].items()))
    if errors:
        breakdown = break_down(gt, det, classes, options[0], proposals)
        print(breakdown_table(breakdown, case.classes))
        output["errors"] = {"gains": breakdown.gains, "act": breakdown.act}
        output["errors"]["detections"] = dict(zip(breakdown.categories, breakdown.counts.sum(0).tolist(), strict=True))
        output["errors"]["truths"] = dict(
            zip(breakdown.truth_kinds, breakdown.truth_counts.sum(0).tolist(), strict=True)
        )
    return output


def _compare(case: Case, options: FrameAPOptions) -> dict[str, Any]:
    """Two files side by side."""
    found = compare(case.gt, (case.found[0], case.found[1]), len(case.classes), options)
    print(report.comparison_table(found, case.classes))
    _print_sources(case)
    print(report.protocol_line(options))
    print(report.comparison_line(found))
    names = [source["file"] for source in case.facts["detections"]]
    interval = {"difference": found.mean[1] - found.mean[0], "low": found.low, "high": found.high}
    classes = [
        {"name": name, "A": a, "B": b, "low": low, "high": high}
        for name, a, b, low, high in zip(case.classes, *found.ap, found.class_low, found.class_high, strict=True)
    ]
    about = {**interval, "B_ahead": found.better, "draws": found.repeats, "files": names, "classes": classes}
    return {"mAP": {f"{options.iou_threshold:g}": found.mean[0]}, "mAP_of_B": found.mean[1], "comparison": about}


def _print_sources(case: Case) -> None:
    for kind, sources in case.facts.items():
        for facts in sources if isinstance(sources, list) else [sources]:
            name = facts.get("file") or facts.get("dataset")
            print(f"{kind}: {name}, {facts['rows']} rows, sha256 {facts.get('sha256') or 'of a folder not computed'}")
            for note in facts.get("notes", ()):
                print(f"note: {note}")
    counts = _counts(case)
    print(f"{counts['videos']} videos, {counts['annotated_frames']} annotated frames")


def _print_left_out(case: Case, result) -> None:
    if not len(case.found[0]):
        print("note: no detections; every truth is missed")
    if result.options.frames == "annotated":
        print(f"{result.dropped_unannotated} detections dropped, on frames without ground truth")
    if result.options.drop_degenerate:
        print(f"{result.dropped_degenerate} detections dropped, with x2 <= x1 or y2 <= y1")
    if case.unlabelled(0):
        print(f"{case.unlabelled(0)} detections dropped, on frames that no annotator looked at")
    turned = int((case.found[0].boxes[:, 2:] < case.found[0].boxes[:, :2]).any(1).sum())
    if turned and not result.options.drop_degenerate:
        print(f"note: {turned} detections with x2 < x1 or y2 < y1; they overlap nothing and are false positives")
    if case.strangers[0]:
        fate = "false positives" if result.options.frames == "all" else "dropped"
        print(f"note: {case.strangers[0]} detections in videos without ground truth ({fate}); are the names the same?")


def _write_report(folder: str, case: Case, options: FrameAPOptions, output: dict):
    from detect.report.write import numbered_as, write_report

    dataset = case.dataset or case.as_dataset()
    det = numbered_as(dataset, case.found[0], case.videos)
    proposals = None if case.proposals is None else numbered_as(dataset, case.proposals, case.videos)
    video = output.get("video")
    return write_report(
        folder, dataset, det, options, proposals=proposals, video_results=video and video["scores"],
        provenance=case.facts,
    )  # fmt: skip
