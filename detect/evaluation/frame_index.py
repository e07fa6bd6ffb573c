"""Which annotated frame each row of a table belongs to."""

import numpy as np

from detect.evaluation.tables import Detections, GroundTruth, TableError
from detect.utils.runs import run_sizes, run_starts


class FrameIndex:
    """Numbers the annotated frames 0 .. F-1, and gives the number of the frame of every truth and detection.

    of_gt: (m,) frame number.  of_det: (n,) frame number, -1: not annotated.  key: (n,) int64 that grows with video and
    frame.  run_start: (runs,) first row of each run of detections with equal (video, frame). Detections usually come
    frame by frame, so runs are looked up, not rows.
    """

    def __init__(self, gt: GroundTruth, det: Detections) -> None:
        span = 1 + max((int(column.max()) for column in (gt.frame, det.frame) if len(column)), default=0)
        videos = 1 + max((int(column.max()) for column in (gt.video, det.video) if len(column)), default=0)
        if span * videos >= 2**62:
            raise TableError(f"frame {span - 1} is too large a number with {videos} videos; count frames from 0")
        annotated, self.of_gt = np.unique(_int64(gt.video) * span + _int64(gt.frame), return_inverse=True)
        self.key = _int64(det.video) * span + _int64(det.frame)
        self.run_start = run_starts(self.key)
        self.of_det = self.spread(place_in(annotated, self.key[self.run_start]))

    def spread(self, of_run: np.ndarray) -> np.ndarray:
        """(n,) values of the detections from the values `of_run` (runs,) of their runs."""
        return np.repeat(of_run, run_sizes(self.run_start, len(self.key)))


def place_in(known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(n,) int64 position of each of `values` (n,) in the increasing `known`; -1 if it is not there."""
    if not len(known):
        return np.full(len(values), -1, dtype=np.int64)
    slot = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.where(known[slot] == values, slot, -1)


def _int64(column: np.ndarray) -> np.ndarray:
    return column.astype(np.int64, copy=False)  # narrow ones would overflow, uint64 would become float
