"""Files of detections read for an evaluation, and checked against what is known of its videos and classes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from detect.data.dialects.glimpse import Glimpse
from detect.data.records import ActionDataset
from detect.evaluation.files.detection_files import known_options, read_detection_file
from detect.evaluation.files.formats import read_columns
from detect.evaluation.files.table_annotations import is_table
from detect.evaluation.files.typed_tables import Columns
from detect.evaluation.tables import Detections, TableError
from detect.evaluation.truth import Truth, named_as_truth, source
from detect.evaluation.video_names import coverage_note, suggestion
from detect.utils.files import hash_files


def read_files(
    truth: Truth, paths: Sequence[str], classes_file: str | None, format: str | None, options: dict[str, Any]
) -> tuple[list[Columns], list[dict[str, Any]]]:
    """The columns of each file of detections, and what is said of it."""
    files, facts = [], []
    for path in paths:
        columns, notes = _read_found(path, truth, classes_file, format, options)
        columns, renamed = _named_as(columns, truth)
        found_in = [columns.videos[index] for index in np.unique(columns.columns["video"])]
        numbered = numbers_meet_names(columns.classes, truth, classes_file)
        notes = [*notes, *renamed, *coverage_note(found_in, truth.columns.videos), *numbered]
        if truth.dataset:
            _check_places(path, columns, truth.dataset)
        files.append(columns)
        about = {"file": path, "sha256": file_hash(path), "rows": len(columns.columns["label"])}
        facts.append({**about, "notes": notes} if notes else about)
    return files, facts


def numbers_meet_names(own: list[str] | None, truth: Truth, classes_file: str | None) -> list[str]:
    """A note if labels without names are compared with the names that happen to occur in a list of tubes."""
    names = truth.columns.classes
    if own is not None or names is None or truth.dataset or classes_file:
        return []
    shown = ", ".join(f"{index} {name}" for index, name in enumerate(names[:3]))
    return [f"labels are read as positions among the {len(names)} names in {source(truth)} ({shown}, ...); --classes "
            "FILE names them"]  # fmt: skip


def file_hash(path: str) -> str | None:
    return hash_files(path) if Path(path).is_file() else None


def _read_found(
    path: str, truth: Truth, classes_file: str | None, format: str | None, options: dict[str, Any]
) -> tuple[Columns, list[str]]:
    if format is None and (not Path(path).exists() or is_table(Glimpse(Path(path)))):
        return read_columns(path, Detections), []
    _, legal = known_options(path, format)
    dataset, of_truth = truth.dataset, {"coco": "images", "act": "videos"}.get(truth.facts.get("format", ""))
    beside = {"classes": classes_file, **({of_truth: truth.facts["file"]} if of_truth else {})}
    fitting = {name: value for name, value in beside.items() if name in legal}  # the evaluation knows these anyway
    det, videos, notes = read_detection_file(path, dataset, format, **{**fitting, **options})
    columns = {name: getattr(det, name) for name in ("video", "frame", "label", "score", "boxes")}
    return Columns(columns, list(videos), None if dataset is None else list(dataset.classes)), list(notes)


def read_proposals(path: str, truth: Truth) -> Columns:
    columns, _ = _named_as(read_columns(path, Detections), truth)
    columns = replace(columns, columns={**columns.columns, "label": np.zeros_like(columns.columns["label"])})
    if truth.dataset:
        _check_places(path, columns, truth.dataset)
    return columns


def _named_as(columns: Columns, truth: Truth) -> tuple[Columns, list[str]]:
    names, notes = named_as_truth(columns.videos, truth)
    return replace(columns, videos=names), notes


def _check_places(path: str, found: Columns, dataset: ActionDataset) -> None:
    """TableError for the first detection in a video, frame or class that the dataset does not have."""
    lengths = {video.name: video.num_frames for video in dataset.videos}
    own = np.array([lengths.get(name, -1) for name in found.videos] or [0], np.int64)[found.columns["video"]]
    frame, label = found.columns["frame"], found.columns["label"]
    count = len(found.classes or dataset.classes)

    def name_of(row: int) -> str:
        return found.videos[found.columns["video"][row]]

    where = f"is none of the {len(lengths)} of {dataset.name}"
    for bad, fault in (
        (own < 0, lambda row: f"{where}, {suggestion(name_of(row), list(lengths))}"),
        (frame >= own, lambda row: f"has frames 0 to {own[row] - 1}; this detection is in frame {frame[row]}"),
        (label >= count, lambda row: f"label {label[row]}; the classes are 0 to {count - 1}"),
    ):
        if bad.any():
            row, many = int(np.argmax(bad)), np.count_nonzero(bad)
            raise TableError(f"{path}: row {row}: video {name_of(row)!r} {fault(row)} ({many} such rows)")
