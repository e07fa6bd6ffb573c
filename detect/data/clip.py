"""Which frames surround a keyframe."""

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
