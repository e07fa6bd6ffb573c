"""A set of two videos and four classes, with detections of every kind, small enough to follow by hand."""

from pathlib import Path

import numpy as np

from detect.data.records import ActionDataset, Tube, VideoRecord
from detect.evaluation import Detections
from detect.video.writer import save_video

HOSTILE = '<script>alert("x")</script>'
CLASSES = ("walk", HOSTILE, "never", "jump & run")
BOX, FAR = [4.0, 4.0, 24.0, 24.0], [40.0, 20.0, 60.0, 40.0]
SIZE = (48, 64)


def small_set(folder: Path | None = None, classes: tuple[str, ...] = CLASSES) -> ActionDataset:
    """Ten frames each; the first video has walk in frames 0 to 7, the second class 1 in 0 to 4 and walk in 0 to 9.
    With a folder the first video is there.
    """
    second = min(1, len(classes) - 1)
    path = Path(folder or "/nowhere") / "a.avi"
    if folder is not None:
        save_video(path, [np.full((*SIZE, 3), 40 + 10 * i, np.uint8) for i in range(10)])
    videos = (
        VideoRecord("a/<b>", str(path), 10, *SIZE, (tube(0, 0, 8, BOX),)),
        VideoRecord("b", "/nowhere/b.avi", 10, *SIZE, (tube(second, 0, 5, BOX), tube(0, 0, 10, FAR))),
    )
    return ActionDataset("toy & set", classes, videos, "0123abcd", ("2 boxes clamped: a/<b> frame 1",))


def tube(label: int, start: int, end: int, box: list[float]) -> Tube:
    return Tube(label, np.arange(start, end), np.tile(np.float32(box), (end - start, 1)))


def detections(rows: list[tuple]) -> Detections:
    """Rows of (video, frame, label, score, box)."""
    columns = list(zip(*rows, strict=True)) if rows else [(), (), (), (), ()]
    whole = [np.array(column, np.int64) for column in columns[:3]]
    return Detections(*whole, np.array(columns[3], np.float64), np.array(columns[4], np.float64).reshape(-1, 4))


# One of each kind: walk found in frames 0 to 5 of a, frame 6 off (localisation), frame 9 at the wrong time, frame 0 a
# duplicate; in b class 1 found once, taken for walk once, and a box on nothing.
KINDS = [
    *((0, frame, 0, 0.9 - 0.01 * frame, BOX) for frame in range(6)),
    (0, 6, 0, 0.95, [14.0, 4.0, 34.0, 24.0]),
    (0, 9, 0, 0.6, BOX),
    (0, 0, 0, 0.3, [5.0, 4.0, 25.0, 24.0]),
    (1, 0, 1, 0.8, BOX),
    (1, 1, 3, 0.7, BOX),
    (1, 2, 3, 0.5, [0.0, 40.0, 6.0, 47.0]),
]
