"""`pyannot.pkl` on its own, without lists and media; the layout is told in `detect.data.ucf24`."""

from pathlib import Path

from detect.data import ucf24
from detect.data.checks import Notes, with_annotation
from detect.data.dialects.companions import class_names
from detect.data.dialects.glimpse import Glimpse
from detect.data.records import ActionDataset
from detect.utils.files import hash_files


def is_pyannot(glimpse: Glimpse) -> bool:
    return glimpse.has(b"annotations", b"numf", b"sf", b"boxes") and not glimpse.is_json


def read_pyannot(
    path: Path,
    *,
    videos: str | Path | None = None,
    classes: str | Path | None = None,
    media_root: str | Path | None = None,
) -> ActionDataset:
    """All videos of the file, or those that the list `videos` names. `classes`: a file of names, else classes.txt
    beside it, else the 24 of UCF101-24.

    Raises AnnotationError for a file that contradicts itself, UnsafePickleError for one that is not such a pickle.
    """
    path, notes = Path(path), Notes()
    entries = ucf24.load_entries(path)
    names = list(entries) if videos is None else with_annotation(ucf24.listed(Path(videos), notes), entries, notes)
    names_of_classes = class_names(path, classes, ucf24.CLASSES)
    root = None if media_root is None else Path(media_root)
    records = ucf24.records_of(path, entries, names, names_of_classes, root, notes)
    read = [path] if videos is None else [path, videos]
    return ActionDataset(path.stem, names_of_classes, records, hash_files(*read), notes.lines())
