"""AVA's CSV (Gu et al., CVPR 2018): `video,timestamp,x0,y0,x1,y1,action,person`, no header.

A timestamp is in seconds; a video is cut out from second 900 on and has 30 frames a second, so its frame is
(timestamp - 900) * 30. Coordinates are shares of the frame's width and height. Actions count from 1 and are named by a
label map (.pbtxt); one person who does two things has two rows. A row of video and timestamp alone is a frame without
boxes. Only frames that have a row were looked at, less the timestamps that a second file excludes.

MultiSports in MMAction2's form is `start=1, fps=1, first_class=0`: its timestamps are frames from 1, its labels from 0.
"""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from detect.data.checks import AnnotationError, Notes
from detect.data.dialects.companions import check_label_map, label_map, write_label_map
from detect.data.dialects.glimpse import Glimpse
from detect.data.dialects.rows import NO_TRACK, make_rows, records_of_rows
from detect.data.dialects.video_facts import check_video_facts, known_facts, write_video_facts
from detect.data.records import ActionDataset, VideoRecord
from detect.utils.errors import UserError
from detect.utils.files import hash_files, read_text, write_text
from detect.video.readers import MAX_SAID_FRAMES

START, FPS = 900.0, 30.0  # of every AVA video
ACTIONS = {number: str(number) for number in range(1, 81)}  # where no label map names them
ON_A_FRAME = 0.05  # of a frame's time, by which a timestamp may miss it


@dataclass
class _Rows:
    video: list[int] = field(default_factory=list)
    frame: list[int] = field(default_factory=list)
    label: list[int] = field(default_factory=list)
    track: list[int] = field(default_factory=list)
    boxes: list[list[float]] = field(default_factory=list)  # shares of width and height
    looked_at: dict[str, set[int]] = field(default_factory=dict)


def is_ava_csv(glimpse: Glimpse) -> bool:
    if glimpse.is_folder:
        return False
    fields = glimpse.head[:4096].split(b"\n")[0].split(b",")
    if len(fields) not in (2, 7, 8):
        return False
    try:
        return all(math.isfinite(float(value)) for value in fields[1:6])
    except ValueError:
        return False


def read_ava_csv(
    path: Path,
    *,
    classes: str | Path | None = None,
    sizes: str | Path | None = None,
    excluded: str | Path | None = None,
    fps: float = FPS,
    start: float = START,
    first_class: int = 1,
    join_iou: float | None = None,
) -> ActionDataset:
    """All videos of the file. Rows of one person and action are a tube; where there is no person they are joined.

    classes: the label map or a file of one name a line, else action_list.pbtxt beside it, else the 80 actions by
    number; rows of actions that a label map leaves out are not used. sizes: as "320x240" or a file, else videos.csv
    beside it. excluded: a file of `video,timestamp` rows.

    AnnotationError naming file, line and value.
    """
    path, notes = Path(path), Notes()
    if not (math.isfinite(start) and 0 < fps < 1e6):
        raise UserError(f"fps is {fps}, start {start}; frame = (timestamp - start) * fps")
    actions, partial = label_map(path, classes, first_class) or (ACTIONS, False)
    left_out = _excluded(Path(excluded), fps, start) if excluded is not None else {}
    rows = _read(path, fps, start, {n: label for label, n in enumerate(actions)}, partial, left_out, notes)
    names = list(rows.looked_at)
    facts = known_facts(path, sizes)
    scale = np.array([[facts.of(name).width, facts.of(name).height] * 2 for name in names]).reshape(-1, 4)
    boxes = np.array(rows.boxes).reshape(-1, 4) * scale[rows.video]
    table = make_rows(names, (rows.video, rows.frame, rows.label, rows.track), boxes)
    labelled = [np.array(sorted(frames), np.int64) for frames in rows.looked_at.values()]
    records = records_of_rows(table, tuple(actions.values()), facts, notes, labelled=labelled, join_iou=join_iou)
    return ActionDataset(path.stem, tuple(actions.values()), records, hash_files(path), notes.lines())


