"""The boxes of `tools/evaluate.py`: frame-mAP under any protocol, errors, comparisons, the report."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from detect.evaluation import report
from detect.evaluation.bootstrap import compare
from detect.evaluation.box_overlap import mean_best_overlap, named_rightly, recall_by_number
from detect.evaluation.case import Case, make_case
from detect.evaluation.choices import choice_scores, preset_scores
from detect.evaluation.errors.breakdown import CONFUSED_FROM, break_down, breakdown_table, confusion_matrix
from detect.evaluation.frame_ap import FrameAPOptions, evaluate_frame_ap
from detect.evaluation.frame_index import FrameIndex
from detect.evaluation.tables import take
from detect.evaluation.truth import read_truth
from detect.tasks.evaluate_request import Request
from detect.tasks.evaluate_tubes import evaluate_tubes
from detect.utils.cli import key_values
from detect.utils.errors import UserError
from detect.utils.files import make_folder, write_json
from detect.utils.provenance import code_version


def evaluate(detections: Sequence[str] = (), **options: Any) -> dict[str, Any]:
    """See the docstring of tools/evaluate.py; options: the other fields of `Request`. Returns the contents of the JSON
    file. UserError for bad input.
    """
    request = Request(detections, **options)
    rules = request.rules
    if request.report_folder and not os.access(make_folder(request.report_folder), os.W_OK):
        raise UserError(f"--report {request.report_folder}: nothing can be written to this folder")
    truth = read_truth(request.dataset, request.ground_truth, request.truth_format, key_values(request.truth_options))
    output: dict[str, Any] = {}
    case, closing = None, []
    if detections:
        file = request.classes_file, request.format, key_values(request.options), request.proposals
        case = make_case(truth, detections, *file)
        output |= _compare(case, rules[0]) if request.compared else _score(case, rules, request)
        of = f" (A: {detections[0]})" if request.compared else ""
        closing += [report.summary_line(mean, float(value)) + of for value, mean in output["mAP"].items()]
    if request.tubes or request.link:
        output |= evaluate_tubes(
            truth, case, request.tubes, request.link, request.preset_name, request.classes_file,
            tube_nms=request.tube_nms, spatial_only=request.spatial_only, switch_cost=request.switch_cost,
            tubes_output=request.tubes_output,
        )  # fmt: skip
        closing += [f"{name} = {value:.6f}" for name, value in output["video"]["scores"].items()]
    if request.pictures:
        _draw(request.pictures, case)
    if request.report_folder:
        output["report"] = str(_write_report(request.report_folder, case, rules[0], output))
        print(f"report: {output['report']}")
    if request.json_file:
        facts = (_facts(case) if case else {"ground_truth": truth.facts}) | output.pop("sources", {})
        provenance = {**facts, **(case.counts if case else {}), "preset": request.preset_name, **code_version()}
        write_json(request.json_file, {**output, "provenance": provenance})
        print(f"written: {request.json_file}")
    print("\n".join(closing))
    return output


def _facts(case: Case) -> dict[str, Any]:
    """Provenance of the tables; a list of files only if there are several."""
    files = case.facts["detections"]
    return {**case.facts, "detections": files[0] if len(files) == 1 else files}


def _score(case: Case, rules: Sequence[FrameAPOptions], request: Request) -> dict[str, Any]:
    """The results of one file, printed as they come. rules: a protocol for each IoU threshold."""
    gt, det, classes, rule = case.gt, case.found[0], len(case.classes), rules[0]
    index = FrameIndex(gt, det)
    results = [evaluate_frame_ap(gt, det, classes, one, index) for one in rules]
    print(report.class_table(results[0], case.classes))
    _print_sources(case)
    print(report.protocol_line(rule))
    _print_left_out(case, results[0])
    output = {
        "mAP": {f"{one.iou_threshold:g}": result.mean for one, result in zip(rules, results, strict=True)},
        "results": report.result_dict(results[0], case.classes),
        **_overlap(case, rule),
    }
    if request.protocol == "all":
        presets, choices = (scores(gt, det, classes, rule) for scores in (preset_scores, choice_scores))
        print(report.choice_tables(presets, choices, rule))
        output["protocols"] = {choice.name: choice.mean for choice in (*presets, *choices)}
    if request.coco:
        from detect.evaluation.coco import coco_scores

        output["coco"] = coco_scores(gt, det, rule.frames)
        print("COCO: " + ", ".join(f"{name} {value:.4f}" for name, value in output["coco"].items()))
    if request.errors:
        output["errors"] = _errors(case, rule)
    return output


def _overlap(case: Case, rule: FrameAPOptions) -> dict[str, Any]:
    """How well boxes of any label cover the truths."""
    gt, det, proposals = case.gt, case.found[0], case.proposals
    of_class, mabo = mean_best_overlap(gt, det, len(case.classes), rule.plus_one)
    boxes, what = (det, "boxes of any class") if proposals is None else (proposals, "proposals")
    recall = recall_by_number(gt, boxes, rule.iou_threshold)
    print(f"frame-mABO {mabo:.4f}: mean over the classes of the mean IoU of a truth with the best box of its frame")
    print(report.recall_line(recall, rule.iou_threshold, what))
    named = dict(zip(case.classes, of_class.tolist(), strict=True))
    output = {"mABO": {"mean": mabo, "classes": named}, "recall": recall}
    right, single = named_rightly(gt, det, len(case.classes))
    if single:
        print(f"{right} of {single} videos of one class have it as the class with the highest sum of scores")
        output["videos_named"] = {"right": right, "of_one_class": single}
    return output


def _errors(case: Case, rule: FrameAPOptions) -> dict[str, Any]:
    """Why detections and truths failed, printed as tables. The confusions for JSON are those that occur, by the class
    names of the truth and of the detection, "" for none.
    """
    tables = case.gt, case.found[0], len(case.classes), rule
    found = break_down(*tables, case.proposals)
    print(breakdown_table(found, case.classes))
    kinds, counts = (*found.categories, *found.truth_kinds), np.hstack([found.counts, found.truth_counts])
    matrix, names = confusion_matrix(*tables, CONFUSED_FROM), (*case.classes, "")
    named = ((name, {names[k]: row[k] for k in np.flatnonzero(row)}) for name, row in zip(names, matrix, strict=True))
    return {
        "gains": found.gains,
        "act": found.act,
        "detections": dict(zip(found.categories, found.counts.sum(0), strict=True)),
        "truths": dict(zip(found.truth_kinds, found.truth_counts.sum(0), strict=True)),
        "classes": [
            {"name": name, **dict(zip(kinds, row, strict=True))}
            for name, row in zip(case.classes, counts.tolist(), strict=True)
        ],
        "confusion": {"from_score": CONFUSED_FROM, "truths": {name: row for name, row in named if row}},
    }


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
    print(f"{case.counts['videos']} videos, {case.counts['annotated_frames']} annotated frames")


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
    if case.unmatched[0]:
        fate = "false positives" if result.options.frames == "all" else "dropped"
        print(f"note: {case.unmatched[0]} detections in videos without ground truth ({fate}); are the names the same?")


def _draw(path: str, case: Case) -> None:
    from detect.report.write import numbered_as
    from detect.visualization.class_pictures import RULE, class_pictures
    from detect.visualization.drawing import save_image
    from detect.visualization.pictures import SCORE_THRESHOLD

    if case.dataset is None:
        raise UserError(f"--pictures {path}: the ground truth is a table and names no videos' files; give --dataset")
    det = numbered_as(case.dataset, case.found[0], case.videos)
    det = take(det, det.score >= SCORE_THRESHOLD)

    def shown(video: int, frame: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = take(det, (det.video == video) & (det.frame == frame))
        return found.boxes, found.label, found.score

    save_image(path, class_pictures(case.dataset, shown))
    print(f"pictures: {path}, {RULE}")


def _write_report(folder: str, case: Case, options: FrameAPOptions, output: dict):
    from detect.report.write import numbered_as, write_report

    dataset = case.dataset or case.as_dataset()
    det = numbered_as(dataset, case.found[0], case.videos)
    proposals = None if case.proposals is None else numbered_as(dataset, case.proposals, case.videos)
    results = {}
    if video := output.get("video"):
        ap = {row["name"]: row["AP@0.5"] for row in video["classes"]}  # the file of tubes may order them otherwise
        results = {**video["scores"], "video-AP@0.5": [ap.get(name, np.nan) for name in dataset.classes]}
    return write_report(
        folder, dataset, det, options, proposals=proposals, video_results=results, provenance=case.facts
    )
