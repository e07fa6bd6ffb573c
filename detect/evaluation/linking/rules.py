"""Links a table of detections to tubes by the published rules."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from detect.evaluation.linking.linker import Linker, LinkOptions, suppress
from detect.evaluation.linking.viterbi import PathOptions, best_paths
from detect.evaluation.tables import Detections
from detect.evaluation.tubes import Tubes
from detect.utils.errors import UserError
from detect.utils.runs import run_sizes, run_starts, within


@dataclass(frozen=True)
class LinkRule:
    """How detections become tubes.

    linking: `LinkOptions` link frame by frame, `PathOptions` by best paths over the whole video.  min_boxes,
    min_length: tubes with fewer boxes or frames are left out.  min_score: tubes with a lower mean score are left out,
    if `score_of` is 0.  score_of: a tube's score is the mean of its `score_of` highest frame scores; 0: the mean over
    all its boxes.  fill: a frame without a box gets a linearly interpolated one ("linear") or the next one ("next").
    """

    linking: LinkOptions | PathOptions
    min_boxes: int = 1
    min_length: int = 1
    min_score: float = -math.inf
    score_of: int = 0
    fill: str = "linear"


# ACT's BuildTubes with tubelets of one frame (its own fill frames by overlapping tubelets); Peng and Schmid's
# link_detections; YOWO's link_bbxes_between_frames; gurkirt's incremental_linking.m and convert2eval.m, without its
# temporal labelling, for which see `trim`.
LINK_RULES: dict[str, LinkRule] = {
    "act": LinkRule(LinkOptions(), min_length=15, min_score=0.01),
    "peng": LinkRule(PathOptions()),
    "yowo": LinkRule(PathOptions(product=0.5, plus_one=False)),
    "gurkirt": LinkRule(
        LinkOptions(min_score=0.001, before_nms=50, nms=0.45, iou=0.1, gap=3, order="top", nms_plus_one=False),
        min_boxes=4,
        min_length=10,
        score_of=40,
        fill="next",
    ),
}


_LONGEST = 1_000_000  # frames of a video for best paths: eleven hours at 25 frames per second


def link_detections(
    det: Detections,
    rule: str | LinkRule = "act",
    switch_cost: float | None = None,
    num_frames: Mapping[int, int] | None = None,
) -> Tubes:
    """Tubes of every class in every video.

    switch_cost: see `trim`; None: tubes are not trimmed.  num_frames: length of each video, by its number; best paths
    cover all of it. Without, a video begins at its first frame with a detection of any class and ends at its last.
    UserError for an unknown rule, a negative cost, or a video too long for best paths.
    """
    if isinstance(rule, str):
        if rule not in LINK_RULES:
            raise UserError(f"no linking rule {rule!r}; choose one of {', '.join(LINK_RULES)}")
        rule = LINK_RULES[rule]
    streams = _Streams(det, num_frames)
    link = _follow if isinstance(rule.linking, LinkOptions) else _best_paths
    linked = _good(_by_tube(*link(streams, det, rule.linking)), det, rule)
    tubes, scores = _filled(streams, det, linked, rule)
    return _scored(tubes, scores, rule) if switch_cost is None else trim(tubes, scores, switch_cost, rule)


@dataclass(eq=False)
class _Streams:
    """Numbers the pairs of video and class that occur as streams.

    num_frames: as for `link_detections`.  of: (n,) stream of each detection.  place: (n,) its frame, counted from the
    first of the video.  video, label,
    begin (first frame of the video), length (frames of the video): (streams,).
    """

    det: Detections
    num_frames: Mapping[int, int] | None = None
    of: np.ndarray = field(init=False)
    place: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        video, label = self.det.video.astype(np.int64), self.det.label.astype(np.int64)
        classes, videos = int(label.max(initial=0)) + 1, int(video.max(initial=0)) + 1
        present = np.zeros(videos * classes, bool)
        present[video * classes + label] = True
        keys = np.flatnonzero(present)
        self.of = (np.cumsum(present) - 1)[video * classes + label]
        self.video, self.label = np.divmod(keys, classes)
        first, last = np.full(videos, np.iinfo(np.int64).max), np.full(videos, -1, np.int64)
        np.minimum.at(first, video, self.det.frame)
        np.maximum.at(last, video, self.det.frame)
        for number, count in (self.num_frames or {}).items():
            if number < videos:
                first[number], last[number] = 0, max(count - 1, last[number])
        self.begin, self.length = first[self.video], (last - first + 1)[self.video]
        self.place = self.det.frame - first[video]

    def __len__(self) -> int:
        return len(self.video)


def _follow(streams: _Streams, det: Detections, options: LinkOptions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tube number, place and detection row (k,) of every linked box; frame by frame, all streams at once."""
    used = suppress(streams.place * len(streams) + streams.of, det.boxes, det.score, options)
    place, of = streams.place[used], streams.of[used]
    boxes, scores = det.boxes[used].astype(np.float64), det.score[used].astype(np.float64)
    linker = Linker(len(streams), options)
    frames = np.unique(place)  # a frame without boxes changes nothing
    bounds = np.r_[np.searchsorted(place, frames), len(place)]
    tube = np.empty(len(used), np.int64)
    for frame, begin, end in zip(frames.tolist(), bounds[:-1], bounds[1:], strict=True):
        part = slice(begin, end)
        linker.frame = frame - 1
        tube[part] = linker.step_suppressed(of[part], boxes[part], scores[part], np.arange(end - begin))
    return tube, place, used


