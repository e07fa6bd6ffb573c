"""The detections of every class sorted by score, so that the AP of many selections can be computed quickly."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from detect.evaluation.average_precision import AP_RULES
from detect.evaluation.frame_ap import SORTING_THREADS, rank_tie_key, rows_by_class
from detect.evaluation.frame_index import FrameIndex
from detect.evaluation.tables import Detections


class Ranking:
    """Entries sorted by class, falling score and the protocol's order of ties.

    An entry is a row of the detections with a label, which may differ from the row's own. `order` (entries,) int64
    lists the entries as sorted, `place` is its inverse; class c has the places `bounds[c]` to `bounds[c + 1]`.

    Args:
        row: (entries,) rows of `det`; label: (entries,) int below `num_classes`.
        frames: the index of `det`; tie_order: see FrameAPOptions.
    """

    def __init__(
        self, det: Detections, row: np.ndarray, label: np.ndarray, num_classes: int, frames: FrameIndex, tie_order: str
    ) -> None:
        def ordered(members: np.ndarray) -> np.ndarray:
            rows = row[members]
            falling = -det.score[rows]
            order = np.argsort(falling)  # twice as fast as a stable sort; the few ties are ordered below
            tie = np.flatnonzero(np.diff(falling[order]) == 0)
            tied = np.unique(np.r_[tie, tie + 1])
            among, key_of = order[tied], rank_tie_key(rows, frames, tie_order)
            keys = (rows[among],) if key_of is None else (rows[among], key_of(among))
            order[tied] = among[np.lexsort((*keys, falling[among]))]
            return members[order]

        by_class = rows_by_class(label, np.arange(len(row)), num_classes)
        with ThreadPoolExecutor(SORTING_THREADS) as pool:
            self.order = np.concatenate([np.zeros(0, np.int64), *pool.map(ordered, by_class)])
        self.bounds = np.cumsum([0, *map(len, by_class)])
        self.place = np.empty(len(row), dtype=np.int64)
        self.place[self.order] = np.arange(len(row))

    def by_class(self, entries: np.ndarray) -> list[np.ndarray]:
        """The places of the entries `entries`, increasing, as one array per class."""
        places = np.sort(self.place[entries])
        return np.split(places, np.searchsorted(places, self.bounds[1:-1]))

    def average_precision(self, kept: np.ndarray, positive: np.ndarray, npos: np.ndarray, rule: str) -> np.ndarray:
        """(C,) AP if only the entries at the places `kept` ((entries,) bool) count, and `positive` (k,) are true.

        The AP of a class without truths is 1 if none of its entries is kept, else 0.
        """
        count = np.r_[0, np.cumsum(kept, dtype=np.int64)]
        kept_in = np.diff(count[self.bounds])
        ap = np.where((npos == 0) & (kept_in == 0), 1.0, 0.0)
        for label, places in enumerate(self.by_class(positive)):
            if len(places):
                ranks = count[places + 1] - count[self.bounds[label]]
                ap[label] = AP_RULES[rule](ranks, int(npos[label]))
        return ap
