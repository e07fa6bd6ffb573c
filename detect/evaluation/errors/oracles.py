"""What each kind of error costs: the AP of every class with errors of that kind mended, and of no other.

boxes       Every localisation error has the box of its nearest truth, and detections are matched anew.
labels      Every classification error has the label of the truth that it covers, and detections are matched anew.
timing      Time errors are left out; duplicates and background: these are left out.
proposals   Missed truths are not asked for: they leave the number of truths, as TIDE's Missed oracle does it.
head        Lost truths are not asked for.
all         All of that. Truths that even then are not found are not asked for, so every AP is 1.

A mended detection whose truth a better ranked one takes is left out, and so is a correct one that a better ranked
mended detection pushes out: suppression of overlapping boxes would drop them. Hence no oracle lowers an AP. A class all
of whose truths are no longer asked for has AP 1 where nothing false is left of it, else 0.
"""

from collections.abc import Iterable

import numpy as np

from detect.evaluation.errors.kinds import (
    BACKGROUND,
    CATEGORIES,
    CLASSIFICATION,
    CORRECT,
    DUPLICATE,
    LOCALISATION,
    LOST,
    MISSED,
    TIME,
    Kinds,
    MatchedTables,
)
from detect.evaluation.frame_ap import FrameIndex, Pairs, joined, overlapping
from detect.evaluation.ranking import Ranking
from detect.evaluation.tables import Detections

ORACLES = ("boxes", "labels", "timing", "duplicates", "background", "proposals", "head", "all")
_COPY = len(CATEGORIES)  # the kind of an entry that is a classification error under its truth's label


def oracle_ap(matched: MatchedTables, kinds: Kinds, truth_kind: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(C,) AP as it is, and under each of `ORACLES`; nan for a class that is not in the mean."""
    takers = _matched_anew(matched, kinds)
    entries = _Entries(matched, kinds, takers)
    correct, every = np.flatnonzero(kinds.kind == CORRECT), set(range(len(CATEGORIES)))
    count = {name: _count(matched, truth_kind == kind) for name, kind in (("proposals", MISSED), ("head", LOST))}
    npos = _count(matched, np.ones(len(matched.gt), dtype=bool))
    selections = {  # kinds that stay, the true ones, which stay too, and the number of truths
        "as it is": (every, correct, npos),
        "boxes": (every - {CORRECT, LOCALISATION}, takers["boxes"][0], npos),
        "labels": (every - {CORRECT, CLASSIFICATION}, takers["labels"][0], npos),
        "timing": (every - {TIME}, correct, npos),
        "duplicates": (every - {DUPLICATE}, correct, npos),
        "background": (every - {BACKGROUND}, correct, npos),
        "proposals": (every, correct, npos - count["proposals"]),
        "head": (every, correct, npos - count["head"]),
        "all": (set(), takers["all"][0], _count(matched, takers["all"][1])),
    }
    without = 0.0 if matched.options.classes_without_gt == "zero" else np.nan
    ap = {name: np.where(npos > 0, entries.ap(*chosen), without) for name, chosen in selections.items()}
    return ap.pop("as it is"), ap


def _count(matched: MatchedTables, truths: np.ndarray) -> np.ndarray:
    return np.bincount(matched.gt.label[truths], minlength=matched.num_classes)


def _matched_anew(matched: MatchedTables, kinds: Kinds) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(rows of detections, rows of the truths that they take) with boxes, labels or both mended."""
    wrong = {kind: np.flatnonzero(kinds.kind == kind) for kind in (LOCALISATION, CLASSIFICATION)}
    rows = wrong[LOCALISATION]
    boxes = _mended(matched, rows, matched.det.label[rows], matched.gt.boxes[kinds.truth[rows]])
    rows = wrong[CLASSIFICATION]
    labels = _mended(matched, rows, matched.gt.label[kinds.truth[rows]], matched.det.boxes[rows])
    mended = {"boxes": [boxes], "labels": [labels], "all": [boxes, labels]}
    return {name: matched.taken(joined([kinds.hits, *pairs])) for name, pairs in mended.items()}


def _mended(matched: MatchedTables, rows: np.ndarray, label: np.ndarray, boxes: np.ndarray) -> Pairs:
    """Pairs that reach the threshold of the detections `rows` with other labels and boxes."""
    det = Detections(matched.det.video[rows], matched.det.frame[rows], label, matched.det.score[rows], boxes)
    every, frames, options = np.arange(len(det)), FrameIndex(matched.gt, det), matched.options
    found = overlapping(matched.gt, det, every, frames, options.iou_threshold, options.plus_one, matched.num_classes)
    detection, truth, overlap = joined(found)
    return rows[detection], truth, overlap


class _Entries:
    """What is ranked: the counted detections, then a copy of each classification error that takes its truth once it
    has its label.
    """

    def __init__(self, matched: MatchedTables, kinds: Kinds, takers: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
        self._case, self._kind = matched, kinds.kind
        relabelled = (rows[kinds.kind[rows] == CLASSIFICATION] for rows, _ in takers.values())
        self._copies = np.unique(np.concatenate(list(relabelled)))
        row = np.r_[matched.rows, self._copies]
        label = np.r_[matched.det.label[matched.rows], matched.gt.label[kinds.truth[self._copies]]]
        self._ranking = Ranking(matched.det, row, label, matched.num_classes, matched.frames, matched.options.tie_order)
        kind = np.r_[kinds.kind[matched.rows], np.full(len(self._copies), _COPY, dtype=np.int8)]
        self._kind_at = kind[self._ranking.order]

    def ap(self, kept: Iterable[int], true_rows: np.ndarray, npos: np.ndarray) -> np.ndarray:
        stays = np.zeros(_COPY + 1, dtype=bool)
        stays[list(kept)] = True
        stays = stays[self._kind_at]
        true_entries = np.searchsorted(self._case.rows, true_rows)
        copied = self._kind[true_rows] == CLASSIFICATION
        true_entries[copied] = len(self._case.rows) + np.searchsorted(self._copies, true_rows[copied])
        stays[self._ranking.place[true_entries]] = True
        return self._ranking.average_precision(stays, true_entries, npos, self._case.options.ap_rule)
