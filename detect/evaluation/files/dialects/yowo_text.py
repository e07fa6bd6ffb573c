"""What YOWO writes when it is tested: a text file for each frame, `<Class>_<video>_<00001>.txt`, in a folder (or an
archive of it), a line for each box: `class score x1 y1 x2 y2`.

Frames and classes count from 1; a frame without detections has an empty file. Boxes are rounded pixels of 320 x 240. It
learns from label files, so where those of JHMDB are shifted (`detect.data.dialects.yowo_text`), so is what it finds:
that is undone, as for the ground truth.
"""

from pathlib import Path

import numpy as np

from detect.data import jhmdb
from detect.data.checks import Notes
from detect.data.dialects.companions import class_names
from detect.data.dialects.glimpse import Glimpse
from detect.data.dialects.yowo_text import PIXELS, SHIFT, classes_of, file_lines, is_yowo_text, line_values, with_folder
from detect.data.records import ActionDataset
from detect.evaluation.files.dialects.found_rows import FoundRows
from detect.utils.errors import UserError

FORM = "class score x1 y1 x2 y2"


def is_yowo_detections(glimpse: Glimpse) -> bool:
    return is_yowo_text(glimpse)


def read_yowo_detections(
    path: Path,
    dataset: ActionDataset | None,
    notes: Notes,
    *,
    classes: str | Path | None = None,
    pixels: str | None = None,
) -> FoundRows:
    """classes: a file of names, where there is no dataset and the classes are neither JHMDB's nor UCF101-24's. pixels:
    "jhmdb" to undo that set's shift, "plain" to keep the boxes; by default what the classes say.
    """
    frames, lines, flat = file_lines(path, notes)
    if dataset is None:
        named = classes_of(path, class_names(path, classes), frames, flat)
        whole = {video: with_folder(video, named) for video in flat}
    else:
        named = dataset.classes
        whole = {video.name.replace("/", "_"): video.name for video in dataset.videos}
    pixels = pixels or ("jhmdb" if named == jhmdb.CLASSES else "plain")
    if pixels not in PIXELS:
        raise UserError(f"pixels is {pixels!r}; legal values are {', '.join(PIXELS)}")
    label, values = line_values(path, lines, named, FORM)
    number = {video: index for index, video in enumerate(frames)}
    return FoundRows(
        [whole.get(video, video) for video in frames],
        np.array([number[video] for _, video, _, _ in lines], np.int64),
        np.array([frame for _, _, frame, _ in lines], np.int64),
        np.array(label, np.int64),
        values[:, 0],
        values[:, 1:] - (SHIFT if pixels == "jhmdb" else 0),
        lambda row: lines[row][0],
    )
