"""Pictures of what a detector sees: a grid of keyframes and a short video, ground truth beside."""

import logging
from itertools import islice
from pathlib import Path

import numpy as np
from torch import nn

from detect.data.clip_mapper import ClipMapper
from detect.data.records import KeyframeDataset
from detect.stream import detect_stream
from detect.video.readers import FrameReadError, iter_frames
from detect.visualize import caption, draw_ground_truth, draw_instances, grid, readable, save_image, save_video

logger = logging.getLogger(__name__)
SCORE_THRESHOLD = 0.4  # detections below it are not drawn
BATCH = 8
FILMED, FILM_FRAMES = 2, 150  # videos in the film, and frames of each


def side_by_side(frame: np.ndarray, detections, boxes: np.ndarray, labels: np.ndarray, classes) -> np.ndarray:
    """One picture: detections on the left, ground truth on the right."""
    strong = detections[detections.scores >= SCORE_THRESHOLD]
    left, scale = readable(frame)
    right = left.copy()
    draw_instances(left, strong, classes, scale)
    draw_ground_truth(right, boxes, labels, classes, scale)
    return np.hstack([caption(left, "detected"), caption(right, "ground truth")])


def draw_results(
    model: nn.Module, dataset: KeyframeDataset, mapper: ClipMapper, folder: Path, count: int
) -> dict[str, str]:
    """Run `count` videos spread over the set; write `grid.png` (a middle frame of each) and `video.mp4` (two of them).

    Returns {"grid": path, "video": path}; {} if no video can be read, each such video a warning.
    """
    videos, length = dataset.dataset.videos, mapper.num_frames
    chosen = np.unique(np.linspace(0, len(videos) - 1, count).astype(int)).tolist()
    middle, film = [], []
    for number, video in enumerate(videos[index] for index in chosen):
        centre = video.num_frames // 2
        span = FILM_FRAMES // 2 if number < FILMED else 0
        first = max(centre - span - length, 0)  # as many frames more as the clips of the drawn ones need
        frames = islice(iter_frames(video.path), first, centre + span + length)
        try:
            for k, frame, found in detect_stream(model, frames, length, mapper.size, batch_size=BATCH):
                if abs(first + k - centre) <= span:
                    picture = side_by_side(frame, found, *video.boxes_at(first + k), dataset.dataset.classes)
                    middle += [picture] if first + k == centre else []
                    film += [picture] if span else []
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
