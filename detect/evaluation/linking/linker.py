"""Links the boxes of successive frames to tubes, frame by frame; used for cameras and for evaluations.

The rules follow the ACT detector (Kalogeiton et al., ICCV 2017) with tubelets of one frame, and Singh et al. (ICCV
2017): each live tube, the best first, takes the best-scoring box that overlaps its last box; the remaining boxes begin
tubes; a tube without a box for some frames ends.
"""

from dataclasses import dataclass

import numpy as np

from detect.utils.errors import UserError
from detect.utils.iou import component_iou
from detect.utils.runs import run_sizes, run_starts, within

_IN_CACHE = 1 << 16  # pairs of boxes compared at a time, so that intermediate arrays stay in the cache
_WIDEST = 2048  # largest group whose boxes are compared all with all at once; one twice as large takes 0.4 GB
_NEVER = -(1 << 40)  # frame of the last box of a slot that has held no tube; no gap reaches back so far


@dataclass(frozen=True)
class LinkOptions:
    """How boxes are linked.

    min_score: boxes with a lower score are ignored.  before_nms: number of top-scoring boxes considered per frame (0:
    all).  nms: IoU with a better box above which a box is suppressed.  keep: number of top-scoring boxes kept by NMS
    per frame (0: all).  iou: least IoU of a box with the last box of its tube.  gap: a tube ends after `gap` frames
    without a box.  order: tubes choose boxes in order of the mean of their scores ("mean"), or of the mean of their gap
    + 1 highest scores, except that tubes that began in the frame before choose last ("top").  take: among the boxes
    that overlap it, a tube takes the one with the highest score ("score") or IoU ("overlap").  moving: the last box is
    moved along by the motion of the tube; with `take` "overlap", crossing actors keep their tubes.  plus_one,
    nms_plus_one: for `iou` and for `nms`, as in FrameAPOptions.
    """

    min_score: float = 0.0
    before_nms: int = 0
    nms: float = 0.3
    keep: int = 10
    iou: float = 0.2
    gap: int = 5
    order: str = "mean"
    take: str = "score"
    moving: bool = False
    plus_one: bool = True
    nms_plus_one: bool = True

    def __post_init__(self) -> None:
        if not (0 < self.nms <= 1 and 0 < self.iou <= 1):
            raise UserError(f"linking: nms {self.nms}, iou {self.iou}; both must be above 0 and at most 1")
        if self.gap < 1 or self.keep < 0 or self.before_nms < 0:
            raise UserError(f"linking: gap {self.gap} must be 1 or more, keep {self.keep} and before_nms 0 or more")
        if self.order not in ("mean", "top"):
            raise UserError(f"linking: order is {self.order!r}; choose mean or top")
        if self.take not in ("score", "overlap"):
            raise UserError(f"linking: take is {self.take!r}; choose score or overlap")


