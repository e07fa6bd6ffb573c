"""Tubes as best paths through a video, class by class: the linking of Peng and Schmid (ECCV 2016) and of YOWO.

A path has one box per frame and maximises the sum over successive frames of IoU + score + score (YOWO adds half the
product of the scores). Its boxes are removed and the next path is sought, up to three, while every frame has a box
left. A frame without boxes uses the boxes of the nearest frame that has some.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from detect.utils.iou import component_iou
from detect.utils.runs import run_sizes, run_starts

_CELLS_AT_A_TIME = 1 << 22  # boxes, including padding, of streams linked together, to limit memory


@dataclass(frozen=True)
class PathOptions:
    """product: weight of the product of the scores.  plus_one: for the IoU, as in FrameAPOptions.  most: limit on the
    number of paths per class and video.
    """

    product: float = 0.0
    plus_one: bool = True
    most: int = 3


def best_paths(
    stream: np.ndarray,
    frame: np.ndarray,
    boxes: np.ndarray,
    scores: np.ndarray,
    length: np.ndarray,
    options: PathOptions,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (stream, (length,) row of the box in each frame) of every path, the best of a stream first.

    Args:
        stream: (n,) int, such as a class of a video, increasing.  frame: (n,) int, 0 <= frame < length[stream],
            increasing within a stream.  boxes: (n, 4).  scores: (n,).  length: (streams,) number of frames.
    """
    starts = np.searchsorted(stream, np.arange(len(length) + 1))
    present = np.flatnonzero(np.diff(starts))
    boxes = np.ascontiguousarray(boxes.T)  # (4, n), as `component_iou` takes them
    widths = np.zeros(len(length), np.int64)
    begins = run_starts(stream, frame)
    np.maximum.at(widths, stream[begins], run_sizes(begins, len(frame)))
    # streams of similar width and length together, so that the arrays have little padding
    present = present[np.lexsort((length[present], np.ceil(np.log2(widths[present]))))]
    cells = np.cumsum(widths[present] * length[present]) // _CELLS_AT_A_TIME
    for part in np.split(present, np.flatnonzero(np.diff(cells)) + 1):
        if len(part):
            part = part[np.argsort(-length[part], kind="stable")]  # longest first: those with a frame t are a prefix
            table = _table(part, starts, frame, length, int(widths[part].max()))
            for row, path in _paths(table, boxes, scores, length[part], options):
                yield int(part[row]), path


def _table(part: np.ndarray, starts: np.ndarray, frame: np.ndarray, length: np.ndarray, width: int) -> np.ndarray:
    """(streams, frames, width) int64: rows of the boxes in each frame, -1: none; empty frames filled from the nearest.

    part: (streams,) numbers of the streams.  starts: (all streams + 1,) first row of each.  frame: (n,) of each row.
    length: (all streams,) frames of each.  width: the greatest number of boxes in a frame.
    """
    table = np.full((len(part), int(length[part].max()), width), -1, np.int64)
    for number, stream in enumerate(part):
        rows = np.arange(starts[stream], starts[stream + 1])
        own = frame[rows]
        first = np.searchsorted(own, own)
        table[number, own, rows - starts[stream] - first] = rows
        filled = np.unique(own)
        every = np.arange(length[stream])
        after = np.minimum(np.searchsorted(filled, every), len(filled) - 1)
        before = np.maximum(after - 1, 0)
        nearer = np.where(abs(filled[before] - every) <= abs(filled[after] - every), before, after)
        table[number, : length[stream]] = table[number, filled[nearer]]
    return table


def _paths(
    table: np.ndarray, boxes: np.ndarray, scores: np.ndarray, length: np.ndarray, options: PathOptions
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (position in `table`, (length,) row of the box in each frame) of every path; `table` is overwritten.

    table: (streams, frames, width) of `_table`.  boxes: (4, n).  scores: (n,).  length: (streams,), falling.
    """
    inside = np.arange(table.shape[1]) < length[:, None]
    running = np.ones(len(table), bool)
    for _ in range(options.most):
        running &= ((table >= 0).any(2) | ~inside).all(1)
        if not running.any():
            return
        rows = np.flatnonzero(running)
        chosen = _best(table[rows], boxes, scores, length[rows], options)
        for number, columns in zip(rows, chosen, strict=True):
            every = np.arange(length[number])
            yield number, table[number, every, columns[: length[number]]].copy()
            table[number, every, columns[: length[number]]] = -1


def _best(
    table: np.ndarray, boxes: np.ndarray, scores: np.ndarray, length: np.ndarray, options: PathOptions
) -> np.ndarray:
    """(streams, frames) int64: column of `table` that the best path has in each frame; arguments as for `_paths`.

    From the last frame to the first as in the published code, so that ties are broken alike.
    """
    streams, frames, width = table.shape
    padded = np.where(table >= 0, scores[table], -np.inf)
    value = np.where(table[np.arange(streams), length - 1] >= 0, 0.0, -np.inf)
    step = np.zeros((streams, frames, width), np.int16)
    for t in range(frames - 2, -1, -1):
        n = int(np.searchsorted(-length, -(t + 1), side="left"))  # streams with a frame t + 1
        now, after = padded[:n, t, :, None], padded[:n, t + 1, None, :]
        edge = component_iou(boxes[:, table[:n, t], None], boxes[:, table[:n, t + 1]][:, :, None], options.plus_one)
        edge += now + after
        if options.product:
            finite = np.isfinite(now) & np.isfinite(after)
            edge += options.product * np.where(finite, now, 0) * np.where(finite, after, 0)
        total = edge + value[:n, None, :]
        step[:n, t] = total.argmax(2)
        value[:n] = total.max(2)
    columns = np.zeros((streams, frames), np.int64)
    columns[:, 0] = value.argmax(1)
    for t in range(frames - 1):
        columns[:, t + 1] = np.take_along_axis(step[:, t], columns[:, t, None], 1)[:, 0]
    return columns
