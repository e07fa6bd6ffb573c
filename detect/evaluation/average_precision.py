"""Average precision of ranked detections, and the greedy matcher that finds the true positives.

Generic on purpose: a "truth" is a box in a frame or a tube in a video; only the overlap differs.

Notation: n detections of one class sorted by falling score; the k-th true positive (k = 1..K) stands at
1-based rank r_k, so precision there is k / r_k and recall k / npos. All three rules depend only on these.
"""

from collections.abc import Callable

import numpy as np

from detect.utils.runs import run_starts

COCO_THRESHOLDS = tuple(k / 100 for k in range(50, 100, 5))  # IoU .50, .55, ..., .95
MATCHING_RULES = ("best_of_all", "best_unmatched")


def _voc_all_point(ranks: np.ndarray, npos: int) -> float:
    """Area under the envelope of the precision-recall curve (PASCAL VOC from 2010; TF-OD, gurkirt, YOWO)."""
    precision = np.arange(1, len(ranks) + 1) / ranks
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope.sum() / npos)


def _voc_11_point(ranks: np.ndarray, npos: int) -> float:
    """Mean over recall 0, .1, ..., 1 of the best precision at that recall or beyond (PASCAL VOC 2007)."""
    hits = np.arange(1, len(ranks) + 1)
    envelope = np.append(np.maximum.accumulate((hits / ranks)[::-1])[::-1], 0.0)
    # linspace's .3, .6 and .7 lie one rounding step above the decimal, so a recall of exactly 3/10 does not
    # reach ".3". The published scripts have the same steps, and their numbers are the reference.
    first = np.searchsorted(hits / npos, np.linspace(0, 1, 11), side="left")
    return float(envelope[first].sum() / 11)


def _act_trapezoid(ranks: np.ndarray, npos: int) -> float:
    """Trapezoids under the raw curve from (recall 0, precision 1), without envelope (ACT's `pr_to_ap`)."""
    hits = np.arange(1, len(ranks) + 1)
    before = np.divide(hits - 1, ranks - 1, out=np.ones(len(ranks)), where=ranks > 1)  # precision one rank earlier
    return float((0.5 * (hits / ranks + before)).sum() / npos)


AP_RULES: dict[str, Callable[[np.ndarray, int], float]] = {
    "voc_all_point": _voc_all_point,
    "voc_11_point": _voc_11_point,
    "act_trapezoid": _act_trapezoid,
}


def positive_ranks(
    scores: np.ndarray, positive: np.ndarray, tie_key: Callable[[np.ndarray], np.ndarray] | None = None
) -> np.ndarray:
    """1-based ranks, increasing, of the true positives when all detections are sorted by falling score.

    Args:
        scores: (n,) finite scores.
        positive: (k,) distinct indices into `scores`.
        tie_key: maps indices into `scores` to keys; equal scores are ordered by (key, index). Default: by index.

    Instead of sorting all scores, this counts them between the scores of the few true positives. Only scores equal to
    that of a true positive have to be ordered.
    """
    scores = np.asarray(scores)
    levels = np.unique(scores[positive])
    slot = np.searchsorted(levels, scores)  # levels[slot - 1] < score <= levels[slot]
    at_most = np.cumsum(np.bincount(slot, minlength=len(levels) + 1))[:-1]
    first_rank = len(scores) - at_most + 1  # the rank of the first detection at each level
    members = np.flatnonzero(levels[np.minimum(slot, len(levels) - 1)] == scores)  # ties, true positives included
    if len(members) == len(levels):  # no level holds two detections
        return first_rank[::-1]
    level = slot[members]
    keys = (members,) if tie_key is None else (members, tie_key(members))
    order = np.lexsort((*keys, level))
    start = np.searchsorted(level[order], np.arange(len(levels)))
    place = np.empty(len(members), dtype=np.int64)
    place[order] = np.arange(len(members)) - start[level[order]]
    chosen = np.searchsorted(members, positive)
    return np.sort(first_rank[level[chosen]] + place[chosen])


