"""What a detector finds in a frame, and the same with the numbers of the actors."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from detect.evaluation.linking.actors import ActorTracker, TrackOptions
from detect.video.readers import FrameReadError


@dataclass(frozen=True, eq=False)
class FrameDetections:
    """What was found in one frame, the surest first.

    frame: its number, from 0.  time: in seconds, None where the frame rate is not known.  boxes: (n, 4) float32
    x0 y0 x1 y1 in pixels of the frame.  labels: (n,) int64 indices into the detector's classes.  names: those classes.
    scores: (n,) float32 in 0..1.  tubes: (n,) int64, the number of each one's actor, of `track`; else None.
    """

    frame: int
    time: float | None
    boxes: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    scores: np.ndarray
    tubes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.scores)


class Tracking:
    """Detections frame by frame with the numbers of their actors, and the tubes that have ended in `tubes`.

    results: (frame, its detections) in order, of a detector's `detect_with_frames`.
    """

    def __init__(
        self, results: Iterable[tuple[np.ndarray, FrameDetections]], classes: Sequence[str], options: TrackOptions
    ):
        self._results, self.classes = results, tuple(classes)
        self._tracker = ActorTracker(classes, options)
        self.tubes = self._tracker.tubes

    def __iter__(self) -> Iterator[FrameDetections]:
        return (found for _, found in self.with_frames())

    def with_frames(self) -> Iterator[tuple[np.ndarray, FrameDetections]]:
        """Each result with its frame. Where a frame cannot be read, FrameReadError after those before it."""
        waiting: deque[tuple[np.ndarray, FrameDetections]] = deque()
        failure = None
        try:
            for frame, found in self._results:
                waiting.append((frame, found))
                self._tracker.add(found.boxes, found.labels, found.scores)
                if self._tracker.ready:
                    yield self._next(waiting)
        except FrameReadError as error:
            failure = error
        while waiting:
            yield self._next(waiting)
        self._tracker.finish()
        if failure:
            raise failure

    def _next(self, waiting: deque[tuple[np.ndarray, FrameDetections]]) -> tuple[np.ndarray, FrameDetections]:
        frame, found = waiting.popleft()
        numbers, boxes, labels, scores = self._tracker.give()
        names = tuple(self.classes[label] for label in labels)
        return frame, replace(found, boxes=boxes, labels=labels, names=names, scores=scores, tubes=numbers)