class Linker:
    """Links the boxes of `sequences` independent streams, such as the classes of one or many videos.

    Memory holds the live tubes only, about `keep * gap` per stream at most, however long the streams are.
    """

    def __init__(self, sequences: int, options: LinkOptions = LinkOptions()):
        self.options = options
        self.frame, self._next_id = -1, 0
        self._highest = options.gap + 1 if options.order == "top" else 0
        self._id = np.full((sequences, 1), -1, np.int64)  # (sequences, slots); slots of ended tubes are used again
        self._last = np.full((sequences, 1), _NEVER, np.int64)  # frame of the tube's last box
        self._box = np.zeros((4, sequences, 1))
        self._motion = np.zeros((4, sequences, 1))  # of each side, in pixels per frame
        self._sum, self._count = np.zeros((sequences, 1)), np.zeros((sequences, 1))
        self._top = np.full((sequences, 1, self._highest), -np.inf)  # the highest scores, unsorted

    def step(self, sequence: np.ndarray, boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Link the boxes of the next frame of every stream.

        Args:
            sequence: (n,) int, the stream of each box, 0 <= sequence < sequences, in any order.
            boxes: (n, 4) x1 y1 x2 y2; scores: (n,).
        Returns:
            (n,) int64: the tube of each box, numbered from 0, never reused; -1 for a box that was suppressed.
        """
        sequence, boxes, scores = np.asarray(sequence), np.asarray(boxes, np.float64).reshape(-1, 4), np.asarray(scores)
        used = suppress(sequence, boxes, scores, self.options)
        return self.step_suppressed(sequence, boxes, scores, used)

    def step_suppressed(
        self, sequence: np.ndarray, boxes: np.ndarray, scores: np.ndarray, used: np.ndarray
    ) -> np.ndarray:
        """As `step`, after NMS; used: rows of the boxes that it kept, sorted by sequence and falling score."""
        self.frame += 1
        ids = np.full(len(sequence), -1, np.int64)
        if not len(used):
            return ids
        streams, count = np.unique(sequence[used], return_counts=True)
        row = np.repeat(np.arange(len(streams)), count)
        column = within(count)
        shape = (len(streams), int(count.max()))
        found, score = np.zeros((4, *shape)), np.full(shape, -np.inf)
        found[:, row, column], score[row, column] = boxes[used].T, scores[used]
        slot = self._extend(streams, found, score)
        self._begin(streams, slot, score)
        self._record(streams, slot, found, score)
        ids[used] = self._id[streams[row], slot[row, column]]
        return ids

    def _live(self, streams: np.ndarray) -> np.ndarray:
        return (self._id[streams] >= 0) & (self.frame - self._last[streams] <= self.options.gap)

    def _extend(self, streams: np.ndarray, found: np.ndarray, score: np.ndarray) -> np.ndarray:
        """(streams, boxes) slot of the tube that takes each box, -1: none.  found: (4, streams, boxes)."""
        slot = np.full(score.shape, -1, np.int64)
        live = self._live(streams)
        counts = live.sum(1)
        if not counts.any():
            return slot
        priority = np.where(live, self._priority(streams), -np.inf)
        order = np.argsort(-priority, axis=1, kind="stable")[:, : counts.max()]  # (streams, live tubes), best first
        free = score.copy()  # -inf for boxes that are taken
        for rank in range(order.shape[1]):
            active = np.flatnonzero(counts > rank)
            expected = self._expected(streams[active], order[active, rank])
            iou = component_iou(expected[..., None], found[:, active], self.options.plus_one)
            value = free[active] if self.options.take == "score" else np.where(np.isfinite(free[active]), iou, -np.inf)
            near = np.where(iou >= self.options.iou, value, -np.inf)
            choice = near.argmax(1)
            takes = np.isfinite(near[np.arange(len(active)), choice])
            row, column = active[takes], choice[takes]
            slot[row, column], free[row, column] = order[row, rank], -np.inf
        return slot

    def _expected(self, stream: np.ndarray, slot: np.ndarray) -> np.ndarray:
        """(4, n) boxes expected in this frame for the tubes in slots `slot` (n,) of streams `stream` (n,)."""
        boxes = self._box[:, stream, slot]
        if not self.options.moving:
            return boxes
        return boxes + self._motion[:, stream, slot] * (self.frame - self._last[stream, slot])

    def _priority(self, streams: np.ndarray) -> np.ndarray:
        count = self._count[streams]
        if not self._highest:
            return self._sum[streams] / np.maximum(count, 1)
        top = self._top[streams]
        held = np.isfinite(top)
        mean = np.where(held, top, 0.0).sum(2) / np.maximum(held.sum(2), 1)
        new = (count == 1) & (self._last[streams] == self.frame - 1)
        return np.where(new, -1.0 - self._id[streams], mean)  # in order of their beginning

    def _begin(self, streams: np.ndarray, slot: np.ndarray, score: np.ndarray) -> None:
        """Begin a tube, with an unused slot and a new id, for each box without one."""
        new = (slot < 0) & np.isfinite(score)
        needed = new.sum(1)
        usable = ~self._live(streams)
        lacking = int((needed - usable.sum(1)).max())
        if lacking > 0:
            self._grow(lacking)
            usable = ~self._live(streams)
        nth = np.argsort(~usable, axis=1, kind="stable")  # unused slots first
        row, column = np.nonzero(new)
        slot[row, column] = nth[row, (np.cumsum(new, 1) - 1)[row, column]]
        cells = streams[row], slot[row, column]
        self._id[cells] = self._next_id + np.arange(len(row))
        self._next_id += len(row)
        self._sum[cells] = self._count[cells] = 0
        self._motion[:, cells[0], cells[1]] = 0
        self._top[cells] = -np.inf

    def _grow(self, slots: int) -> None:
        def widened(array: np.ndarray, value: float) -> np.ndarray:
            extra = np.full((len(array), slots, *array.shape[2:]), value, array.dtype)
            return np.concatenate([array, extra], 1)

        self._id, self._last = widened(self._id, -1), widened(self._last, _NEVER)
        self._box, self._motion = (
            np.concatenate([array, np.zeros((4, array.shape[1], slots))], 2) for array in (self._box, self._motion)
        )
        self._sum = widened(self._sum, 0)
        self._count, self._top = widened(self._count, 0), widened(self._top, -np.inf)

    def _record(self, streams: np.ndarray, slot: np.ndarray, found: np.ndarray, score: np.ndarray) -> None:
        row, column = np.nonzero(np.isfinite(score))
        cells = streams[row], slot[row, column]
        if self.options.moving:
            self._move(cells, found[:, row, column])
        self._box[:, cells[0], cells[1]], self._last[cells] = found[:, row, column], self.frame
        self._sum[cells] += score[row, column]
        self._count[cells] += 1
        if self._highest:
            top = self._top[cells]  # a higher score replaces the lowest
            lowest = top.argmin(1)
            top[np.arange(len(top)), lowest] = np.maximum(top.min(1), score[row, column])
            self._top[cells] = top

    def _move(self, cells: tuple[np.ndarray, np.ndarray], boxes: np.ndarray) -> None:
        """Update the motion: the mean of the old one and the last step, since boxes jitter; first, the step alone."""
        row, column = cells
        count = self._count[cells]
        shift = boxes - self._box[:, row, column]
        step = (shift[:2] + shift[2:]) / 2 / np.maximum(self.frame - self._last[cells], 1)
        step = np.concatenate([step, step])
        share = np.where(count > 1, 0.5, 1.0)
        moved = (1 - share) * self._motion[:, row, column] + share * step
        self._motion[:, row, column] = np.where(count > 0, moved, 0.0)


def suppress(group: np.ndarray, boxes: np.ndarray, scores: np.ndarray, options: LinkOptions) -> np.ndarray:
    """Rows kept by non-maximum suppression in each group, sorted by group and falling score; group: (n,) int >= 0.

    Of equal scores the earlier row is first. Groups of similar size are handled together as one padded array.
    """
    rows = np.flatnonzero(scores >= options.min_score)
    order = rows[by_number(group[rows])]
    start = run_starts(group[order])
    size = run_sizes(start, len(order))
    kept = np.zeros(len(order), bool)
    width = 1
    while len(size) and width < 2 * size.max():
        groups = np.flatnonzero((size > width // 2) & (size <= width))
        if width > _WIDEST:
            for begin, end in zip(start[groups], start[groups] + size[groups], strict=True):
                _suppress_long(boxes, scores, order[begin:end], kept[begin:end], options)
            groups = groups[:0]
        for part in np.array_split(groups, max(1, len(groups) * width * width // _IN_CACHE)):
            _suppress_padded(boxes, scores, order, start[part], size[part], width, kept, options)
        width *= 2
    return order[kept]


def _suppress_long(
    boxes: np.ndarray, scores: np.ndarray, order: np.ndarray, kept: np.ndarray, options: LinkOptions
) -> None:
    """As `_suppress_padded` for one group, box by box: memory grows with the number of boxes, not with its square."""
    order[:] = order[np.argsort(-scores[order], kind="stable")]
    sides = boxes[order].T.astype(np.float64)
    left = np.arange(len(order))[: options.before_nms or None]
    count = 0
    while len(left) and (count < options.keep or not options.keep):
        best, left = left[0], left[1:]
        kept[best], count = True, count + 1
        covered = component_iou(sides[:, [best]], sides[:, left], options.nms_plus_one) > options.nms
        left = left[~covered]


def by_number(numbers: np.ndarray) -> np.ndarray:
    """A stable argsort of (n,) int >= 0, by 16 bits at a time: numpy's radix sort of these is five times as fast."""
    order = np.arange(len(numbers))
    for shift in range(0, max(1, int(numbers.max(initial=0)).bit_length()), 16):
        digits = ((numbers >> shift) & 0xFFFF).astype(np.uint16)
        order = order[np.argsort(digits[order], kind="stable")]
    return order


def _suppress_padded(boxes, scores, order, start, size, width: int, kept: np.ndarray, options: LinkOptions) -> None:
    """Sort the groups of up to `width` rows each in `order`, the best first, and mark the survivors in `kept`."""
    if not len(start):
        return
    there = np.arange(width) < size[:, None]
    place = np.where(there, start[:, None] + np.arange(width), start[:, None])
    rows = order[place]
    best = np.argsort(np.where(there, -scores[rows], np.inf), axis=1, kind="stable")
    rows = np.take_along_axis(rows, best, 1)
    order[place[there]] = rows[there]
    alive = there
    if options.before_nms:
        alive = there & (np.arange(width) < options.before_nms)
    if width > 1:
        padded = np.ascontiguousarray(np.moveaxis(boxes[rows].astype(np.float64), 2, 0))
        covered = component_iou(padded[..., None], padded[:, :, None], options.nms_plus_one) > options.nms
        for better in range(width - 1):
            alive[:, better + 1 :] &= ~(covered[:, better, better + 1 :] & alive[:, better, None])
    if options.keep:
        alive &= np.cumsum(alive, 1) <= options.keep
    kept[place[alive]] = True
