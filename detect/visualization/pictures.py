"""Pictures of what a detector saw in an evaluation: a grid of keyframes and a short video, ground truth beside."""

import logging
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from detect.d2 import DatasetEvaluator, Instances
from detect.data.records import KeyframeDataset, VideoRecord
from detect.utils.comm import gather_object
from detect.video.readers import FrameReadError, iter_frames
from detect.video.writer import save_video
from detect.visualization.drawing import (
    BACKGROUND,
    caption,
    draw_ground_truth,
    draw_instances,
    grid,
    readable,
    save_image,
)

logger = logging.getLogger(__name__)
SCORE_THRESHOLD = 0.4  # detections below it are not drawn
FILMED, FILM_FRAMES = 2, 150  # videos in the film, and frames of each


def side_by_side(
    frame: np.ndarray, detections: Instances, boxes: np.ndarray, labels: np.ndarray, classes
) -> np.ndarray:
    """(2, H, W, 3): the frame with the detections, and with the ground truth."""
    left, scale = readable(frame)
    right = left.copy()
    draw_instances(left, detections, classes, scale)
    draw_ground_truth(right, boxes, labels, classes, scale)
    return np.stack([left, right])


class PictureDrawer(DatasetEvaluator):
    """Keeps the detections of `count` videos spread over the set; at the end it writes to `folder` `grid.png`, the
    middle keyframe of each, and `video.mp4`, a stretch of the first two. `written`: {"grid": path, "video": path}.
    """

    def __init__(self, dataset: KeyframeDataset, folder: Path, count: int):
        self.dataset, self.folder = dataset, folder
        filled = [index for index, keyframes in enumerate(dataset.keyframes) if len(keyframes)]
        places = np.unique(np.linspace(0, len(filled) - 1, min(count, len(filled))).astype(int))
        self._frames = {filled[place]: self._chosen(filled[place], number) for number, place in enumerate(places)}
        videos = dataset.dataset.videos
        self._wanted = {(videos[index].name, k) for index, frames in self._frames.items() for k in frames}
        self.reset()

    def _chosen(self, video: int, number: int) -> list[int]:
        """The keyframes of a video that are drawn; the middle one is the one in the grid."""
        keyframes = self.dataset.keyframes[video]
        middle = keyframes[len(keyframes) // 2]
        reach = FILM_FRAMES // 2 if number < FILMED else 0
        return keyframes[abs(keyframes - middle) <= reach].tolist()

    def reset(self) -> None:
        self.written: dict[str, str] = {}
        self._found: dict[tuple[str, int], Instances] = {}

    def process(self, inputs: list[dict], outputs: list[dict]) -> None:
        for item, output in zip(inputs, outputs, strict=True):
            key = (item["video"], int(item["frame_index"]))
            if key in self._wanted:
                found = output["instances"].to("cpu")
                self._found[key] = found[found.scores >= SCORE_THRESHOLD]

    def evaluate(self) -> dict[str, Any]:
        """Draw, on the main process; no scores. A video that cannot be read is a warning."""
        parts = gather_object(self._found)
        found = {key: value for part in parts for key, value in part.items()}
        middle, film = [], []
        for number, (index, frames) in enumerate(self._frames.items() if found else ()):
            video = self.dataset.dataset.videos[index]
            pictures = self._draw(video, frames, found)
            keyframes = self.dataset.keyframes[index]
            middle += [picture for k, picture in pictures if k == keyframes[len(keyframes) // 2]]
            film += [picture for _, picture in pictures] if number < FILMED else []
        if middle:
            paths = {"grid": self.folder / "grid.png", "video": self.folder / "video.mp4"}
            size = np.median([pair.shape[1:3] for pair in middle], axis=0).astype(int).tolist()
            save_image(paths["grid"], grid([pair_picture(pair, size) for pair in middle], columns=2))
            save_video(paths["video"], (pair_picture(pair, size) for pair in film or middle))
            self.written = {name: str(path) for name, path in paths.items()}
            logger.info("pictures: %s", self.written)
        return {}

    def _draw(self, video: VideoRecord, frames: list[int], found: dict) -> list[tuple[int, np.ndarray]]:
        wanted, pictures = {k for k in frames if (video.name, k) in found}, []
        try:
            for k, frame in enumerate(islice(iter_frames(video.path), frames[-1] + 1)):
                if k in wanted:
                    truth, classes = video.boxes_at(k), self.dataset.classes
                    pictures.append((k, side_by_side(frame, found[video.name, k], *truth, classes)))
        except FrameReadError as error:
            logger.warning("not drawn to its end: %s", error)
        return pictures


def pair_picture(pair: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """One picture: detections on the left, ground truth on the right, each on `size`, a height and a width."""
    return np.hstack([caption(_fit(pair[0], size), "detected"), caption(_fit(pair[1], size), "ground truth")])


def _fit(picture: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """The whole picture as large as fits on a dark canvas, in its middle (videos of a set may differ in size)."""
    factor = min(size[0] / picture.shape[0], size[1] / picture.shape[1])
    h, w = (max(1, min(round(side * factor), room)) for side, room in zip(picture.shape[:2], size, strict=True))
    if (h, w) != picture.shape[:2]:
        picture = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    canvas = np.full((*size, 3), BACKGROUND, np.uint8)
    y, x = (size[0] - h) // 2, (size[1] - w) // 2
    canvas[y : y + h, x : x + w] = picture
    return canvas
