"""What the writers of several forms share: tubes without gaps, and notes of what a form cannot hold."""

from collections.abc import Sequence

import numpy as np

from detect.data.checks import Notes
from detect.data.records import ActionDataset, Tube, VideoRecord


def without_gaps(video: VideoRecord, notes: Notes) -> list[Tube]:
    """The tubes of a video, those with gaps cut there: forms that give a first and a last frame have no other way."""
    pieces = []
    for tube in video.tubes:
        cuts = np.flatnonzero(np.diff(tube.frames) > 1) + 1
        if len(cuts):
            notes.add("tubes with gaps, cut there", f"{video.name} ({len(cuts) + 1} pieces)")
        parts = zip(np.split(tube.frames, cuts), np.split(tube.boxes, cuts), strict=True)
        pieces += [Tube(tube.label, *part) for part in parts]
    return pieces


def corner_and_size(boxes: np.ndarray) -> np.ndarray:
    """x0 y0 x1 y1 (n, 4) as x y width height, float64: adding them up again gives the same float32."""
    boxes = boxes.astype(np.float64)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def note_losses(dataset: ActionDataset, notes: Notes, *facts: str) -> None:
    """Note the videos of which the form cannot hold `facts`: "fps", or "labelled" (which frames were looked at)."""
    kinds = {
        "fps": ("frame rates not written, the form has none", lambda video: video.fps > 0),
        "labelled": (
            "videos whose frames without a box will all count as looked at, the form has no other way",
            lambda video: video.labelled is not None,
        ),
    }
    for fact in facts:
        kind, lost = kinds[fact]
        for video in filter(lost, dataset.videos):
            notes.add(kind, video.name)


def other_sizes(dataset: ActionDataset, size: tuple[int, int]) -> Sequence[VideoRecord]:
    """The videos of another (height, width) than `size`."""
    return [video for video in dataset.videos if (video.height, video.width) != size]
