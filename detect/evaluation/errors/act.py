"""ACT's decomposition of the frame-AP (Kalogeiton et al., ICCV 2017; `frameAP_error` in its and in MOC's ACT.py)."""

import numpy as np

from detect.evaluation.errors.kinds import MatchedTables, compare
from detect.evaluation.frame_ap import joined, preset
from detect.evaluation.ranking import Ranking
from detect.evaluation.tables import Detections, GroundTruth

ACT_ERRORS = ("localisation", "classification", "time", "other")
_LOCALISATION, _CLASSIFICATION, _TIME, _OTHER, _CORRECT = range(5)


def act_decomposition(
    gt: GroundTruth, det: Detections, num_classes: int, iou_threshold: float = 0.5, min_score: float = 0.0
) -> dict[str, np.ndarray]:
    """AP, localisation, classification, time, other and missed, each (C,) in percent; they add up to 100.

    The protocol is always ACT's (`PRESETS["act"]`). The kind of a false detection depends on the truths in its frame:
    localisation if there is one of its class, however far away or already matched; if there are only truths of other
    classes, classification if one reaches the IoU threshold, else other; if there are none, time if its video has the
    class, else other. The area of a kind is computed like the AP, with the share of the kind among the detections down
    to a rank instead of the precision. These areas add up to the recall; the rest is missed. nan for a class without
    truths, where ACT divides by zero.
    """
    matched = compare(gt, det, num_classes, preset("act", iou_threshold=iou_threshold), min_score)
    hits = joined(matched.pairs(matched.rows, iou_threshold, one_class=True))
    kind = _kinds(matched, matched.taken(hits)[0])
    label = det.label[matched.rows]
    ranking = Ranking(det, matched.rows, label, num_classes, matched.frames, matched.options.tie_order)
    npos = np.bincount(gt.label, minlength=num_classes)
    correct = np.flatnonzero(kind == _CORRECT)
    every = np.ones(len(kind), dtype=bool)
    area = {"AP": np.where(npos > 0, ranking.average_precision(every, correct, npos, "act_trapezoid"), np.nan)}
    kind_at = kind[ranking.order]
    for number, name in enumerate(ACT_ERRORS):
        area[name] = _areas(ranking, kind_at == number, correct, npos)
    area["missed"] = 1 - sum(area.values())
    return {name: 100 * values for name, values in area.items()}


def _kinds(matched: MatchedTables, correct: np.ndarray) -> np.ndarray:
    """(counted rows,) int8, an index in `ACT_ERRORS` or _CORRECT; correct: rows of the true positives."""
    in_frame, in_video = matched.has_truth()
    annotated = matched.frames.of_det[matched.rows] >= 0
    kind = np.where(in_frame, _LOCALISATION, np.where(~annotated & in_video, _TIME, _OTHER)).astype(np.int8)
    beside = matched.rows[annotated & ~in_frame]
    for detection, _, _ in matched.pairs(beside, matched.options.iou_threshold, one_class=False):
        kind[np.searchsorted(matched.rows, detection)] = _CLASSIFICATION
    kind[np.searchsorted(matched.rows, correct)] = _CORRECT
    return kind


def _areas(ranking: Ranking, wrong: np.ndarray, correct: np.ndarray, npos: np.ndarray) -> np.ndarray:
    """(C,) areas under the share of `wrong` entries against recall, by trapezoids from (0, 0).

    wrong: (entries,) bool, by place in the ranking.  correct: (k,) entries.  npos: (C,).
    """
    count = np.r_[0, np.cumsum(wrong, dtype=np.int64)]
    area = np.where(npos > 0, 0.0, np.nan)
    for label, places in enumerate(ranking.by_class(correct)):
        if len(places):  # recall grows at true positives only, which are not wrong
            ranks = places + 1 - ranking.bounds[label]
            errors = count[places] - count[ranking.bounds[label]]
            before = np.divide(errors, ranks - 1, out=np.zeros(len(ranks)), where=ranks > 1)
            area[label] = 0.5 * (errors / ranks + before).sum() / npos[label]
    return area
