"""Rows of detections, and each form of file as its public writer lays it out."""

import json
import pickle

import numpy as np

from detect.data.records import ActionDataset, Tube, VideoRecord
from detect.evaluation import Detections

CLASSES = ("golf", "kick_ball", "wave")
WIDTH, HEIGHT = 320, 240


def record(name, frames=40):
    tube = Tube(1, np.arange(5, 20), np.tile(np.array([[20, 30, 120, 200]], np.float32), (15, 1)))
    return VideoRecord(name, name, frames, HEIGHT, WIDTH, (tube,))


DATASET = ActionDataset("made", CLASSES, (record("wave/b_c_3"), record("kick_ball/a_1")), "0")
NAMES = sorted(video.name for video in DATASET.videos)


def made(seed=0, count=200):
    """Rows as a detector gives them: names of videos, frames and labels from 0, whole pixels, distinct scores."""
    rng = np.random.RandomState(seed)
    corner = rng.randint(0, 60, (count, 2))
    boxes = np.hstack([corner, corner + rng.randint(60, 170, (count, 2))]).clip(0, [WIDTH, HEIGHT] * 2)
    scores = (rng.permutation(count) + 1) / 256  # exact in three forms of number
    return list(
        zip(rng.choice(NAMES, count), rng.randint(0, 30, count), rng.choice([1, 1, 0, 2], count), scores,
            boxes.tolist(), strict=True)
    )  # fmt: skip


def table(rows):
    rows = sorted(rows, key=lambda row: (row[0], row[1], -row[3]))
    video, frame, label, score, boxes = zip(*rows, strict=True)
    return Detections([NAMES.index(name) for name in video], frame, label, score, np.array(boxes, float))


def write_pickle(path, value, protocol=4):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol))
    return path


def write_yowo(folder, rows):
    """core/optimization.py: `str(int(class) + 1) + ' ' + str(prob) + ' ' + str(x1) ...`, a file for each frame."""
    folder = folder / "detections_5"
    folder.mkdir()
    for name in NAMES:
        for frame in range(30):
            lines = [r for r in rows if (r[0], r[1]) == (name, frame)]
            text = "".join(f"{label + 1} {score} {' '.join(map(str, box))}\n" for *_, label, score, box in lines)
            (folder / f"{name.replace('/', '_')}_{frame + 1:05d}.txt").write_text(text)
    return folder


def write_act(folder, rows):
    """ACT's load_frame_detections: video index, frame from 1, label, score, x1 y1 x2 y2."""
    order = [video.name for video in DATASET.videos]
    content = [(order.index(name), frame + 1, label, score, *box) for name, frame, label, score, box in rows]
    return write_pickle(folder / "frame_detections.pkl", np.array(content, np.float32).reshape(-1, 8))


def write_ava(folder, rows):
    path = folder / "result.csv"
    path.write_text(
        "".join(
            f"{name},{900 + frame / 30:.4f},{x1 / WIDTH!r},{y1 / HEIGHT!r},{x2 / WIDTH!r},{y2 / HEIGHT!r},"
            f"{label + 1},{score}\n"
            for name, frame, label, score, (x1, y1, x2, y2) in rows
        )
    )
    return path


def write_coco(folder, rows):
    path = folder / "coco_instances_results.json"
    content = [
        {"image_id": f"{name}#{frame}", "category_id": int(label) + 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": s}
        for name, frame, label, s, (x1, y1, x2, y2) in rows
    ]
    path.write_text(json.dumps(content, default=int))
    return path


def write_multisports(folder, rows):
    """As MultiSportsMetric.process gets them: boxes as shares, scores of all classes, of which the best counts."""
    entries = []
    for name, frame, label, score, box in rows:
        scores = np.full((1, 3), score / 2)
        scores[0, label] = score
        shares = np.array([box]) / [WIDTH, HEIGHT, WIDTH, HEIGHT]
        instances = {"bboxes": shares, "scores": scores}
        entries.append({"video_id": f"{name}.mp4", "timestamp": int(frame) + 1, "pred_instances": instances})
    return write_pickle(folder / "predictions.pkl", entries)


def write_tubelets(folder, rows):
    """MOC's normal_inference: {label from 1: (n, 4K + 1)} of K = 1; every frame has a file."""
    for name in NAMES:
        for frame in range(30):
            content = {
                c + 1: np.array(
                    [(*box, s) for n, f, label, s, box in rows if (n, f, label) == (name, frame, c)], np.float32
                ).reshape(-1, 5)
                for c in range(3)
            }
            write_pickle(folder / "inference" / name / f"{frame + 1:05d}.pkl", content)
    return folder / "inference"


WRITERS = {
    "yowo": write_yowo, "act": write_act, "ava": write_ava, "coco": write_coco, "multisports": write_multisports,
    "act_tubelets": write_tubelets,
}  # fmt: skip
