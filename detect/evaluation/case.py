"""Ground truth and detections numbered alike, so that they can be compared."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from detect.data.dialects.companions import read_class_names
from detect.data.dialects.glimpse import Glimpse
from detect.data.records import ActionDataset, Tube, VideoRecord
from detect.evaluation.files.detection_files import known_options, read_detection_file
from detect.evaluation.files.formats import read_columns
from detect.evaluation.files.table_annotations import is_table
from detect.evaluation.files.tube_files import TubeList
from detect.evaluation.files.typed_tables import Columns
from detect.evaluation.tables import Detections, GroundTruth, TableError
from detect.evaluation.truth import Truth, source
from detect.evaluation.tubes import Tubes
from detect.utils.files import hash_files
from detect.utils.names import safe_name


@dataclass(frozen=True, eq=False)
class Case:
    """Ground truth and detections that can be compared: `video` numbers `videos` and `label` `classes`.

    every: the detections of each file.  found: without those on frames that no annotator looked at.  tubes: the
    annotated ones, None where the source has none.  proposals: boxes of label 0, of no class.  strangers: per file the
    detections in videos without ground truth, where the source does not say which videos there are.
    """

    gt: GroundTruth
    every: list[Detections]
    found: list[Detections]
    videos: list[str]
    classes: list[str]
    tubes: Tubes | None
    dataset: ActionDataset | None
    strangers: list[int]
    facts: dict[str, Any]
    proposals: Detections | None = None

    def unlabelled(self, index: int) -> int:
        """Detections of a file that are left out because no annotator looked at their frames."""
        return len(self.every[index]) - len(self.found[index])

    def unlabelled_cut(self, tubes: Tubes) -> Tubes:
        """Tubes without their boxes on frames that no annotator looked at."""
        of = np.repeat(np.arange(len(tubes)), tubes.length)
        frame = tubes.start[of] + np.arange(len(of)) - tubes.offset[of]
        known = _is_labelled(tubes.video[of], frame, self.dataset, self.videos)
        return tubes if known.all() else replace(tubes, boxes=np.where(known[:, None], tubes.boxes, np.nan))

    def as_dataset(self) -> ActionDataset:
        """The ground truth as a dataset without media, where the source is only a table or a list of tubes."""
        records = []
        last = np.zeros(len(self.videos), np.int64)
        for table in (self.gt, *self.found):
            np.maximum.at(last, table.video, table.frame)
        for index, name in enumerate(self.videos):
            own = self.gt.video == index
            boxes, frames, labels = (column[own] for column in (self.gt.boxes, self.gt.frame, self.gt.label))
            width, height = np.ceil(boxes[:, 2:].max(0)).astype(int).tolist() if len(boxes) else (1, 1)
            tubes = tuple(
                Tube(int(label), np.array([frame]), box[None].astype(np.float32))
                for label, frame, box in zip(labels, frames, boxes, strict=True)
            )
            records.append(VideoRecord(name, name, int(last[index]) + 1, height, width, tubes))
        name = str(self.facts["ground_truth"].get("file"))
        return ActionDataset(name, tuple(self.classes), tuple(records), str(self.facts["ground_truth"].get("sha256")))


def make_case(
    truth: Truth,
    paths: Sequence[str],
    classes_file: str | None = None,
    format: str | None = None,
    options: dict[str, Any] | None = None,
    proposals: str | None = None,
) -> Case:
    """The truth and the detections of the files. format, options: of these, see `read_detection_file`. proposals: a
    table whose labels do not matter. TableError for a detection that has no place in the truth.
    """
    if not len(truth.columns.columns["label"]):
        raise TableError(f"{source(truth)}: no boxes in it; without ground truth there is no mAP")
    files, facts = [], []
    for path in paths:
        columns, notes = _read_found(path, truth, classes_file, format, options or {})
        if truth.dataset:
            columns = replace(columns, videos=list(map(safe_name, columns.videos)))  # as those of the dataset are
            _check_places(path, columns, truth.dataset)
        files.append(columns)
        about = {"file": path, "sha256": _hash(path), "rows": len(columns.columns["label"])}
        facts.append({**about, "notes": notes} if notes else about)
    proposed = _read_proposals(proposals, truth.dataset) if proposals else None
    videos = sorted(set(truth.columns.videos).union(*(c.videos for c in (*files, *((proposed,) if proposed else ())))))
    names = _class_names(truth, files, classes_file)
    gt = _relabelled(source(truth), _numbered(truth.columns, videos, GroundTruth), truth.columns.classes, names)
    found = [
        _relabelled(path, _numbered(columns, videos, Detections), columns.classes, names)
        for path, columns in zip(paths, files, strict=True)
    ]
    tubes = None
    if truth.tubes is not None:
        tubes = replace(truth.tubes, video=_places(truth.columns.videos, videos)[truth.tubes.video])
        tubes = _relabelled(source(truth), tubes, truth.columns.classes, names)
    if names is None:
        gt, found, tubes, names = _by_number(gt, found, tubes)
    strangers = [0 if truth.dataset else int(np.count_nonzero(~np.isin(det.video, gt.video))) for det in found]
    kept = [_labelled(det, truth.dataset, videos) for det in found]
    about = {"ground_truth": truth.facts, "detections": facts}
    if proposed:
        rows = len(proposed.columns["label"])
        about["proposals"] = {"file": proposals, "sha256": _hash(proposals), "rows": rows}
        proposed = _labelled(_numbered(proposed, videos, Detections), truth.dataset, videos)
    return Case(gt, found, kept, videos, names, tubes, truth.dataset, strangers, about, proposed)


def _hash(path: str) -> str | None:
    return hash_files(path) if Path(path).is_file() else None


def _read_found(
    path: str, truth: Truth, classes_file: str | None, format: str | None, options: dict[str, Any]
) -> tuple[Columns, list[str]]:
    if format is None and (not Path(path).exists() or is_table(Glimpse(Path(path)))):
        return read_columns(path, Detections), []
    _, legal = known_options(path, format)
    dataset, of_truth = truth.dataset, {"coco": "images", "act": "videos"}.get(truth.facts.get("format", ""))
    beside = {"classes": classes_file, **({of_truth: truth.facts["file"]} if of_truth else {})}
    fitting = {name: value for name, value in beside.items() if name in legal}  # what the evaluation knows anyhow
    det, videos, notes = read_detection_file(path, dataset, format, **{**fitting, **options})
    columns = {name: getattr(det, name) for name in ("video", "frame", "label", "score", "boxes")}
    return Columns(columns, list(videos), None if dataset is None else list(dataset.classes)), list(notes)


def _read_proposals(path: str, dataset: ActionDataset | None) -> Columns:
    columns = read_columns(path, Detections)
    columns = replace(columns, columns={**columns.columns, "label": np.zeros_like(columns.columns["label"])})
    if dataset:
        _check_places(path, columns, dataset)
    return columns


def _check_places(path: str, found: Columns, dataset: ActionDataset) -> None:
    """TableError for the first detection in a video, frame or class that the dataset does not have."""
    lengths = {video.name: video.num_frames for video in dataset.videos}
    own = np.array([lengths.get(name, -1) for name in found.videos] or [0], np.int64)[found.columns["video"]]
    frame, label = found.columns["frame"], found.columns["label"]
    count = len(found.classes or dataset.classes)
    for bad, fault in (
        (own < 0, lambda row: f"is none of the {len(lengths)} of {dataset.name}, such as {next(iter(lengths))!r}"),
        (frame >= own, lambda row: f"has frames 0 to {own[row] - 1}; this detection is in frame {frame[row]}"),
        (label >= count, lambda row: f"label {label[row]}; the classes are 0 to {count - 1}"),
    ):
        if bad.any():
            row, many = int(np.argmax(bad)), np.count_nonzero(bad)
            name = found.videos[found.columns["video"][row]]
            raise TableError(f"{path}: row {row}: video {name!r} {fault(row)} ({many} such rows)")


def _numbered(columns: Columns, videos: list[str], kind: type):
    return kind(**{**columns.columns, "video": _places(columns.videos, videos)[columns.columns["video"]]})


def _places(own: Sequence[str], videos: Sequence[str]) -> np.ndarray:
    """(n,) int64, where each of a file's `own` videos stands in `videos`; one element where it has none."""
    number = {name: index for index, name in enumerate(videos)}
    return np.array([number[name] for name in own] or [0], np.int64)


