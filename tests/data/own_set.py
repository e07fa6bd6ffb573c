"""Small sets of one's own: an own JSON file with videos beside it."""

import json
from pathlib import Path

import numpy as np
from tiny_set import SIZE, draw, write_frames

from detect.video.writer import save_video


def content(**changes) -> dict:
    """Two videos of 6 frames, 24 x 32, of two classes; `changes` replace whole sections."""
    box, size = [2, 3, 10, 12], dict(zip(("height", "width"), SIZE, strict=True))
    return {
        "categories": [{"id": 1, "name": "wave"}, {"id": 2, "name": "walk"}],
        "videos": [
            {"id": 1, "file_name": "videos/a.avi", **size, "num_frames": 6, "fps": 25.0},
            {"id": "two", "file_name": "frames/b", **size, "num_frames": 6},
        ],
        "annotations": [
            {"id": 7, "video_id": 1, "category_id": 2, "frames": [1, 2, 3], "bboxes": [box] * 3},
            {"id": 8, "video_id": "two", "category_id": 1, "start": 0, "bboxes": [box] * 6},
        ],
        **changes,
    }


def write_own(folder: Path, written: dict, *, media: bool = True) -> Path:
    if media:
        save_video(folder / "videos" / "a.avi", draw(6, 1))
        write_frames(folder / "frames" / "b", draw(6, 2))
    path = folder / "train.json"
    path.write_text(json.dumps(written))
    return path


def same(first, second) -> bool:
    """Whether two datasets have the same classes, videos, tubes and boxes, bit by bit."""

    def arrays(dataset):
        for video in dataset.videos:
            yield np.array([-1]) if video.labelled is None else video.labelled
            for tube in video.tubes:
                yield from (np.array([tube.label]), tube.frames, tube.boxes)

    def facts(dataset):
        return [
            (v.name, v.path, v.flow, v.num_frames, v.height, v.width, v.fps, len(v.tubes)) for v in dataset.videos
        ]

    if first.classes != second.classes or facts(first) != facts(second):
        return False
    pairs = list(zip(arrays(first), arrays(second), strict=True))
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)
