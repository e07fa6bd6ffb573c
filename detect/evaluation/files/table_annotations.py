"""Tables of boxes as ground-truth files, and `EVERY_FORMAT`: all forms of ground truth, with a row for them.

A table says neither the size of the videos nor what belongs together: sizes and lengths are in a `videos.csv` beside it
(`detect.data.dialects.video_facts`), boxes are joined to tubes.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from detect.data.annotation_files import FORMATS, Format
from detect.data.checks import AnnotationError, Notes
from detect.data.dialects.companions import check_class_names, class_names, write_class_names
from detect.data.dialects.glimpse import Glimpse
from detect.data.dialects.rows import NO_TRACK, BoxRows, records_of_rows
from detect.data.dialects.video_facts import check_video_facts, known_facts, write_video_facts
from detect.data.records import ActionDataset
from detect.evaluation.files.csv_tables import is_csv_table
from detect.evaluation.files.formats import SUFFIXES, read_columns, write_table
from detect.evaluation.files.typed_tables import typed_kind
from detect.evaluation.tables import GroundTruth
from detect.utils.files import hash_files


def is_table(glimpse: Glimpse) -> bool:
    """Whether a file is meant as a table of boxes: parquet, an .npz, or a CSV whose header has columns of a box."""
    kind = typed_kind(glimpse.start[:4])
    if kind == ".npz":  # or another zip archive
        return all(name.endswith(".npy") for name in glimpse.names)
    return kind is not None or is_csv_table(glimpse.path, glimpse.start.split(b"\n")[0])


def read_box_table(
    path: Path,
    *,
    classes: str | Path | None = None,
    sizes: str | Path | None = None,
    join_iou: float | None = None,
    first: int = 0,
) -> ActionDataset:
    """All videos of the table; a column `score` is passed over. `classes`: a file of names, else what the table says,
    else classes.txt beside it, else the labels. `sizes`: as "320x240" or a file, else videos.csv beside it. `first`:
    the number of a video's first frame, 0 or 1.

    Raises TableError for a damaged table, AnnotationError where it contradicts itself.
    """
    path, notes = Path(path), Notes()
    table = read_columns(path, GroundTruth)
    columns = table.columns
    named = tuple(table.classes or ()) if classes is None else ()
    named = named or class_names(path, classes) or _numbers(columns["label"])
    if len(columns["label"]) and columns["label"].max() >= len(named):
        row = int(np.argmax(columns["label"] >= len(named)))
        raise AnnotationError(
            f"{path}: row {row}: label {columns['label'][row]}; there are {len(named)} classes, 0 to {len(named) - 1}"
        )
    track = np.full(len(columns["label"]), NO_TRACK)
    frame = columns["frame"] - first
    rows = BoxRows(table.videos, columns["video"], frame, columns["label"], columns["boxes"], track)
    facts = known_facts(path, sizes)
    records = records_of_rows(rows, named, facts, notes, join_iou=join_iou)
    return ActionDataset(path.stem, named, records, hash_files(path), notes.lines())


def _numbers(labels: np.ndarray) -> tuple[str, ...]:
    return tuple(map(str, range(int(labels.max()) + 1 if len(labels) else 1)))


def write_box_table(dataset: ActionDataset, path: Path) -> tuple[str, ...]:
    """As the name ends, .parquet, .npz, .csv or .csv.gz, with videos.csv beside it and, for a CSV, classes.txt. Returns
    notes of what the form cannot hold.
    """
    notes = Notes()
    check_video_facts(path)
    if ".csv" in path.name:
        check_class_names(path, dataset.classes)
    for video in dataset.videos:
        if not video.tubes:
            notes.add("videos without boxes, not in the table", video.name)
        if video.labelled is not None and len(np.setdiff1d(video.labelled, video.annotated_frames())):
            notes.add("videos with frames that were looked at and have no box, not in the table", video.name)
    kept = replace(dataset, videos=tuple(video for video in dataset.videos if video.tubes))
    names = [video.name for video in kept.videos]
    write_table(path, GroundTruth(**kept.ground_truth_table()), names, list(dataset.classes))
    if ".csv" in path.name:
        write_class_names(path, dataset.classes)
    write_video_facts(path, kept)
    return notes.lines()


EVERY_FORMAT = {
    **FORMATS,
    "table": Format(read_box_table, write_box_table, "table of boxes: parquet, npz, CSV", is_table, SUFFIXES),
}
