"""Ground-truth caches of the ACT detector and its descendants: JHMDB-GT.pkl, UCF101v2-GT.pkl.

A pickle of Python 2 with keys `labels` (class names), `gttubes` {video: {label: [(n, 5) frame x0 y0 x1 y1]}},
frames 1-based, `nframes` {video: int}, `train_videos` and `test_videos` (a list for each split), `resolution`
{video: (height, width)}. Pixels are kept as they are in the file.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from detect.data.checks import AnnotationError, Notes, checked_tube, whole, with_annotation
from detect.data.media import media_and_flow
from detect.data.records import ActionDataset, VideoRecord
from detect.utils.files import hash_files
from detect.utils.safe_pickle import load_pickle
from detect.video.readers import MAX_SAID_FRAMES

KEYS = ("labels", "gttubes", "nframes", "resolution")
LISTS = (list, tuple, np.ndarray)


def load_act_dataset(
    path: str | Path,
    split_index: int,
    subset: str,
    *,
    media_root: str | Path,
    media: Sequence[str],
    name: str,
) -> ActionDataset:
    """The "train" or "test" videos of split `split_index` (0-based) of a `*-GT.pkl`.

    `media`: templates of the videos' places below `media_root`, see `locate_media`.
    Raises AnnotationError, naming the file and the video, when the file contradicts itself.
    """
    path = Path(path)
    notes = Notes()
    content = load_act(path, f"{subset}_videos")
    names = with_annotation(split_list(path, content, subset, split_index), content["gttubes"], notes)
    videos = records_of(path, content, names, Path(media_root), media, notes)
    return ActionDataset(name, tuple(map(str, content["labels"])), videos, hash_files(path), notes.lines())


def load_act(path: Path, *lists: str) -> dict:
    """The content of a `*-GT.pkl`, in which `KEYS` and the named lists of videos are there and of the right kind."""
    content = load_pickle(path, encoding="latin1")
    missing = [key for key in (*KEYS, *lists) if not isinstance(content, dict) or key not in content]
    if missing:
        raise AnnotationError(f"{path}: not an ACT ground-truth file, it has no {', '.join(missing)}")
    for key, kinds in (("gttubes", (dict,)), ("labels", LISTS), *((key, LISTS) for key in lists)):
        if not isinstance(content[key], kinds):
            found, legal = type(content[key]).__name__, kinds[0].__name__
            raise AnnotationError(f"{path}: {key} is a {found}, expected a {legal}; get the file from its source")
    return content


def split_list(path: Path, content: dict, subset: str, split_index: int) -> list[str]:
    """The names of a split's videos, those without an annotation too."""
    splits = content[f"{subset}_videos"]
    if not 0 <= split_index < len(splits):
        raise AnnotationError(f"{path}: no split {split_index + 1}; it has 1 to {len(splits)}")
    if not isinstance(splits[split_index], LISTS):
        raise AnnotationError(f"{path}: the split {split_index + 1} of {subset}_videos is not a list of videos")
    return list(map(str, splits[split_index]))


def records_of(
    path: Path, content: dict, names: Sequence[str], media_root: Path | None, media: Sequence[str], notes: Notes
) -> tuple[VideoRecord, ...]:
    """The named videos. AnnotationError, naming the file and the video."""
    places = media_and_flow(media_root, names, media, notes)
    try:
        return tuple(_record(video, places[video], content, notes) for video in names)
    except AnnotationError as error:
        raise AnnotationError(f"{path}: {error}") from None


def _record(video: str, place: tuple[str, str], content: dict, notes: Notes) -> VideoRecord:
    try:
        num_frames = whole(content["nframes"][video], 0)
        height, width = (whole(side, 1) for side in content["resolution"][video])
        tubes = [
            (whole(label), np.asarray(rows, np.float64).reshape(-1, 5))
            for label, tubes_of_label in content["gttubes"][video].items()
            for rows in tubes_of_label
        ]
        for _, rows in tubes:
            if not (rows[:, 0] == np.rint(rows[:, 0])).all() or (abs(rows[:, 0]) > MAX_SAID_FRAMES).any():
                raise ValueError("a frame's number is not whole")
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise AnnotationError(f"cannot read {video} ({type(error).__name__}: {error})") from error
    size, classes = (height, width), content["labels"]
    common = dict(video=video, num_frames=num_frames, size=size, classes=classes, notes=notes)
    kept = (checked_tube(label, rows[:, 0] - 1, rows[:, 1:], **common) for label, rows in tubes)
    path, flow = place
    return VideoRecord(video, path, num_frames, height, width, tuple(filter(None, kept)), flow)