def _best_paths(streams: _Streams, det: Detections, options: PathOptions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if len(det) and streams.length.max() > _LONGEST:
        longest = int(streams.length.argmax())
        raise UserError(
            f"best paths through {streams.length[longest]} frames of video number {streams.video[longest]}; at most "
            f"{_LONGEST} are followed. Is a frame's number wrong?"
        )
    order = np.lexsort((streams.place, streams.of))  # stable: within a frame, the order of the table
    boxes, scores = det.boxes[order].astype(np.float64), det.score[order].astype(np.float64)
    paths = best_paths(streams.of[order], streams.place[order], boxes, scores, streams.length, options)
    rows = [path for _, path in paths]
    lengths = np.array([len(path) for path in rows], np.int64)
    tube = np.repeat(np.arange(len(rows)), lengths)
    return tube, within(lengths), order[np.concatenate([np.empty(0, np.int64), *rows])]


@dataclass(frozen=True, eq=False)
class _Linked:
    """Linked boxes, sorted by tube and frame.

    place: (k,) frame of each box, counted from the first of its video.  row: (k,) its row in the detections.  first,
    count: (tubes,) position of the first box of each tube, and its number of boxes.
    """

    place: np.ndarray
    row: np.ndarray
    first: np.ndarray
    count: np.ndarray

    @property
    def length(self) -> np.ndarray:
        """(tubes,) frames from the first box to the last."""
        return self.place[self.first + self.count - 1] - self.place[self.first] + 1

    def take(self, keep: np.ndarray) -> "_Linked":
        """The tubes for which `keep` (tubes,) bool holds."""
        boxes, count = np.repeat(keep, self.count), self.count[keep]
        return _Linked(self.place[boxes], self.row[boxes], np.cumsum(count) - count, count)


def _by_tube(tube: np.ndarray, place: np.ndarray, row: np.ndarray) -> _Linked:
    """Linked boxes from the tube number, place and detection row of each, all (k,), in any order."""
    order = np.lexsort((place, tube))
    first = run_starts(tube[order])
    return _Linked(place[order], row[order], first, run_sizes(first, len(order)))


def _good(linked: _Linked, det: Detections, rule: LinkRule) -> _Linked:
    """The tubes with enough boxes and frames, and a mean score that is high enough where the rule scores by it."""
    keep = (linked.count >= rule.min_boxes) & (linked.length >= rule.min_length)
    if not rule.score_of:
        keep &= _run_means(det.score[linked.row], linked.first, linked.count) >= rule.min_score
    return linked.take(keep)


def _filled(streams: _Streams, det: Detections, linked: _Linked, rule: LinkRule) -> tuple[Tubes, np.ndarray]:
    """Tubes with a box in every frame, interpolated by `rule.fill`, and the score of every frame (m,) float64."""
    length, first = linked.length, linked.first
    tube, begin = np.arange(len(length)), linked.place[first]
    # Each frame lies between two boxes of its tube; a key that grows with tube and place finds them.
    frame = np.repeat(begin, length) + within(length)
    span = int(linked.place.max(initial=0)) + 1
    keys = np.repeat(tube, linked.count) * span + linked.place
    after = np.searchsorted(keys, np.repeat(tube, length) * span + frame)
    before = after - (linked.place[after] != frame)
    share = (frame - linked.place[before]) / np.maximum(linked.place[after] - linked.place[before], 1)
    share = np.where(after == before, 0.0, share if rule.fill == "linear" else 1.0)
    low, high = linked.row[before], linked.row[after]
    boxes = (1 - share[:, None]) * det.boxes[low] + share[:, None] * det.boxes[high]
    scores = (1 - share) * det.score[low] + share * det.score[high]
    stream = streams.of[linked.row[first]]
    mean = _run_means(det.score[linked.row], first, linked.count)
    offset, start = np.r_[0, np.cumsum(length)], streams.begin[stream] + begin
    tubes = Tubes(streams.video[stream], streams.label[stream], mean, start, offset, boxes.astype(np.float64))
    return tubes, scores.astype(np.float64)


def _run_means(values: np.ndarray, first: np.ndarray, count: np.ndarray) -> np.ndarray:
    """(k,) float64 means of runs of `values` that begin at `first` (k,) and have `count` (k,) elements, one or more."""
    return np.add.reduceat(values.astype(np.float64), first) / count if len(first) else np.empty(0)


def _scored(tubes: Tubes, scores: np.ndarray, rule: LinkRule) -> Tubes:
    """The tubes scored by `rule.score_of`; scores: (m,) of every frame. With 0 they keep their scores."""
    if not rule.score_of or not len(tubes):
        return tubes
    of = np.repeat(np.arange(len(tubes)), tubes.length)
    order = np.lexsort((-scores, of))
    best = np.where(within(tubes.length) < rule.score_of, scores[order], 0.0)
    mean = np.add.reduceat(best, tubes.offset[:-1]) / np.minimum(tubes.length, rule.score_of)
    return Tubes(tubes.video, tubes.label, mean, tubes.start, tubes.offset, tubes.boxes)


def trim(tubes: Tubes, scores: np.ndarray, switch_cost: float, rule: LinkRule) -> Tubes:
    """Trims tubes in time: each stretch in which the action happens becomes a tube (Saha et al., BMVC 2016).

    Every frame is labelled as action, with its score (m,), or as background, with 1 - score; the labelling with the
    greatest sum minus `switch_cost` per change of label wins. UserError for a negative cost.
    """
    if not switch_cost >= 0:
        raise UserError(f"trimming: a switch cost of {switch_cost}; it must be 0 or more")
    inside = _labelled(tubes, scores, switch_cost)
    edge = np.zeros(len(inside) + 1, bool)
    edge[tubes.offset] = True
    starts = np.flatnonzero(inside & (edge[:-1] | ~np.r_[False, inside[:-1]]))
    stops = np.flatnonzero(inside & (edge[1:] | ~np.r_[inside[1:], False])) + 1
    long_enough = stops - starts >= rule.min_length
    starts, stops = starts[long_enough], stops[long_enough]
    of = np.searchsorted(tubes.offset, starts, side="right") - 1
    length = stops - starts
    offset = np.r_[0, np.cumsum(length)]
    rows = np.repeat(starts, length) + within(length)
    kept = scores[rows]
    mean = _run_means(kept, offset[:-1], length)
    start = tubes.start[of] + starts - tubes.offset[of]
    cut = Tubes(tubes.video[of], tubes.label[of], mean, start, offset, tubes.boxes[rows])
    return _scored(cut, kept, rule)


def _labelled(tubes: Tubes, scores: np.ndarray, switch_cost: float) -> np.ndarray:
    """(m,) bool: whether the best labelling of a frame is action; all tubes at once, longest first."""
    order = np.argsort(-tubes.length, kind="stable")
    length, offset = tubes.length[order], tubes.offset[:-1][order]
    frames = int(length.max(initial=0))
    value = np.zeros((len(tubes), 2))
    came = np.zeros((frames, len(tubes), 2), bool)  # whether the best label of the frame before is action
    for t in range(frames):
        n = int(np.searchsorted(-length, -t, side="left"))  # tubes with a frame t
        score = scores[offset[:n] + t]
        staying = value[:n]
        from_action = np.stack([staying[:, 1] - switch_cost, staying[:, 1]], 1)
        from_rest = np.stack([staying[:, 0], staying[:, 0] - switch_cost], 1)
        came[t, :n] = from_action > from_rest
        value[:n] = np.maximum(from_action, from_rest) + np.stack([1 - score, score], 1)
    inside = np.zeros(len(scores), bool)
    label = value[:, 1] > value[:, 0]
    for t in range(frames - 1, -1, -1):
        n = int(np.searchsorted(-length, -t, side="left"))
        inside[offset[:n] + t] = label[:n]
        label[:n] = np.where(label[:n], came[t, :n, 1], came[t, :n, 0])
    return inside
