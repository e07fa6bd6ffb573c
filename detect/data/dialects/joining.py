"""Tubes from boxes that nothing joins: forms of files that say what is in a frame and not who is who."""

import numpy as np

from detect.utils.errors import UserError
from detect.utils.iou import pairwise_iou
from detect.utils.runs import run_sizes, run_starts, within

JOIN_IOU = 0.2  # of UCF101-24's 569,404 pairs of neighbours in a tube 229 overlap less, 3,621 less than 0.5
MAX_PAIRS = 50_000_000


def join_boxes(
    video: np.ndarray, frame: np.ndarray, label: np.ndarray, boxes: np.ndarray, min_iou: float = JOIN_IOU
) -> np.ndarray:
    """The tube of each box, (n,) int64: the number of the tube's first box.

    Boxes of one video and label in two neighbouring frames are joined, those that overlap most first, each box with one
    before it and one after it, where their IoU is at least `min_iou`. Neighbours are as far apart as the two closest
    annotated frames of the video, 1 where every frame is annotated. `video`, `frame`, `label` (n,) int, `boxes` (n, 4).
    """
    if not 0 <= min_iou <= 1:
        raise UserError(f"the IoU to join boxes by is {min_iou}; legal values are from 0 to 1")
    order = np.lexsort((frame, label, video))
    columns = np.stack([video, label, frame])[:, order]
    before, after = _candidates(columns)
    overlap = pairwise_iou(boxes[order[before]], boxes[order[after]])
    close = overlap >= min_iou
    before, after = _best_first(before[close], after[close], overlap[close])
    first = np.arange(len(order))
    first[after] = before
    while (first[first] != first).any():  # each step doubles how far back it sees
        first = first[first]
    tube = np.empty(len(order), np.int64)
    tube[order] = order[first]
    return tube


def _candidates(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (before, after) of rows of sorted (video, label, frame) columns, (3, n), in neighbouring frames."""
    if not columns.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    starts = run_starts(*columns)  # of boxes of one frame and label
    counts = run_sizes(starts, columns.shape[1])
    video, label, frame = columns[:, starts]
    same = (np.diff(video) == 0) & (np.diff(label) == 0)
    steps = _steps(video, frame)
    groups = np.flatnonzero(same & (np.diff(frame) == steps[:-1]))  # that the next group follows
    size, width = counts[groups] * counts[groups + 1], counts[groups + 1]
    if size.sum() > MAX_PAIRS:
        crowd = frame[groups[size.argmax()]]
        raise UserError(f"too many boxes to join: {size.sum()} pairs, most in frame {crowd}; give the boxes track ids")
    place, width = within(size), np.repeat(width, size)
    return np.repeat(starts[groups], size) + place // width, np.repeat(starts[groups + 1], size) + place % width


def _steps(video: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """For each row the smallest distance between two different frames of its video, 0 where there is one frame."""
    order = np.lexsort((frame, video))
    apart = np.diff(frame[order])
    pairs = (np.diff(video[order]) == 0) & (apart > 0)
    numbers, place = np.unique(video, return_inverse=True)
    smallest = np.full(len(numbers), np.iinfo(np.int64).max)
    np.minimum.at(smallest, place[order[1:]][pairs], apart[pairs])
    return smallest[place]


def _best_first(before: np.ndarray, after: np.ndarray, overlap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs that remain when each row takes one partner on either side, best overlaps first."""
    order = np.lexsort((after, before, -overlap))
    before, after = before[order], after[order]
    taken = []
    while len(before):
        best = np.intersect1d(*(np.unique(side, return_index=True)[1] for side in (before, after)))
        taken.append((before[best], after[best]))
        left = ~np.isin(before, before[best]) & ~np.isin(after, after[best])
        before, after = before[left], after[left]
    empty = np.zeros(0, np.int64)
    return tuple(np.concatenate([empty, *side]) for side in zip(*taken, strict=True)) if taken else (empty, empty)
