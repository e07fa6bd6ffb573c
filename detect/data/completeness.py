"""Whether a copy of a set is complete: its counts, its videos and its flow against what the annotation says."""

import os
from collections.abc import Iterator
from typing import NamedTuple

from detect.data.published import Counts
from detect.data.records import ActionDataset, VideoRecord
from detect.video.flow import flow_length
from detect.video.media_facts import MediaFacts
from detect.video.readers import FrameReadError, printable

# What a reader notes of boxes that the annotation should not have; other notes are of what is known and harmless.
WRONG_BOXES = ("boxes dropped", "boxes clamped")
NO_TUBES = "no tubes: nothing to train on"
SENTENCES = ("annotation", "error")  # of `what`, where `value` is a sentence


class Problem(NamedTuple):
    """`where`: a path, or the name of a set."""

    where: str
    what: str
    value: str
    expected: str = ""

    def __str__(self) -> str:
        expected = f", expected {self.expected}" if self.expected else ""
        mark = ":" if self.what in SENTENCES else ""
        return f"{printable(self.where)}: {self.what}{mark} {self.value}{expected}"


def counts_of(dataset: ActionDataset) -> Counts:
    return Counts(
        videos=len(dataset.videos),
        frames=dataset.num_frames,
        annotated=sum(len(video.annotated_frames()) for video in dataset.videos),
        boxes=sum(len(tube.frames) for video in dataset.videos for tube in video.tubes),
        tubes=sum(len(video.tubes) for video in dataset.videos),
        classes=len(dataset.classes),
    )


def count_problems(name: str, found: Counts, published: Counts) -> Iterator[Problem]:
    """A line for each published number that this copy does not have."""
    for what, value, expected in zip(Counts._fields, found, published, strict=True):
        if expected is not None and value != expected:
            yield Problem(name, what, f"{value}", f"{expected}, as published")


def annotation_problems(dataset: ActionDataset) -> Iterator[Problem]:
    """Boxes that the reader had to change or leave out."""
    for note in dataset.notes:
        if _is_wrong(note):
            yield Problem(dataset.name, "annotation", note)


def tube_problems(dataset: ActionDataset) -> Iterator[Problem]:
    """A set without any tube."""
    if not any(video.tubes for video in dataset.videos):
        yield Problem(dataset.name, "annotation", NO_TUBES)


def harmless_notes(dataset: ActionDataset) -> list[str]:
    """What else the reader noted; a video without media is a problem of its own."""
    return [note for note in dataset.notes if "videos without media" not in note and not _is_wrong(note)]


def video_problems(video: VideoRecord, facts: MediaFacts | None) -> Iterator[Problem]:
    """facts: None where the video was not decoded."""
    length, size = f"{video.num_frames} frames", f"{video.width} x {video.height}"
    if not os.path.exists(video.path):
        yield Problem(video.path, "media", "missing", length)
    elif facts is not None and facts.problem:
        yield Problem(video.path, "media", f"unreadable after {facts.frames} frames ({facts.problem})", length)
    elif facts is not None:
        if facts.frames != video.num_frames:
            yield Problem(video.path, "frames", f"{facts.frames}", f"{video.num_frames}")
        if (facts.height, facts.width) != (video.height, video.width):
            yield Problem(video.path, "size", f"{facts.width} x {facts.height}", size)


def flow_problems(dataset: ActionDataset) -> Iterator[Problem]:
    """Of a set of which any video has a folder of flow: those that lack it, or have another number of images."""
    present = [os.path.isdir(video.flow) for video in dataset.videos]
    expects = any(present)
    for video, there in zip(dataset.videos, present, strict=True):
        expected = f"{video.num_frames - 1} or {video.num_frames} images"  # brox-images repeat the last one
        if not there and expects and video.num_frames > 1:
            yield Problem(video.flow, "flow", "missing", expected)
        elif there:
            yield from _flow_length(video, expected)


def _flow_length(video: VideoRecord, expected: str) -> Iterator[Problem]:
    try:
        count = flow_length(video.flow)
    except FrameReadError as error:
        yield Problem(video.flow, "flow", f"unusable ({printable(str(error))})", expected)
        return
    if count not in (video.num_frames - 1, video.num_frames):
        yield Problem(video.flow, "flow", f"{count} images", expected)


def _is_wrong(note: str) -> bool:
    return any(wrong in note for wrong in WRONG_BOXES)
