"""Where the true positives stand in each class's ranking: all that a curve, or the AP of some of the truths, needs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from detect.evaluation.average_precision import positive_ranks
from detect.evaluation.frame_ap import FrameIndex, rank_tie_key, rows_by_class
from detect.evaluation.tables import Detections, GroundTruth

CURVE_POINTS = 120  # of a drawn curve


@dataclass(frozen=True)
class Ranking:
    """One class's detections by falling score. For its k true positives in that order: their 1-based `ranks`, `scores`
    and `truths` (rows of the ground truth). `npos` truths and `total` detections in all.
    """

    ranks: np.ndarray
    scores: np.ndarray
    truths: np.ndarray
    npos: int
    total: int

    @property
    def precision(self) -> np.ndarray:
        """(k,) at the rank of each true positive."""
        return np.arange(1, len(self.ranks) + 1) / self.ranks


def rank_classes(
    gt: GroundTruth, det: Detections, truth: np.ndarray, rows: np.ndarray, num_classes: int, tie_order: str
) -> list[Ranking]:
    """The ranking of each class.

    truth: (n,) int, the row of the ground truth that a detection is the true positive of, or -1.
    rows: of the detections that count, increasing; true positives do.
    tie_order: of equal scores, see `FrameAPOptions`.
    """
    frames, num_gt = FrameIndex(gt, det), np.bincount(gt.label, minlength=num_classes)
    return [
        _rank(det.score[members], truth[members], int(npos), rank_tie_key(members, frames, tie_order))
        for members, npos in zip(rows_by_class(det.label, rows, num_classes), num_gt, strict=True)
    ]


def _rank(scores: np.ndarray, truth: np.ndarray, npos: int, tie_key: Callable | None) -> Ranking:
    positive = np.flatnonzero(truth >= 0)
    if not len(positive):
        nothing = np.zeros(0, np.int64)
        return Ranking(nothing, np.zeros(0), nothing, npos, len(scores))
    keys = () if tie_key is None else (tie_key(positive),)
    order = positive[np.lexsort((*keys, -scores[positive]))]
    return Ranking(positive_ranks(scores, positive, tie_key), scores[order], truth[order], npos, len(scores))


def curve(ranking: Ranking, *, envelope: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Recall, precision and score at up to CURVE_POINTS true positives, the first and the last among them.

    envelope: the precision is the best at that recall or beyond, as in the area that VOC's AP is.
    """
    precision = ranking.precision
    if envelope:
        precision = np.maximum.accumulate(precision[::-1])[::-1]
    chosen = np.unique(np.linspace(0, len(precision) - 1, min(CURVE_POINTS, len(precision))).astype(int))
    return (chosen + 1) / max(ranking.npos, 1), precision[chosen], ranking.scores[chosen]


def normalised_ap(ranking: Ranking, member: np.ndarray) -> float:
    """AP on the part of a class's truths for which `member` (m,) bool holds; nan where the class has none in it.

    Normalised as by Hoiem, Chodpathumwan and Dai (ECCV 2012): true positives of other truths are left out, recall is
    the part's, and in the precision it counts as if the part were as large as the class, so that small and large parts
    compare. With k of the part's n found after f false positives, precision is k N / n / (k N / n + f). The area is
    under the envelope; of a part that is the whole class it is VOC's AP.
    """
    count = int(member.sum())
    if not count:
        return float("nan")
    false = ranking.ranks - np.arange(1, len(ranking.ranks) + 1)  # before each true positive
    false = false[member[ranking.truths]]
    scaled = np.arange(1, len(false) + 1) * (ranking.npos / count)
    precision = scaled / (scaled + false)
    return float(np.maximum.accumulate(precision[::-1]).sum() / count)


@dataclass(frozen=True)
class Part:
    """The truths of a range of size or length: its name, how many, their mean normalised AP, of how many classes."""

    name: str
    truths: int
    mean: float
    classes: int


def parts(
    rankings: Sequence[Ranking], labels: np.ndarray, values: np.ndarray, edges: Sequence[float], names: Sequence[str]
) -> list[Part]:
    """The truths, of class `labels` (m,), by their `values` (m,): edges[i] <= value < edges[i + 1] is names[i]."""
    place = np.searchsorted(np.asarray(edges)[1:-1], values, side="right")
    found = []
    for i, name in enumerate(names):
        inside = place == i
        present = np.flatnonzero(np.bincount(labels[inside], minlength=len(rankings)))
        scores = [normalised_ap(rankings[c], inside & (labels == c)) for c in present]
        if scores:
            found.append(Part(name, int(inside.sum()), float(np.mean(scores)), len(scores)))
    return found
