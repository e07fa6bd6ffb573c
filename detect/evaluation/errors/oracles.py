"""What each kind of error costs: the AP of every class with the errors of one kind corrected.

boxes       Localisation errors get the box of their nearest truth, and all detections are matched again.
labels      Classification errors get the label of the truth that they cover, and all detections are matched again.
timing      Time errors are removed.
duplicates  Duplicates are removed.
background  Background detections are removed.
proposals   Missed truths are removed from the number of truths, as in TIDE's Missed oracle.
head        Lost truths are removed from the number of truths.
all         All of these. Truths that are still not found are removed too, so every AP is 1.

A corrected detection whose truth is matched by a better ranked one is removed, and so is a correct detection that loses
its truth to a better ranked corrected one: NMS would suppress them. Hence no oracle lowers an AP. A class without any
truth left has AP 1 if it has no false positive left, else 0.
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
from detect.evaluation.frame_ap import Pairs, ap_without_gt, joined, overlapping
from detect.evaluation.frame_index import FrameIndex
from detect.evaluation.ranking import Ranking
from detect.evaluation.tables import Detections

ORACLES = ("boxes", "labels", "timing", "duplicates", "background", "proposals", "head", "all")
_COPY = len(CATEGORIES)  # the kind of a copy of a classification error with the label of its truth


def oracle_ap(matched: MatchedTables, kinds: Kinds, truth_kind: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(C,) AP as it is, and under each of `ORACLES`; nan for a class that is not in the mean. truth_kind: (m,) int8."""
    takers = _matched_anew(matched, kinds)
    entries = _Entries(matched, kinds, takers)
    correct, every = np.flatnonzero(kinds.kind == CORRECT), set(range(len(CATEGORIES)))
    count = {name: _count(matched, truth_kind == kind) for name, kind in (("proposals", MISSED), ("head", LOST))}
    npos = _count(matched, np.ones(len(matched.gt), dtype=bool))
    selections = {  # kinds that are kept, rows of true positives (also kept), (C,) number of truths
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
    without_gt = ap_without_gt(matched.options)
    ap = {name: np.where(npos > 0, entries.ap(*chosen), without_gt) for name, chosen in selections.items()}
    return ap.pop("as it is"), ap


def _count(matched: MatchedTables, truths: np.ndarray) -> np.ndarray:
    return np.bincount(matched.gt.label[truths], minlength=matched.num_classes)


def _matched_anew(matched: MatchedTables, kinds: Kinds) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(rows of true positives, rows of their truths) with boxes, labels or both corrected."""
    wrong = {kind: np.flatnonzero(kinds.kind == kind) for kind in (LOCALISATION, CLASSIFICATION)}
    rows = wrong[LOCALISATION]
    boxes = _corrected(matched, rows, matched.det.label[rows], matched.gt.boxes[kinds.truth[rows]])
    rows = wrong[CLASSIFICATION]
    labels = _corrected(matched, rows, matched.gt.label[kinds.truth[rows]], matched.det.boxes[rows])
    corrected = {"boxes": [boxes], "labels": [labels], "all": [boxes, labels]}
    return {name: matched.taken(joined([kinds.hits, *pairs])) for name, pairs in corrected.items()}


def _corrected(matched: MatchedTables, rows: np.ndarray, label: np.ndarray, boxes: np.ndarray) -> Pairs:
    """Same-class pairs that reach the threshold if the detections `rows` have other labels (k,) and boxes (k, 4)."""
    det = Detections(matched.det.video[rows], matched.det.frame[rows], label, matched.det.score[rows], boxes)
    every, frames, options = np.arange(len(det)), FrameIndex(matched.gt, det), matched.options
    found = overlapping(matched.gt, det, every, frames, options.iou_threshold, options.plus_one, matched.num_classes)
    detection, truth, overlap = joined(found)
    return rows[detection], truth, overlap


class _Entries:
    """The entries of a ranking: the counted detections, and a copy of each classification error that matches its truth
    once it has the right label.
    """

    def __init__(self, matched: MatchedTables, kinds: Kinds, takers: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
        self._matched, self._kind = matched, kinds.kind
        relabelled = (rows[kinds.kind[rows] == CLASSIFICATION] for rows, _ in takers.values())
        self._copies = np.unique(np.concatenate(list(relabelled)))
        row = np.r_[matched.rows, self._copies]
        label = np.r_[matched.det.label[matched.rows], matched.gt.label[kinds.truth[self._copies]]]
        self._ranking = Ranking(matched.det, row, label, matched.num_classes, matched.frames, matched.options.tie_order)
        kind = np.r_[kinds.kind[matched.rows], np.full(len(self._copies), _COPY, dtype=np.int8)]
        self._kind_at = kind[self._ranking.order]

    def ap(self, kept: Iterable[int], true_rows: np.ndarray, npos: np.ndarray) -> np.ndarray:
        """(C,) AP of the detections of the kinds `kept` and the true positives `true_rows`; npos: (C,)."""
        stays = np.zeros(_COPY + 1, dtype=bool)
        stays[list(kept)] = True
        stays = stays[self._kind_at]
        true_entries = np.searchsorted(self._matched.rows, true_rows)
        copied = self._kind[true_rows] == CLASSIFICATION
        true_entries[copied] = len(self._matched.rows) + np.searchsorted(self._copies, true_rows[copied])
        stays[self._ranking.place[true_entries]] = True
        return self._ranking.average_precision(stays, true_entries, npos, self._matched.options.ap_rule)
