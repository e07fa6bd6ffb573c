"""Tubes (one box per frame over a stretch of a video) as columns; their overlap in space and time; suppression."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from detect.evaluation.tables import TableError
from detect.utils.iou import pairwise_iou
from detect.utils.runs import run_sizes, run_starts, within

_ROWS_AT_A_TIME = 1 << 21  # pairs compared at a time, to limit memory


@dataclass(frozen=True, eq=False)
class Tubes:
    """n tubes with m boxes in all; tubes of the ground truth have score 1.

    video, label: (n,) int64.  score: (n,) float64.  start: (n,) int64, the frame of the first box.  offset: (n + 1,)
    int64; tube i has the rows offset[i] to offset[i + 1] of `boxes`, one per frame.  boxes: (m, 4) float64 x1 y1 x2 y2,
    nan in a frame without a box.
    """

    video: np.ndarray
    label: np.ndarray
    score: np.ndarray
    start: np.ndarray
    offset: np.ndarray
    boxes: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    @property
    def length(self) -> np.ndarray:
        """(n,) frames from the first box to the last."""
        return np.diff(self.offset)

    @property
    def end(self) -> np.ndarray:
        """(n,) frame after the last box."""
        return self.start + self.length

    @property
    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """(m,) tube and (m,) frame of each box."""
        tube = np.repeat(np.arange(len(self)), self.length)
        return tube, self.start[tube] + within(self.length)

    def boxes_of(self, index: int) -> np.ndarray:
        return self.boxes[self.offset[index] : self.offset[index + 1]]

    def take(self, rows: np.ndarray) -> "Tubes":
        """The tubes `rows` ((k,) int or (n,) bool), in that order."""
        rows = np.arange(len(self))[rows]
        length = self.length[rows]
        offset = np.r_[0, np.cumsum(length)]
        boxes = self.boxes[np.repeat(self.offset[rows], length) + within(length)]
        return Tubes(self.video[rows], self.label[rows], self.score[rows], self.start[rows], offset, boxes)


def make_tubes(columns: Iterable[tuple[int, int, float, int, np.ndarray]]) -> Tubes:
    """Tubes of (video, label, score, start, boxes (k, 4)). TableError for one without boxes."""
    rows = list(columns)
    video, label, score, start = (np.array([row[k] for row in rows]) for k in range(4))
    lengths = [len(row[4]) for row in rows]
    if 0 in lengths:
        tube = lengths.index(0)
        raise TableError(f"tube {tube}, of video {video[tube]}, has no boxes; a tube has one or more")
    boxes = np.concatenate([np.empty((0, 4)), *(np.asarray(row[4], np.float64) for row in rows)])
    integers = (np.asarray(column, np.int64) for column in (video, label))
    return Tubes(*integers, score.astype(float), start.astype(np.int64), np.r_[0, np.cumsum(lengths, dtype=int)], boxes)


def contiguous(frames: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(last - first + 1, 4) boxes of every frame from the first to the last of `frames` (n,), which increase; nan in
    frames that are missing.
    """
    filled = np.full((int(frames[-1] - frames[0]) + 1, 4), np.nan)
    filled[frames - frames[0]] = boxes
    return filled


def truth_tubes(videos: Sequence, number: dict[str, int]) -> Tubes:
    """The annotated tubes of `VideoRecord`s; `number` gives each name its index in `Tubes.video`. TableError for one
    without boxes.
    """
    for video in videos:
        if empty := [index for index, tube in enumerate(video.tubes) if not len(tube.frames)]:
            raise TableError(f"{video.name}: tube {empty[0]} has no boxes; a tube has one or more")
    return make_tubes(
        (number[video.name], tube.label, 1.0, int(tube.frames[0]), contiguous(tube.frames, tube.boxes))
        for video in videos
        for tube in video.tubes
    )


