"""`*-GT.pkl` of the ACT detector and its descendants on its own; the layout is told in `detect.data.act_pickle`."""

from pathlib import Path

from detect.data import jhmdb, ucf24
from detect.data.act_pickle import load_act, records_of, split_list
from detect.data.checks import Notes, with_annotation
from detect.data.dialects.glimpse import Glimpse
from detect.data.records import ActionDataset
from detect.utils.errors import UserError
from detect.utils.files import hash_files

MEDIA = tuple(dict.fromkeys((*jhmdb.MEDIA, *ucf24.MEDIA, "trainval/{name}.mp4", "test/{name}.mp4")))


def is_act(glimpse: Glimpse) -> bool:
    return glimpse.has(b"gttubes", b"nframes", b"labels") and not glimpse.is_json


def read_act(
    path: Path, *, subset: str | None = None, split: int = 1, media_root: str | Path | None = None
) -> ActionDataset:
    """All videos of the file, or the "train" or "test" ones of a split, counted from 1. The lists of the other subset
    need not be there.

    Raises AnnotationError for a file that contradicts itself, UnsafePickleError for one that is not such a pickle.
    """
    if subset not in (None, "train", "test"):
        raise UserError(f"subset is {subset!r}; legal values are 'train' and 'test'")
    path, notes = Path(path), Notes()
    content = load_act(path, *([f"{subset}_videos"] if subset else []))
    listed = split_list(path, content, subset, split - 1) if subset else list(map(str, content["gttubes"]))
    names = with_annotation(listed, content["gttubes"], notes)
    root = None if media_root is None else Path(media_root)
    videos = records_of(path, content, names, root, MEDIA, notes)
    return ActionDataset(path.stem, tuple(map(str, content["labels"])), videos, hash_files(path), notes.lines())
