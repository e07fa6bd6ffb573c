"""Tubes, a box a frame over a stretch of a video, as columns; their overlap in space and time; suppression."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from detect.evaluation.tables import TableError
from detect.utils.iou import pairwise_iou

_ROWS_AT_A_TIME = 1 << 21  # boxes compared


@dataclass(frozen=True, eq=False)
class Tubes:
    """n tubes with m boxes in all; those of ground truth have score 1.

    video, label: (n,) int64.  score: (n,) float64.  start: (n,) int64, the frame of the first box.  offset: (n + 1,)
    int64, rows offset[i] to offset[i + 1] of `boxes` are tube i's, frame after frame.  boxes: (m, 4) float64 x1 y1 x2
    y2, nan in a frame in which the tube is interrupted.
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

    def boxes_of(self, index: int) -> np.ndarray:
        return self.boxes[self.offset[index] : self.offset[index + 1]]

    def take(self, rows: np.ndarray) -> "Tubes":
        """The tubes `rows` ((k,) int or (n,) bool), in that order."""
        rows = np.arange(len(self))[rows]
        length = self.length[rows]
        offset = np.r_[0, np.cumsum(length)]
        boxes = self.boxes[np.repeat(self.offset[rows] - offset[:-1], length) + np.arange(offset[-1])]
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
    """Boxes of every frame from the first of `frames` (n,), increasing, to the last, nan where there is none."""
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
    """(p,) overlap of a's tubes i with b's tubes j (p,): the mean IoU of the boxes in the frames that both have, times
    the share of these in the frames that either has.

    plus_one: of the boxes' IoU.  shift: added to x1, y1, width and height of a's boxes.  min_common: tubes with fewer
    frames in common do not overlap.  spatial_only: without the share.
    """
    result = np.zeros(len(i))
    first = np.maximum(a.start[i], b.start[j])
    common = np.minimum(a.end[i], b.end[j]) - first
    meet = np.flatnonzero(common >= min_common)
    present_a, present_b = _present(a), _present(b)
    for part in _portions(meet, common):
        size = common[part]
        within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        row_a, row_b = (
            np.repeat(tubes.offset[k[part]] + first[part] - tubes.start[k[part]], size) + within
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
    """(n,) how many boxes each tube has, and (m,) bool where."""
    there = ~np.isnan(tubes.boxes[:, 0])
    counted = np.r_[0, np.cumsum(there)]
    return counted[tubes.offset[1:]] - counted[tubes.offset[:-1]], there


def _portions(rows: np.ndarray, size: np.ndarray) -> Iterator[np.ndarray]:
    """`rows` in parts of about _ROWS_AT_A_TIME elements by their `size`."""
    if len(rows):
        part = np.cumsum(size[rows]) // _ROWS_AT_A_TIME
        yield from np.split(rows, np.flatnonzero(np.diff(part)) + 1)


def suppress_tubes(tubes: Tubes, threshold: float, **overlap) -> np.ndarray:
    """Rows of the tubes that remain, increasing, when of those of one video and class a tube goes that overlaps a
    better one by more than `threshold`. overlap: see `tube_overlaps`.
    """
    order = np.lexsort((-tubes.score, tubes.label, tubes.video))  # stable: of equal scores the first is the better
    group = np.stack([tubes.video[order], tubes.label[order]], 1)
    starts = np.flatnonzero(np.r_[True, (group[1:] != group[:-1]).any(1)][: len(order)])
    sizes = np.diff(np.r_[starts, len(order)])
    gone = np.zeros(len(tubes), bool)
    boxes, _ = _present(tubes)
    for part in _portions(np.arange(len(starts)), sizes**2):
        better, worse = _pairs(order, starts[part], sizes[part])
        shared = np.minimum(tubes.end[better], tubes.end[worse]) - np.maximum(tubes.start[better], tubes.start[worse])
        near = shared > threshold * np.maximum(boxes[better], boxes[worse])  # the overlap is at most that in time
        better, worse = better[near], worse[near]
        close = tube_overlaps(tubes, tubes, better, worse, **overlap) > threshold
        for one, other in zip(better[close].tolist(), worse[close].tolist(), strict=True):
            gone[other] |= not gone[one]
    return np.flatnonzero(~gone)


def _pairs(order: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every pair (better, worse) within the groups of `order`, the best of a group first."""
    of = np.repeat(np.arange(len(starts)), sizes)
    place = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    after = sizes[of] - 1 - place
    better = np.repeat(starts[of] + place, after)
    step = np.arange(after.sum()) - np.repeat(np.cumsum(after) - after, after)
    return order[better], order[better + 1 + step]
