"""Single values of an own JSON file, see `detect.data.own_json`: each is read, or what is wrong with it noted."""

import math
from typing import Any

import numpy as np

from detect.data.checks import Notes, numbers, shown
from detect.video.readers import MAX_SAID_FRAMES


class Findings:
    """What is wrong (`errors`: the file is refused), what looks wrong (`warnings`), and what is worth a note."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.notes = Notes()

    def error(self, where: str, problem: str) -> None:
        self.errors.append(f"{where}: {problem}")

    def warn(self, where: str, problem: str) -> None:
        self.warnings.append(f"{where}: {problem}")


def read_whole(entry: dict, key: str, low: int, where: str, findings: Findings) -> int | None:
    value = entry.get(key)
    if value is None:
        return None
    if type(value) not in (int, float) or not low <= value <= MAX_SAID_FRAMES or value != int(value):
        findings.error(where, f"its {key} is {shown(value)}; expected a whole number, {low} or more, or leave it out")
        return None
    return int(value)


def read_frame_rate(entry: dict, where: str, findings: Findings) -> float | None:
    value = entry.get("fps")
    if value is None:
        return None
    found = numbers([value], 1)
    if found is None or not 0 <= found[0] < math.inf:
        findings.error(where, f"its fps is {shown(value)}; expected frames a second, 0 where unknown, or leave it out")
        return None
    return found[0]


def read_labelled(entry: dict, where: str, findings: Findings) -> str | np.ndarray | None:
    value = entry.get("labelled_frames")
    if value is None or (isinstance(value, str) and value in ("all", "boxes")):
        return value
    frames = _increasing(value)
    if isinstance(frames, str):
        findings.error(where, f"its labelled_frames {frames}; expected 'all', 'boxes' or a list of increasing numbers")
        return None
    return frames


def read_group(entry: dict, where: str, findings: Findings) -> str:
    value = entry.get("group", "")
    if not isinstance(value, str):
        findings.error(where, f"its group is {shown(value)}; expected a text, the same for videos that belong together")
        return ""
    return value


def _increasing(value: Any) -> np.ndarray | str:
    """Frame numbers (n,) int64, or what is wrong with them."""
    if not isinstance(value, list):
        return f"are {shown(value)}"
    for before, frame in zip([-1, *value], value, strict=False):
        if type(frame) is not int or not 0 <= frame <= MAX_SAID_FRAMES:
            return f"contain {shown(frame)}, which is not a frame number (frames count from 0)"
        if frame <= before:
            return f"are not in increasing order, {frame} comes after {before}"
    return np.array(value, np.int64)


def read_boxes(entry: dict, where: str, findings: Findings) -> np.ndarray | None:
    rows = entry.get("bboxes")
    if "bboxes" not in entry:
        return None
    if not isinstance(rows, list) or not rows:
        findings.error(where, f"its bboxes is {shown(rows)}; expected a list of one or more [x, y, width, height]")
        return None
    found = [numbers(row, 4) for row in rows]
    if wrong := [i for i, row in enumerate(found) if row is None]:
        more = f" ({len(wrong)} are like that)" if len(wrong) > 1 else ""
        said = f"bboxes[{wrong[0]}] is {shown(rows[wrong[0]])}{more}"
        findings.error(where, f"{said}; expected 4 numbers x, y, width, height")
        return None
    return np.array(found, np.float64)


def read_frames(entry: dict, where: str, findings: Findings) -> np.ndarray | int | None:
    """Its frames, or the first of them."""
    if ("frames" in entry) == ("start" in entry):
        problem = "has both frames and start" if "frames" in entry else "has neither frames nor start"
        findings.error(where, f"{problem}; give the list 'frames', or 'start' for frames that follow each other")
        return None
    if "start" in entry:
        start = entry["start"]
        if type(start) is int and 0 <= start <= MAX_SAID_FRAMES:
            return start
        findings.error(where, f"its start is {shown(start)}; expected the number of its first frame, from 0")
        return None
    frames = _increasing(entry["frames"])
    if isinstance(frames, str):
        findings.error(where, f"its frames {frames}; expected a list of increasing frame numbers, one for each box")
        return None
    return frames
