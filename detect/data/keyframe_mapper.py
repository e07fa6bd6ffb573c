"""From the dataset dict of a keyframe to the clip around it, at the network's input size."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from detect.d2 import Boxes, Instances
from detect.utils.errors import UserError
from detect.video import transforms
from detect.video.readers import FrameReadError, read_frames
from detect.video.windows import clip_indices

MIN_VISIBLE = 0.3  # boxes of which a zoom leaves less than this share of the area are dropped


class KeyframeMapper:
    """Reads and resizes the clip of a keyframe and, in training, augments it and makes its targets.

    Arguments:
        num_frames: of the clip, T. size: (height, width) of the clip; the aspect ratio is not kept. is_train:
        augment, and add `instances`. flip_prob: probability of mirroring. 0 for classes that tell left from
        right. color_jitter: strength s; brightness, contrast and saturation are each multiplied by 1 - s .. 1
        + s. scale_jitter: (lowest, highest) zoom; beyond 1 a part of the frame is seen, below 1 it gets a
        grey border.
    """

    def __init__(
        self,
        num_frames: int,
        size: Sequence[int],
        *,
        is_train: bool,
        flip_prob: float = 0.0,
        color_jitter: float = 0.0,
        scale_jitter: Sequence[float] = (1.0, 1.0),
    ):
        transforms.check_augmentation(flip_prob, color_jitter, scale_jitter)
        if num_frames < 1 or len(size) != 2 or min(size) < 1:
            raise UserError(f"a clip of {num_frames} frames, size {size}; expected 1 or more, (height, width)")
        self.num_frames, self.size, self.is_train = num_frames, (int(size[0]), int(size[1])), is_train
        self.flip_prob, self.color_jitter, self.scale_jitter = flip_prob, color_jitter, tuple(scale_jitter)

    @classmethod
    def from_config(cls, cfg, is_train: bool) -> "KeyframeMapper":
        return cls(
            cfg.INPUT.NUM_FRAMES,
            cfg.INPUT.SIZE,
            is_train=is_train,
            flip_prob=cfg.INPUT.FLIP_PROB,
            color_jitter=cfg.INPUT.COLOR_JITTER,
            scale_jitter=cfg.INPUT.SCALE_JITTER,
        )

    def __call__(self, sample: dict[str, Any], rng: np.random.Generator | None = None) -> dict[str, Any]:
        """A copy of `sample` without `annotations`, with `clip` (T, H, W, 3) uint8 RGB and, in training,
        `instances`.

        `instances` holds gt_boxes in pixels of the clip and gt_classes (n,) int64. `height` and `width` stay
        those of the original frame. Where a video ends earlier than annotated, its last frame is repeated and
        the key `decoded_frames` is added. `rng` is needed in training; equal states give equal results.
        Raises FrameReadError for a frame that cannot be read, or of another size than annotated.
        """
        frames, rows, decoded = self._read(sample)
        extra = {} if decoded is None else {"decoded_frames": decoded}
        if not self.is_train:
            clip = np.stack([self.prepare(sample, frame) for frame in frames])
            return {**self.pack(sample, clip[rows]), **extra}
        if rng is None:
            raise ValueError("a mapper for training needs the random generator of the sample")
        check_size(sample, frames[0])
        boxes = np.array([a["bbox"] for a in sample["annotations"]], np.float64).reshape(-1, 4)
        clip, boxes = self._augment(frames, boxes, rng)
        boxes, visible = transforms.clip_boxes(boxes, self.size)
        keep = visible >= MIN_VISIBLE
        labels = np.array([a["category_id"] for a in sample["annotations"]], np.int64)[keep]
        instances = Instances(self.size)
        instances.gt_boxes = Boxes(torch.from_numpy(boxes[keep].astype(np.float32)))
        instances.gt_classes = torch.from_numpy(labels)
        return {**self.pack(sample, clip[rows]), "instances": instances, **extra}

    def prepare(self, sample: dict[str, Any], frame: np.ndarray) -> np.ndarray:
        """One frame at the input size, without augmentation."""
        check_size(sample, frame)
        return transforms.resize(frame, self.size)

    def pack(self, sample: dict[str, Any], clip: np.ndarray) -> dict[str, Any]:
        kept = {key: value for key, value in sample.items() if key != "annotations"}
        return {**kept, "clip": torch.from_numpy(np.ascontiguousarray(clip))}

    def _read(self, sample: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, int | None]:
        """Distinct frames, which of them stands at each position, and the true length where the video is too
        short.
        """
        keyframe, path = sample["frame_index"], sample["file_name"]
        indices, decoded = clip_indices(keyframe, sample["num_frames"], self.num_frames), None
        try:
            frames = read_frames(path, np.unique(indices))
        except FrameReadError as error:
            decoded = error.decoded
            if decoded is None or keyframe >= decoded:
                raise
            indices = clip_indices(keyframe, decoded, self.num_frames)
            frames = read_frames(path, np.unique(indices))
        return frames, indices - indices[0], decoded

    def _augment(self, frames, boxes, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """One random zoom, colour change and mirroring for all frames; boxes in pixels of the result, not
        clipped.
        """
        zoom, mirror = rng.uniform(*self.scale_jitter), rng.random() < self.flip_prob
        factors = rng.uniform(1 - self.color_jitter, 1 + self.color_jitter, 3)
        window = transforms.Window.random(*frames.shape[1:3], zoom, rng)
        clip = np.stack([transforms.resize(window.cut(frame), self.size) for frame in frames])
        boxes = window.map_boxes(boxes, self.size)
        if self.color_jitter:
            clip = transforms.apply_color(clip, transforms.color_matrix(*factors))
        return transforms.flip(clip, boxes) if mirror else (clip, boxes)


def check_size(sample: dict[str, Any], frame: np.ndarray) -> None:
    """Boxes are pixels of the annotated size, so a frame of another size would get wrong ones:
    FrameReadError.
    """
    annotated = (sample["height"], sample["width"])
    if frame.shape[:2] != annotated:
        raise FrameReadError(
            f"{sample['file_name']}: frames are {frame.shape[1]} x {frame.shape[0]} pixels, "
            f"the annotation is for {annotated[1]} x {annotated[0]}"
        )
