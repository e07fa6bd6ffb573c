"""Files of tubes: JSON, plain or gzipped, a list of {"video", "label", "score", "start", "boxes"}.

What tools/demo.py writes with --json holds such a list as "tubes", and is read as well. `boxes` holds x1 y1 x2 y2 for
frame `start` and those after it, `null` where the tube is interrupted; ground truth has no `score`. `label` is the name
or the number of a class. Frames may count from any number that both files share.
"""

import gzip
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detect.data.checks import AnnotationError, numbers, parse_json, shown
from detect.evaluation.tables import LARGEST, TableError
from detect.evaluation.tubes import Tubes, make_tubes
from detect.utils.files import UnusableFileError, atomic_file
from detect.utils.gzipped import TooLargeError, read_start, read_unpacked

_EXPECTED = 'expected a list of {"video", "label", "score", "start", "boxes"}'


@dataclass(frozen=True, eq=False)
class TubeList:
    """Tubes as they stand in a file. videos, labels: names, sorted; `video` and `label` of the tubes are positions in
    them. labels is None where all are whole numbers, which then stand in the tubes.  reversed_boxes: how many boxes
    have x2 < x1 or y2 < y1, which overlap nothing.
    """

    videos: list[str]
    labels: list[str] | None
    tubes: Tubes
    reversed_boxes: int = 0


def is_tube_list(path: str | Path) -> bool:
    """Whether a file begins as a JSON list, plain or gzipped, as files of tubes do."""
    try:
        return read_start(path, 64).lstrip()[:1] == b"["
    except UnusableFileError:
        return False


def read_tubes(path: str | Path, *, scored: bool = True) -> TubeList:
    """The tubes of a file; without `scored`, ground truth. TableError names the file, the tube and the value."""
    entries = _load(Path(path))
    rows, turned = [], 0
    for index, entry in enumerate(entries):
        try:
            video, label, score, start, boxes = _parsed(entry, scored)
        except (KeyError, TypeError, ValueError) as error:
            missing = f"has no {error}" if isinstance(error, KeyError) else str(error)
            raise TableError(f"{path}: tube {index} {_named(entry)}: {missing}; {_EXPECTED}") from None
        turned += int(((boxes[:, 2] < boxes[:, 0]) | (boxes[:, 3] < boxes[:, 1])).sum())
        if turned and not scored:
            fault = "a box has a negative side; expected x1 <= x2 and y1 <= y2"
            raise TableError(f"{path}: tube {index} {_named(entry)}: {fault}")
        rows.append((video, label, score, start, boxes))
    videos, labels = (sorted({str(row[k]) for row in rows}) for k in (0, 1))
    numbered = all(isinstance(row[1], int) for row in rows)
    number = [{name: index for index, name in enumerate(names)} for names in (videos, labels)]
    tubes = make_tubes(
        (number[0][video], label if numbered else number[1][str(label)], *rest) for video, label, *rest in rows
    )
    return TubeList(videos, None if numbered else labels, tubes, turned)


def _load(path: Path) -> list:
    try:
        entries = parse_json(read_unpacked(path), str(path))
    except AnnotationError as error:
        raise TableError(f"{error}; {_EXPECTED}") from error
    except (UnusableFileError, TooLargeError) as error:
        raise TableError(str(error)) from error
    if isinstance(entries, dict):  # of tools/demo.py
        entries = entries.get("tubes", entries)
    if not isinstance(entries, list):
        raise TableError(f"{path}: holds a {type(entries).__name__}; {_EXPECTED}")
    return entries


def _parsed(entry: Any, scored: bool) -> tuple[str, str | int, float, int, np.ndarray]:
    video, label, start, rows = entry["video"], entry["label"], entry["start"], entry["boxes"]
    if not isinstance(video, str) or not video:
        raise ValueError(f"video is {shown(video)}, not a name")
    if isinstance(label, str) and label.isascii() and label.isdigit() and len(label) < 20:
        label = int(label)
    if not (isinstance(label, str) or (type(label) is int and 0 <= label <= LARGEST)):
        raise ValueError(f"label is {shown(label)}, neither a name nor a number from 0 to {LARGEST}")
    if type(start) is not int or abs(start) > LARGEST:
        raise ValueError(f"start is {shown(start)}, not a frame number")
    score = _finite([entry["score"] if scored else 1.0], 1)
    if score is None:
        raise ValueError(f"score is {shown(entry['score'])}, not a finite number")
    if not isinstance(rows, list) or not rows:
        raise ValueError("boxes is not a list of one or more boxes")
    boxes = [[math.nan] * 4 if row is None else _finite(row, 4) for row in rows]
    if None in boxes:
        raise ValueError(f"box {shown(rows[boxes.index(None)])} is not four finite numbers")
    if None in (rows[0], rows[-1]):
        raise ValueError("its first or last box is null; begin and end it with a box")
    return video, label, *score, start, np.array(boxes, np.float64)


def _finite(row: Any, count: int) -> list[float] | None:
    found = numbers(row, count)
    return found if found is not None and all(map(math.isfinite, found)) else None


def _named(entry: Any) -> str:
    return f"({shown(entry['video'])})" if isinstance(entry, dict) and "video" in entry else ""


def write_tubes(path: str | Path, tubes: Tubes, videos: Sequence[str], labels: Sequence[str | int]) -> None:
    """Write tubes with the names of their videos and classes, gzipped if `path` ends in .gz, atomically."""
    with atomic_file(path) as raw:
        packed = Path(path).suffix == ".gz"
        stream = gzip.GzipFile("", "wb", 1, raw, mtime=0) if packed else raw
        stream.write(b"[")
        for index in range(len(tubes)):
            boxes = tubes.boxes_of(index)
            entry = {
                "video": videos[tubes.video[index]],
                "label": labels[tubes.label[index]],
                "score": float(f"{tubes.score[index]:.9g}"),
                "start": int(tubes.start[index]),
                "boxes": [None if math.isnan(box[0]) else [round(v, 3) for v in box] for box in boxes.tolist()],
            }
            stream.write((",\n" if index else "\n").encode() + json.dumps(entry).encode())
        stream.write(b"\n]\n")
        if packed:
            stream.close()
