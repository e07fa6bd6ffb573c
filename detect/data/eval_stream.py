"""Batches of clips or spans for evaluation: every video is decoded once, and its keyframes' frames are gathered."""

import logging
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from detect.data.keyframe_mapper import KeyframeMapper, Pair
from detect.data.records import KeyframeDataset
from detect.data.train_stream import length_messages, worker_options
from detect.video.readers import FrameReadError, iter_frames_or_errors
from detect.video.video_flow import VideoFlow
from detect.video.windows import Span, SpanPlan, gather

logger = logging.getLogger(__name__)


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

    A dict is what `mapper` makes of that keyframe alone or, with a plan that shares frames, of a span of keyframes. A
    keyframe is left out, logged and counted in `errors` where it, or a frame that its window needs, cannot be read; the
    evaluator then reports it as missing. A video's last dict has `decoded_frames`, if the video can be read; a length
    other than annotated, of the frames or of the flow, is logged and counted. batch_size: clips or spans; those of a
    batch have one length, so that a shorter one comes by itself.
    """
    videos = _VideoStream(dataset, mapper, rank, world_size)
    batches = DataLoader(videos, batch_size=batch_size, **worker_options(num_workers))
    shards = [videos.shard(worker, max(num_workers, 1)) for worker in range(max(num_workers, 1))]
    counts = [sum(_count_spans(mapper.plan, dataset.keyframes[video]) for video in shard) for shard in shards]
    keyframes = sum(len(dataset.keyframes[video]) for shard in shards for video in shard)
    return KeyframeLoader(batches, sum(-(-count // batch_size) for count in counts), keyframes)


def _count_spans(plan: SpanPlan, keyframes: np.ndarray) -> int:
    return sum(1 for _ in plan.spans(keyframes.tolist())) if plan.shares else len(keyframes)


class KeyframeLoader:
    """See `build_keyframe_loader`. `num_keyframes` of this rank; `errors` counts those left out so far.

    `lengths` holds (decoded, annotated) frames of each video, by path, where the two differ, and (flow images, frames)
    of each folder of flow where they do not fit.
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
                for file, count, message in length_messages(sample):
                    self.lengths[file] = (count, sample["num_frames"])
                    logger.warning("%s", message)
            readable = (sample for sample in batch if "clip" in sample)
            for _, same_length in groupby(readable, key=lambda sample: len(sample["clip"])):
                yield list(same_length)
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
    """The mapped keyframes of one video, span by span as `mapper.plan` says, in order.

    Without a plan that shares frames each is `mapper(dataset.sample(video_index, frame))`. A keyframe whose window
    needs a frame that cannot be read has a dict of its own with `error`, the message, and no `clip`. The last one has
    `decoded_frames`, unless the video cannot be read at all, and `flow_images` where they are of another number.
    """
    held = None
    frames = _VideoFrames(dataset, video_index, mapper)
    for item in frames.items() if len(dataset.keyframes[video_index]) else ():
        if held is not None:
            yield held
        held = item
    if held is not None:
        yield {**held, **frames.lengths()}


class _VideoFrames:
    """One video on its way from the file to the model; counts its frames, and keeps the error that ends it, if any."""

    def __init__(self, dataset: KeyframeDataset, video_index: int, mapper: KeyframeMapper):
        self.dataset, self.video_index, self.mapper = dataset, video_index, mapper
        self.video, self.keyframes = dataset.dataset.videos[video_index], dataset.keyframes[video_index].tolist()
        self.count, self.failure, self.flow = 0, None, None
        self.usable = self.video.num_frames
        try:
            if mapper.flow:
                self.flow = VideoFlow(self.video.flow, self.video.num_frames)
                self.usable = self.flow.usable
        except FrameReadError as error:
            self.failure = error

    def lengths(self) -> dict[str, int]:
        flow = {"flow_images": self.flow.count} if self.flow is not None and self.flow.mismatch else {}
        return flow if self.failure else {"decoded_frames": self.count, **flow}

    def items(self) -> Iterator[dict[str, Any]]:
        spans, needed = [], np.zeros(self.video.num_frames, bool)
        for span in self.mapper.plan.spans(self.keyframes):
            spans.append(span)
            needed[span.indices(self.video.num_frames)] = True
        for span, pairs in gather(self._pairs(needed), spans):
            yield from self._items(span, pairs)
        readable = min(self.count, self.usable)
        for keyframe in self.keyframes:
            if keyframe >= readable:
                yield _unread(self._sample(keyframe), self.failure or self._why_not(keyframe))

    def _why_not(self, keyframe: int) -> str:
        if self.flow is not None and self.usable <= keyframe < self.count:
            return self.flow.too_few(keyframe)
        return f"{self.video.path}: frame {keyframe} was asked for, but only {self.count} frames decode"

    def _pairs(self, needed: np.ndarray) -> Iterator[Pair | FrameReadError | None]:
        """Each frame prepared, or the error in its place, or None where no span looks at it."""
        if self.failure:
            return
        sample = self._sample(self.keyframes[0])
        try:
            for index, frame in enumerate(iter_frames_or_errors(self.video.path)):
                self.count += 1
                if index < self.usable:  # the rest is only counted
                    yield self._prepared(sample, index, frame) if needed[index] else None
        except FrameReadError as error:
            self.failure = error

    def _prepared(self, sample: dict, index: int, frame: np.ndarray | FrameReadError) -> Pair | FrameReadError:
        if isinstance(frame, FrameReadError):
            return frame
        try:
            flow = None if self.flow is None else self.flow.at(index, frame.shape[:2])
            return self.mapper.prepare(sample, frame, flow)
        except FrameReadError as error:
            return error

    def _items(self, span: Span, pairs: list[Pair | FrameReadError]) -> Iterator[dict[str, Any]]:
        """The span's item, and a dict for each keyframe whose window has a frame that cannot be read."""
        errors = {place: pair for place, pair in enumerate(pairs) if isinstance(pair, FrameReadError)}
        reasons = {
            keyframe: next((errors[p] for p in range(offset, offset + span.window) if p in errors), None)
            for keyframe, offset in zip(span.keyframes, span.offsets, strict=True)
        }
        good = span.only(lambda keyframe: reasons[keyframe] is None)
        if good is not None:
            # of a span only some keyframes may be lost; the others' map still needs a picture in that place
            whole = [_nearest_readable(pairs, p) if p in errors else pairs[p] for p in range(good.looks)]
            yield self.mapper.pack([self._sample(k) for k in good.keyframes], whole, good)
        for keyframe, reason in reasons.items():
            if reason is not None:
                yield _unread(self._sample(keyframe), reason)

    def _sample(self, keyframe: int) -> dict[str, Any]:
        return self.dataset.sample(self.video_index, keyframe)


def _nearest_readable(pairs: list[Pair | FrameReadError], place: int) -> Pair:
    found = (p for p in sorted(range(len(pairs)), key=lambda p: abs(p - place)) if isinstance(pairs[p], Pair))
    return pairs[next(found)]


def _unread(sample: dict[str, Any], reason: FrameReadError | str) -> dict[str, Any]:
    return {**{key: value for key, value in sample.items() if key != "annotations"}, "error": str(reason)}
