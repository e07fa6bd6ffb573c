"""`pyannot.pkl` on its own, without lists and media; the layout is told in `detect.data.ucf24`."""

from pathlib import Path
from typing import Any

import numpy as np

from detect.data import ucf24
from detect.data.checks import Notes
from detect.data.dialects.companions import check_class_names, class_names, write_class_names
from detect.data.dialects.glimpse import Glimpse
from detect.data.dialects.writing import corner_and_size, note_losses, without_gaps
from detect.data.records import ActionDataset, Tube, VideoRecord
from detect.utils.files import hash_files
from detect.utils.plain_pickle import dump_pickle


def is_pyannot(glimpse: Glimpse) -> bool:
    return glimpse.has(b"annotations", b"numf") and not glimpse.is_json


def read_pyannot(
    path: Path,
    *,
    classes: str | Path | None = None,
) -> ActionDataset:
    """All videos of the file. `classes`: a file of names, else classes.txt beside it, else the 24 of UCF101-24.

    Raises AnnotationError for a file that contradicts itself, UnsafePickleError for one that is not such a pickle.
    """
    path, notes = Path(path), Notes()
    entries = ucf24.load_entries(path)
    names_of_classes = class_names(path, classes, ucf24.CLASSES)
    records = ucf24.records_of(path, entries, list(entries), names_of_classes, None, notes)
    return ActionDataset(path.stem, names_of_classes, records, hash_files(path), notes.lines())


def write_pyannot(dataset: ActionDataset, path: Path) -> tuple[str, ...]:
    """Boxes are int32, in which x + w does not overflow, or float64 where they are not whole. Classes other than the 24
    of UCF101-24 go into classes.txt beside the file; a size other than 240 x 320 into the video's "size", which other
    readers pass over. Returns notes of what the form cannot hold.
    """
    notes = Notes()
    check_class_names(path, dataset.classes)
    note_losses(dataset, notes, "fps", "labelled")
    dump_pickle(path, {video.name: _entry(video, without_gaps(video, notes)) for video in dataset.videos}, 3)
    write_class_names(path, dataset.classes, ucf24.CLASSES)
    return notes.lines()


def _entry(video: VideoRecord, tubes: list[Tube]) -> dict[str, Any]:
    annotations = [
        {"label": tube.label, "sf": int(tube.frames[0]), "ef": int(tube.frames[-1]) + 1, "boxes": _boxes(tube)}
        for tube in tubes
    ]
    size = (video.height, video.width)
    sized = {} if size == ucf24.SIZE else {"size": size}
    label = tubes[0].label if tubes else 0
    return {"annotations": annotations, "numf": video.num_frames, "label": label, **sized}


def _boxes(tube: Tube) -> np.ndarray:
    boxes = corner_and_size(tube.boxes)
    return boxes.astype(np.int32) if (boxes == np.rint(boxes)).all() else boxes
