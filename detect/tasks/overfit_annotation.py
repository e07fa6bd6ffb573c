"""What is wrong with an annotation whatever a network makes of it: wrong boxes and labels are learned by heart, too."""

import re
from collections.abc import Iterator, Sequence

import numpy as np

from detect.data.label_checks import Clash, only_class, same_clip
from detect.data.motion_fit import MIN_FIT, MIN_VIDEOS, MovingVideo, best_reading, best_shift, moving_videos
from detect.data.records import ActionDataset, VideoRecord
from detect.tasks.overfit_verdict import Finding

LOOKED_AT = 24  # videos of the set: as many as the figures in `detect.data.motion_fit` are of
SEE = "see it: tools/visualize_data.py {} --output boxes.html"
# Share of the boxes that the reader had to cut at the image's edge, or found outside it; chosen: of sound ones only
# those at an edge do; of corners read as sizes all that lie right of or below the middle of the image.
STICKING_OUT = 0.25
OUTSIDE = re.compile(r"(\d+) boxes (clamped to the image|dropped, no area inside the image)")


def spread(dataset: ActionDataset) -> list[VideoRecord]:
    """Videos with boxes, from all over the set."""
    videos = [video for video in dataset.videos if video.tubes]
    return [videos[i] for i in np.unique(np.linspace(0, len(videos) - 1, min(LOOKED_AT, len(videos))).astype(int))]


def box_findings(dataset: ActionDataset, moving: Sequence[MovingVideo]) -> Iterator[Finding]:
    """Boxes that lie elsewhere than what moves, or in the image not at all, and those that are of another frame."""
    reading, shift = best_reading(moving), best_shift(moving)
    outside = sum(int(match[1]) for note in dataset.notes if (match := OUTSIDE.match(note)))
    see = SEE.format(dataset.name)
    boxes = max(sum(len(tube.frames) for video in dataset.videos for tube in video.tubes), 1)
    if reading.is_certain("reading"):
        step = f"write them as the format has them; {see}"
        yield Finding(f"boxes are off: {reading.name}", reading.evidence(), step)
    elif outside >= STICKING_OUT * boxes:
        reason = "boxes are off: they stick out of the image, as two corners read as x, y, width, height do"
        evidence = f"{outside} boxes cut or left out, {boxes} kept"
        yield Finding(reason, evidence, f"write them as the format has them; {see}")
    elif shift.is_certain("shift"):
        way = "late" if shift.shift > 0 else "early"
        reason = f"keyframes are shifted: the boxes come about {abs(shift.shift)} frames too {way}"
        yield Finding(reason, shift.evidence(), f"count the annotation's frames as the video's, from 0; {see}")


def label_findings(dataset: ActionDataset, videos: Sequence[VideoRecord], length: int) -> Iterator[Finding]:
    """Labels that no network can tell. length: frames of a clip."""
    names = dataset.classes
    if (label := only_class(dataset)) is not None:
        tubes = sum(len(video.tubes) for video in dataset.videos)
        evidence = f"all {tubes} tubes, and there are {len(names)} classes"
        yield Finding(f"labels are constant: {names[label]} and no other", evidence, "see how the labels were made")
    middles = [(video, int(frames[len(frames) // 2])) for video in videos if len(frames := video.annotated_frames())]
    if clashes := same_clip(middles, length):
        first = clash_line(clashes[0], names)
        reason = "labels contradict each other: the same clip has two"
        yield Finding(reason, f"{len(clashes)} pairs, such as {first}", "keep one of them, or one label")


def clash_line(clash: Clash, names: Sequence[str]) -> str:
    a, b = (names[label] for label in clash.labels)
    return f"{a} at {clash.first} and {b} at {clash.second}"


def motion_line(moving: Sequence[MovingVideo]) -> str:
    """What the motion says of boxes that are not found wrong."""
    fits = [video.as_read for video in moving]
    mean = float(np.nanmean(fits)) if fits else 0.0
    if len(moving) < MIN_VIDEOS or mean < MIN_FIT:
        return f"boxes and motion: nothing can be said ({len(moving)} videos, correlation {mean:.2f})"
    agree = f"boxes and motion agree: correlation {mean:.2f} over {len(moving)} videos"
    return f"{agree}, no other reading of the boxes and no other frame fits markedly better"


def look_at_annotation(dataset: ActionDataset, length: int) -> tuple[list[Finding], list[str]]:
    """What is certain to be wrong, the gravest first, and lines on what was looked at and is not."""
    videos = spread(dataset)
    moving = moving_videos(videos)
    boxes = list(box_findings(dataset, moving))
    return [*boxes, *label_findings(dataset, videos, length)], [] if boxes else [motion_line(moving)]
