"""Windows over the frames of a video: which frames surround a keyframe, and clips off a stream that is decoded once."""

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np


def clip_indices(keyframe: int, num_frames: int, length: int) -> np.ndarray:
    """The 0-based frames of a clip, (length,) int64: keyframe - length // 2 onwards, edge frames repeated.

    Of a clip of 20 that is keyframe - 10 .. keyframe + 9; the keyframe is always at position length // 2.
    `num_frames`: of the video. (The paper says "the surrounding frames" and leaves both choices open.)
    """
    if length < 1:
        raise ValueError(f"a clip of {length} frames; it has at least 1")
    if not 0 <= keyframe < num_frames:
        raise ValueError(f"keyframe {keyframe} is outside a video of {num_frames} frames")
    start = keyframe - length // 2
    return np.arange(start, start + length).clip(0, num_frames - 1)


def clips_around(frames: Iterable, length: int) -> Iterator[tuple[int, list]]:
    """(k, the frames `clip_indices(k, ..., length)`) for every frame k of a stream.

    The clip of frame k comes as soon as its last frame does; `length` frames are held.
    """
    before, after = length // 2, length - length // 2 - 1
    window: deque = deque(maxlen=length)
    count = 0
    for count, frame in enumerate(frames, 1):
        if count == 1:
            window.extend([frame] * before)
        window.append(frame)
        if count > after:
            yield count - 1 - after, list(window)
    for k in range(max(count - after, 0), count):
        while len(window) < length - 1:  # a stream shorter than half a clip
            window.append(window[-1])
        window.append(window[-1])
        yield k, list(window)


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
