"""Boxes of successive frames linked to tubes, frame by frame: the same code for a camera and for an evaluation.

Rules after the ACT detector (Kalogeiton et al., ICCV 2017) with tubelets of one frame, and after Singh et al. (ICCV
2017): each live tube, the best first, takes the best-scoring box that overlaps its last one; the boxes that are left
begin tubes; a tube that has found no box for some frames has ended.
"""

from dataclasses import dataclass

import numpy as np

from detect.utils.errors import UserError
from detect.utils.iou import component_iou

_IN_CACHE = 1 << 16  # pairs of boxes compared at a time, so that the arrays between stay in the cache
_WIDEST = 2048  # boxes of a group that are compared all with all at once; of twice as many that takes 0.4 GB


@dataclass(frozen=True)
class LinkOptions:
    """How boxes are linked.

    min_score: boxes below it are not used.  before_nms: so many of the best boxes of a frame are looked at (0: all).
    nms: a box whose IoU with a better one is above it is not used.  keep: so many of the best are used (0: all).
    iou: a box overlaps a tube from this IoU with its last box.  gap: a tube ends in the frame number `gap` after its
    last box, if it finds none there either.  order: tubes choose by the mean of all their scores ("mean"), or of the
    gap + 1 highest, where those that began one frame ago choose last ("top").  take: of the boxes that overlap it a
    tube takes the best ("score") or the closest ("overlap").  moving: a tube is looked for where its motion leads, not
    where its last box is; with `take` "overlap" actors who cross keep their tubes.  plus_one, nms_plus_one: of `iou`
    and of `nms`, as in FrameAPOptions.
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
    """Links the boxes of `sequences` independent streams, such as the classes of a video or of many videos.

    Memory is that of the tubes that have not ended, some `keep * gap` a stream at most, however long the streams are.
    """

    def __init__(self, sequences: int, options: LinkOptions = LinkOptions()):
        self.options = options
        self.frame, self._next_id = -1, 0
        self._highest = options.gap + 1 if options.order == "top" else 0
        self._id = np.full((sequences, 1), -1, np.int64)  # (sequences, slots); a slot may be used again
        self._last = np.full((sequences, 1), -(1 << 40), np.int64)  # frame of the tube's last box
        self._box = np.zeros((4, sequences, 1))
        self._motion = np.zeros((4, sequences, 1))  # of each side, a frame
        self._sum, self._count = np.zeros((sequences, 1)), np.zeros((sequences, 1))
        self._top = np.full((sequences, 1, self._highest), -np.inf)  # the highest scores, unsorted

    def step(self, sequence: np.ndarray, boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Take the boxes of the next frame of every stream.

        Args:
            sequence: (n,) int, the stream of each box, 0 <= sequence < sequences, in any order.
            boxes: (n, 4) x1 y1 x2 y2; scores: (n,).
        Returns:
            (n,) int64: the tube of each box, numbers from 0 that never come again; -1 for a box that is not used.
        """
        sequence, boxes, scores = np.asarray(sequence), np.asarray(boxes, np.float64).reshape(-1, 4), np.asarray(scores)
        used = suppress(sequence, boxes, scores, self.options)
        return self.step_suppressed(sequence, boxes, scores, used)

    def step_suppressed(
        self, sequence: np.ndarray, boxes: np.ndarray, scores: np.ndarray, used: np.ndarray
    ) -> np.ndarray:
        """As `step`, where `used` already says which boxes are: rows sorted by sequence, the best of each first."""
        self.frame += 1
        ids = np.full(len(sequence), -1, np.int64)
        if not len(used):
            return ids
        streams, first, count = np.unique(sequence[used], return_index=True, return_counts=True)
        row = np.repeat(np.arange(len(streams)), count)
        column = np.arange(len(used)) - np.repeat(first, count)
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
        """(streams, boxes) the slot of the tube that takes each box, -1 for none."""
        slot = np.full(score.shape, -1, np.int64)
        live = self._live(streams)
        counts = live.sum(1)
        if not counts.any():
            return slot
        priority = np.where(live, self._priority(streams), -np.inf)
        order = np.argsort(-priority, axis=1, kind="stable")[:, : counts.max()]  # (streams, live tubes), the best first
        free = score.copy()  # of the boxes that no tube has taken
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
        """(4, n) where the boxes of tubes are expected in this frame."""
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
        return np.where(new, -1.0 - self._id[streams], mean)  # in the order in which they began

    def _begin(self, streams: np.ndarray, slot: np.ndarray, score: np.ndarray) -> None:
        """Give each box without a tube an unused slot and a new id."""
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

        self._id, self._last = widened(self._id, -1), widened(self._last, -(1 << 40))
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
            top = self._top[cells]  # the lowest makes room
            lowest = top.argmin(1)
            top[np.arange(len(top)), lowest] = np.maximum(top.min(1), score[row, column])
            self._top[cells] = top

    def _move(self, cells: tuple[np.ndarray, np.ndarray], boxes: np.ndarray) -> None:
        """Half of the motion is that of the last step, since boxes tremble; a tube's first step is all of it."""
        row, column = cells
        count = self._count[cells]
        shift = boxes - self._box[:, row, column]
        step = (shift[:2] + shift[2:]) / 2 / np.maximum(self.frame - self._last[cells], 1)
        step = np.concatenate([step, step])
        share = np.where(count > 1, 0.5, 1.0)
        moved = (1 - share) * self._motion[:, row, column] + share * step
        self._motion[:, row, column] = np.where(count > 0, moved, 0.0)


def suppress(group: np.ndarray, boxes: np.ndarray, scores: np.ndarray, options: LinkOptions) -> np.ndarray:
    """Rows that non-maximum suppression leaves in each group (n,) int >= 0, sorted by group, the best of each first.

    Equal scores: the earlier row first. Groups of about one size are handled together, as one padded array.
    """
    rows = np.flatnonzero(scores >= options.min_score)
    order = rows[by_number(group[rows])]
    of_group = group[order]
    start = np.flatnonzero(np.r_[True, of_group[1:] != of_group[:-1]][: len(order)])
    size = np.diff(np.r_[start, len(order)])
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


def _suppress_long(boxes, scores, order: np.ndarray, kept: np.ndarray, options: LinkOptions) -> None:
    """As `_suppress_padded` for one group, a box at a time: memory grows with the boxes, not with their square."""
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
    """A stable argsort of (n,) int >= 0. Sixteen bits at a time, which numpy sorts by counting: five times as fast."""
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
