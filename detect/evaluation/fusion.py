"""Late fusion: one table from the detections of several detectors, such as an RGB and a flow detector.

`average_scores` is for detectors that scored the same boxes, `fuse_boxes` for different boxes: weighted box fusion
(Solovyev, Wang, Gabruseva, "Weighted boxes fusion", 2021).
"""

from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from detect.evaluation.tables import Detections, TableError, concatenated, take
from detect.utils.iou import pairwise_iou
from detect.utils.runs import run_sizes, run_starts

MIN_IOU = 0.55  # a box joins a cluster from this IoU with its fused box; the paper's value
PIXEL = 0.01  # boxes of the same proposal differ by less
_LEAST_WEIGHT = 1e-12  # so that a cluster whose scores are all 0 has a mean


def fuse(
    tables: Sequence[Detections],
    shares: Sequence[float] | None = None,
    iou: float = MIN_IOU,
    same: bool | None = None,
) -> Detections:
    """One table from several whose `video` columns number the same videos.

    The scores are averaged if the tables have the same boxes, in any order; otherwise the boxes are fused. shares: the
    weights of the detectors, by default equal.  same: the result of `same_boxes`, if known.
    """
    shares = np.ones(len(tables)) if shares is None else np.asarray(shares, np.float64)
    if len(shares) != len(tables) or not (np.isfinite(shares).all() and (shares >= 0).all() and shares.sum() > 0):
        raise TableError(f"shares {shares.tolist()} for {len(tables)} files; give one for each, 0 or more, not all 0")
    if not 0 < iou <= 1:
        raise TableError(f"an IoU of {iou} to fuse boxes by; it must be above 0 and at most 1")
    shares = shares / shares.sum()
    same = same_boxes(tables) if same is None else same
    return average_scores(tables, shares) if same else fuse_boxes(tables, shares, iou)


def same_boxes(tables: Sequence[Detections]) -> bool:
    """Whether every table has the same boxes of the same classes in the same frames, each once."""
    if len({len(table) for table in tables}) > 1:
        return False
    keys = [np.unique(_keys(table), axis=0) for table in tables]
    return all(len(key) == len(tables[0]) and np.array_equal(key, keys[0]) for key in keys)


def average_scores(tables: Sequence[Detections], shares: np.ndarray) -> Detections:
    """The scores of the same boxes averaged with `shares`, which sum to 1."""
    orders = [np.lexsort(_keys(table).T[::-1]) for table in tables]
    score = sum(share * table.score[order] for share, table, order in zip(shares, tables, orders, strict=True))
    first, order = tables[0], orders[0]
    return _by_score(
        Detections(first.video[order], first.frame[order], first.label[order], score, first.boxes[order])
    )


def fuse_boxes(tables: Sequence[Detections], shares: np.ndarray, iou: float = MIN_IOU) -> Detections:
    """Weighted box fusion, frame by frame and class by class.

    The boxes of all tables, by falling score, join the cluster whose fused box they overlap most, if the IoU reaches
    `iou`; otherwise they begin a cluster. A fused box is the mean of its cluster weighted by score; its score is the
    mean of the scores, with 0 for a detector that has no box in the cluster. `shares` weight the detectors.
    """
    whole = concatenated(tables)
    source = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    order = np.lexsort((-whole.score, whole.label, whole.frame, whole.video))
    whole, source = take(whole, order), source[order]
    place = np.stack([whole.video, whole.frame, whole.label], 1)
    starts = run_starts(*place.T)
    found = []
    stops = starts + run_sizes(starts, len(place))
    for start, stop in zip(tqdm(starts, "fusing", unit="class", disable=None), stops, strict=True):
        part = slice(start, stop)
        boxes, score = _fuse_one(whole.boxes[part], whole.score[part], source[part], shares, iou)
        found.append((np.repeat(place[start : start + 1], len(score), 0), score, boxes))
    rows = np.concatenate([np.empty((0, 3), np.int64), *(place for place, _, _ in found)])
    score = np.concatenate([np.empty(0), *(score for _, score, _ in found)])
    boxes = np.concatenate([np.empty((0, 4)), *(boxes for _, _, boxes in found)])
    return _by_score(Detections(rows[:, 0], rows[:, 1], rows[:, 2], score, boxes))


def _fuse_one(
    boxes: np.ndarray, scores: np.ndarray, source: np.ndarray, shares: np.ndarray, iou: float
) -> tuple[np.ndarray, np.ndarray]:
    """Fused boxes (k, 4) and scores (k,) from the boxes (n, 4) of one class in one frame, sorted by falling score."""
    fused = np.empty((0, 4))
    clusters: list[list[int]] = []
    for row, box in enumerate(boxes):
        overlaps = pairwise_iou(np.broadcast_to(box, fused.shape), fused)
        best = int(overlaps.argmax()) if len(overlaps) else -1
        if best >= 0 and overlaps[best] >= iou:
            clusters[best].append(row)
        else:
            best = len(clusters)
            clusters.append([row])
            fused = np.concatenate([fused, box[None]])
        members = clusters[best]
        weights = np.maximum(scores[members] * shares[source[members]], _LEAST_WEIGHT)
        fused[best] = np.average(boxes[members], axis=0, weights=weights)
    result = np.zeros(len(clusters))
    for number, members in enumerate(clusters):
        for detector, share in enumerate(shares):
            own = scores[members][source[members] == detector]
            result[number] += share * (own.mean() if len(own) else 0.0)
    return fused, result


def _keys(table: Detections) -> np.ndarray:
    """(n, 7) int64: video, frame, label and the box in units of `PIXEL`."""
    place = np.stack([table.video, table.frame, table.label], 1)
    return np.hstack([place, np.rint(table.boxes / PIXEL).astype(np.int64)])


def _by_score(table: Detections) -> Detections:
    """Sorted by video, frame and falling score."""
    order = np.lexsort((-table.score, table.frame, table.video))
    return take(table, order)
