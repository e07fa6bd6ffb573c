"""Ground truth and detections numbered alike, so that they can be compared."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from detect.data.dialects.companions import read_class_names
from detect.data.records import ActionDataset, Tube, VideoRecord
from detect.evaluation.files.tube_files import TubeList
from detect.evaluation.files.typed_tables import Columns
from detect.evaluation.found_files import file_hash, read_files, read_proposals
from detect.evaluation.frame_index import place_in
from detect.evaluation.tables import Detections, GroundTruth, TableError, take
from detect.evaluation.truth import Truth, source
from detect.evaluation.tubes import Tubes
from detect.evaluation.video_names import suggestion
from detect.utils.runs import run_sizes, run_starts


@dataclass(frozen=True, eq=False)
class Case:
    """Ground truth and detections that can be compared: `video` numbers `videos` and `label` `classes`.

    all_detections: one table for each file.  found: the same without detections on frames that no annotator looked at.
    tubes: the annotated ones; None if the source has no tubes.  dataset: None if the source is only a table or a list
    of tubes.  unmatched: number of detections in videos without ground truth, for each file; 0 if there is a dataset.
    facts: where everything comes from.  proposals: boxes of any class; their label is 0.
    """

    gt: GroundTruth
    all_detections: list[Detections]
    found: list[Detections]
    videos: list[str]
    classes: list[str]
    tubes: Tubes | None
    dataset: ActionDataset | None
    unmatched: list[int]
    facts: dict[str, Any]
    proposals: Detections | None = None

    def unlabelled(self, index: int) -> int:
        """Detections of a file that are left out because no annotator looked at their frames."""
        return len(self.all_detections[index]) - len(self.found[index])

    @cached_property
    def counts(self) -> dict[str, int]:
        """What is evaluated, and what of the first file has no ground truth."""
        annotated = np.unique(np.stack([self.gt.video, self.gt.frame]), axis=1).T
        return {
            "videos": len(np.unique(self.gt.video)),
            "annotated_frames": len(annotated),
            "detections_in_videos_without_ground_truth": self.unmatched[0],
            "detections_on_unlabelled_frames": self.unlabelled(0),
        }

    def num_frames(self) -> dict[int, int] | None:
        """The length of each video in frames, by its number; None if the source has no lengths."""
        if self.dataset is None:
            return None
        number = {name: index for index, name in enumerate(self.videos)}
        return {number[video.name]: video.num_frames for video in self.dataset.videos if video.name in number}

    def unlabelled_cut(self, tubes: Tubes) -> Tubes:
        """The tubes with nan instead of a box in frames that no annotator looked at."""
        of, frame = tubes.places
        known = _is_labelled(tubes.video[of], frame, self.dataset, self.videos)
        return tubes if known.all() else replace(tubes, boxes=np.where(known[:, None], tubes.boxes, np.nan))

    def as_dataset(self) -> ActionDataset:
        """The ground truth as a dataset without media, for a source that is only a table or a list of tubes."""
        records = []
        last = np.zeros(len(self.videos), np.int64)
        for table in (self.gt, *self.found):
            np.maximum.at(last, table.video, table.frame)
        order = np.argsort(self.gt.video, kind="stable")
        bounds = np.searchsorted(self.gt.video[order], np.arange(1, len(self.videos)))
        for index, (name, own) in enumerate(zip(self.videos, np.split(order, bounds), strict=True)):
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
    """The ground truth and the detections in `paths`.

    classes_file: class names, one a line.  format, options: of the detection files, see `read_detection_file`.
    proposals: file of a table; its labels are ignored.  TableError for a detection in a video, frame or class that the
    ground truth does not have.
    """
    if not len(truth.columns.columns["label"]):
        raise TableError(f"{source(truth)}: no boxes in it; without ground truth there is no mAP")
    files, facts = read_files(truth, paths, classes_file, format, options or {})
    proposed = read_proposals(proposals, truth) if proposals else None
    videos = sorted({name for part in (truth.columns, *files, proposed) if part for name in part.videos})
    names = _class_names(truth, files, classes_file)
    gt = _relabelled(source(truth), _numbered(truth.columns, videos, GroundTruth), truth.columns.classes, names)
    found = [
        _relabelled(path, _numbered(columns, videos, Detections), columns.classes, names)
        for path, columns in zip(paths, files, strict=True)
    ]
    tubes = None
    if truth.tubes is not None:
        tubes = replace(truth.tubes, video=_numbers(truth.columns.videos, videos)[truth.tubes.video])
        tubes = _relabelled(source(truth), tubes, truth.columns.classes, names)
    if names is None:
        gt, found, tubes, names = _by_number(gt, found, tubes)
    unmatched = [0 if truth.dataset else int(np.count_nonzero(~np.isin(det.video, gt.video))) for det in found]
    kept = [_labelled(det, truth.dataset, videos) for det in found]
    about = {"ground_truth": truth.facts, "detections": facts}
    if proposed:
        rows = len(proposed.columns["label"])
        about["proposals"] = {"file": proposals, "sha256": file_hash(proposals), "rows": rows}
        proposed = _labelled(_numbered(proposed, videos, Detections), truth.dataset, videos)
    return Case(gt, found, kept, videos, names, tubes, truth.dataset, unmatched, about, proposed)


def _numbered(columns: Columns, videos: list[str], kind: type):
    return kind(**{**columns.columns, "video": _numbers(columns.videos, videos)[columns.columns["video"]]})


def _numbers(names: Sequence[str], known: Sequence[str]) -> np.ndarray:
    """(names,) int64 position of each name in `known`."""
    position = {name: index for index, name in enumerate(known)}
    return np.array([position[name] for name in names], np.int64)


def _class_names(truth: Truth, files: Sequence[Columns], classes_file: str | None) -> list[str] | None:
    """The class names in the order of their labels; None if no source has names."""
    if classes_file:
        return list(read_class_names(Path(classes_file)))
    if truth.columns.classes is None:
        if named := [columns.classes for columns in files if columns.classes is not None]:
            raise TableError(
                f"{source(truth)}: has numbers for classes, where the detections have names, such as {named[0][:3]}; "
                "give the names in the order of the numbers with --classes FILE"
            )
        return None
    if truth.dataset or truth.tubes is None:
        return truth.columns.classes
    # a list of tubes names the classes that occur in it; a class that only detections name has no truth
    return sorted(set(truth.columns.classes).union(*(columns.classes or () for columns in files)))


def _relabelled(path: str, table, own: list[str] | None, names: list[str] | None):
    """The table with labels that are positions in `names`; own: the class names of its file, None for plain numbers."""
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
    """Tables whose labels have no names: each label becomes its position among all labels that occur."""
    numbers = [table.label for table in (gt, *found, *((tubes,) if tubes else ()))]
    present = np.unique(np.concatenate(numbers))
    gt, *found = (replace(table, label=np.searchsorted(present, table.label)) for table in (gt, *found))
    tubes = tubes and replace(tubes, label=np.searchsorted(present, tubes.label))
    return gt, found, tubes, [str(label) for label in present.tolist()]


def _labelled(det: Detections, dataset: ActionDataset | None, videos: list[str]) -> Detections:
    """The detections without those on frames that no annotator looked at."""
    keep = _is_labelled(det.video, det.frame, dataset, videos)
    if keep.all():
        return det
    return take(det, keep)


def _is_labelled(video: np.ndarray, frame: np.ndarray, dataset: ActionDataset | None, videos: list[str]) -> np.ndarray:
    """(n,) bool: whether an annotator looked at each frame, 0-based, of each video."""
    records = dataset.videos if dataset else ()
    partly = {record.name: record.labelled for record in records if record.labelled is not None}
    numbers = [number for number, name in enumerate(videos) if name in partly]
    if not numbers or not len(video):
        return np.ones(len(video), bool)
    listed = [np.asarray(partly[videos[number]], np.int64) for number in numbers]
    span = 1 + int(max(frame.max(), *(frames.max(initial=0) for frames in listed)))
    known = np.unique(np.concatenate([number * span + frames for number, frames in zip(numbers, listed, strict=True)]))
    in_part = np.zeros(len(videos), bool)
    in_part[numbers] = True
    starts = run_starts(video, frame)  # detections usually come frame by frame
    own, at = video[starts].astype(np.int64), frame[starts].astype(np.int64)
    looked_at = ~in_part[own] | (place_in(known, own * span + at) >= 0)
    return np.repeat(looked_at, run_sizes(starts, len(video)))


def join_tubes(
    truth: Truth, given: TubeList, path: str, classes_file: str | None = None
) -> tuple[Tubes, Tubes, list[str], list[str]]:
    """Annotated and given tubes with common numbers of videos and classes, and the names of both. path: of `given`.
    given: with the names that the ground truth has for its videos, see `named_as_truth`.
    """
    known = truth.columns
    if truth.dataset and (unknown := sorted(set(given.videos) - set(known.videos))):
        where = f"is none of the {len(known.videos)} of {source(truth)}"
        raise TableError(f"{path}: the video {unknown[0]!r} {where}, {suggestion(unknown[0], known.videos)}")
    videos = sorted({*known.videos, *given.videos})
    names = _class_names(truth, [Columns({}, given.videos, given.labels)], classes_file)
    both = []
    for where, tubes, own_videos, own_classes in (
        (source(truth), truth.tubes, known.videos, known.classes),
        (path, given.tubes, given.videos, given.labels),
    ):
        tubes = replace(tubes, video=_numbers(own_videos, videos)[tubes.video])
        both.append(_relabelled(where, tubes, own_classes, names))
    annotated, found = both
    if names is None:
        annotated, _, found, names = _by_number(annotated, [], found)
    return annotated, found, videos, names
