"""`jhmdb_annot.mat` of Gkioxari & Malik ("Finding action tubes", CVPR 2015): the boxes of JHMDB, one a frame.

`annot` has the fields `action`, `video_id` (n, 1), `frame` (n, 1), from 1, and `bound` (n, 4). A bound is x y w h with
x = x0 + 1, y = y0 + 1, w = x1 - x0 + 1, h = y1 - y0 + 1 of JHMDB-GT.pkl, whose x1 y1 are the last pixel itself; that is
undone here. The last frames of three clips have no mask and no row.
"""

from pathlib import Path

import numpy as np

from detect.data import jhmdb, ucf24
from detect.data.checks import AnnotationError, Notes, with_annotation
from detect.data.dialects.glimpse import Glimpse
from detect.data.dialects.rows import BoxRows, records_of_rows
from detect.data.dialects.video_facts import known_facts
from detect.data.media import media_and_flow
from detect.data.records import ActionDataset
from detect.utils.files import hash_files
from detect.utils.safe_mat import has_words, load_mat

FIELDS = ("action", "video_id", "frame", "bound")
SIZE = (240, 320)  # of every JHMDB video


def is_gkioxari(glimpse: Glimpse) -> bool:
    return has_words(glimpse.head, b"video_id", b"bound")


def read_gkioxari(
    path: Path,
    *,
    videos: str | Path | None = None,
    sizes: str | Path | None = None,
    media_root: str | Path | None = None,
) -> ActionDataset:
    """All videos of the file, or those that the list `videos` names. `sizes`: a file with the videos' lengths, see
    `video_facts`; without it a video ends at its last box.

    Raises AnnotationError for a file that contradicts itself, MatError for one that is not such a file.
    """
    path, notes = Path(path), Notes()
    names, frames, bounds = _columns(path)
    kept = sorted(set(names))
    if videos is not None:
        kept = with_annotation(ucf24.listed(Path(videos), notes), set(names), notes)
    numbers = {name: index for index, name in enumerate(kept)}
    rows = np.array([row for row, name in enumerate(names) if name in numbers], np.int64)
    video = np.array([numbers[names[row]] for row in rows], np.int64)
    classes = {name: jhmdb.CLASSES.index(name.split("/")[0]) for name in kept}
    label = np.array([classes[names[row]] for row in rows], np.int64)
    boxes = bounds[rows] - [1, 1, 0, 0]
    boxes[:, 2:] += boxes[:, :2] - 1
    places = media_and_flow(None if media_root is None else Path(media_root), kept, jhmdb.MEDIA, notes)
    table = BoxRows(kept, video, frames[rows] - 1, label, boxes, np.zeros(len(rows), np.int64))
    try:
        records = records_of_rows(table, jhmdb.CLASSES, known_facts(path, sizes, SIZE), places, notes)
    except AnnotationError as error:
        raise AnnotationError(f"{path}: {error}") from None
    read = [path] if videos is None else [path, videos]
    return ActionDataset(path.stem, jhmdb.CLASSES, records, hash_files(*read), notes.lines())


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
        if not (frame >= 1 and frame == np.rint(frame)):
            raise AnnotationError(f"{path} row {row}: {video}: frame {frame}; frames count from 1 in this file")
    return [f"{action}/{video}" for action, video in zip(actions, videos, strict=True)], frames.astype(np.int64), bounds
