"""A few clips of a training set that show its classes, as a set of their own."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, zip_longest
from typing import Any

import numpy as np

from detect.data.keyframe_mapper import KeyframeMapper
from detect.data.records import ActionDataset, KeyframeDataset, Tube, VideoRecord
from detect.utils.errors import UserError
from detect.video.readers import FrameReadError

logger = logging.getLogger(__name__)


def choose_clips(
    dataset: ActionDataset, count: int, mapper: KeyframeMapper
) -> tuple[KeyframeDataset, list[dict[str, Any]]]:
    """The middle annotated keyframe of each of `count` videos, of as many classes as there are, as a set that has no
    other boxes; and the clips, mapped for a test. UserError where no video can be read.
    """
    videos, items = [], []
    for video in by_class(dataset.videos):
        one = only_keyframe(video)
        sample = KeyframeDataset(replace(dataset, videos=(one,)))[0]
        try:
            items.append(mapper(sample))
        except FrameReadError as error:
            logger.warning("not among the clips: %s", error)
            continue
        videos.append(one)
        if len(videos) == count:
            break
    if not videos:
        raise UserError(f"{dataset.name}: no video with boxes can be read; tools/check_dataset.py says what is wrong")
    return KeyframeDataset(replace(dataset, videos=tuple(videos))), items


def by_class(videos: Sequence[VideoRecord]) -> Iterator[VideoRecord]:
    """Videos with boxes: one of every class, then a second one of each, and so on; of each class the middle ones
    first. The class of a video is the one that most of its tubes have.
    """
    groups: dict[int, list[VideoRecord]] = defaultdict(list)
    for video in videos:
        if video.tubes:
            groups[Counter(tube.label for tube in video.tubes).most_common(1)[0][0]].append(video)
    # classes evenly spread: of 24 the first four would be alike in the alphabet, and often in kind
    ordered = [_from_the_middle(groups[label]) for label in _from_the_middle(sorted(groups))]
    return filter(None, chain.from_iterable(zip_longest(*ordered)))


def _from_the_middle(values: Sequence) -> list:
    """The middle, then the middles of both halves, and so on."""
    order, spans = [], [(0, len(values))]
    while spans:
        start, stop = spans.pop(0)
        if start < stop:
            middle = (start + stop) // 2
            order.append(values[middle])
            spans += [(start, middle), (middle + 1, stop)]
    return order


def only_keyframe(video: VideoRecord) -> VideoRecord:
    """The video with the boxes of the frame in the middle of those that have some, and no others."""
    frames = video.annotated_frames()
    keyframe = int(frames[len(frames) // 2])
    boxes, labels = video.boxes_at(keyframe)
    tubes = [Tube(int(k), np.array([keyframe]), box[None]) for box, k in zip(boxes, labels, strict=True)]
    return replace(video, tubes=tuple(tubes), labelled=None)
