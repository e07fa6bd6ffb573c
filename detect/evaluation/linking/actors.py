"""Actors from the detections of a stream: one tube per actor, one label per tube, even if the detector is unsteady.

The boxes in a frame are first grouped across classes: a group is one actor, with the best score of each class. The
linker of the evaluation links the groups. Scores are averaged along a tube, so that an actor's label does not change
from frame to frame. With look-ahead, boxes are smoothed, gaps are bridged, and a tube is drawn from its first frame.
"""

from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from detect.evaluation.linking.linker import Linker, LinkOptions, suppress
from detect.utils.errors import UserError
from detect.utils.iou import component_iou

GROUPS = LinkOptions(nms=0.5, keep=20, nms_plus_one=False)  # for the boxes of a frame, across classes
LINKS = LinkOptions(take="overlap", moving=True, plus_one=False)
MIN_SCORE = 0.01  # lower class scores are ignored; a softmax gives most wrong classes less
MEMORY = 30  # frames; a tube's mean score is plain up to here, then exponential, so that an actor can change the action
BETTER = 1.25  # the label changes when another class's mean score is this many times that of the label
FADE = 0.75  # once shown, an actor is drawn until the score falls below this share of `threshold`


@dataclass(frozen=True)
class TrackOptions:
    """How actors are followed.

    threshold: mean score from which an actor is shown.  look_ahead: number of later frames that are read before a frame
    is given out; 0, as for a camera: at once.  min_frames: shorter tubes are not shown.
    """

    threshold: float = 0.4
    look_ahead: int = 8
    min_frames: int = 3

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise UserError(f"the threshold is {self.threshold}; it must be 0 to 1")
        if self.look_ahead < 0 or self.min_frames < 1:
            raise UserError(f"look_ahead {self.look_ahead}, min_frames {self.min_frames}: at least 0 and 1 are needed")

    @classmethod
    def for_stream(cls, threshold: float, every: int, live: bool = False) -> "TrackOptions":
        """For a detector that runs on every `every`-th frame: a single detection is repeated until the next run, so
        only tubes longer than that were detected twice. live: no look-ahead.
        """
        return cls(threshold, 0 if live else every + 1 + LINKS.gap, every + 2)


@dataclass(frozen=True, eq=False)
class ActorTube:
    """An actor doing one action.

    id: number of the actor, from 0; each action of an actor is a tube of its own with the same id.  label, name: the
    class.  score: mean over frames.  start, end: the first frame, and the frame after the last.  boxes: (end - start,
    4) float32 x0 y0 x1 y1.
    """

    id: int
    label: int
    name: str
    score: float
    start: int
    end: int
    boxes: np.ndarray


