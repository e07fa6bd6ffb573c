"""Two tables of detections side by side: is the difference more than the luck of which videos were tested?"""

from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from detect.evaluation.average_precision import AP_RULES
from detect.evaluation.frame_ap import (
    FrameAPOptions,
    FrameIndex,
    counted_rows,
    joined,
    mean_of_classes,
    overlapping,
    taken_pairs,
)
from detect.evaluation.ranking import Ranking
from detect.evaluation.tables import Detections, GroundTruth

REPEATS, CONFIDENCE = 1000, 0.95


@dataclass(frozen=True, eq=False)
class VideoBootstrap:
    """Of tables A and B. ap: (2, C), mean: (2,) in [0, 1].  low, high: of the mAP of B minus that of A, the interval
    that holds `CONFIDENCE` of the differences over `repeats` draws of as many videos, with replacement.  better: share
    of the draws in which B is ahead.  class_low, class_high: (C,) of each class.
    """

    ap: np.ndarray
    mean: np.ndarray
    low: float
    high: float
    better: float
    class_low: np.ndarray
    class_high: np.ndarray
    repeats: int


def compare(
    gt: GroundTruth,
    found: tuple[Detections, Detections],
    num_classes: int,
    options: FrameAPOptions,
    repeats: int = REPEATS,
    seed: int = 0,
) -> VideoBootstrap:
    """Frame-AP of both, and the bootstrap over videos (Efron and Tibshirani 1993, percentiles) of their difference."""
    videos = 1 + max(int(table.video.max(initial=0)) for table in (gt, *found))
    ranked = [_Ranked(gt, det, num_classes, options, videos) for det in found]
    once = np.ones(videos, np.int64)
    ap = np.stack([one.ap(once) for one in ranked])
    rng = np.random.default_rng(seed)
    known = np.unique(np.concatenate([table.video for table in (gt, *found)]))
    differences = np.empty((repeats, num_classes))
    means = np.empty(repeats)
    for draw in tqdm(range(repeats), "bootstrap", unit="draw", disable=None):
        times = np.bincount(rng.choice(known, len(known)), minlength=videos)
        first, second = (one.ap(times) for one in ranked)
        differences[draw] = second - first
        means[draw] = mean_of_classes(second) - mean_of_classes(first)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.nanpercentile(means, [tail, 100 - tail])
    with np.errstate(all="ignore"):
        class_low, class_high = _percentiles(differences, tail)
    mean = np.array([mean_of_classes(row) for row in ap])
    return VideoBootstrap(ap, mean, float(low), float(high), float((means > 0).mean()), class_low, class_high, repeats)


def _percentiles(values: np.ndarray, tail: float) -> tuple[np.ndarray, np.ndarray]:
    """(C,) low and high of (draws, C), nan for a class without a number."""
    result = np.full((2, values.shape[1]), np.nan)
    known = ~np.isnan(values).all(0)
    result[:, known] = np.nanpercentile(values[:, known], [tail, 100 - tail], axis=0)
    return result[0], result[1]


class _Ranked:
    """Detections sorted and matched once, so that AP can be had for any number of times that each video counts."""

    def __init__(self, gt: GroundTruth, det: Detections, num_classes: int, options: FrameAPOptions, videos: int):
        frames = FrameIndex(gt, det)
        rows, _, _ = counted_rows(det, frames, options)
        pairs = joined(overlapping(gt, det, rows, frames, options.iou_threshold, options.plus_one, num_classes))
        true = np.zeros(len(det), bool)
        true[taken_pairs(gt, det, pairs, frames, num_classes, options)[0]] = True
        ranking = Ranking(det, rows, det.label[rows], num_classes, frames, options.tie_order)
        order = rows[ranking.order]
        self.rule, self.zero = options.ap_rule, options.classes_without_gt == "zero"
        self.classes = []
        for label, (begin, end) in enumerate(zip(ranking.bounds[:-1], ranking.bounds[1:], strict=True)):
            own = order[begin:end]
            places = np.flatnonzero(true[own])
            # what stands after the last true positive does not matter
            last = places[-1] + 1 if len(places) else 0
            truths = np.bincount(gt.video[gt.label == label], minlength=videos)
            self.classes.append((det.video[own[:last]], places, truths))

    def ap(self, times: np.ndarray) -> np.ndarray:
        """(C,) where video v counts times[v] (videos,) times: as if the tables held so many copies of it."""
        result = np.full(len(self.classes), 0.0 if self.zero else np.nan)
        for label, (video, places, truths) in enumerate(self.classes):
            npos = int(truths @ times)
            if npos:
                weight = times[video]
                before = np.cumsum(weight) - weight
                copies = weight[places]
                nth = np.arange(copies.sum()) - np.repeat(np.cumsum(copies) - copies, copies)
                ranks = np.repeat(before[places], copies) + nth + 1
                result[label] = AP_RULES[self.rule](ranks, npos) if len(ranks) else 0.0
        return result
