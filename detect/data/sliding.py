"""Every keyframe of a video with its clip, decoding the video once and holding no more than a clip of
frames.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from detect.data.clip import clip_indices
from detect.data.clip_mapper import ClipMapper
from detect.data.records import KeyframeDataset
from detect.video.readers import FrameReadError, iter_frames_or_errors


def slide(dataset: KeyframeDataset, video_index: int, mapper: ClipMapper) -> Iterator[dict[str, Any]]:
    """The mapped keyframes of one video, in order.

    Each is `mapper(dataset.sample(video_index, frame))`; where that raises FrameReadError it has `error`, the
    message, in place of `clip`. The last one has `decoded_frames`, unless the video cannot be read at all.
    """
    frames, held = _CountedFrames(dataset.dataset.videos[video_index].path), None
    for sample in _keyframe_clips(dataset, video_index, mapper, frames):
        if held is not None:
            yield held
        held = sample
    if held is not None:
        yield held if frames.failure else {**held, "decoded_frames": frames.count}


class _CountedFrames:
    """Frames, or the errors in their places; counts them, and keeps the error that ends it, if one does."""

    def __init__(self, path: str):
        self.path, self.count, self.failure = path, 0, None

    def __iter__(self) -> Iterator[np.ndarray | FrameReadError]:
        try:
            for frame in iter_frames_or_errors(self.path):
                self.count += 1
                yield frame
        except FrameReadError as error:
            self.failure = error


def _keyframe_clips(
    dataset: KeyframeDataset, video_index: int, mapper: ClipMapper, frames: _CountedFrames
) -> Iterator[dict[str, Any]]:
    annotated, length = dataset.dataset.videos[video_index].num_frames, mapper.num_frames
    pending = deque(dataset.keyframes[video_index].tolist())
    window: deque[np.ndarray | FrameReadError] = deque(maxlen=length)

    for frame in frames if pending else ():
        if frames.count > annotated or not pending:
            continue  # only counted
        sample = dataset.sample(video_index, pending[0])
        if frames.count - 1 >= pending[0] - length // 2:
            window.append(_prepared(mapper, sample, frame))
        while pending and pending[0] - length // 2 + length <= frames.count:
            yield _packed(mapper, dataset.sample(video_index, pending.popleft()), window, frames.count, annotated)

    readable = min(frames.count, annotated)
    for keyframe in pending:
        sample = dataset.sample(video_index, keyframe)
        if keyframe < readable:
            yield _packed(mapper, sample, window, readable, readable)
        else:
            reason = f"{frames.path}: frame {keyframe} was asked for, but only {readable} frames decode"
            yield _unread(sample, frames.failure or reason)


def _prepared(mapper: ClipMapper, sample: dict, frame: np.ndarray | FrameReadError) -> np.ndarray | FrameReadError:
    if isinstance(frame, FrameReadError):
        return frame
    try:
        return mapper.prepare(sample, frame)
    except FrameReadError as error:
        return error


def _packed(mapper: ClipMapper, sample: dict, window: deque, count: int, num_frames: int) -> dict[str, Any]:
    """The sample with its clip out of the window, whose last frame is number count - 1."""
    indices = clip_indices(sample["frame_index"], num_frames, mapper.num_frames)
    clip = [window[index - count] for index in indices.tolist()]
    error = next((frame for frame in clip if isinstance(frame, FrameReadError)), None)
    return _unread(sample, error) if error else mapper.pack(sample, np.stack(clip))


def _unread(sample: dict[str, Any], reason: FrameReadError | str) -> dict[str, Any]:
    return {**{key: value for key, value in sample.items() if key != "annotations"}, "error": str(reason)}
