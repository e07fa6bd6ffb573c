"""Which frames of a video are looked at, in training and in test. Frames are numbered from 0.

A video that is too short is repeated from its start (looped) until it is long enough.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from detect.utils.errors import UserError
from detect.video.windows import paced

TIME_STRIDE = 8  # of the whole network: borders of chunks fall on it, so that all chunks share one grid in time


def dense_indices(num_frames: int, length: int, share: float, speed: float = 1.0) -> np.ndarray:
    """`length` consecutive frames of a video, (length,) int64; `share` in [0, 1) picks one of the possible starts.

    At a `speed` frame i is round(i * speed) after the first.
    """
    if num_frames < 1 or length < 1 or not 0 <= share < 1:
        raise ValueError(f"{length} of {num_frames} frames at {share}; expected 1 or more, and 0 <= share < 1")
    steps = paced(np.arange(length), speed)
    start = int(share * (max(num_frames - 1 - int(steps[-1]), 0) + 1))
    return (start + steps) % num_frames


def even_clips(num_frames: int, length: int, count: int) -> np.ndarray:
    """`count` clips of `length` consecutive frames from start to end, (count, length) int64; one is in the middle."""
    last = max(num_frames - length, 0)
    starts = np.linspace(0, last, count).round().astype(np.int64) if count > 1 else np.array([last // 2])
    return (starts[:, None] + np.arange(length)) % num_frames


def chunks(frames: Iterable[np.ndarray], size: int, pad_to: int = 0) -> Iterator[np.ndarray]:
    """A video of any length as consecutive arrays (t, H, W, C) of at most `size` frames, together every frame once.

    They have at least size / 2 - 4 frames, unless the video is shorter, as one of few frames would say little and weigh
    as much for each. A video of less than `pad_to` frames is looped to that many. Holds 2 * size frames at a time.
    `size` is a multiple of 8 and at least `pad_to`, else ValueError.
    """
    if size < TIME_STRIDE or size % TIME_STRIDE or pad_to > size:
        raise UserError(
            f"TEST.CHUNK_FRAMES is {size}, TEST.PAD_FRAMES {pad_to}; the first must be a multiple of {TIME_STRIDE} "
            "and at least the second"
        )
    held: list[np.ndarray] = []
    for frame in frames:
        held.append(frame)
        if len(held) == 2 * size:
            yield np.stack(held[:size])
            del held[:size]
    if len(held) > size:
        half = (len(held) + TIME_STRIDE) // (2 * TIME_STRIDE) * TIME_STRIDE  # the nearest border
        yield np.stack(held[:half])
        yield np.stack(held[half:])
    elif held:
        yield np.stack([held[i % len(held)] for i in range(max(len(held), pad_to))])
