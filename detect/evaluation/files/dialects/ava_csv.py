"""AVA's CSV of results, as MMAction2, SlowFast and YOWO write it, no header:

    video,timestamp,x1,y1,x2,y2,action,score

Timestamps, coordinates and actions are those of the ground truth, see `detect.data.dialects.ava_csv`; MultiSports in
that form is `start=1, fps=1, first_class=0` here too.
"""

import csv
import io
from pathlib import Path

import numpy as np

from detect.data.checks import Notes
from detect.data.dialects.ava_csv import FPS, ON_A_FRAME, START, is_ava_csv
from detect.data.dialects.companions import label_map
from detect.data.dialects.glimpse import Glimpse
from detect.data.dialects.video_facts import known_facts
from detect.data.records import ActionDataset
from detect.evaluation.files.dialects.found_rows import FoundRows, no_rows
from detect.evaluation.tables import LARGEST, TableError
from detect.utils.files import read_text

_FORM = "video,timestamp,x1,y1,x2,y2,action,score"
_LAYOUT = [("video", object), *((name, np.float64) for name in _FORM.split(",")[1:])]


def is_ava_detections(glimpse: Glimpse) -> bool:
    return is_ava_csv(glimpse) and glimpse.head[:4096].split(b"\n")[0].count(b",") == 7


def read_ava_detections(
    path: Path,
    dataset: ActionDataset | None,
    notes: Notes,
    *,
    classes: str | Path | None = None,
    sizes: str | Path | None = None,
    fps: float = FPS,
    start: float = START,
    first_class: int = 1,
) -> FoundRows:
    """classes: the label map, or a file of one name a line, else action_list.pbtxt beside the file, else actions are
    numbers that count from `first_class`; actions that a label map leaves out are not used. sizes: without a dataset,
    "320x240" or a file; without either, boxes stay shares of the frame.
    """
    table = _read(path)
    actions, partial = label_map(path, classes, first_class) or (None, False)
    used = np.isin(table["action"], list(actions)) if partial else np.ones(len(table), bool)
    unused = np.flatnonzero(~used)
    kind = "rows of actions that the label map leaves out not used"
    notes.add_many(kind, len(unused), (f"line {row + 1}" for row in unused))
    table, lines = table[used], np.flatnonzero(used) + 1
    if not len(table):
        return no_rows()

    def where(row: int) -> str:
        return f"line {lines[row]}"

    label = _labels(path, table["action"], actions, dataset, first_class, where)
    exact = (table["timestamp"] - start) * fps
    frame = np.rint(np.nan_to_num(exact, nan=-1, posinf=-1, neginf=-1))
    if (off := ~(abs(exact - frame) <= ON_A_FRAME) | (abs(frame) > LARGEST)).any():
        row = int(np.argmax(off))
        raise TableError(
            f"{path}: {where(row)}: timestamp {table['timestamp'][row]} is on no frame; "
            f"frame = (timestamp - {start:g}) * {fps:g}"
        )
    names, video = np.unique(table["video"].astype(str), return_inverse=True)
    boxes = np.stack([table[side] for side in ("x1", "y1", "x2", "y2")], axis=1)
    scale = _scale(path, names.tolist(), dataset, sizes, notes)
    return FoundRows(names.tolist(), video, frame.astype(np.int64), label, table["score"], boxes * scale[video], where)


def _read(path: Path) -> np.ndarray:
    text = read_text(path)
    if not text.strip():
        return np.zeros(0, _LAYOUT)
    try:
        return np.loadtxt(io.StringIO(text), _LAYOUT, delimiter=",", quotechar='"', comments=None, ndmin=1)
    except ValueError as error:
        for number, row in enumerate(csv.reader(io.StringIO(text)), 1):
            if row and not _is_legal(row):
                raise TableError(f"{path}: line {number}: expected {_FORM}, found {','.join(row)[:120]!r}") from None
        raise TableError(f"{path}: {error}") from error


def _is_legal(row: list[str]) -> bool:
    try:
        return len([float(value) for value in row[1:]]) == 7
    except ValueError:
        return False


def _labels(path, action, actions, dataset, first_class, where) -> np.ndarray:
    """Labels by the names of the label map where there is one and a dataset, else by its order, else by number."""
    numbers, inverse = np.unique(action, return_inverse=True)
    if actions is None:
        legal = (numbers == np.rint(numbers)) & (abs(numbers) <= LARGEST)
        label = np.where(legal, numbers - first_class, -1)
    elif dataset is None:
        order = list(actions)
        label = np.array([order.index(n) if n in actions else -1 for n in numbers])
    else:
        label = np.array([_position(dataset.classes, actions.get(n)) for n in numbers])
    if (label < 0).any():
        row = int(np.argmax(label[inverse] < 0))
        legal = "the label map" if actions else f"whole numbers from {first_class}"
        raise TableError(f"{path}: {where(row)}: action {action[row]:g} is no class; expected {legal}")
    return label[inverse].astype(np.int64)


def _position(classes: tuple[str, ...], name: str | None) -> int:
    return classes.index(name) if name in classes else -1


def _scale(path, names: list[str], dataset, sizes, notes: Notes) -> np.ndarray:
    """(videos, 4) pixels of a whole frame."""
    if dataset is not None:
        known = {video.name: [video.width, video.height] * 2 for video in dataset.videos}
        return np.array([known.get(name, [1] * 4) for name in names], np.float64)
    if sizes is None:
        notes.add("videos of unknown size, whose boxes stay shares of the frame", path.name)
        return np.ones((len(names), 4))
    facts = known_facts(path, sizes)
    return np.array([[facts.of(name).width, facts.of(name).height] * 2 for name in names], np.float64)
