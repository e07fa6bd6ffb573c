"""The text files of YOWO (Köpüklü et al., 2019), one a frame, a line for each box: `class x0 y0 x1 y1`.

    labels/<Class>/<video>/00001.txt            what it trains on
    groundtruths_*/<Class>_<video>_00001.txt    what its evaluation reads; a folder, or a tar or zip archive of it

Frames and classes count from 1. In its files of JHMDB a box is x0 + 1, y0 + 1, min(x1 + 2, 320), min(y1 + 2, 240) of
JHMDB-GT.pkl; that is undone. There x1 = 318 and x1 = 319, the last column, both became 320 and are read as 318; so are
y1 = 238 and 239, as 238. Pixels of other sets are kept. Frames without a file count as not looked at, as YOWO does not
score them.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from detect.data import jhmdb, ucf24
from detect.data.checks import AnnotationError, Notes
from detect.data.dialects.companions import check_class_names, class_names, write_class_names
from detect.data.dialects.glimpse import Glimpse
from detect.data.dialects.members import ARCHIVES, hash_members, text_members, write_members
from detect.data.dialects.rows import make_rows, records_of_rows
from detect.data.dialects.video_facts import check_video_facts, known_facts, write_video_facts
from detect.data.records import ActionDataset, VideoRecord
from detect.utils.errors import UserError

PIXELS = ("jhmdb", "plain")
_TREE = re.compile(r"(?P<video>.+)/(?P<frame>\d{1,12})\.txt")
_FLAT = re.compile(r"(?:.*/)?(?P<video>[^/]+)_(?P<frame>\d{5,12})\.txt")
FORM = "class x0 y0 x1 y1"
SHIFT = np.array([1, 1, 2, 2])  # of JHMDB's boxes, up to the image's width and height
Line = tuple[str, str, int, str]  # file and line, video as the file's name has it, frame from 0, text


def is_yowo_text(glimpse: Glimpse) -> bool:
    names = Glimpse(_text_root(glimpse.path)).names if glimpse.is_folder else glimpse.names
    return any(re.search(r"(?:^|/|_)\d{5}\.txt$", name) for name in names)


def _text_root(path: Path) -> Path:
    """labels/ of a dataset's folder, which has frames too; else the folder or archive itself."""
    return path / "labels" if (path / "labels").is_dir() else path


def read_yowo_text(
    path: Path,
    *,
    classes: str | Path | None = None,
    sizes: str | Path | None = None,
    pixels: str | None = None,
    join_iou: float | None = None,
) -> ActionDataset:
    """All videos, their boxes joined to tubes (`join_boxes`).

    classes: a file of names, else classes.txt in the folder, else those of JHMDB or UCF101-24 where all videos are
    named so. sizes: "320x240", or a file that has the lengths too; else videos.csv in the folder, else 320 x 240 for
    those two sets. pixels: "jhmdb" to undo that set's shift, "plain" to keep them; by default what the classes say.

    AnnotationError naming file, line and value.
    """
    path, notes = Path(path), Notes()
    frames, lines, flat = file_lines(path, notes)
    named = classes_of(path, class_names(path, classes), frames, flat)
    pixels = pixels or ("jhmdb" if named == jhmdb.CLASSES else "plain")
    if pixels not in PIXELS:
        raise UserError(f"pixels is {pixels!r}; legal values are {', '.join(PIXELS)}")
    names = [with_folder(video, named) if video in flat else video for video in frames]
    numbers = {video: number for number, video in enumerate(frames)}
    labels, boxes = line_values(path, lines, named)
    columns = ([numbers[video] for _, video, _, _ in lines], [frame for _, _, frame, _ in lines], labels)
    rows = make_rows(names, columns, boxes - (SHIFT if pixels == "jhmdb" else 0))
    labelled = [np.array(sorted(of_video), np.int64) for of_video in frames.values()]
    size = {jhmdb.CLASSES: jhmdb.SIZE, ucf24.CLASSES: ucf24.SIZE}.get(named)
    records = records_of_rows(rows, named, known_facts(path, sizes, size), notes, labelled=labelled, join_iou=join_iou)
    return ActionDataset(path.name.split(".")[0], named, records, hash_members(_text_root(path)), notes.lines())


