"""Tubes out of a table of detections, by the published linking rules."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from detect.evaluation.linking.linker import Linker, LinkOptions, suppress
from detect.evaluation.linking.viterbi import PathOptions, best_paths
from detect.evaluation.tables import Detections
from detect.evaluation.tubes import Tubes
from detect.utils.errors import UserError


@dataclass(frozen=True)
class LinkRule:
    """How detections become tubes.

    linking: frame by frame, or `PathOptions`, best paths over the whole video.  min_boxes, min_length: tubes with fewer
    boxes, or over fewer frames, are left out.  min_score: those with a lower score.  score_of: a tube's score is the
    mean of so many of the highest scores of its frames; 0: of all its boxes.  fill: a frame without a box has one
    interpolated linearly ("linear") or the next one ("next").
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


_LONGEST = 1_000_000  # frames of a video: eleven hours at 25 a second


def link_detections(
    det: Detections,
    rule: str | LinkRule = "act",
    switch_cost: float | None = None,
    num_frames: Mapping[int, int] | None = None,
) -> Tubes:
    """Tubes of every class in every video.

    switch_cost: also trim, see `trim`.  num_frames: the length of each video, by its number; best paths go through all
    of it. Without, a video reaches from the first frame with a detection of any class to the last.
    """
    if isinstance(rule, str):
        if rule not in LINK_RULES:
            raise UserError(f"no linking rule {rule!r}; choose one of {', '.join(LINK_RULES)}")
        rule = LINK_RULES[rule]
    streams = _Streams(det, num_frames)
    linked = _follow if isinstance(rule.linking, LinkOptions) else _best_paths
    tube, frame, row = linked(streams, det, rule.linking)
    tubes, scores = _filled(streams, det, tube, frame, row, rule)
    return tubes if switch_cost is None else trim(tubes, scores, switch_cost, rule)


@dataclass(eq=False)
class _Streams:
    """Numbers the classes of the videos that occur. of: (n,) the stream of each detection.  place: (n,) its frame, from
    the video's first.  video, label, begin, length: (streams,).
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
    """Tube number, place and detection row of every linked box, frame by frame, all streams at once."""
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
    order = np.lexsort((streams.place, streams.of))  # stable: within a frame in the order of the table
    boxes, scores = det.boxes[order].astype(np.float64), det.score[order].astype(np.float64)
    paths = best_paths(streams.of[order], streams.place[order], boxes, scores, streams.length, options)
    rows = [path for _, path in paths]
    lengths = np.array([len(path) for path in rows], np.int64)
    tube = np.repeat(np.arange(len(rows)), lengths)
    place = np.concatenate([np.empty(0, np.int64), *(np.arange(length) for length in lengths)])
    return tube, place, order[np.concatenate([np.empty(0, np.int64), *rows])]


def _filled(streams: _Streams, det: Detections, tube, place, row, rule: LinkRule) -> tuple[Tubes, np.ndarray]:
    """The tubes that are long and good enough, a box in every frame, and the score of every frame (m,)."""
    order = np.lexsort((place, tube))
    tube, place, row = tube[order], place[order], row[order]
    first = np.flatnonzero(np.r_[True, tube[1:] != tube[:-1]][: len(tube)])
    count = np.diff(np.r_[first, len(tube)])
    length = place[first + count - 1] - place[first] + 1 if len(first) else count
    score = np.add.reduceat(det.score[row].astype(np.float64), first) / count if len(first) else np.empty(0)
    keep = (count >= rule.min_boxes) & (length >= rule.min_length)
    if not rule.score_of:
        keep &= score >= rule.min_score
    first, count, length, score = first[keep], count[keep], length[keep], score[keep]
    # each frame lies between two boxes of its tube: find them by a key that grows with tube and place
    offset = np.r_[0, np.cumsum(length)]
    every = np.arange(offset[-1]) - np.repeat(offset[:-1], length) + np.repeat(place[first], length)
    span = int(place.max(initial=0)) + 1
    ordinal = np.cumsum(np.r_[False, tube[1:] != tube[:-1]][: len(tube)])
    after = np.searchsorted(ordinal * span + place, np.repeat(ordinal[first], length) * span + every)
    before = after - (place[after] != every) if len(after) else after
    share = (every - place[before]) / np.maximum(place[after] - place[before], 1)
    share = np.where(after == before, 0.0, share if rule.fill == "linear" else 1.0)[:, None]
    boxes = (1 - share) * det.boxes[row[before]] + share * det.boxes[row[after]]
    scores = ((1 - share[:, 0]) * det.score[row[before]] + share[:, 0] * det.score[row[after]]).astype(np.float64)
    stream = streams.of[row[first]]
    start = streams.begin[stream] + place[first]
    tubes = Tubes(streams.video[stream], streams.label[stream], score, start, offset, boxes.astype(np.float64))
    return _scored(tubes, scores, rule), scores


def _scored(tubes: Tubes, scores: np.ndarray, rule: LinkRule) -> Tubes:
    if not rule.score_of or not len(tubes):
        return tubes
    of = np.repeat(np.arange(len(tubes)), tubes.length)
    order = np.lexsort((-scores, of))
    rank = np.arange(len(scores)) - np.repeat(tubes.offset[:-1], tubes.length)
    best = np.where(rank < rule.score_of, scores[order], 0.0)
    mean = np.add.reduceat(best, tubes.offset[:-1]) / np.minimum(tubes.length, rule.score_of)
    return Tubes(tubes.video, tubes.label, mean, tubes.start, tubes.offset, tubes.boxes)


def trim(tubes: Tubes, scores: np.ndarray, switch_cost: float, rule: LinkRule) -> Tubes:
    """Each tube cut to the stretches in which its action happens, tubes of their own (Saha et al., BMVC 2016).

    Every frame is labelled action, worth its score (m,), or background, worth 1 - score; the labelling with the
    greatest sum wins, where each change of label costs `switch_cost`.
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
    rows = np.repeat(starts - offset[:-1], length) + np.arange(offset[-1])
    kept = scores[rows]
    mean = np.add.reduceat(kept, offset[:-1]) / length if len(length) else np.empty(0)
    start = tubes.start[of] + starts - tubes.offset[of]
    cut = Tubes(tubes.video[of], tubes.label[of], mean, start, offset, tubes.boxes[rows])
    return _scored(cut, kept, rule)


def _labelled(tubes: Tubes, scores: np.ndarray, switch_cost: float) -> np.ndarray:
    """(m,) bool: where the best labelling says action; all tubes together, the longest first."""
    order = np.argsort(-tubes.length, kind="stable")
    length, offset = tubes.length[order], tubes.offset[:-1][order]
    frames = int(length.max(initial=0))
    value = np.zeros((len(tubes), 2))
    came = np.zeros((frames, len(tubes), 2), bool)  # from the label "action"
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
