"""UCF101-24: the corrected annotation of Singh et al. (ICCV 2017), `pyannot.pkl`, and any set in the same
layout.

    <root>/splitfiles/{pyannot.pkl, trainlist01.txt, testlist01.txt[, classes.txt]}   or these in <root>
    <root>/rgb-images/<Class>/<video>/00001.jpg ...   or   <root>/videos/<Class>/<video>.avi, and see MEDIA
    <root>/flow/<Class>/<video>/flow_x_00001.jpg ...       where flow is wanted; see media.FLOW_FOLDERS

`pyannot.pkl` is {"Class/video": {"numf", "label", "annotations": [{"label", "sf", "ef", "boxes"}]}}: frames
sf .. ef-1, 0-based; boxes x y w h. They are read as x0 = x, y0 = y, x1 = x + w, y1 = y + h, as all published
readers do. Numbers are numpy scalars and boxes often uint8, in which x + w overflows, so all are widened
first. A video may give its own "size" (height, width).
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from detect.data.act_pickle import load_act_dataset
from detect.data.checks import AnnotationError, Notes, checked_tube, whole, with_annotation
from detect.data.dialects.companions import read_class_names
from detect.data.media import media_and_flow, require
from detect.data.records import ActionDataset, VideoRecord
from detect.utils.errors import UserError
from detect.utils.files import hash_files, read_text
from detect.utils.safe_pickle import load_pickle

CLASSES = (
    "Basketball", "BasketballDunk", "Biking", "CliffDiving", "CricketBowling", "Diving", "Fencing",
    "FloorGymnastics", "GolfSwing", "HorseRiding", "IceDancing", "LongJump", "PoleVault", "RopeClimbing",
    "SalsaSpin", "SkateBoarding", "Skiing", "Skijet", "SoccerJuggling", "Surfing", "TennisSwing",
    "TrampolineJumping", "VolleyballSpiking", "WalkingWithDog",
)  # fmt: skip
SIZE = (240, 320)  # of every UCF-101 video
MEDIA = (
    "rgb-images/{name}", "videos/{name}.avi", "videos/{name}.mp4", "UCF-101/{name}.avi", "UCF-101/{name}.mp4",
    "{name}.avi", "{name}.mp4", "{name}",
)  # fmt: skip
HOW_TO_GET = (
    "Set the environment variable DETECT_DATASETS to the folder that holds ucf24/. Annotation and test list: "
    "https://github.com/gurkirt/corrected-UCF101-Annots; frames with split files: "
    "https://github.com/gurkirt/realtime-action-detection; videos: https://www.crcv.ucf.edu/data/UCF101.php"
)


def load_ucf24(
    root: str | Path, subset: str, *, media_root: str | Path | None = None, name: str | None = None
) -> ActionDataset:
    """The "train" or "test" videos below `root`; frames or videos are looked for below `media_root`, default
    `root`.

    UCF101v2-GT.pkl (the ACT detector's file) is read instead when pyannot.pkl is not there.
    Raises MissingDataError for a missing file, AnnotationError for one that contradicts itself.
    """
    if subset not in ("train", "test"):
        raise UserError(f"subset is {subset!r}; legal values are 'train' and 'test'")
    root, name = Path(root), name or f"ucf24_{subset}"
    media_root = Path(media_root or root)
    require([root], f"{name}: the folder of the dataset", HOW_TO_GET)
    folders = (root / "splitfiles", root)
    act_file = root / "UCF101v2-GT.pkl"
    pickles = [folder / "pyannot.pkl" for folder in folders]
    if act_file.exists() and not any(path.exists() for path in pickles):
        return load_act_dataset(act_file, 0, subset, media_root=media_root, media=MEDIA, name=name)

    pickle_path = require([*pickles, act_file], f"{name}: the annotation", HOW_TO_GET)
    lists = [folder / f"{subset}list01.txt" for folder in folders]
    list_path = require(lists, f"{name}: the video list", HOW_TO_GET)
    classes = _class_names(folders)
    notes = Notes()
    entries = load_entries(pickle_path)
    names = with_annotation(listed(list_path, notes), entries, notes)
    videos = records_of(pickle_path, entries, names, classes, media_root, notes)
    return ActionDataset(name, classes, videos, hash_files(pickle_path, list_path), notes.lines())


def _class_names(folders) -> tuple[str, ...]:
    path = next((folder / "classes.txt" for folder in folders if (folder / "classes.txt").exists()), None)
    return read_class_names(path) if path else CLASSES


def load_entries(path: Path) -> dict[str, dict]:
    """The videos of a pyannot.pkl as they are in the file."""
    content = load_pickle(path)
    if not isinstance(content, dict) or not content:
        raise AnnotationError(f"{path}: expected a dict of videos as in pyannot.pkl, found {type(content).__name__}")
    return {str(video): entry for video, entry in content.items()}


def listed(path: Path, notes: Notes) -> list[str]:
    """Names in a list file. Other copies of the lists add a file suffix, spaces, a class number or CRLF."""
    names = (re.sub(r"(\.avi|\.mp4)?(\s+\d+)?$", "", line.strip()) for line in read_text(path).splitlines())
    unique: dict[str, None] = {}
    for name in filter(None, names):
        if name in unique:
            notes.add(f"names listed twice in {path.name}", name)
        unique[name] = None
    if not unique:
        raise AnnotationError(f"{path}: the list has no video")
    return list(unique)


def records_of(
    path: Path,
    entries: Mapping[str, dict],
    names: Sequence[str],
    classes: tuple[str, ...],
    media_root: Path | None,
    notes: Notes,
) -> tuple[VideoRecord, ...]:
    """The named videos of a pyannot.pkl. AnnotationError, naming the file and the video."""
    places = media_and_flow(media_root, names, MEDIA, notes)
    try:
        return tuple(_record(v, places[v], entries[v], classes, notes) for v in names)
    except AnnotationError as error:
        raise AnnotationError(f"{path}: {error}") from None


def _record(video: str, place: tuple[str, str], entry: dict, classes: tuple[str, ...], notes: Notes) -> VideoRecord:
    try:
        num_frames = whole(entry["numf"], 0)
        height, width = (whole(side, 1) for side in entry.get("size", SIZE))
        tubes = [_tube(tube) for tube in entry["annotations"]]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise AnnotationError(f"cannot read {video} ({type(error).__name__}: {error})") from error
    common = dict(video=video, num_frames=num_frames, size=(height, width), classes=classes, notes=notes)
    kept = (checked_tube(*tube, **common) for tube in tubes)
    path, flow = place
    return VideoRecord(video, path, num_frames, height, width, tuple(filter(None, kept)), flow)


def _tube(tube: dict) -> tuple[int, np.ndarray, np.ndarray]:
    boxes = np.asarray(tube["boxes"]).astype(np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    label, start, end = (whole(tube[key]) for key in ("label", "sf", "ef"))
    return label, np.arange(start, end), boxes
