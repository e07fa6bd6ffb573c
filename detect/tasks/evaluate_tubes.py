"""The tubes of `tools/evaluate.py`: video-mAP of given tubes, or of tubes linked from detections."""

from dataclasses import replace
from typing import Any

import numpy as np

from detect.evaluation import report
from detect.evaluation.case import Case, join_tubes
from detect.evaluation.files.tube_files import read_tubes, write_tubes
from detect.evaluation.found_files import numbers_meet_names
from detect.evaluation.linking.rules import link_detections
from detect.evaluation.tables import TableError
from detect.evaluation.truth import Truth, named_as_truth, source
from detect.evaluation.tubes import Tubes
from detect.evaluation.video_ap import VideoAPOptions, evaluate_video_ap, video_preset
from detect.evaluation.video_names import coverage_note
from detect.utils.files import hash_files


def evaluate_tubes(
    truth: Truth,
    case: Case | None,
    tubes_file: str | None,
    link: str | None,
    preset_name: str,
    classes_file: str | None = None,
    *,
    tube_nms: float | None = None,
    spatial_only: bool = False,
    switch_cost: float | None = None,
    tubes_output: str | None = None,
) -> dict[str, Any]:
    """{"video": results, "sources": where the tubes come from}, printed. UserError for bad input."""
    if truth.tubes is not None and not len(truth.tubes):
        raise TableError(f"{source(truth)}: no tubes in it; without ground truth there is no mAP")
    if truth.tubes is None:
        raise TableError(
            f"{source(truth)}: has boxes and no tubes; give a set (--dataset), own JSON, or a JSON list of tubes"
        )
    options = _options(preset_name, tube_nms, spatial_only)
    sources: dict[str, Any] = {}
    if tubes_file:
        annotated, found, videos, classes = _joined(truth, tubes_file, classes_file)
        sources["tubes"] = {"file": tubes_file, "sha256": hash_files(tubes_file), "tubes": len(found)}
    else:
        annotated, videos, classes = case.tubes, case.videos, case.classes
        found = case.unlabelled_cut(link_detections(case.all_detections[0], link, switch_cost, case.num_frames()))
        sources["linking"] = {"rule": link, "switch_cost": switch_cost, "tubes": len(found)}
        print(f"{len(case.all_detections[0])} detections linked to {len(found)} tubes by the rule {link}")
    without = found.label[~np.isin(found.label, annotated.label)]
    if len(without):
        names = ", ".join(str(classes[label]) for label in np.unique(without)[:5])
        print(f"note: {len(without)} tubes of classes without ground truth: {names}")
    if tubes_output:
        write_tubes(tubes_output, found, videos, classes)
        print(f"written: {tubes_output}")
    result = evaluate_video_ap(annotated, found, len(classes), options)
    print(report.tube_table(result, classes))
    print(f"protocol {preset_name} for tubes: {report.option_values(options)}")
    if result.suppressed:
        print(f"{result.suppressed} tubes suppressed by better ones of their class and video")
    return {"video": report.video_dict(result, classes), "sources": sources}


def _joined(truth: Truth, path: str, classes_file: str | None) -> tuple[Tubes, Tubes, list[str], list[str]]:
    """As `join_tubes`, with the tubes of a file; what is peculiar about it is printed."""
    given = read_tubes(path)
    names, renamed = named_as_truth(given.videos, truth)
    annotated, found, videos, classes = join_tubes(truth, replace(given, videos=names), path, classes_file)
    numbered = numbers_meet_names(given.labels, truth, classes_file)
    for note in (*renamed, *coverage_note(names, truth.columns.videos), *numbered):
        print(f"note: {note}")
    if given.reversed_boxes:
        print(f"note: {given.reversed_boxes} boxes with x2 < x1 or y2 < y1; they overlap nothing")
    unmatched = int(np.count_nonzero(~np.isin(found.video, annotated.video)))
    if unmatched:
        print(f"note: {unmatched} tubes in videos without ground truth (false positives); are the names the same?")
    return annotated, found, videos, classes


def _options(preset_name: str, tube_nms: float | None, spatial_only: bool) -> VideoAPOptions:
    options = video_preset(preset_name, spatial_only=spatial_only)
    if tube_nms is None:
        return options
    return replace(options, tube_nms=tube_nms or 1.0)  # 0 suppresses none, and neither does 1
