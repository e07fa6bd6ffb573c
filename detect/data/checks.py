"""Checks that every annotation passes, whatever file it came from."""

import json
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from detect.data.records import Tube
from detect.utils.errors import UserError
from detect.utils.files import read_text
from detect.video.readers import MAX_SAID_FRAMES

NO_ACTION = ("", "__undefined__", "none")  # labels and values, in lower case, that say that nothing is done

AROUND = 15  # characters shown before and after what is not JSON


class AnnotationError(UserError):
    """The annotation contradicts itself; the message names file or video, the value and what is legal."""


class Notes:
    """Counts what a reader changed or left out, with the first few examples of each kind."""

    def __init__(self, examples: int = 3):
        self._examples = examples
        self._counts: Counter[str] = Counter()
        self._shown: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, kind: str, example: str) -> None:
        self.add_many(kind, 1, (example,))

    def add_many(self, kind: str, count: int, examples: Iterable[str]) -> None:
        """Count many of a kind; of the `examples`, one for each, only those that are shown are made."""
        if count:
            self._counts[kind] += count
            self._shown[kind] += islice(examples, self._examples - len(self._shown[kind]))

    def lines(self) -> tuple[str, ...]:
        """One line for each kind: how many, what, and the first examples."""
        more = {kind: "; ..." if count > self._examples else "" for kind, count in self._counts.items()}
        return tuple(
            f"{count} {kind}: {'; '.join(self._shown[kind])}{more[kind]}" for kind, count in self._counts.items()
        )


def shown(value: Any, length: int = 80) -> str:
    """A value for a message, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python does not print thousands of digits
        text = f"of type {type(value).__name__}, too long to print"
    return text if len(text) <= length else f"{text[: length - 3]}..."


def whole(value: Any, low: int = -MAX_SAID_FRAMES) -> int:
    """The value as int; 3.0 is 3. ValueError for 3.5, which int() would round, for text, and beyond `low` and
    MAX_SAID_FRAMES; TypeError for what is no number.
    """
    if isinstance(value, (str, bytes)) or not low <= value <= MAX_SAID_FRAMES or int(value) != value:
        raise ValueError(f"{shown(value)} is not a whole number from {low} to {MAX_SAID_FRAMES}")
    return int(value)


def numbers(row: Any, count: int) -> list[float] | None:
    """The `count` numbers of a list in a JSON file as floats; None where it is anything else, such as true, "1", or a
    whole number that no float can hold.
    """
    if not (isinstance(row, list) and len(row) == count and all(type(value) in (int, float) for value in row)):
        return None
    try:
        return list(map(float, row))
    except OverflowError:
        return None


def read_json(path: Path) -> Any:
    """AnnotationError, with line and column, for a file that is no JSON."""
    return parse_json(read_text(path), str(path))


def parse_json(text: str | bytes, where: str) -> Any:
    """AnnotationError that begins with `where`."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        near = error.doc[max(error.pos - AROUND, 0) : error.pos + AROUND]
        place = f"line {error.lineno} column {error.colno}, near {near!r}"
        raise AnnotationError(f"{where}: not JSON, {error.msg} at {place}; is the file complete?") from error
    except ValueError as error:  # a number of thousands of digits, bytes that are not UTF-8
        raise AnnotationError(f"{where}: not JSON that can be read: {str(error).split(';')[0]}") from error
    except RecursionError:
        raise AnnotationError(f"{where}: not an annotation, its lists are nested too deep") from None


def with_annotation(names: Iterable[str], annotations: Container[str], notes: Notes) -> list[str]:
    """Those of the listed videos that have an annotation; the others are noted."""
    found = []
    for name in names:
        if name in annotations:
            found.append(name)
        else:
            notes.add("listed videos skipped, they have no annotation", name)
    return found


def checked_tube(
    label: int,
    frames: np.ndarray,
    boxes: np.ndarray,
    *,
    video: str,
    num_frames: int,
    size: tuple[int, int],
    classes: Sequence[str],
    notes: Notes,
) -> Tube | None:
    """A tube whose boxes all lie in the image and on frames of the video; None when no box remains.

    `frames` (n,) 0-based, `boxes` (n, 4) x0 y0 x1 y1 pixels, `size` (height, width). Boxes that stick out are
    clamped to [0, width] x [0, height]; those that are not finite, have no area after that, or lie on a frame
    the video does not have are dropped. Each change is counted in `notes`. Raises AnnotationError for an
    unknown class, frames out of order, or unequal numbers of frames and boxes.
    """
    frames, boxes = np.asarray(frames, np.int64), np.asarray(boxes, np.float64).reshape(-1, 4)
    if not 0 <= label < len(classes):
        legal = f"{len(classes)} classes, 0 to {len(classes) - 1}"
        raise AnnotationError(f"{video}: unknown class {label}; there are {legal}")
    if len(frames) != len(boxes):
        raise AnnotationError(f"{video}: a tube has {len(frames)} frames but {len(boxes)} boxes")
    if (np.diff(frames) <= 0).any():
        raise AnnotationError(f"{video}: the frames of a tube are not in increasing order")

    height, width = size
    clamped = boxes.clip(0, [width, height, width, height])
    finite = np.isfinite(boxes).all(1)
    inside = (frames >= 0) & (frames < num_frames)
    solid = (clamped[:, 2] > clamped[:, 0]) & (clamped[:, 3] > clamped[:, 1])
    keep = finite & inside & solid
    changed = keep & (clamped != boxes).any(1)
    for kind, rows in (
        ("boxes dropped, on frames that the video does not have", ~inside),
        ("boxes dropped, not finite", inside & ~finite),
        ("boxes dropped, no area inside the image", inside & finite & ~solid),
        ("boxes clamped to the image", changed),
    ):
        examples = (
            f"{video} frame {frames[row]} {boxes[row].tolist()} in "
            + (f"{width} x {height}" if inside[row] else f"{num_frames} frames")
            for row in np.flatnonzero(rows)
        )
        notes.add_many(kind, np.count_nonzero(rows), examples)
    if not keep.any():
        return None
    return Tube(int(label), frames[keep], clamped[keep].astype(np.float32))