def _class_names(truth: Truth, files: Sequence[Columns], classes_file: str | None) -> list[str] | None:
    """The names that labels are numbered by; None where they are known by number only."""
    if classes_file:
        return list(read_class_names(Path(classes_file)))
    return next((columns.classes for columns in (truth.columns, *files) if columns.classes is not None), None)


def _relabelled(path: str, table, own: list[str] | None, names: list[str] | None):
    """The table with labels that are positions in `names`, by the names that its file says, else by number."""
    if names is None or not len(table):
        return table
    if own is not None:
        number = {name: index for index, name in enumerate(names)}
        used = [own[label] for label in np.unique(table.label) if label < len(own)]
        if unknown := [name for name in used if name not in number]:
            raise TableError(f"{path}: has the class {unknown[0]!r}; the classes are {', '.join(names[:30])}")
        position = np.array([number.get(name, -1) for name in own])
        return replace(table, label=position[table.label])
    if table.label.max() >= len(names):
        legal = f"{len(names)} classes, 0 to {len(names) - 1}"
        raise TableError(f"{path}: label {table.label.max()}, but there are {legal}")
    return table


def _by_number(gt: GroundTruth, found: list[Detections], tubes: Tubes | None):
    """Labels that are known by number only, as positions in the list of those that occur."""
    numbers = [table.label for table in (gt, *found, *((tubes,) if tubes else ()))]
    present = np.unique(np.concatenate(numbers))
    gt, *found = (replace(table, label=np.searchsorted(present, table.label)) for table in (gt, *found))
    tubes = tubes and replace(tubes, label=np.searchsorted(present, tubes.label))
    return gt, found, tubes, [str(label) for label in present.tolist()]