def file_lines(path: Path, notes: Notes) -> tuple[dict[str, set[int]], list[Line], set[str]]:
    """The frames, from 0, of each video's files, all lines, and the videos that are named Class_video."""
    frames: dict[str, set[int]] = {}
    lines, flat = [], set()
    root = _text_root(path)
    for name, content in text_members(root):
        match = _TREE.fullmatch(name) or _FLAT.fullmatch(name)
        if match is None:
            notes.add("files skipped, no frame number in the name", name)
            continue
        video, frame = match["video"], int(match["frame"]) - 1
        if match.re is _FLAT:
            flat.add(video)
        elif root == path and "labels" in video.split("/"):
            video = "/".join(video.split("/")[video.split("/").index("labels") + 1 :])
        if frame < 0:
            raise AnnotationError(f"{root}: {name}: frame 0; frames count from 1 in these files")
        if frame in frames.setdefault(video, set()):
            raise AnnotationError(f"{root}: {name}: the frame occurs twice")
        frames[video].add(frame)
        text = content.decode("utf-8", "backslashreplace").split("\n")
        lines += [(f"{name} line {n}", video, frame, line) for n, line in enumerate(text, 1) if line.strip()]
    if not frames:
        raise AnnotationError(f"{path}: no file with a frame number in its name; expected <Class>/<video>/00001.txt")
    return frames, lines, flat


def classes_of(path: Path, given: tuple[str, ...], videos: Iterable[str], flat: set[str]) -> tuple[str, ...]:
    if given:
        return given
    for table in (jhmdb.CLASSES, ucf24.CLASSES):
        names = (with_folder(video, table) if video in flat else video for video in videos)
        if all(name.split("/")[0] in table for name in names):
            return table
    raise AnnotationError(f"{path}: the classes are neither JHMDB's nor UCF101-24's; give a file of their names")


def with_folder(video: str, classes: Sequence[str]) -> str:
    """Class/video of a name Class_video: a video that begins with a class, the longest one that it does."""
    begun = [name for name in classes if video.startswith(f"{name}_")]
    if not begun:
        return video
    folder = max(begun, key=len)
    return f"{folder}/{video[len(folder) + 1 :]}"


def line_values(path: Path, lines: Sequence[Line], classes: Sequence[str], form: str = FORM) -> tuple[list, np.ndarray]:
    """Labels from 0 and the other numbers of the form (n, k) float64."""
    labels, numbers = [], []
    for where, _, _, text in lines:
        try:
            number, *rest = text.split()
            label, values = int(number), [float(value) for value in rest]
        except ValueError:
            values = []
        if len(values) != form.count(" ") or not all(map(math.isfinite, values)):
            raise AnnotationError(f"{path}: {where}: expected `{form}`, found {text[:80]!r}")
        if not 1 <= label <= len(classes):
            raise AnnotationError(f"{path}: {where}: class {label}; classes count from 1, there are {len(classes)}")
        labels.append(label - 1)
        numbers.append(values)
    return labels, np.array(numbers, np.float64).reshape(-1, form.count(" "))


def write_yowo_text(dataset: ActionDataset, path: Path) -> tuple[str, ...]:
    """Write labels/<video>/00001.txt below a new folder, or into an archive where `path` ends in .tar.gz; classes.txt
    and videos.csv in the folder, or beside the archive. JHMDB's boxes are shifted as YOWO has them, others kept.
    Returns notes of what the form cannot hold.
    """
    if path.name.endswith(ARCHIVES):  # a folder is a new one
        check_class_names(path, dataset.classes)
        check_video_facts(path)
    notes = Notes()
    for video in dataset.videos:
        if not video.tubes and video.labelled is not None and not len(video.labelled):
            notes.add("videos without boxes or frames that were looked at, not written", video.name)
    write_members(path, _files(dataset))
    write_class_names(path, dataset.classes)
    write_video_facts(path, dataset)
    return notes.lines()


def _files(dataset: ActionDataset) -> Iterator[tuple[str, str]]:
    """A file for each frame with boxes, and for those without that were looked at where not all frames were; of a video
    without boxes one for the first frame.
    """
    for video in dataset.videos:
        empty = [0] * (not video.tubes) if video.labelled is None else video.labelled.tolist()
        texts: dict[int, list[str]] = {frame: [] for frame in empty}
        for tube in video.tubes:
            boxes = _shifted(tube.boxes, video) if dataset.classes == jhmdb.CLASSES else tube.boxes
            for frame, box in zip(tube.frames.tolist(), boxes.tolist(), strict=True):
                line = " ".join(f"{value:.9g}" for value in (tube.label + 1, *box))
                texts.setdefault(frame, []).append(f"{line}\n")
        for frame in sorted(texts):
            yield f"labels/{video.name}/{frame + 1:05d}.txt", "".join(texts[frame])


def _shifted(boxes: np.ndarray, video: VideoRecord) -> np.ndarray:
    sides = [video.width, video.height]
    return np.minimum(boxes + SHIFT, [np.inf, np.inf, *sides]).astype(np.float32)
