"""Pictures of what a detector sees: a grid of keyframes and a short video, ground truth beside."""

import logging
from pathlib import Path

import numpy as np
from torch import nn

from detect.data.clip_mapper import ClipMapper
from detect.data.records import KeyframeDataset
from detect.stream import detect_stream
from detect.video.readers import FrameReadError, iter_frames
from detect.visualize import caption, draw_boxes, draw_ground_truth, grid, readable, save_image, save_video

logger = logging.getLogger(__name__)
SCORE_THRESHOLD = 0.4  # detections below it are not drawn
BATCH = 8
FILMED, MAX_FILM = 2, 300  # videos, and frames of them, in the film


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
    """Run `count` videos spread over the set; write `grid.png` (a middle frame of each) and `video.mp4` (two of them).

    Returns {"grid": path, "video": path}; {} if no video can be read, each such video a warning.
    """
    videos = dataset.dataset.videos
    chosen = np.unique(np.linspace(0, len(videos) - 1, count).astype(int)).tolist()
    middle, film = [], []
    for number, video in enumerate(videos[index] for index in chosen):
        stream = detect_stream(model, iter_frames(video.path), mapper.num_frames, mapper.size, batch_size=BATCH)
        try:
            for k, frame, found in stream:
                if k == video.num_frames // 2 or number < FILMED:
                    picture = side_by_side(frame, found, *video.boxes_at(k), dataset.dataset.classes)
                    middle += [picture] if k == video.num_frames // 2 else []
                    film += [picture] if number < FILMED and len(film) < MAX_FILM else []
        except FrameReadError as error:
            logger.warning("not drawn to its end: %s", error)
    if not middle:
        return {}
    save_image(folder / "grid.png", grid([_fit(p, middle[0].shape) for p in middle], columns=2))
    save_video(folder / "video.mp4", (_fit(p, middle[0].shape) for p in film or middle))
    return {"grid": str(folder / "grid.png"), "video": str(folder / "video.mp4")}


def _fit(picture: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`picture` on a canvas of `shape`, cut or with a dark border (videos of a set may differ in size)."""
    canvas = np.full(shape, 28, np.uint8)
    h, w = min(shape[0], picture.shape[0]), min(shape[1], picture.shape[1])
    canvas[:h, :w] = picture[:h, :w]
    return canvas
