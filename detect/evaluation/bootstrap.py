"""Compares two tables of detections: is the difference larger than the choice of test videos explains?"""

from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from detect.evaluation.average_precision import AP_RULES
from detect.evaluation.frame_ap import (
    FrameAPOptions,
    ap_without_gt,
    counted_rows,
    joined,
    mean_of_classes,
    overlapping,
    taken_pairs,
)
from detect.evaluation.frame_index import FrameIndex
from detect.evaluation.ranking import Ranking
from detect.evaluation.tables import Detections, GroundTruth
from detect.utils.runs import within

REPEATS, CONFIDENCE = 1000, 0.95


@dataclass(frozen=True, eq=False)
class VideoBootstrap:
    """Frame-AP of tables A and B.

    ap: (2, C), mean: (2,) in [0, 1].  low, high: bounds of the bootstrap confidence interval of mAP(B) - mAP(A), at the
    level `CONFIDENCE`; each of the `repeats` draws takes as many videos as there are, with replacement.  better: share
    of draws in which B has the higher mAP.  class_low, class_high: (C,) bounds for the AP of each class.
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
    """Frame-AP of both tables; percentile bootstrap of the difference over videos (Efron and Tibshirani, 1993)."""
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
    """(C,) lower and upper percentiles of `values` (draws, C); nan for a class that is nan in every draw."""
    result = np.full((2, values.shape[1]), np.nan)
    known = ~np.isnan(values).all(0)
    result[:, known] = np.nanpercentile(values[:, known], [tail, 100 - tail], axis=0)
    return result[0], result[1]


class _Ranked:
    """Detections sorted and matched once; `ap` then weights each video by how often it was drawn."""

    def __init__(self, gt: GroundTruth, det: Detections, num_classes: int, options: FrameAPOptions, videos: int):
        frames = FrameIndex(gt, det)
        rows, _, _ = counted_rows(det, frames, options)
        pairs = joined(overlapping(gt, det, rows, frames, options.iou_threshold, options.plus_one, num_classes))
        true = np.zeros(len(det), bool)
        true[taken_pairs(gt, det, pairs, frames, num_classes, options)[0]] = True
        ranking = Ranking(det, rows, det.label[rows], num_classes, frames, options.tie_order)
        order = rows[ranking.order]
        self.rule, self.without_gt = options.ap_rule, ap_without_gt(options)
        self.classes = []
        for label, (begin, end) in enumerate(zip(ranking.bounds[:-1], ranking.bounds[1:], strict=True)):
            own = order[begin:end]
            places = np.flatnonzero(true[own])
            # AP does not depend on the detections after the last true positive
            last = places[-1] + 1 if len(places) else 0
            truths = np.bincount(gt.video[gt.label == label], minlength=videos)
            self.classes.append((det.video[own[:last]], places, truths))

    def ap(self, times: np.ndarray) -> np.ndarray:
        """(C,) AP if the tables held times[v] copies of each video v; times: (videos,) int."""
        result = np.full(len(self.classes), self.without_gt)
        for label, (video, places, truths) in enumerate(self.classes):
            npos = int(truths @ times)
            if npos:
                weight = times[video]
                before = np.cumsum(weight) - weight
                copies = weight[places]
                ranks = np.repeat(before[places], copies) + within(copies) + 1
                result[label] = AP_RULES[self.rule](ranks, npos) if len(ranks) else 0.0
        return result