def average_precision(
    scores: np.ndarray,
    true_positive: np.ndarray,
    npos: int,
    rule: str = "voc_all_point",
    tie_key: Callable[[np.ndarray], np.ndarray] | None = None,
) -> float:
    """Average precision in [0, 1] of one class, accumulated in float64; nan when `npos` is 0.

    Args:
        scores: (n,) finite scores.
        true_positive: (n,) bool, or (k,) distinct int indices of the true positives.
        npos: number of truths.
        rule: one of `AP_RULES`.
        tie_key: see `positive_ranks`.
    Raises:
        ValueError: unknown rule, or more true positives than truths.
    """
    if rule not in AP_RULES:
        raise ValueError(f"unknown AP rule {rule!r}; choose one of {', '.join(AP_RULES)}")
    true_positive = np.asarray(true_positive)
    if true_positive.dtype == bool:
        true_positive = np.flatnonzero(true_positive)
    if len(true_positive) > npos:
        raise ValueError(f"{len(true_positive)} true positives for {npos} truths: match each truth at most once")
    if npos == 0:
        return float("nan")
    if len(true_positive) == 0:
        return 0.0
    return AP_RULES[rule](positive_ranks(np.asarray(scores), true_positive, tie_key), npos)


def match(
    detection: np.ndarray,
    truth: np.ndarray,
    overlap: np.ndarray,
    group: np.ndarray,
    priority: tuple[np.ndarray, ...],
    rule: str = "best_of_all",
) -> np.ndarray:
    """Indices of the detections that are true positives, increasing; see `matched_pairs`."""
    return np.sort(matched_pairs(detection, truth, overlap, group, priority, rule)[0])


def matched_pairs(
    detection: np.ndarray,
    truth: np.ndarray,
    overlap: np.ndarray,
    group: np.ndarray,
    priority: tuple[np.ndarray, ...],
    rule: str = "best_of_all",
) -> tuple[np.ndarray, np.ndarray]:
    """The true positives and the truth that each matches, two (k,) int64 in no particular order.

    The input lists the (detection, truth) pairs whose overlap reaches the threshold. The detections of a group are
    matched in order of priority. `best_unmatched`: a detection matches the best truth that is still free (ACT, Peng,
    gurkirt). `best_of_all`: a detection is false if the best truth is already matched (VOC, TF-OD, YOWO). For equal
    overlaps the truth with the lower index is the better one.

    Args:
        detection, truth: (p,) int indices; overlap: (p,) float.
        group: (p,) int, such as frame and class; a detection has pairs in one group only, and so has a truth.
        priority: arrays (p,), the most important first; smaller values go first. No two detections may be equal.
        rule: one of `MATCHING_RULES`.
    """
    if rule not in MATCHING_RULES:
        raise ValueError(f"unknown matching rule {rule!r}; choose one of {', '.join(MATCHING_RULES)}")
    if len(detection) == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    order = np.lexsort((truth, -overlap, *priority[::-1], group))
    detection, truth, group = detection[order], truth[order], group[order]
    new_group = np.r_[True, group[1:] != group[:-1]]
    new_detection = np.r_[True, detection[1:] != detection[:-1]]
    ordinal = np.cumsum(new_detection)
    turn = ordinal - np.maximum.accumulate(np.where(new_group, ordinal, 0))  # 0, 1, ... within its group
    # All groups take turns together: in one round each group has at most one detection, so no two compete.
    by_turn = np.argsort(turn, kind="stable")
    rounds = np.split(by_turn, np.flatnonzero(np.diff(turn[by_turn])) + 1)
    taken = np.zeros(int(truth.max()) + 1, dtype=bool)
    hits = []
    for pairs in rounds:
        if rule == "best_unmatched":
            pairs = pairs[~taken[truth[pairs]]]
        chosen = pairs[run_starts(detection[pairs])]
        chosen = chosen[~taken[truth[chosen]]]
        taken[truth[chosen]] = True
        hits.append(chosen)
    hit = np.concatenate(hits)
    return detection[hit], truth[hit]