def _labelled(det: Detections, dataset: ActionDataset | None, videos: list[str]) -> Detections:
    """Without the detections on frames that no annotator looked at."""
    keep = _is_labelled(det.video, det.frame, dataset, videos)
    if keep.all():
        return det
    return Detections(*(getattr(det, name)[keep] for name in ("video", "frame", "label", "score", "boxes")))


def _is_labelled(video: np.ndarray, frame: np.ndarray, dataset: ActionDataset | None, videos: list[str]) -> np.ndarray:
    """(n,) bool: whether an annotator looked at each frame, 0-based, of each video."""
    known = np.ones(len(video), bool)
    partly = {record.name: record for record in dataset.videos if record.labelled is not None} if dataset else {}
    for index, name in enumerate(videos):
        if name in partly:
            own = np.flatnonzero(video == index)
            known[own] = np.isin(frame[own], partly[name].labelled)
    return known


def join_tubes(
    truth: Truth, given: TubeList, path: str, classes_file: str | None = None
) -> tuple[Tubes, Tubes, list[str], list[str]]:
    """Annotated and given tubes numbered alike, and the names of the videos and of the classes."""
    known = truth.columns
    given = replace(given, videos=list(map(safe_name, given.videos))) if truth.dataset else given
    if truth.dataset and (strangers := sorted(set(given.videos) - set(known.videos))):
        raise TableError(f"{path}: the video {strangers[0]!r} is none of the {len(known.videos)} of {source(truth)}")
    videos = sorted({*known.videos, *given.videos})
    names = _class_names(truth, [Columns({}, given.videos, given.labels)], classes_file)
    both = []
    for where, tubes, own_videos, own_classes in (
        (source(truth), truth.tubes, known.videos, known.classes),
        (path, given.tubes, given.videos, given.labels),
    ):
        numbered = replace(tubes, video=_places(own_videos, videos)[tubes.video])
        both.append(_relabelled(where, numbered, own_classes, names))
    annotated, found = both
    if names is None:
        annotated, _, found, names = _by_number(annotated, [], found)
    return annotated, found, videos, names
