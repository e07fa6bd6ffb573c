"""Windows over the frames of a video: which frames surround a keyframe, spans that keyframes share, and clips off a
stream that is decoded once."""

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


def random_speed(speeds: Sequence[float], rng: np.random.Generator) -> float:
    """A speed between the slowest and the fastest of `speeds`, drawn log-uniformly: half and twice are as likely.

    Where both are 1 nothing is drawn, so that what else is drawn stays.
    """
    slowest, fastest = speeds
    return 1.0 if slowest == fastest == 1 else float(np.exp(rng.uniform(*np.log([slowest, fastest]))))


def paced(steps: np.ndarray, speed: float) -> np.ndarray:
    """Steps of a clip in frames of the video, int64: times `speed`, to the nearest; halves up, for even steps."""
    return np.floor(steps * speed + 0.5).astype(np.int64)


def clip_indices(keyframe: int, num_frames: int, length: int, speed: float = 1.0) -> np.ndarray:
    """The 0-based frames of a clip, (length,) int64: keyframe - length // 2 onwards, edge frames repeated.

    Of a clip of 20 that is keyframe - 10 .. keyframe + 9; the keyframe is always at position length // 2.
    `num_frames`: of the video. (The paper says "the surrounding frames" and leaves both choices open.) At a `speed`,
    position i is frame keyframe + round((i - length // 2) * speed).
    """
    if length < 1:
        raise ValueError(f"a clip of {length} frames; it has at least 1")
    if not 0 <= keyframe < num_frames:
        raise ValueError(f"keyframe {keyframe} is outside a video of {num_frames} frames")
    return (keyframe + paced(np.arange(length) - length // 2, speed)).clip(0, num_frames - 1)


class Span(NamedTuple):
    """A run of consecutive frames for one or more keyframes: what a network looks at in one pass.

    start: its first frame; it may lie before the video, and the end beyond it, where edge frames are repeated.
    length: how many frames.  keyframes: numbers of frames, increasing.  offsets: for each keyframe where its window of
    `window` frames begins, in frames from `start`.  step: one in so many frames is looked at.  speed: what distances
    from the first keyframe are multiplied by; both are other than 1 only of a window.  So a window is a span of that
    length with one keyframe, at position window // 2, and offset 0.
    """

    start: int
    length: int
    window: int
    keyframes: tuple[int, ...]
    offsets: tuple[int, ...]
    step: int = 1
    speed: float = 1.0

    @property
    def positions(self) -> list[int]:
        """Where in the span each keyframe is."""
        return [keyframe - self.start for keyframe in self.keyframes]

    def indices(self, num_frames: int) -> np.ndarray:
        """The 0-based frames of a video of `num_frames`, every `step`-th of `length`, int64, edge frames repeated."""
        keyframe = self.keyframes[0]
        steps = np.arange(self.start - keyframe, self.start - keyframe + self.length, self.step)
        return (keyframe + paced(steps, self.speed)).clip(0, num_frames - 1)

    @property
    def looks(self) -> int:
        """How many frames are looked at."""
        return len(range(0, self.length, self.step))

    def only(self, wanted: Callable[[int], bool]) -> "Span | None":
        """With the `wanted` keyframes only; None without any."""
        pairs = [(k, offset) for k, offset in zip(self.keyframes, self.offsets, strict=True) if wanted(k)]
        if not pairs:
            return None
        return self._replace(keyframes=tuple(k for k, _ in pairs), offsets=tuple(offset for _, offset in pairs))

    def shortened(self) -> "Span":
        """Without the frames after the last window."""
        return self._replace(length=self.offsets[-1] + self.window)


@dataclass(frozen=True)
class SpanPlan:
    """How keyframes share passes over the frames.

    window: frames around a keyframe that it is judged by, T; frame k has k - T // 2 .. k - T // 2 + T - 1.
    stride: frames from one step to the next of the map that the keyframes of a span share.
    length: frames of a span at most; `window`, the default, gives each keyframe a pass of its own.
    phases: how many passes may begin between one step and the next. With `stride` of them every keyframe has its exact
    window; with fewer it takes the nearest window that a pass has, up to stride / phases / 2 frames off.
    step: of the frames of a window one in so many is looked at; 1 where keyframes share frames.
    """

    window: int
    stride: int = 1
    length: int = 0
    phases: int = 0
    step: int = 1

    @classmethod
    def stepped(cls, frames: int, step: int) -> "SpanPlan":
        """Windows of `frames`, `step` apart, the keyframe at position frames // 2."""
        return cls(2 * (frames // 2) * step + frames % 2, step=step)

    @property
    def reach(self) -> int:
        """From the first window of a span to the last one."""
        return max(self.length - self.window, 0) // self.stride * self.stride

    @property
    def shares(self) -> bool:
        return self.reach > 0

    def spans(self, keyframes: Iterable[int]) -> Iterator[Span]:
        """The spans for these keyframes (increasing, maybe without end), in order of their starts."""
        opened: dict[int, list[tuple[int, int]]] = {}  # phase -> (start of the window, keyframe) of its next span
        closed: list[tuple[int, list[tuple[int, int]]]] = []  # a heap
        anchor = None
        for keyframe in keyframes:
            start = keyframe - self.window // 2
            anchor = start if anchor is None else anchor
            start = self._nearest(start - anchor) + anchor
            for phase, windows in list(opened.items()):
                if start > windows[0][0] + self.reach or start - windows[-1][0] >= self.window:  # or no frame in common
                    heapq.heappush(closed, (windows[0][0], opened.pop(phase)))
            opened.setdefault((start - anchor) % self.stride, []).append((start, keyframe))
            first_open = min(windows[0][0] for windows in opened.values())
            while closed and closed[0][0] < first_open:
                yield self._span(heapq.heappop(closed)[1])
        for windows in opened.values():
            heapq.heappush(closed, (windows[0][0], windows))
        while closed:
            yield self._span(heapq.heappop(closed)[1])

    def _nearest(self, start: int) -> int:
        """To one of the phases 0, stride / phases, ... of the grid."""
        if not self.shares or not 0 < self.phases < self.stride < self.window:  # a shift must not lose the keyframe
            return start
        steps = np.floor(start * self.phases / self.stride + 0.5)  # halves up, so that the order stays
        return int(np.floor(steps * self.stride / self.phases))

    def _span(self, windows: list[tuple[int, int]]) -> Span:
        first = windows[0][0]
        keyframes, offsets = tuple(k for _, k in windows), tuple(start - first for start, _ in windows)
        return Span(first, offsets[-1] + self.window, self.window, keyframes, offsets, self.step)


def gather(frames: Iterable, spans: Iterable[Span]) -> Iterator[tuple[Span, list]]:
    """Each span with its frames, off a stream of any length that is read once; `spans` in order of their starts.

    A span comes as soon as its last frame does; the frames from its first one on are held, and no others. Where the
    stream ends, spans are cut to the keyframes that it has.
    """
    upcoming = iter(spans)
    held: deque = deque()
    span, count = next(upcoming, None), 0  # count - len(held) is the number of held[0]
    for frame in frames:
        count += 1
        held.append(frame)
        while span is not None and span.start + span.length <= count:
            yield span, _held(held, count, span)
            span = next(upcoming, None)
        while held and (span is None or count - len(held) < span.start):
            held.popleft()
    while span is not None and (span := span.only(lambda keyframe: keyframe < count)) is not None:
        span = span.shortened()
        yield span, _held(held, count, span)
        span = next(upcoming, None)


def _held(held: deque, count: int, span: Span) -> list:
    before = count - len(held)
    return [held[index - before] for index in span.indices(count).tolist()]


def strided_clips(frames: Iterable, length: int, stride: int) -> Iterator[tuple[int, list, int]]:
    """(first frame, its `length` frames, how many of them are real) from 0 on, every `stride` frames.

    The last clip is the one that reaches the last frame, with that frame repeated where the video ends before the clip
    does; with a stride above the length, clips whose first frame is beyond the end are not made. `length` frames are
    held.
    """
    window: deque = deque()
    start = count = 0
    for frame in frames:
        count += 1
        if count > start:
            window.append(frame)
        if count == start + length:
            yield start, list(window), length
            start += stride
            for _ in range(min(stride, length)):
                window.popleft()
    if window and (start == 0 or start - stride + length < count):
        yield start, [*window, *[window[-1]] * (length - len(window))], len(window)
