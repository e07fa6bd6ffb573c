"""One picture of each class, detections beside ground truth, chosen by a rule and not by what they show."""

from collections.abc import Callable
from itertools import islice

import numpy as np

from detect.d2 import Boxes, Instances
from detect.data.records import ActionDataset, VideoRecord
from detect.utils.errors import UserError
from detect.video.readers import iter_frames
from detect.visualization.drawing import grid
from detect.visualization.pictures import pair_picture, side_by_side

RULE = "of each class the first video by name, at the middle of its frames with boxes"
Shown = Callable[[int, int], tuple[np.ndarray, np.ndarray, np.ndarray]]  # video, frame -> boxes, labels, scores


def class_pictures(dataset: ActionDataset, shown: Shown, columns: int = 3) -> np.ndarray:
    """(H, W, 3): `RULE`. shown: the detections to draw of a frame of dataset.videos[video]. UserError for a dataset
    without boxes, FrameReadError for a video that cannot be read.
    """
    pairs = []
    for label in range(len(dataset.classes)):
        found = sorted((video.name, index) for index, video in enumerate(dataset.videos) if _is_of(video, label))
        if found:
            _, index = found[0]
            frames = dataset.videos[index].annotated_frames()
            pairs.append(_pair(dataset, shown, index, int(frames[len(frames) // 2])))
    if not pairs:
        raise UserError(f"{dataset.name}: no boxes, so there is nothing to draw")
    size = np.median([pair.shape[1:3] for pair in pairs], axis=0).astype(int).tolist()
    return grid([pair_picture(pair, size) for pair in pairs], columns)


def _is_of(video: VideoRecord, label: int) -> bool:
    return any(tube.label == label and len(tube.frames) for tube in video.tubes)


def _pair(dataset: ActionDataset, shown: Shown, index: int, frame: int) -> np.ndarray:
    """(2, h, w, 3): the frame with the detections, and with the truth."""
    video = dataset.videos[index]
    boxes, labels, scores = shown(index, frame)
    found = Instances((video.height, video.width), pred_boxes=Boxes(boxes), scores=scores, pred_classes=labels)
    (picture,) = islice(iter_frames(video.path), frame, frame + 1)
    return side_by_side(picture, found, *video.boxes_at(frame), dataset.classes)
