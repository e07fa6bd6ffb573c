"""The detector on a stream of frames of any length: each frame decoded once, memory bounded by one window or span."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import count, islice

import numpy as np
import torch
from torch import nn

from detect.d2 import Instances
from detect.data.keyframe_mapper import KeyframeMapper, Pair
from detect.modeling.between import interpolate
from detect.video.video_flow import flow_as_frames_arrive
from detect.video.windows import Span, gather

Frame = tuple[int, np.ndarray, Instances]


@torch.no_grad()
def detect_stream(
    model: nn.Module,
    frames: Iterable[np.ndarray],
    mapper: KeyframeMapper,
    *,
    every: int = 1,
    batch_size: int = 1,
    flow: str = "dis",
) -> Iterator[Frame]:
    """(k, frame k, its detections in pixels of the frame, on the CPU) for every frame, in order.

    frames: (h, w, 3) uint8 RGB; boxes are in pixels of their own frame.  mapper: of the model's config, for evaluation;
    its plan says which frames keyframes share.  every: run the model on every n-th frame only; boxes of the frames
    between move along linked detections, and after the last one they stay.  batch_size: windows a forward pass; spans
    go one by one.  flow: how the flow is computed, where the model sees it ("dis" or "tvl1"); nothing is stored.
    """
    model.eval()
    waiting: deque[np.ndarray] = deque()  # frames whose detections are not known yet

    def prepared() -> Iterator[tuple[Pair, tuple[int, int]]]:
        for frame, motion in flow_as_frames_arrive(frames, flow) if mapper.flow else ((f, None) for f in frames):
            waiting.append(frame)
            yield mapper.prepare(_sample(frame), frame, motion), frame.shape[:2]

    spans = gather(prepared(), mapper.plan.spans(count(0, every)))
    found: dict[int, Instances] = {}  # by keyframe, until they are given out
    given = 0
    while group := list(islice(spans, 1 if mapper.plan.shares else batch_size)):
        found |= _detect(model, mapper, group)
        while given in found and (every == 1 or given + every in found):
            moved = _moved(found.pop(given), found.get(given + every), every)
            for k, detections in enumerate(moved, given):
                yield k, waiting.popleft(), detections
            given += every
    for k in range(given, given + len(waiting)):  # the last keyframe, and what comes after it
        yield k, waiting.popleft(), found[given]


def _moved(first: Instances, second: Instances | None, every: int) -> list[Instances]:
    """The detections of a keyframe and of the frames up to the next one."""
    shares = [step / every for step in range(1, every)]
    return [first, *(interpolate(first, second, shares) if shares else ())]


def _detect(model: nn.Module, mapper: KeyframeMapper, group: list[tuple[Span, list]]) -> dict[int, Instances]:
    """The detections of every keyframe of spans of one length, each in pixels of its own frame."""
    batch, keyframes = [], []
    for span, frames in group:
        sizes = [frames[position][1] for position in span.positions]
        samples = [{"file_name": "the stream", "height": height, "width": width} for height, width in sizes]
        batch.append(mapper.pack(samples, [pair for pair, _ in frames], span))
        keyframes += span.keyframes
    outputs = model(batch)
    return {k: output["instances"].to("cpu") for k, output in zip(keyframes, outputs, strict=True)}


def _sample(frame: np.ndarray) -> dict:
    return {"file_name": "the stream", "height": frame.shape[0], "width": frame.shape[1]}
