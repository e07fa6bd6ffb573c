"""Detections from any known form of file: `DETECTION_FORMATS` is the table, a row for each form.

A reader gives rows with frames and labels from 0 and boxes x1 y1 x2 y2 in pixels, whatever its form counts from. Tables
of this program's own are read by `detect.evaluation.files.formats`.
"""

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detect.data.checks import AnnotationError, Notes
from detect.data.dialects.glimpse import Glimpse
from detect.data.records import ActionDataset
from detect.evaluation.files.dialects.act_pickle import is_act_array, is_act_tubelets, read_act_array, read_act_tubelets
from detect.evaluation.files.dialects.ava_csv import is_ava_detections, read_ava_detections
from detect.evaluation.files.dialects.coco_results import is_coco_results, read_coco_results
from detect.evaluation.files.dialects.found_rows import FoundRows, as_table
from detect.evaluation.files.dialects.multisports import is_multisports, read_multisports
from detect.evaluation.files.dialects.yowo_text import is_yowo_detections, read_yowo_detections
from detect.evaluation.tables import Detections, TableError
from detect.utils.errors import UserError


@dataclass(frozen=True)
class DetectionFormat:
    """A form of file. `read(path, dataset or None, notes, **options)`: its keyword parameters are the options that the
    form knows. `recognise(glimpse)` says whether a file looks like it; the first row that says so is taken.
    """

    read: Callable[..., FoundRows]
    recognise: Callable[[Glimpse], bool]
    what: str


DETECTION_FORMATS: dict[str, DetectionFormat] = {
    "yowo": DetectionFormat(read_yowo_detections, is_yowo_detections, "folder of YOWO's text files, one a frame"),
    "multisports": DetectionFormat(
        read_multisports, is_multisports, "MMAction2's predictions for MultiSports, a pickle"
    ),
    "act": DetectionFormat(read_act_array, is_act_array, "frame_detections.pkl of ACT, MOC, MultiSports"),
    "act_tubelets": DetectionFormat(read_act_tubelets, is_act_tubelets, "folder of ACT's or MOC's <video>/00001.pkl"),
    "ava": DetectionFormat(read_ava_detections, is_ava_detections, "CSV of results of AVA, MMAction2"),
    "coco": DetectionFormat(read_coco_results, is_coco_results, "JSON of COCO results"),
}


def read_detection_file(
    path: str | Path, dataset: ActionDataset | None = None, format: str | None = None, **options: Any
) -> tuple[Detections, list[str], tuple[str, ...]]:
    """The table, its video names, sorted, which `video` indexes, and notes of what was peculiar.

    With a dataset the names are those of its videos, labels are positions in its classes, and every video, frame and
    class is checked against it; without, labels and sizes are as far known as the form says them. `format`: a row of
    `DETECTION_FORMATS`, by default the one that the content shows. `options` go to the reader; those that are None are
    left out. A file without detections is legal.

    UserError for an unknown format or option; TableError, AnnotationError or UnsafePickleError, naming file, row and
    value, for what cannot be used.
    """
    path = Path(path)
    chosen, legal = known_options(path, format)
    read = DETECTION_FORMATS[chosen].read
    given = {name: value for name, value in options.items() if value is not None}
    if unknown := [name for name in given if name not in legal]:
        raise UserError(
            f"{path}: the format {chosen} has no option {unknown[0]!r}; it has {', '.join(legal) or 'none'}"
        )
    notes = Notes()
    try:
        rows = read(path, dataset, notes, **given)
    except AnnotationError as error:  # what readers share with those of ground truth need not name the file
        named = any(str(file) in str(error) for file in (path, *given.values()))
        raise error if named else AnnotationError(f"{path}: {error}") from None
    table, names = as_table(path, rows, dataset, notes)
    return table, names, notes.lines()


def known_options(path: str | Path, format: str | None = None) -> tuple[str, list[str]]:
    """The format of a file, the one that is named or that its content shows, and the options that it knows."""
    if not os.path.exists(path):
        raise TableError(f"{path}: there is no such file or folder")
    chosen = format or recognise_detections(path)
    if chosen not in DETECTION_FORMATS:
        raise UserError(f"the format is {chosen!r}; legal values are {', '.join(DETECTION_FORMATS)}")
    return chosen, list(inspect.signature(DETECTION_FORMATS[chosen].read).parameters)[3:]


def recognise_detections(path: str | Path) -> str:
    """The name of the format that the content of a file or folder shows. TableError where it shows none."""
    glimpse = Glimpse(Path(path))
    for name, row in DETECTION_FORMATS.items():
        if row.recognise(glimpse):
            return name
    if not glimpse.is_folder and not glimpse.head.strip():
        raise TableError(f"{path}: the file is empty; name its format, {', '.join(DETECTION_FORMATS)}, if it may be")
    raise TableError(
        f"{path}: the format of the detections cannot be told from the content. Name it; legal values are "
        f"{', '.join(DETECTION_FORMATS)}"
    )
