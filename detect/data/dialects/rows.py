"""Videos from rows of one box each, as forms of files have them that list frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from detect.data.checks import AnnotationError, Notes, checked_tube
from detect.data.dialects.joining import JOIN_IOU, join_boxes
from detect.data.dialects.video_facts import KnownFacts, VideoFacts
from detect.data.records import VideoRecord
from detect.utils.runs import run_sizes, run_starts
from detect.video.readers import MAX_SAID_FRAMES

NO_TRACK = -1


@dataclass(frozen=True)
class BoxRows:
    """Boxes of many videos: `video`, an index into `names`, `frame`, `label`, `track` (n,) int64, `boxes` (n, 4)
    float64. `track` tells apart the actors of a video, `NO_TRACK` where that is not known.
    """

    names: Sequence[str]
    video: np.ndarray
    frame: np.ndarray
    label: np.ndarray
    boxes: np.ndarray
    track: np.ndarray


def make_rows(names: Sequence[str], columns: Sequence[Sequence], boxes: Sequence) -> BoxRows:
    """From lists: `columns` are video, frame, label and track, or the first three."""
    video, frame, label, *tracks = (np.array(column, np.int64) for column in columns)
    track = tracks[0] if tracks else np.full(len(video), NO_TRACK)
    return BoxRows(names, video, frame, label, np.array(boxes, np.float64).reshape(-1, 4), track)


def records_of_rows(
    rows: BoxRows,
    classes: Sequence[str],
    facts: KnownFacts,
    notes: Notes,
    *,
    places: Mapping[str, tuple[str, str]] | None = None,
    labelled: Sequence[np.ndarray] | None = None,
    join_iou: float | None = None,
) -> tuple[VideoRecord, ...]:
    """The videos in the order of `rows.names`. `places`: path and flow folder of each, by default its name and "".

    `labelled`: for each video the frames that the file lists, of which those without a row have no box; where not
    given, those with a box. They are all frames where the facts say so. `join_iou`: see `join_boxes`, of rows without a
    track. AnnotationError naming the video.
    """
    if (wrong := np.flatnonzero(abs(rows.frame) > MAX_SAID_FRAMES)).size:
        name, frame = rows.names[rows.video[wrong[0]]], rows.frame[wrong[0]]
        raise AnnotationError(f"{name}: a box in frame {frame}; legal values are up to {MAX_SAID_FRAMES}")
    tubes = _tubes(rows, JOIN_IOU if join_iou is None else join_iou)
    loose = np.bincount(rows.video[rows.track == NO_TRACK], minlength=len(rows.names))
    for index in np.flatnonzero(loose):
        count = f"{rows.names[index]} ({loose[index]} boxes, {len(tubes[int(index)])} tubes)"
        notes.add("videos whose boxes have no track ids and were joined to tubes by their overlap", count)
    records = []
    for index, name in enumerate(rows.names):
        of_video = tubes.get(index, [])
        listed = np.unique(np.concatenate([np.zeros(0, np.int64), *(frames for _, frames, _ in of_video)]))
        listed = listed if labelled is None else np.union1d(listed, labelled[index])
        record = _record(name, of_video, listed, classes, facts.of(name), notes)
        path, flow = places[name] if places else (name, "")
        records.append(replace(record, path=path, flow=flow))
    return tuple(records)


def _tubes(rows: BoxRows, join_iou: float) -> dict[int, list[tuple[int, np.ndarray, np.ndarray]]]:
    """By video the (label, frames, boxes) of its tubes, in the order in which the rows first name them."""
    known = rows.track != NO_TRACK
    tube = np.empty(len(rows.video), np.int64)
    free = np.flatnonzero(~known)
    tube[free] = free[join_boxes(*(c[free] for c in (rows.video, rows.frame, rows.label, rows.boxes)), join_iou)]
    tube[known] = _first_of_equal(np.stack([rows.video, rows.label, rows.track])[:, known], np.flatnonzero(known))
    order = np.lexsort((rows.frame, tube))
    ends = np.flatnonzero(np.diff(tube[order])) + 1
    tubes: dict[int, list] = {}
    for part in np.split(order, ends) if len(order) else []:
        found = (int(rows.label[part[0]]), rows.frame[part], rows.boxes[part])
        tubes.setdefault(int(rows.video[part[0]]), []).append(found)
    return tubes


def _first_of_equal(columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """For each of the `rows` the first one that has the same `columns`, (k, n)."""
    order = np.lexsort(columns)
    starts = run_starts(*columns[:, order])
    first = np.empty(len(order), np.int64)
    first[order] = np.repeat(starts, run_sizes(starts, len(order)))
    return rows[order[first]]


def _record(
    name: str,
    tubes: Sequence[tuple[int, np.ndarray, np.ndarray]],
    listed: np.ndarray,
    classes: Sequence[str],
    facts: VideoFacts,
    notes: Notes,
) -> VideoRecord:
    num_frames = facts.num_frames
    if not num_frames:
        num_frames = int(listed[-1]) + 1 if len(listed) else 0
        notes.add("videos whose length is not known, taken to end at the last listed frame", f"{name} ({num_frames})")
    size = (facts.height, facts.width)
    common = dict(video=name, num_frames=num_frames, size=size, classes=classes, notes=notes)
    kept = []
    for label, frames, boxes in tubes:
        if (np.diff(frames) == 0).any():
            frame = frames[:-1][np.diff(frames) == 0][0]
            raise AnnotationError(f"{name}: a track of the class {label} has two boxes in frame {frame} (from 0)")
        kept.append(checked_tube(label, frames, boxes, **common))
    listed = listed[(listed >= 0) & (listed < num_frames)]
    everything = facts.labelled == "all" or (not facts.labelled and len(listed) == num_frames)
    tubes = tuple(filter(None, kept))
    return VideoRecord(name, name, num_frames, *size, tubes, fps=facts.fps, labelled=None if everything else listed)
