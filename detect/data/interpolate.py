"""Boxes on the frames between annotated ones, for annotations of every n-th frame."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from detect.data.checks import Notes
from detect.data.records import ActionDataset, Tube, VideoRecord
from detect.utils.errors import UserError


def interpolate_tubes(dataset: ActionDataset, max_gap: int | None = None) -> ActionDataset:
    """The dataset with every tube's gaps filled: each side of a box moves linearly from one annotated frame to the
    next. A gap of more than `max_gap` frames from box to box stays, None fills all.

    Frames that get a box count as labelled. `notes` say how many boxes were made, which gaps stayed, and which were
    filled although a labelled frame in them has no box of the tube: there the actor may have been away.
    """
    if max_gap is not None and max_gap < 1:
        raise UserError(f"max_gap is {max_gap}; it must be 1 or more frames from box to box, or None for any")
    notes = Notes()
    videos = tuple(_filled(video, max_gap, notes) for video in dataset.videos)
    return replace(dataset, videos=videos, notes=(*dataset.notes, *notes.lines()))


def _filled(video: VideoRecord, max_gap: int | None, notes: Notes) -> VideoRecord:
    tubes = []
    for number, tube in enumerate(video.tubes, 1):
        where = f"{video.name} tube {number}"
        frames = np.unique(np.concatenate([tube.frames, *_frames_between(video, tube, max_gap, where, notes)]))
        boxes = np.stack([np.interp(frames, tube.frames, side) for side in tube.boxes.astype(np.float64).T], axis=1)
        tubes.append(Tube(tube.label, frames, boxes.astype(np.float32)))
        if made := len(frames) - len(tube.frames):
            notes.add("tubes completed by linear interpolation", f"{where}, {made} boxes")
    filled = replace(video, tubes=tuple(tubes))
    if video.labelled is None:
        return filled
    return replace(filled, labelled=np.union1d(video.labelled, filled.annotated_frames()))


def _frames_between(
    video: VideoRecord, tube: Tube, max_gap: int | None, where: str, notes: Notes
) -> Iterator[np.ndarray]:
    """The frames inside each gap that is to be filled."""
    rows = np.flatnonzero(np.diff(tube.frames) > 1)
    for start, stop in zip(tube.frames[rows].tolist(), tube.frames[rows + 1].tolist(), strict=True):
        if max_gap is not None and stop - start > max_gap:
            notes.add(f"gaps left open, of more than {max_gap} frames", f"{where} frames {start} to {stop}")
            continue
        inside = np.arange(start + 1, stop)
        if np.isin(inside, video.labelled_frames()).any():
            kind = "gaps filled in which a labelled frame has no box (set max_gap where the actor was away)"
            notes.add(kind, f"{where} frames {start} to {stop}")
        yield inside