def group_boxes(
    boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray, num_classes: int, min_score: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """The actors in one frame: boxes (m, 4) by falling score, and the best score of each class (m, num_classes).

    A box belongs to the actor of a better box, of any class, if their IoU is above 0.5. Groups with a best score below
    `min_score` are left out.
    """
    used = suppress(np.zeros(len(scores), np.int64), boxes, scores, replace(GROUPS, min_score=min_score))
    of_class = np.zeros((len(used), num_classes), np.float32)
    if len(used):
        overlap = component_iou(boxes[used].T[..., None], boxes.T[:, None])
        overlap[np.arange(len(used)), used] = 1.0
        owner = overlap.argmax(0)
        same = overlap.max(0) > GROUPS.nms
        np.maximum.at(of_class, (owner[same], labels[same]), scores[same])
    return boxes[used], of_class


class _Actor:
    """A live tube of the linker. `boxes`: one per frame from `first` on; boxes that were given out are dropped."""

    def __init__(self, frame: int, num_classes: int):
        self.began = self.first = frame
        self.boxes: deque[np.ndarray] = deque()
        self.mean, self.seen = np.zeros(num_classes), 0
        self.label, self.number, self.shown = -1, -1, False
        self.tube: _Tube | None = None

    @property
    def end(self) -> int:
        return self.first + len(self.boxes)

    def add(self, frame: int, box: np.ndarray, of_class: np.ndarray) -> None:
        before, lacking = self.boxes[-1] if self.boxes else box, frame - self.end
        for step in range(1, lacking + 1):
            self.boxes.append(before + (box - before) * (step / (lacking + 1)))
        self.boxes.append(box)
        self.seen += 1
        self.mean += (of_class - self.mean) / min(self.seen, MEMORY)
        best = int(self.mean.argmax())
        if self.label < 0 or self.mean[best] > BETTER * self.mean[self.label]:
            self.label = best

    def box_at(self, frame: int, smooth: bool) -> np.ndarray:
        """The box (4,) of a frame; smooth: with its neighbours, weighted 1/4, 1/2, 1/4."""
        place = frame - self.first
        box = self.boxes[place]
        if smooth and 0 < place < len(self.boxes) - 1:
            return (self.boxes[place - 1] + 2 * box + self.boxes[place + 1]) / 4
        return box

    def forget(self, before: int) -> None:
        """Drop the boxes before a frame, except the last box: a gap may have to be bridged from it."""
        while self.first < before and len(self.boxes) > 1:
            self.boxes.popleft()
            self.first += 1


class _Tube:
    """The boxes shown so far of an actor under one label."""

    def __init__(self, number: int, label: int, frame: int):
        self.number, self.label, self.start = number, label, frame
        self.boxes, self.total, self.count = array("f"), 0.0, 0

    @property
    def end(self) -> int:
        return self.start + len(self.boxes) // 4

    def add(self, frame: int, box: np.ndarray, score: float) -> None:
        lacking = frame - self.end
        before = np.array(self.boxes[-4:] if self.boxes else box)
        for step in range(1, lacking + 2):
            self.boxes.extend((before + (box - before) * (step / (lacking + 1))).tolist())
        self.total += score
        self.count += 1

    def finished(self, classes: Sequence[str]) -> ActorTube:
        boxes = np.array(self.boxes, np.float32).reshape(-1, 4)
        name, score = classes[self.label], self.total / self.count
        return ActorTube(self.number, self.label, name, score, self.start, self.end, boxes)


class ActorTracker:
    """`add` takes the detections of frame after frame; `give` returns the actors shown in the next frame.

    Memory holds the present actors: `look_ahead` boxes, and 16 bytes per frame for the tube of each. `tubes`: tubes
    that have ended; for an endless stream, remove them from time to time.
    """

    def __init__(self, classes: Sequence[str], options: TrackOptions = TrackOptions()):
        self.classes, self.options = tuple(classes), options
        self.tubes: list[ActorTube] = []
        self._linker = Linker(1, LINKS)
        self._actors: dict[int, _Actor] = {}
        self._added = self._given = self._numbers = 0

    def add(self, boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> None:
        """The detections of the next frame: (n, 4), (n,), (n,), in any order."""
        least = self.options.threshold / 4  # weaker boxes are mostly parts of other actors, and mislead tubes
        rows = scores >= min(MIN_SCORE, least)
        boxes, of_class = group_boxes(boxes[rows], labels[rows], scores[rows], len(self.classes), least)
        sequence, best = np.zeros(len(boxes), np.int64), of_class.max(1, initial=0.0)
        ids = self._linker.step_suppressed(sequence, boxes, best, np.arange(len(boxes)))
        for id_, box, vector in zip(ids.tolist(), boxes, of_class, strict=True):
            actor = self._actors.setdefault(id_, _Actor(self._added, len(self.classes)))
            actor.add(self._added, box, vector)
        self._added += 1

    @property
    def ready(self) -> bool:
        """Whether the next frame and `look_ahead` frames after it have been added."""
        return self._added > self._given + self.options.look_ahead

    def give(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The actors shown in the next frame, by falling score: numbers (n,) int64, boxes (n, 4) float32, labels (n,)
        int64, scores (n,) float32.
        """
        frame, shown = self._given, []
        for actor in self._actors.values():
            if actor.first <= frame < actor.end and self._is_shown(actor):
                box, score = actor.box_at(frame, smooth=self.options.look_ahead > 0), float(actor.mean[actor.label])
                self._record(actor, frame, box, score)
                shown.append((actor.number, box, actor.label, score))
        self._given += 1
        self._retire()
        shown.sort(key=lambda row: -row[3])
        number, box, label, score = zip(*shown, strict=True) if shown else ((), (), (), ())
        boxes = np.array(box, np.float32).reshape(-1, 4)
        return np.array(number, np.int64), boxes, np.array(label, np.int64), np.array(score, np.float32)

    def finish(self) -> None:
        """End the tubes of all actors that are still present."""
        for actor in self._actors.values():
            self._close(actor)
        self._actors.clear()

    def _is_shown(self, actor: _Actor) -> bool:
        score, options = actor.mean[actor.label], self.options
        long_enough = actor.end - actor.began >= options.min_frames
        actor.shown = long_enough and score >= (FADE if actor.shown else 1.0) * options.threshold
        if actor.shown and actor.number < 0:  # only actors that are shown get a number
            actor.number = self._numbers
            self._numbers += 1
        return actor.shown

    def _record(self, actor: _Actor, frame: int, box: np.ndarray, score: float) -> None:
        if actor.tube and (actor.tube.label != actor.label or frame - actor.tube.end >= LINKS.gap):
            self._close(actor)
        if actor.tube is None:
            actor.tube = _Tube(actor.number, actor.label, frame)
        actor.tube.add(frame, box, score)

    def _close(self, actor: _Actor) -> None:
        if actor.tube:
            self.tubes.append(actor.tube.finished(self.classes))
            actor.tube = None

    def _retire(self) -> None:
        """Remove actors whose tube has ended in the linker and whose frames have all been given out."""
        for id_, actor in list(self._actors.items()):
            actor.forget(self._given - 1)
            if actor.end <= min(self._given, self._added - LINKS.gap):
                self._close(actor)
                del self._actors[id_]
