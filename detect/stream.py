"""The detector on a stream of frames of any length: each frame decoded once, memory bounded by one clip."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from torch import nn

from detect.d2 import Instances
from detect.video.transforms import resize


def clips_around(frames: Iterable, length: int) -> Iterator[tuple[int, list]]:
    """(k, [frame k - length//2 .. k - length//2 + length - 1]) for every frame k, edges repeated.

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


@torch.no_grad()
def detect_stream(
    model: nn.Module,
    frames: Iterable[np.ndarray],
    num_frames: int,
    size: tuple[int, int],
    *,
    every: int = 1,
    batch_size: int = 1,
) -> Iterator[tuple[int, np.ndarray, Instances]]:
    """(k, frame k, its detections in pixels of the frame, on the CPU) for every frame, in order.

    frames: (h, w, 3) uint8 RGB, all of one size.  num_frames, size: of the model's clip.
    every: run the model on every n-th frame only; the frames between repeat the detections of the last one.
    """
    model.eval()
    pairs = ((frame, resize(frame, size)) for frame in frames)
    clips = clips_around(pairs, num_frames)
    last: Instances | None = None
    while group := list(islice(clips, batch_size * every)):
        keys = [(k, clip) for k, clip in group if k % every == 0]
        batch = [_sample(clip, num_frames) for _, clip in keys]
        found = dict(zip((k for k, _ in keys), model(batch), strict=True)) if batch else {}
        for k, clip in group:
            if k in found:
                last = found[k]["instances"].to("cpu")
            yield k, clip[num_frames // 2][0], last


def _sample(clip: list[tuple[np.ndarray, np.ndarray]], num_frames: int) -> dict:
    height, width = clip[num_frames // 2][0].shape[:2]
    return {"clip": torch.from_numpy(np.stack([small for _, small in clip])), "height": height, "width": width}
