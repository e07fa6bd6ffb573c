"""Pictures of what a detector sees: a grid of keyframes and a short video, ground truth beside."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from detect.data.clip_mapper import ClipMapper
from detect.data.records import KeyframeDataset
from detect.data.sliding import slide
from detect.video.readers import iter_frames
from detect.visualize import caption, draw_boxes, draw_ground_truth, grid, readable, save_image, save_video

SCORE_THRESHOLD = 0.4  # detections below it are not drawn
BATCH = 8


@torch.no_grad()
def detect_video(model: nn.Module, dataset: KeyframeDataset, video: int, mapper: ClipMapper) -> Iterator[tuple]:
    """Each keyframe of a video as (frame in its original size, sample, detections)."""
    samples = [sample for sample in slide(dataset, video, mapper) if "clip" in sample]
    frames = dict(enumerate(iter_frames(dataset.dataset.videos[video].path)))
    for start in range(0, len(samples), BATCH):
        batch = samples[start : start + BATCH]
        for sample, output in zip(batch, model(batch), strict=True):
            yield frames[sample["frame_index"]], sample, output["instances"].to("cpu")


def side_by_side(frame: np.ndarray, detections, boxes: np.ndarray, labels: np.ndarray, classes) -> np.ndarray:
    """One picture: detections on the left, ground truth on the right."""
    strong = detections[detections.scores >= SCORE_THRESHOLD]
    left, scale = readable(frame)
    right = left.copy()
    draw_boxes(
        left, strong.pred_boxes.tensor.numpy(), strong.pred_classes.tolist(), classes, strong.scores.tolist(), scale
    )
    draw_ground_truth(right, boxes, labels, classes, scale)
    return np.hstack([caption(left, "detected"), caption(right, "ground truth")])


def draw_results(
    model: nn.Module, dataset: KeyframeDataset, mapper: ClipMapper, folder: Path, count: int
) -> dict[str, str]:
    """Run `count` videos spread over the set; write `grid.png` (their middle keyframes) and `video.mp4` (two of them).

    Returns {"grid": path, "video": path}.
    """
    model.eval()
    classes = dataset.dataset.classes
    chosen = np.unique(np.linspace(0, len(dataset.dataset.videos) - 1, count).astype(int)).tolist()
    middle, film = [], []
    for number, video in enumerate(chosen):
        pictures = []
        for frame, sample, detections in detect_video(model, dataset, video, mapper):
            boxes, labels = dataset.dataset.videos[video].boxes_at(sample["frame_index"])
            pictures.append(side_by_side(frame, detections, boxes, labels, classes))
        if pictures:
            middle.append(pictures[len(pictures) // 2])
            film += pictures if number < 2 else []
    if not middle:
        return {}
    save_image(folder / "grid.png", grid([_fit(p, middle[0].shape) for p in middle], columns=2))
    save_video(folder / "video.mp4", (_fit(p, film[0].shape) for p in film))
    return {"grid": str(folder / "grid.png"), "video": str(folder / "video.mp4")}


def _fit(picture: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`picture` on a canvas of `shape`, cut or with a dark border (videos of a set may differ in size)."""
    canvas = np.full(shape, 28, np.uint8)
    h, w = min(shape[0], picture.shape[0]), min(shape[1], picture.shape[1])
    canvas[:h, :w] = picture[:h, :w]
    return canvas
