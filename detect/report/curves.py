"""What a curve, or the AP of some of the truths, needs of each class's ranking: where its true positives stand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detect.evaluation.ranking import Ranking

CURVE_POINTS = 120  # of a drawn curve


@dataclass(frozen=True, eq=False)
class Positives:
    """The k true positives of a class by falling score: their 1-based `ranks` among its detections, their `scores` and
    the `truths` that they took (rows of the ground truth). `npos`: truths of the class.
    """

    ranks: np.ndarray
    scores: np.ndarray
    truths: np.ndarray
    npos: int

    @property
    def precision(self) -> np.ndarray:
        """(k,) at the rank of each."""
        return np.arange(1, len(self.ranks) + 1) / self.ranks


def positives(
    ranking: Ranking, correct: np.ndarray, scores: np.ndarray, truths: np.ndarray, num_gt: np.ndarray
) -> list[Positives]:
    """Of each class. `correct`: the true entries of the ranking; `scores`, `truths`: of every entry."""
    found = []
    for label, places in enumerate(ranking.by_class(correct)):
        entries = ranking.order[places]
        ranks = places - ranking.bounds[label] + 1
        found.append(Positives(ranks, scores[entries], truths[entries], int(num_gt[label])))
    return found


def curve(ranked: Positives, *, envelope: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Recall, precision and score at up to CURVE_POINTS true positives, the first and the last among them.

    envelope: the precision is the best at that recall or beyond, as in the area that VOC's AP is.
    """
    precision = ranked.precision
    if envelope:
        precision = np.maximum.accumulate(precision[::-1])[::-1]
    chosen = np.unique(np.linspace(0, len(precision) - 1, min(CURVE_POINTS, len(precision))).astype(int))
    return (chosen + 1) / max(ranked.npos, 1), precision[chosen], ranked.scores[chosen]


def normalised_ap(ranked: Positives, member: np.ndarray) -> float:
    """AP on the part of a class's truths for which `member` (m,) bool holds; nan where the class has none in it.

    Normalised as by Hoiem, Chodpathumwan and Dai (ECCV 2012): true positives of other truths are left out, recall is
    the part's, and in the precision it counts as if the part were as large as the class, so that small and large parts
    compare. With k of the part's n found after f false positives, precision is k N / n / (k N / n + f). The area is
    under the envelope; of a part that is the whole class it is VOC's AP.
    """
    count = int(member.sum())
    if not count:
        return float("nan")
    false = ranked.ranks - np.arange(1, len(ranked.ranks) + 1)  # before each true positive
    false = false[member[ranked.truths]]
    scaled = np.arange(1, len(false) + 1) * (ranked.npos / count)
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
    ranked: Sequence[Positives], labels: np.ndarray, values: np.ndarray, edges: Sequence[float], names: Sequence[str]
) -> list[Part]:
    """The truths, of class `labels` (m,), by their `values` (m,): edges[i] <= value < edges[i + 1] is names[i]."""
    place = np.searchsorted(np.asarray(edges)[1:-1], values, side="right")
    found = []
    for i, name in enumerate(names):
        inside = place == i
        present = np.flatnonzero(np.bincount(labels[inside], minlength=len(ranked)))
        scores = [normalised_ap(ranked[c], inside & (labels == c)) for c in present]
        if scores:
            found.append(Part(name, int(inside.sum()), float(np.mean(scores)), len(scores)))
    return found
