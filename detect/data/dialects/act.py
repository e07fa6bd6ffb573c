"""`*-GT.pkl` of the ACT detector and its descendants on its own; the layout is told in `detect.data.act_pickle`."""

from pathlib import Path

import numpy as np

from detect.data import jhmdb, ucf24
from detect.data.act_pickle import load_act, records_of, split_list
from detect.data.checks import Notes, with_annotation
from detect.data.dialects.glimpse import Glimpse
from detect.data.dialects.writing import note_losses
from detect.data.records import ActionDataset, VideoRecord
from detect.utils.errors import UserError
from detect.utils.files import hash_files
from detect.utils.plain_pickle import dump_pickle

MEDIA = tuple(dict.fromkeys((*jhmdb.MEDIA, *ucf24.MEDIA, "trainval/{name}.mp4", "test/{name}.mp4")))


def is_act(glimpse: Glimpse) -> bool:
    return glimpse.has(b"gttubes", b"nframes", b"labels") and not glimpse.is_json


def read_act(path: Path, *, subset: str | None = None, split: int = 1) -> ActionDataset:
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
    videos = records_of(path, content, names, None, (), notes)
    return ActionDataset(path.stem, tuple(map(str, content["labels"])), videos, hash_files(path), notes.lines())


def write_act(dataset: ActionDataset, path: Path) -> tuple[str, ...]:
    """One split, whose `train_videos` and `test_videos` both name all videos: a dataset is one subset, and those who
    read the file ask for one of the two. For Python 2 and 3. Returns notes of what the form cannot hold.
    """
    notes = Notes()
    note_losses(dataset, notes, "fps", "labelled")
    names = [video.name for video in dataset.videos]
    content = {
        "labels": list(dataset.classes),
        "gttubes": {video.name: _tubes(video) for video in dataset.videos},
        "nframes": {video.name: video.num_frames for video in dataset.videos},
        "resolution": {video.name: (video.height, video.width) for video in dataset.videos},
        "train_videos": [names],
        "test_videos": [names],
    }
    dump_pickle(path, content, 2)
    return notes.lines()


def _tubes(video: VideoRecord) -> dict[int, list[np.ndarray]]:
    """By label the (n, 5) float32 frame, from 1, x0 y0 x1 y1 of its tubes."""
    tubes: dict[int, list[np.ndarray]] = {}
    for tube in video.tubes:
        rows = np.concatenate([tube.frames[:, None] + 1, tube.boxes], axis=1).astype(np.float32)
        tubes.setdefault(tube.label, []).append(rows)
    return tubes
