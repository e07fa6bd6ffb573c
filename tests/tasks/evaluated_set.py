"""A small set of one's own, detections of it, and the evaluate tool on both."""

import numpy as np

from detect.data import records
from detect.evaluation.tables import Detections
from tests.running import run_tool

SQUARE = np.array([10, 10, 50, 60], np.float32)


def tube(label, frames, shift=0.0):
    frames = np.asarray(frames, np.int64)
    return records.Tube(label, frames, SQUARE + shift + np.arange(len(frames), dtype=np.float32)[:, None])


def table_of(dataset, extra=(), score=0.9):
    """Detections that are the truth, all with `score`, and further rows (video, frame, label, score, box)."""
    rows = [
        (number, int(frame), tube.label, score, box)
        for number, video in enumerate(dataset.videos)
        for tube in video.tubes
        for frame, box in zip(tube.frames, tube.boxes, strict=True)
    ]
    video, frame, label, scores, boxes = zip(*rows, *extra, strict=True)
    columns = (np.array(column, np.int64) for column in (video, frame, label))
    return Detections(*columns, np.array(scores, np.float32), np.array(boxes, np.float32))


def evaluated(folder, *arguments):
    """(exit code, lines, error text) of the tool on folder/found.npz and folder/truth.json."""
    done = run_tool("evaluate", folder / "found.npz", "--ground-truth", folder / "truth.json", *arguments)
    return done.returncode, done.stdout.splitlines(), done.stderr
