"""Batches of clips for evaluation: every video is decoded once and a window slides over it."""

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from detect.data.keyframe_mapper import KeyframeMapper
from detect.data.records import KeyframeDataset
from detect.data.train_stream import length_message, worker_options
from detect.video.readers import FrameReadError, iter_frames_or_errors
from detect.video.windows import clip_indices, clips_around

logger = logging.getLogger(__name__)
Frame = np.ndarray | FrameReadError


def build_keyframe_loader(
    dataset: KeyframeDataset,
    mapper: KeyframeMapper,
    batch_size: int,
    *,
    num_workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
) -> "KeyframeLoader":
    """Batches of all keyframes of this rank's videos (every `world_size`-th), in order of frames within each
    video.

    A dict is what `mapper` makes of that keyframe alone. A keyframe is left out, logged and counted in `errors`
    where it, or a frame that its clip needs, cannot be read; the evaluator then reports it as missing. A video's
    last dict has `decoded_frames`, if the video can be read; a length other than annotated is logged and counted.
    """
    videos = _VideoStream(dataset, mapper, rank, world_size)
    batches = DataLoader(videos, batch_size=batch_size, **worker_options(num_workers))
    shards = [videos.shard(worker, max(num_workers, 1)) for worker in range(max(num_workers, 1))]
    sizes = [sum(len(dataset.keyframes[video]) for video in shard) for shard in shards]
    return KeyframeLoader(batches, sum(-(-size // batch_size) for size in sizes), sum(sizes))


class KeyframeLoader:
    """See `build_keyframe_loader`. `num_keyframes` of this rank; `errors` counts those left out so far.

    `lengths` holds (decoded, annotated) frames of each video, by path, where the two differ.
    """

    def __init__(self, batches: DataLoader, num_batches: int, num_keyframes: int):
        self._batches, self._num_batches, self.num_keyframes = batches, num_batches, num_keyframes
        self.errors = 0
        self.lengths: dict[str, tuple[int, int]] = {}

    def __len__(self) -> int:
        return self._num_batches

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        self.errors, self.lengths, reported = 0, {}, set()
        for batch in self._batches:
            for sample in batch:
                if "error" in sample:
                    self.errors += 1
                    if sample["file_name"] not in reported:
                        reported.add(sample["file_name"])
                        logger.warning("%s: evaluated without detections: %s", sample["image_id"], sample["error"])
                decoded = sample.get("decoded_frames", sample["num_frames"])
                if decoded != sample["num_frames"]:
                    self.lengths[sample["file_name"]] = (decoded, sample["num_frames"])
                    logger.warning("%s", length_message(sample))
            if readable := [sample for sample in batch if "clip" in sample]:
                yield readable
        if self.errors:
            logger.warning("%d of %d keyframes could not be read", self.errors, self.num_keyframes)


class _VideoStream(IterableDataset):
    """The mapped keyframes of the videos of one rank; workers share them out by video."""

    def __init__(self, dataset: KeyframeDataset, mapper: KeyframeMapper, rank: int, world_size: int):
        self.dataset, self.mapper, self.rank, self.world_size = dataset, mapper, rank, world_size

    def shard(self, worker: int, num_workers: int) -> list[int]:
        return list(range(len(self.dataset.keyframes)))[self.rank :: self.world_size][worker::num_workers]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        info = get_worker_info()
        for video in self.shard(info.id, info.num_workers) if info else self.shard(0, 1):
            yield from slide(self.dataset, video, self.mapper)


def slide(dataset: KeyframeDataset, video_index: int, mapper: KeyframeMapper) -> Iterator[dict[str, Any]]:
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

    def __iter__(self) -> Iterator[Frame]:
        try:
            for frame in iter_frames_or_errors(self.path):
                self.count += 1
                yield frame
        except FrameReadError as error:
            self.failure = error


def _keyframe_clips(
    dataset: KeyframeDataset, video_index: int, mapper: KeyframeMapper, frames: _CountedFrames
) -> Iterator[dict[str, Any]]:
    annotated, keyframes = dataset.dataset.videos[video_index].num_frames, dataset.keyframes[video_index]
    if not len(keyframes):
        return
    in_a_clip = np.zeros(annotated, bool)
    for keyframe in keyframes:
        in_a_clip[clip_indices(keyframe, annotated, mapper.num_frames)] = True
    sample = dataset.sample(video_index, int(keyframes[0]))

    def prepared() -> Iterator[Frame | None]:
        for index, frame in enumerate(frames):
            if index < annotated:  # the rest is only counted
                yield _prepared(mapper, sample, frame) if in_a_clip[index] else None

    wanted = set(keyframes.tolist())
    for k, clip in clips_around(prepared(), mapper.num_frames):
        if k in wanted:
            yield _packed(mapper, dataset.sample(video_index, k), clip)
    readable = min(frames.count, annotated)
    for keyframe in keyframes[keyframes >= readable].tolist():
        reason = f"{frames.path}: frame {keyframe} was asked for, but only {readable} frames decode"
        yield _unread(dataset.sample(video_index, keyframe), frames.failure or reason)


def _prepared(mapper: KeyframeMapper, sample: dict, frame: Frame) -> Frame:
    if isinstance(frame, FrameReadError):
        return frame
    try:
        return mapper.prepare(sample, frame)
    except FrameReadError as error:
        return error


def _packed(mapper: KeyframeMapper, sample: dict, clip: list[Frame]) -> dict[str, Any]:
    error = next((frame for frame in clip if isinstance(frame, FrameReadError)), None)
    return _unread(sample, error) if error else mapper.pack(sample, np.stack(clip))


def _unread(sample: dict[str, Any], reason: FrameReadError | str) -> dict[str, Any]:
    return {**{key: value for key, value in sample.items() if key != "annotations"}, "error": str(reason)}