def _fields(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Where it is and its fields, of each line; a header is passed over."""
    reader = csv.reader(io.StringIO(read_text(path)))
    try:
        for row in reader:
            if row and not (reader.line_num == 1 and _is_header(row)):
                yield f"{path} line {reader.line_num}", row
    except csv.Error as error:
        raise AnnotationError(f"{path} line {reader.line_num}: not a CSV table ({error})") from error


def _is_header(row: Sequence[str]) -> bool:
    """A video may be named videos/a, but has a timestamp that is a number."""
    try:
        float(row[1])
    except (ValueError, IndexError):
        return row[0].startswith("video")
    return False


def _frame(where: str, text: str, fps: float, start: float) -> int:
    try:
        frame = (float(text) - start) * fps
        if not (-0.5 < frame <= MAX_SAID_FRAMES and abs(frame - round(frame)) <= ON_A_FRAME):
            raise ValueError
    except ValueError:
        raise AnnotationError(
            f"{where}: timestamp {text[:40]!r} is on no frame; frame = (timestamp - {start:g}) * {fps:g}, from 0"
        ) from None
    return round(frame)


def _excluded(path: Path, fps: float, start: float) -> dict[str, set[int]]:
    frames: dict[str, set[int]] = {}
    for where, row in _fields(path):
        if len(row) != 2:
            raise AnnotationError(f"{where}: expected `video,timestamp`, found {','.join(row)[:80]!r}")
        frames.setdefault(row[0], set()).add(_frame(where, row[1], fps, start))
    return frames


def _read(
    path: Path,
    fps: float,
    start: float,
    labels: Mapping[int, int],
    partial: bool,
    left_out: Mapping[str, set[int]],
    notes: Notes,
) -> _Rows:
    """The rows that are used. labels: of each action, `partial` where the others are left out; left_out: frames."""
    rows = _Rows()
    seen: set[tuple] = set()
    numbers: dict[str, int] = {}
    for where, row in _fields(path):
        if len(row) not in (2, 7, 8) or not row[0]:
            raise AnnotationError(f"{where}: {len(row)} fields; expected video,timestamp,x0,y0,x1,y1,action,person")
        name, frame = row[0], _frame(where, row[1], fps, start)
        if frame in left_out.get(name, ()):
            notes.add("rows of excluded timestamps not used", f"{name} {row[1]}")
            continue
        numbers.setdefault(name, len(numbers))
        rows.looked_at.setdefault(name, set()).add(frame)
        if not any(row[2:]):
            continue
        box, action, person = _values(where, row)
        if action not in labels and partial:
            notes.add("rows of actions that the label map leaves out not used", f"{name} {row[1]} action {action}")
            continue
        if action not in labels:
            raise AnnotationError(f"{where}: action {action}; legal values are {min(labels)} to {max(labels)}")
        if (key := (name, frame, action, person, *box)) in seen:
            notes.add("rows that occur twice, used once", f"{name} {row[1]} action {action}")
            continue
        seen.add(key)
        for column, value in (
            (rows.video, numbers[name]), (rows.frame, frame), (rows.label, labels[action]), (rows.track, person),
            (rows.boxes, box),
        ):  # fmt: skip
            column.append(value)
    if not rows.looked_at:
        raise AnnotationError(f"{path}: it has no rows")
    return rows


def _values(where: str, row: Sequence[str]) -> tuple[list[float], int, int]:
    """Box, action and person."""
    try:
        box = [float(value) for value in row[2:6]]
        action, person = int(row[6]), int(row[7]) if len(row) > 7 and row[7] else NO_TRACK
        if person > MAX_SAID_FRAMES:
            raise ValueError
    except ValueError:
        raise AnnotationError(f"{where}: not numbers: {','.join(row[2:])[:80]!r}") from None
    if not all(map(math.isfinite, box)) or max(map(abs, box)) > 2:
        raise AnnotationError(f"{where}: box {box}; expected shares of the frame's width and height, 0 to 1")
    return box, action, max(person, NO_TRACK)


def write_ava_csv(dataset: ActionDataset, path: Path) -> tuple[str, ...]:
    """With action_list.pbtxt and videos.csv beside it. Timestamps are 900 + frame / 30 whatever the video's frame rate,
    in whole seconds where they are that; a tube is a person. Returns notes of what the form cannot hold.
    """
    notes = Notes()
    check_label_map(path, dataset.classes)
    check_video_facts(path)
    write_text(path, "".join(line for video in dataset.videos for line in _lines(video, notes)))
    write_label_map(path, dataset.classes)
    write_video_facts(path, dataset)
    return notes.lines()


def _lines(video: VideoRecord, notes: Notes) -> Iterator[str]:
    if "," in video.name or '"' in video.name:
        raise UserError(f"the video name {video.name!r} has a comma or quotation mark, which AVA's readers cannot read")
    rows = []
    if not video.tubes:
        notes.add("videos without boxes, not written", video.name)
    for person, tube in enumerate(video.tubes):
        shares = tube.boxes.astype(np.float64) / ([video.width, video.height] * 2)
        rows += [(frame, person, tube.label + 1, box) for frame, box in zip(tube.frames.tolist(), shares, strict=True)]
    if video.labelled is not None and (empty := np.setdiff1d(video.labelled, video.annotated_frames())).size:
        notes.add("videos with frames that were looked at and have no box, not written", f"{video.name} ({empty.size})")
    for frame, person, action, box in sorted(rows, key=lambda row: row[:2]):
        time = START + frame / FPS
        text = f"{time:04.0f}" if time == round(time) else f"{time:.4f}"
        yield f"{video.name},{text},{','.join(f'{value:.10g}' for value in box)},{action},{person}\n"
