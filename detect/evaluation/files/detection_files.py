"""Detections from any known form of file: `DETECTION_FORMATS` is the table, a row for each form.

A reader gives rows with frames and labels from 0 and boxes x1 y1 x2 y2 in pixels, whatever its form counts from. Tables
of this program's own are read by `detect.evaluation.files.formats`.
"""

from pathlib import Path
from typing import Any

from detect.data.checks import AnnotationError, Notes
from detect.data.file_formats import Format, fitted, format_of, options_of
from detect.data.records import ActionDataset
from detect.evaluation.files.dialects.act_pickle import is_act_array, is_act_tubelets, read_act_array, read_act_tubelets
from detect.evaluation.files.dialects.ava_csv import is_ava_detections, read_ava_detections
from detect.evaluation.files.dialects.coco_results import is_coco_results, read_coco_results
from detect.evaluation.files.dialects.found_rows import as_table
from detect.evaluation.files.dialects.multisports import is_multisports, read_multisports
from detect.evaluation.files.dialects.yowo_text import is_yowo_detections, read_yowo_detections
from detect.evaluation.tables import Detections

# A row's reader is `read(path, dataset or None, notes, **options) -> FoundRows`.
DETECTION_FORMATS: dict[str, Format] = {
    "yowo": Format(read_yowo_detections, None, "folder of YOWO's text files, one a frame", is_yowo_detections),
    "multisports": Format(read_multisports, None, "MMAction2's predictions for MultiSports, a pickle", is_multisports),
    "act": Format(read_act_array, None, "frame_detections.pkl of ACT, MOC, MultiSports", is_act_array),
    "act_tubelets": Format(read_act_tubelets, None, "folder of ACT's or MOC's <video>/00001.pkl", is_act_tubelets),
    "ava": Format(read_ava_detections, None, "CSV of results of AVA, MMAction2", is_ava_detections),
    "coco": Format(read_coco_results, None, "JSON of COCO results", is_coco_results),
}


def read_detection_file(
    path: str | Path, dataset: ActionDataset | None = None, format: str | None = None, **options: Any
) -> tuple[Detections, list[str], tuple[str, ...]]:
    """The table, its video names, sorted, which `video` indexes, and notes of what was peculiar.

    With a dataset the names are those of its videos, labels are positions in its classes, and every video, frame and
    class is checked against it; without, labels and sizes are as far known as the form says them. `format`: a row of
    `DETECTION_FORMATS`, by default the one that the content shows. `options` go to the reader; those that are None are
    left out, and text becomes a number where the reader wants one. A file without detections is legal.

    UserError for an unknown format or option and a value of a wrong type; TableError, AnnotationError or
    UnsafePickleError, naming file, row and value, for what cannot be used.
    """
    path = Path(path)
    chosen, legal = known_options(path, format)
    read = DETECTION_FORMATS[chosen].read
    given = fitted(f"{path}: the format {chosen}", options, legal)
    notes = Notes()
    try:
        rows = read(path, dataset, notes, **given)
    except AnnotationError as error:  # what readers share with those of ground truth need not name the file
        named = any(str(file) in str(error) for file in (path, *given.values()))
        raise error if named else AnnotationError(f"{path}: {error}") from None
    table, names = as_table(path, rows, dataset, notes)
    return table, names, notes.lines()


def known_options(path: str | Path, format: str | None = None) -> tuple[str, dict[str, Any]]:
    """The format of a file, the one that is named or that its content shows, and the {name: type} of its options."""
    chosen = format_of(path, format, DETECTION_FORMATS)
    return chosen, options_of(DETECTION_FORMATS[chosen].read)


def recognise_detections(path: str | Path) -> str:
    """The name of the format that the content of a file or folder shows. AnnotationError where it shows none."""
    return format_of(path, None, DETECTION_FORMATS)
