"""Kinetics-400 (Kay et al., 2017) and Mini-Kinetics-200 (Xie et al., ECCV 2018).

Annotation: a CSV whose header names `youtube_id` and, but for test, `label`; `time_start`, `time_end`, `split` and
`is_cc` may be there. Classes are the sorted labels of the CSV, or the lines of a `classes.txt` in the set's folder.
Mini-Kinetics is published as bare lists of ids, whose labels stand in the CSV of Kinetics-400.

A video is found by the 11 characters of its id, in any of the namings that crawlers and toolboxes use:
`<label>/<id>_<start:06d>_<end:06d>` (the label with spaces or `_`), `<id>_<start>`, `<id>`; a file or a folder. Of
several, the one whose times are those of the CSV.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from detect.classification.annotations import Listing, read_lines, read_table
from detect.classification.labels import read_label_map
from detect.classification.locate import make_set, scan_media, under
from detect.classification.records import VideoSet
from detect.data.checks import AnnotationError, Notes
from detect.data.media import require

HOW_TO_GET = (
    "Set the environment variable DETECT_DATASETS to the folder that holds kinetics400/ and mini_kinetics200/. CSV: "
    "https://github.com/activitynet/ActivityNet/tree/master/Crawler/Kinetics/data; lists of Mini-Kinetics-200: "
    "https://github.com/s9xie/Mini-Kinetics-200"
)
ID = re.compile(r"[\w-]{11}", re.ASCII)
STEM = re.compile(r"(?P<id>[\w-]{11})(_(?P<start>\d+)(_(?P<end>\d+))?)?([_. -].*)?", re.ASCII)
CSV_NAMES = {
    "train": ("train.csv", "kinetics-400_train.csv", "kinetics_train.csv"),
    "val": ("val.csv", "validate.csv", "kinetics-400_val.csv", "kinetics_val.csv"),
    "test": ("test.csv", "kinetics-400_test.csv", "kinetics_test.csv"),
}
PLACES = {
    "rgb": ("videos_{subset}", "{subset}", "rawframes_{subset}", "videos/{subset}", "videos", "rawframes", "."),
    "flow": ("flow_{subset}", "flow/{subset}", "flow"),
}


class Segment(NamedTuple):
    """A row of the CSV: `line` of it, times in whole seconds, None where the CSV does not say."""

    line: int
    id: str
    label: str | None
    start: int | None
    end: int | None


def load_kinetics400(root: Path, subset: str, *, name: str, modality: str = "rgb") -> VideoSet:
    """The "train", "val" or "test" videos of `root`/kinetics400. Raises MissingDataError, AnnotationError."""
    folder = root / "kinetics400"
    path = _csv(folder, (subset,), f"{name}: the annotation")
    segments = read_segments(path, labelled=subset != "test")
    files, labelled = [path], segments
    if segments[0].label is None and not (folder / "classes.txt").exists():
        files.append(_csv(folder, ("train", "val"), f"{name}: a CSV with labels, for the classes of the test list,"))
        labelled = read_segments(files[-1])
    return _build([folder], subset, path, segments, labelled, files, name=name, modality=modality)


def load_mini_kinetics200(root: Path, subset: str, *, name: str, modality: str = "rgb") -> VideoSet:
    """The "train" or "val" videos of Mini-Kinetics-200: `root`/mini_kinetics200/<subset>_k200.csv (or .csv.gz), or
    <subset>_ytid_list.txt joined with the CSV of Kinetics-400.

    The videos may lie there or below `root`/kinetics400. Ids that the CSV of Kinetics-400 does not have are missing.
    Raises MissingDataError, AnnotationError.
    """
    folder, kinetics400 = root / "mini_kinetics200", root / "kinetics400"
    names = (f"{subset}_k200.csv", f"{subset}_k200.csv.gz", f"{subset}_ytid_list.txt")
    path = require([folder / file for file in names], f"{name}: the annotation", HOW_TO_GET)
    files, notes, unlabelled = [path], Notes(), []
    if path.suffix == ".txt":
        files.append(_csv(kinetics400, (subset,), f"{name}: the CSV with the labels of {path}"))
        segments, unlabelled = _join(path, files[-1])
        for video in unlabelled:
            notes.add(f"videos listed without a label in {files[-1]}", video)
    else:
        segments = read_segments(path)
    common = dict(name=name, modality=modality, notes=notes, missing=unlabelled)
    return _build([folder, kinetics400], subset, path, segments, segments, files, **common)


def _csv(folder: Path, subsets: Sequence[str], what: str) -> Path:
    names = [file for subset in subsets for file in CSV_NAMES[subset]]
    candidates = [folder / place / file for file in names for place in (".", "annotations")]
    return require(candidates, what, HOW_TO_GET)


def read_segments(path: Path, labelled: bool = True) -> list[Segment]:
    """The rows of a CSV, columns read by name. Raises AnnotationError for a wrong row, or for no label column unless
    `labelled` is False.
    """
    table = read_table(path, ["youtube_id", "label"] if labelled else ["youtube_id"])
    segments = [_segment(path, line, row) for line, row in table]
    if not segments:
        raise AnnotationError(f"{path}: a header, but no video")
    return segments


def _segment(path: Path, line: int, row: dict[str, str]) -> Segment:
    if row.get("label") == "":
        raise AnnotationError(f"{path} line {line}: {row['youtube_id']!r} has no label")
    times = [_seconds(path, line, row[key]) if key in row else None for key in ("time_start", "time_end")]
    return Segment(line, _checked_id(path, line, row["youtube_id"]), row.get("label"), *times)


def _checked_id(path: Path, line: int, text: str) -> str:
    if not ID.fullmatch(text):
        raise AnnotationError(f"{path} line {line}: {text!r} is no YouTube id: 11 letters, digits, '-' or '_'")
    return text


def _seconds(path: Path, line: int, text: str) -> int:
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        raise AnnotationError(f"{path} line {line}: the time {text!r} is not a number of seconds") from None


def _join(path: Path, labels_file: Path) -> tuple[list[Segment], list[str]]:
    """The listed ids that have a label, with their line in the list; and those that have none."""
    by_id = {segment.id: segment for segment in read_segments(labels_file)}
    listed = [(line, _checked_id(path, line, text)) for line, text in read_lines(path)]
    segments = [by_id[video]._replace(line=line) for line, video in listed if video in by_id]
    if not segments:
        hint = f"none of its {len(listed)} ids has a label in {labels_file}; are they of the same subset?"
        raise AnnotationError(f"{path}: {hint}")
    return segments, [video for _, video in listed if video not in by_id]


def _build(folders, subset, path, segments, labelled, files, *, name, modality, notes=None, missing=()) -> VideoSet:
    """`folders`: of the set, then others with its media. `labelled`: the segments whose labels are the classes."""
    notes = notes or Notes()
    label_map = folders[0] / "classes.txt"
    if label_map.exists():
        classes, files = read_label_map(label_map), [*files, label_map]
    else:
        classes = tuple(sorted({segment.label for segment in labelled}))
    listing = Listing(classes)
    for segment in segments:
        listing.add(segment.id, segment.label, f"{path} line {segment.line}")
    places = [place.format(subset=subset) for place in PLACES[modality]]
    find = _finder([folder / place for folder in folders for place in places], segments, classes, modality, notes)
    looked = under(folders, places)
    return make_set(name, listing, find, modality=modality, files=files, looked=looked, notes=notes, missing=missing)


def _finder(places, segments, classes, modality, notes: Notes) -> Callable[[str], str | None]:
    wanted = {segment.id: segment for segment in segments}
    best: dict[str, tuple[int, str]] = {}
    for medium in scan_media(places, classes, modality):
        match = STEM.fullmatch(medium.stem)
        segment = wanted.get(match["id"]) if match else None
        if segment and (rank := _time_rank(segment, match)) < best.get(segment.id, (9, ""))[0]:
            best[segment.id] = rank, medium.path
    for video, (rank, path) in best.items():
        if rank == 3:
            segment = wanted[video]
            notes.add("videos whose file names other times than the list", f"{path} for {segment.start} s")
    return lambda video: best[video][1] if video in best else None


def _time_rank(segment: Segment, match: re.Match) -> int:
    """How well the times in a file's name are those of the segment: 0 both, 1 the start, 2 none named, 3 others."""
    if match["start"] is None or segment.start is None:
        return 2
    if int(match["start"]) != segment.start:
        return 3
    return 0 if match["end"] and int(match["end"]) == segment.end else 1
