"""Checks that every annotation passes, whatever file it came from."""

from collections.abc import Container, Iterable, Sequence

import numpy as np

from detect.data.records import Tube
from detect.utils.errors import UserError


class AnnotationError(UserError):
    """The annotation contradicts itself; the message names file or video, the value and what is legal."""


class Notes:
    """Counts what a reader changed or left out, with the first few examples of each kind."""

    def __init__(self, examples: int = 3):
        self._examples = examples
        self._found: dict[str, list[str]] = {}

    def add(self, kind: str, example: str) -> None:
        self._found.setdefault(kind, []).append(example)

    def lines(self) -> tuple[str, ...]:
        """One line for each kind: how many, what, and the first examples."""
        lines = []
        for kind, examples in self._found.items():
            shown = "; ".join(examples[: self._examples])
            more = "; ..." if len(examples) > self._examples else ""
            lines.append(f"{len(examples)} {kind}: {shown}{more}")
        return tuple(lines)


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
        for row in np.flatnonzero(rows):
            extent = f"{width} x {height}" if inside[row] else f"{num_frames} frames"
            notes.add(kind, f"{video} frame {frames[row]} {boxes[row].tolist()} in {extent}")
    if not keep.any():
        return None
    return Tube(int(label), frames[keep], clamped[keep].astype(np.float32))