def tube_overlaps(
    a: Tubes,
    b: Tubes,
    i: np.ndarray,
    j: np.ndarray,
    *,
    plus_one: bool = False,
    shift: float = 0.0,
    min_common: int = 1,
    spatial_only: bool = False,
) -> np.ndarray:
    """(p,) overlap of the tubes i (p,) of `a` with the tubes j (p,) of `b`: the mean IoU in the frames in which both
    have a box, times the number of these frames divided by the number of frames in which either has one.

    plus_one: for the IoU, as in FrameAPOptions.  shift: added to x1, y1, width and height of a's boxes.  min_common:
    the overlap is 0 with fewer common frames.  spatial_only: the mean IoU alone.
    """
    result = np.zeros(len(i))
    first = np.maximum(a.start[i], b.start[j])
    common = np.minimum(a.end[i], b.end[j]) - first
    meet = np.flatnonzero(common >= min_common)
    present_a, present_b = _present(a), _present(b)
    for part in _portions(meet, common):
        size = common[part]
        place = within(size)
        row_a, row_b = (
            np.repeat(tubes.offset[k[part]] + first[part] - tubes.start[k[part]], size) + place
            for tubes, k in ((a, i), (b, j))
        )
        boxes = a.boxes[row_a]
        if shift:
            boxes = boxes + np.array([shift, shift, 2 * shift, 2 * shift])
        iou = np.nan_to_num(pairwise_iou(boxes, b.boxes[row_b], plus_one))
        starts = np.cumsum(size) - size
        total = np.add.reduceat(iou, starts)
        both = np.add.reduceat((present_a[1][row_a] & present_b[1][row_b]).astype(np.int64), starts)
        either = both if spatial_only else present_a[0][i[part]] + present_b[0][j[part]] - both
        result[part] = np.divide(total, either, out=np.zeros(len(part)), where=both >= min_common)
    return result


def _present(tubes: Tubes) -> tuple[np.ndarray, np.ndarray]:
    """(n,) number of boxes of each tube, and (m,) bool: whether there is a box."""
    there = ~np.isnan(tubes.boxes[:, 0])
    counted = np.r_[0, np.cumsum(there)]
    return counted[tubes.offset[1:]] - counted[tubes.offset[:-1]], there


def _portions(rows: np.ndarray, size: np.ndarray) -> Iterator[np.ndarray]:
    """`rows` in parts whose `size` sums to about _ROWS_AT_A_TIME."""
    if len(rows):
        part = np.cumsum(size[rows]) // _ROWS_AT_A_TIME
        yield from np.split(rows, np.flatnonzero(np.diff(part)) + 1)


def suppress_tubes(tubes: Tubes, threshold: float, **overlap) -> np.ndarray:
    """Indices (increasing) of the tubes kept by NMS within each video and class: a tube is suppressed if its overlap
    with a better one that is kept exceeds `threshold`. overlap: options of `tube_overlaps`.
    """
    order = np.lexsort((-tubes.score, tubes.label, tubes.video))  # stable: the first of equal scores is better
    starts = run_starts(tubes.video[order], tubes.label[order])
    sizes = run_sizes(starts, len(order))
    after = np.repeat(sizes, sizes) - 1 - within(sizes)  # number of worse tubes in the group
    gone = np.zeros(len(tubes), bool)
    boxes, _ = _present(tubes)
    for part in _portions(np.arange(len(order)), after):  # a large group has many parts, its best tubes first
        better, worse = (order[place] for place in _pairs(part, after[part]))
        shared = np.minimum(tubes.end[better], tubes.end[worse]) - np.maximum(tubes.start[better], tubes.start[worse])
        near = shared > threshold * np.maximum(boxes[better], boxes[worse])  # the overlap cannot exceed that in time
        better, worse = better[near], worse[near]
        close = tube_overlaps(tubes, tubes, better, worse, **overlap) > threshold
        for one, other in zip(better[close].tolist(), worse[close].tolist(), strict=True):
            gone[other] |= not gone[one]
    return np.flatnonzero(~gone)


def _pairs(places: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of a place and one of the `after` places that follow it, both (n,)."""
    first = np.repeat(places, after)
    return first, first + 1 + within(after)
