"""`jhmdb_annot.mat` of Gkioxari & Malik ("Finding action tubes", CVPR 2015): the boxes of JHMDB, one a frame.

`annot` has the fields `action`, `video_id` (n, 1), `frame` (n, 1), from 1, and `bound` (n, 4). A bound is x y w h with
x = x0 + 1, y = y0 + 1, w = x1 - x0 + 1, h = y1 - y0 + 1 of JHMDB-GT.pkl, whose x1 y1 are the last pixel itself; that is
undone here. The last frames of three clips have no mask and no row.
"""

from pathlib import Path

import numpy as np

from detect.data import jhmdb
from detect.data.checks import AnnotationError, Notes
from detect.data.dialects.glimpse import Glimpse
from detect.data.dialects.rows import BoxRows, records_of_rows
from detect.data.dialects.video_facts import known_facts
from detect.data.records import ActionDataset
from detect.utils.files import hash_files
from detect.utils.safe_mat import has_words, load_mat
from detect.video.readers import MAX_SAID_FRAMES

FIELDS = ("action", "video_id", "frame", "bound")


def is_gkioxari(glimpse: Glimpse) -> bool:
    return has_words(glimpse.head, b"video_id", b"bound")


def read_gkioxari(path: Path, *, sizes: str | Path | None = None) -> ActionDataset:
    """All videos of the file. `sizes`: a file with the videos' lengths, see `video_facts`; without it a video ends at
    its last box.

    Raises AnnotationError for a file that contradicts itself, MatError for one that is not such a file.
    """
    path, notes = Path(path), Notes()
    videos, frames, bounds = _columns(path)
    names, video = np.unique(videos, return_inverse=True)
    names = names.tolist()
    label = np.array([jhmdb.CLASSES.index(name.split("/")[0]) for name in names], np.int64)[video]
    boxes = bounds - [1, 1, 0, 0]
    boxes[:, 2:] += boxes[:, :2] - 1
    rows = BoxRows(names, video, frames - 1, label, boxes, np.zeros(len(video), np.int64))
    records = records_of_rows(rows, jhmdb.CLASSES, known_facts(path, sizes, jhmdb.SIZE), notes)
    return ActionDataset(path.stem, jhmdb.CLASSES, records, hash_files(path), notes.lines())


def _columns(path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """ "class/video" of each row, the frames (n,) int64 from 1, and the bounds (n, 4) float64."""
    annot = load_mat(path, "annot")
    if annot.size != 1 or any(name not in (annot.dtype.names or ()) for name in FIELDS):
        raise AnnotationError(f"{path}: annot is not one struct with the fields {', '.join(FIELDS)}")
    entry = annot.ravel()[0]
    try:
        frames = np.asarray(entry["frame"], np.float64).ravel()
        bounds = np.asarray(entry["bound"], np.float64).reshape(-1, 4)
        actions, videos = (
            [str(np.ravel(value)[0]) for value in np.ravel(entry[name])] for name in ("action", "video_id")
        )
        if not len(frames) == len(bounds) == len(actions) == len(videos):
            raise ValueError(f"{len(actions)} actions, {len(frames)} frames, {len(bounds)} bounds")
    except (IndexError, TypeError, ValueError) as error:
        raise AnnotationError(f"{path}: cannot read annot ({type(error).__name__}: {error})") from error
    for row, (action, video, frame) in enumerate(zip(actions, videos, frames, strict=True), 1):
        if action not in jhmdb.CLASSES:
            raise AnnotationError(f"{path} row {row}: the action {action!r} is none of JHMDB's {len(jhmdb.CLASSES)}")
        if not (1 <= frame <= MAX_SAID_FRAMES and frame == np.rint(frame)):
            raise AnnotationError(f"{path} row {row}: {video}: frame {frame}; frames count from 1 in this file")
    return [f"{action}/{video}" for action, video in zip(actions, videos, strict=True)], frames.astype(np.int64), bounds
