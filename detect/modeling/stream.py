"""The detector on a stream of frames of any length: each frame decoded once, memory bounded by one clip."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from torch import nn

from detect.d2 import Instances
from detect.data.keyframe_mapper import KeyframeMapper
from detect.video.windows import clips_around


@torch.no_grad()
def detect_stream(
    model: nn.Module, frames: Iterable[np.ndarray], mapper: KeyframeMapper, *, every: int = 1, batch_size: int = 1
) -> Iterator[tuple[int, np.ndarray, Instances]]:
    """(k, frame k, its detections in pixels of the frame, on the CPU) for every frame, in order.

    frames: (h, w, 3) uint8 RGB; boxes are in pixels of their own frame.  mapper: of the model's config, for evaluation.
    every: run the model on every n-th frame only; the frames between repeat the detections of the last one.
    """
    model.eval()
    prepared = ((frame, mapper.prepare(_sample(frame), frame)) for frame in frames)
    clips = clips_around(prepared, mapper.num_frames)
    middle = mapper.num_frames // 2
    last: Instances | None = None
    while group := list(islice(clips, batch_size * every)):
        keys = [(k, clip) for k, clip in group if k % every == 0]
        batch = [mapper.pack(_sample(clip[middle][0]), np.stack([small for _, small in clip])) for _, clip in keys]
        found = dict(zip((k for k, _ in keys), model(batch), strict=True)) if batch else {}
        for k, clip in group:
            if k in found:
                last = found[k]["instances"].to("cpu")
            yield k, clip[middle][0], last


def _sample(frame: np.ndarray) -> dict:
    return {"file_name": "the stream", "height": frame.shape[0], "width": frame.shape[1]}
