"""Precision-recall curves, and the AP on parts of the truths, from the ranks of the true positives."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detect.evaluation.ranking import Ranking

CURVE_POINTS = 120  # in a drawn curve, to keep the page small


@dataclass(frozen=True, eq=False)
class Positives:
    """The k true positives of a class by falling score.

    ranks: (k,) int, from 1, among the detections of the class.  scores: (k,).  truths: (k,) rows of the matched truths.
    npos: number of truths of the class.
    """

    ranks: np.ndarray
    scores: np.ndarray
    truths: np.ndarray
    npos: int

    @property
    def precision(self) -> np.ndarray:
        """(k,) precision at each rank."""
        return np.arange(1, len(self.ranks) + 1) / self.ranks


def positives(
    ranking: Ranking, correct: np.ndarray, scores: np.ndarray, truths: np.ndarray, num_gt: np.ndarray
) -> list[Positives]:
    """The positives of each class. correct: (k,) true entries.  scores, truths: of every entry.  num_gt: (C,)."""
    found = []
    for label, places in enumerate(ranking.by_class(correct)):
        entries = ranking.order[places]
        ranks = places - ranking.bounds[label] + 1
        found.append(Positives(ranks, scores[entries], truths[entries], int(num_gt[label])))
    return found


def curve(ranked: Positives, *, envelope: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Recall, precision and score at up to CURVE_POINTS true positives, including the first and the last.

    envelope: the precision is the best at that recall or beyond, as for VOC's AP.
    """
    precision = ranked.precision
    if envelope:
        precision = np.maximum.accumulate(precision[::-1])[::-1]
    chosen = np.unique(np.linspace(0, len(precision) - 1, min(CURVE_POINTS, len(precision))).astype(int))
    return (chosen + 1) / max(ranked.npos, 1), precision[chosen], ranked.scores[chosen]


def normalised_ap(ranked: Positives, member: np.ndarray) -> float:
    """AP on the truths of a class for which `member` (m,) bool holds; nan without any.

    Normalised as by Hoiem, Chodpathumwan and Dai (ECCV 2012): true positives of other truths are left out, and the
    precision is computed as if the part had as many truths as the class, so that parts of different size are
    comparable. With N truths in the class and k of the n truths in the part found after f false positives, the
    precision is k N / n / (k N / n + f). The AP is the area under the envelope; for the whole class it is VOC's AP.
    """
    count = int(member.sum())
    if not count:
        return float("nan")
    false = ranked.ranks - np.arange(1, len(ranked.ranks) + 1)  # false positives before each true positive
    false = false[member[ranked.truths]]
    scaled = np.arange(1, len(false) + 1) * (ranked.npos / count)
    precision = scaled / (scaled + false)
    return float(np.maximum.accumulate(precision[::-1]).sum() / count)


@dataclass(frozen=True)
class Part:
    """A range of size or length: name, number of truths, mean normalised AP, number of classes in the mean."""

    name: str
    truths: int
    mean: float
    classes: int


def parts(
    ranked: Sequence[Positives], labels: np.ndarray, values: np.ndarray, edges: Sequence[float], names: Sequence[str]
) -> list[Part]:
    """A part for each range edges[i] <= value < edges[i + 1], called names[i]; labels, values: (m,) of the truths."""
    place = np.searchsorted(np.asarray(edges)[1:-1], values, side="right")
    found = []
    for i, name in enumerate(names):
        inside = place == i
        present = np.flatnonzero(np.bincount(labels[inside], minlength=len(ranked)))
        scores = [normalised_ap(ranked[c], inside & (labels == c)) for c in present]
        if scores:
            found.append(Part(name, int(inside.sum()), float(np.mean(scores)), len(scores)))
    return found
