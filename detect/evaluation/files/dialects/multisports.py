"""What MMAction2 predicts for MultiSports, dumped as a pickle: a list with an entry for each frame,

    {"video_id", "timestamp", "pred_instances": {"bboxes": (n, 4), "scores": (n, classes)}}   or
    [video_id, timestamp, bboxes, scores]

as its MultiSportsMetric gets and keeps them. Timestamps are frames from 1, boxes are shares of the frame's width and
height, and each box counts under its best class only. Arrays are numpy's: a dump of tensors is not read.
"""

from pathlib import Path
from typing import Any

import numpy as np

from detect.data.checks import Notes, shown, whole
from detect.data.dialects.glimpse import Glimpse
from detect.data.records import ActionDataset
from detect.evaluation.files.dialects.act_pickle import PICKLES
from detect.evaluation.files.dialects.found_rows import FoundRows, no_rows
from detect.evaluation.tables import TableError
from detect.utils.safe_pickle import load_pickle

_KEYS = ("video_id", "timestamp", "bboxes", "scores")
_FORM = "video_id, timestamp and pred_instances with bboxes (n, 4) and scores (n, classes)"


def is_multisports(glimpse: Glimpse) -> bool:
    return glimpse.head[:1] in PICKLES and glimpse.has(b"video_id", b"pred_instances")


def read_multisports(path: Path, dataset: ActionDataset | None, notes: Notes) -> FoundRows:
    """Without a dataset boxes stay shares of the frame."""
    entries = load_pickle(path, encoding="latin1")
    if not isinstance(entries, list):
        raise TableError(f"{path}: holds a {type(entries).__name__}; expected a list of predictions")
    sizes = {video.name: [video.width, video.height] * 2 for video in dataset.videos} if dataset else {}
    if dataset is None:
        notes.add("files whose boxes stay shares of the frame, as there is no dataset", path.name)
    numbers: dict[str, int] = {}
    columns: list[list[np.ndarray]] = [[] for _ in range(6)]
    for position, entry in enumerate(entries):
        try:
            video, time, boxes, scores = _entry(entry)
        except (TypeError, ValueError, OverflowError) as error:
            raise TableError(f"{path}: entry {position}: {error}; expected {_FORM}") from error
        number, n = numbers.setdefault(video, len(numbers)), len(boxes)
        label = scores.argmax(axis=1)
        values = (
            np.full(n, number), np.full(n, time - 1), label, scores[np.arange(n), label],
            boxes * sizes.get(video, [1] * 4), np.full(n, position),
        )  # fmt: skip
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    if not entries:
        return no_rows()
    video, frame, label, score, boxes, source = map(np.concatenate, columns)
    return FoundRows(list(numbers), video, frame, label, score, boxes, lambda row: f"entry {source[row]}")


def _entry(entry: Any) -> tuple[str, int, np.ndarray, np.ndarray]:
    if isinstance(entry, dict):
        found = entry.get("pred_instances")
        parts = {**entry, **found} if isinstance(found, dict) else entry
        if missing := [key for key in _KEYS if key not in parts]:
            raise ValueError(f"has no {missing[0]!r}")
        entry = [parts[key] for key in _KEYS]
    if not isinstance(entry, (list, tuple)) or len(entry) != len(_KEYS):
        raise ValueError(f"is {shown(entry)}")
    video, time, boxes, scores = entry
    if not isinstance(video, str):
        raise ValueError(f"video_id is {shown(video)}")
    boxes, scores = (np.asarray(array, np.float64) for array in (boxes, scores))
    boxes = boxes.reshape(-1, 4)
    if scores.ndim != 2 or len(scores) != len(boxes) or not scores.shape[1]:
        raise ValueError(f"scores of the shape {scores.shape} for {len(boxes)} boxes")
    return video.split(".mp4")[0], whole(time), boxes, scores
