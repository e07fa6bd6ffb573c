"""JHMDB (Jhuang et al., ICCV 2013) from its official folders, or from the ACT detector's JHMDB-GT.pkl.

    <root>/JHMDB-GT.pkl                                      preferred when it is there
    <root>/splits/<class>_test_split{1,2,3}.txt              lines "<video>.avi 1" (train) or 2 (test)
    <root>/puppet_mask/<class>/<video>/puppet_mask.mat       part_mask (240, 320, n) of 0 and 1
    <root>/Rename_Images/<class>/<video>/00001.png ...     or     <root>/ReCompress_Videos/<class>/<video>.avi
    <root>/flow/<class>/<video>/flow_x_00001.jpg ...         where flow is wanted; see media.FLOW_FOLDERS

The box of a mask is its first and last column and row, as in JHMDB-GT.pkl: x1 and y1 are the last pixel
itself, not one past it. In three clips the masks end before the video; there, as in JHMDB-GT.pkl, the last
box is repeated to the end.
"""

from pathlib import Path

import numpy as np

from detect.data.act_pickle import load_act_dataset
from detect.data.checks import AnnotationError, Notes, checked_tube
from detect.data.media import media_and_flow, require
from detect.data.records import ActionDataset, VideoRecord
from detect.utils.errors import UserError
from detect.utils.files import hash_files, read_text
from detect.utils.safe_mat import MatError, load_mat
from detect.video.readers import count_frames

CLASSES = (
    "brush_hair", "catch", "clap", "climb_stairs", "golf", "jump", "kick_ball", "pick", "pour", "pullup",
    "push", "run", "shoot_ball", "shoot_bow", "shoot_gun", "sit", "stand", "swing_baseball", "throw",
    "walk", "wave",
)  # fmt: skip
MEDIA = ("Rename_Images/{name}", "Frames/{name}", "ReCompress_Videos/{name}.avi")
HOW_TO_GET = (
    "Set the environment variable DETECT_DATASETS to the folder that holds jhmdb/. Official page: "
    "http://jhmdb.is.tue.mpg.de (Rename_Images or ReCompress_Videos, puppet_mask, splits)"
)
SUBSET_CODES = {"1": "train", "2": "test"}


def load_jhmdb(
    root: str | Path, split: int, subset: str, *, source: str = "auto", name: str | None = None
) -> ActionDataset:
    """The "train" or "test" videos of split 1, 2 or 3.

    `source`: "pickle" reads JHMDB-GT.pkl, "masks" the official folders, "auto" the pickle if it is there.
    Raises MissingDataError for a missing file, AnnotationError for one that contradicts itself.
    """
    check_split(split, subset, source)
    root, name = Path(root), name or f"jhmdb_split{split}_{subset}"
    require([root], f"{name}: the folder of the dataset", HOW_TO_GET)
    pickle_path = root / "JHMDB-GT.pkl"
    if source == "pickle":
        require([pickle_path], f"{name}: the annotation", HOW_TO_GET)
    if source != "masks" and pickle_path.exists():
        return load_act_dataset(pickle_path, split - 1, subset, media_root=root, media=MEDIA, name=name)
    return load_masks(root, split, subset, root, name)


def check_split(split: int, subset: str | None, source: str = "auto") -> None:
    """UserError for a value that does not exist; `subset` None is both."""
    for key, value, legal in (
        ("split", split, (1, 2, 3)),
        ("subset", subset or "test", ("train", "test")),
        ("source", source, ("auto", "pickle", "masks")),
    ):
        if value not in legal:
            raise UserError(f"{key} is {value!r}; legal values are {', '.join(map(str, legal))}")


def load_masks(root: Path, split: int, subset: str | None, media_root: Path | None, name: str) -> ActionDataset:
    """A split from the official folders, or all its videos where `subset` is None; see `media_and_flow`."""
    split_files = [
        require([root / "splits" / f"{label}_test_split{split}.txt"], f"{name}: a split file", HOW_TO_GET)
        for label in CLASSES
    ]
    names = [
        f"{class_name}/{video}"
        for class_name, path in zip(CLASSES, split_files, strict=True)
        for video in _videos_in(path, subset)
    ]
    notes = Notes()
    masks = {video: root / "puppet_mask" / video / "puppet_mask.mat" for video in names}
    for video, path in masks.items():
        require([path], f"{name}: the annotation of {video}", HOW_TO_GET)
    places = media_and_flow(media_root, names, MEDIA, notes)
    videos = tuple(_record(video, *places[video], masks[video], notes) for video in names)
    return ActionDataset(name, CLASSES, videos, hash_files(*split_files, *masks.values()), notes.lines())


def _videos_in(path: Path, subset: str | None) -> list[str]:
    videos = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        video, code = line.rsplit(maxsplit=1) if len(line.split()) > 1 else (line, "")
        if code not in SUBSET_CODES:
            legal = "'<video>.avi 1' (train) or '<video>.avi 2' (test)"
            raise AnnotationError(f"{path} line {number}: expected {legal}, found {line!r}")
        if subset in (None, SUBSET_CODES[code]):
            videos.append(video.strip().removesuffix(".avi"))
    return videos


def mask_boxes(path: str | Path) -> tuple[np.ndarray, tuple[int, int]]:
    """Boxes (n, 4) float64 of a puppet_mask.mat, NaN where the mask is empty; and the frame's (height,
    width).
    """
    try:
        mask = np.atleast_3d(load_mat(path, "part_mask"))  # (H, W, n)
    except (MatError, OSError) as error:
        raise AnnotationError(f"{path}: no readable part_mask ({error})") from error
    if mask.ndim != 3 or 0 in mask.shape[:2] or mask.dtype.kind not in "buif":
        raise AnnotationError(
            f"{path}: part_mask is {mask.dtype} of shape {mask.shape}; expected numbers (height, width, frames)"
        )
    rows, columns = mask.any(axis=1), mask.any(axis=0)  # (H, n), (W, n)
    height, width, _ = mask.shape
    last_column, last_row = width - 1 - columns[::-1].argmax(0), height - 1 - rows[::-1].argmax(0)
    boxes = np.stack([columns.argmax(0), rows.argmax(0), last_column, last_row], axis=1).astype(np.float64)
    boxes[~rows.any(0)] = np.nan
    return boxes, (height, width)


def _record(video: str, path: str, flow: str, mask_path: Path, notes: Notes) -> VideoRecord:
    boxes, size = mask_boxes(mask_path)
    if Path(path).exists():
        num_frames = count_frames(path)
    else:
        num_frames = len(boxes)
        notes.add("videos whose length is taken from the masks, for want of the video", video)
    if 0 < len(boxes) < num_frames:
        lengths = f"{video} ({len(boxes)} masks, {num_frames} frames)"
        notes.add("videos whose masks end early, last box repeated", lengths)
        boxes = np.concatenate([boxes, np.repeat(boxes[-1:], num_frames - len(boxes), axis=0)])
    label = CLASSES.index(video.split("/")[0])
    common = dict(video=video, num_frames=num_frames, size=size, classes=CLASSES, notes=notes)
    tube = checked_tube(label, np.arange(len(boxes)), boxes, **common)
    return VideoRecord(video, path, num_frames, *size, (tube,) if tube else (), flow)
