"""From a video to the uint8 clips that the classifier takes, (T, H, W, C); sizes as in Xie et al., ECCV 2018.

Frames are resized to INPUT.RESIZE (256 x 256, the aspect ratio is not kept) as they are decoded; INPUT.SIZE (224 x 224)
of them is cropped.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch

from detect.classification.sampling import chunks, dense_indices, even_clips
from detect.d2 import CfgNode
from detect.utils.errors import UserError
from detect.video.modality import modality
from detect.video.readers import FrameReadError
from detect.video.transforms import Window, apply_color, check_augmentation, check_one_speed, color_matrix, resize
from detect.video.windows import random_speed

Size = tuple[int, int]  # height, width


class VideoClipMapper:
    """A training sample: consecutive frames from a random start, a random crop, mirrored or not.

    color_jitter, scale_jitter, speed_jitter: as `detect.data.keyframe_mapper.KeyframeMapper` has them; a zoom changes
    how much of the resized frame the crop shows.
    """

    def __init__(
        self,
        num_frames: int,
        resize_to: Size,
        size: Size,
        flip_prob: float,
        modality_name: str = "rgb",
        *,
        color_jitter: float = 0.0,
        scale_jitter: Sequence[float] = (1.0, 1.0),
        speed_jitter: Sequence[float] = (1.0, 1.0),
        frame_step: int = 1,
    ):
        check_sizes(resize_to, size)
        check_augmentation(flip_prob, color_jitter, scale_jitter, speed_jitter)
        if color_jitter and modality_name == "flow":
            raise UserError(f"INPUT.COLOR_JITTER is {color_jitter}, but INPUT.MODALITY flow has no colours; set 0")
        if modality_name == "flow":
            check_one_speed(speed_jitter, "INPUT.MODALITY flow has motion at the recorded speed")
        if num_frames < 1:
            raise UserError(f"INPUT.NUM_FRAMES is {num_frames}; a clip has at least 1 frame")
        self.num_frames, self.resize_to, self.size, self.flip_prob = num_frames, resize_to, size, flip_prob
        self.modality = modality(modality_name)
        self.color_jitter, self.scale_jitter, self.speed_jitter = color_jitter, tuple(scale_jitter), tuple(speed_jitter)
        self.frame_step = frame_step

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "VideoClipMapper":
        options = cfg.INPUT
        return cls(
            options.NUM_FRAMES,
            tuple(options.RESIZE),
            tuple(options.SIZE),
            options.FLIP_PROB,
            options.MODALITY,
            color_jitter=options.COLOR_JITTER,
            scale_jitter=options.SCALE_JITTER,
            speed_jitter=options.SPEED_JITTER,
            frame_step=options.FRAME_STEP,
        )

    def __call__(self, sample: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        """`sample` (with `file_name`) and its `clip`, (num_frames, H, W, C) uint8; equal states of `rng` give equal
        clips. FrameReadError where the video cannot be read.
        """
        share, y, x, coin = rng.random(4)
        zoom = rng.uniform(*self.scale_jitter)
        factors = rng.uniform(1 - self.color_jitter, 1 + self.color_jitter, 3)
        window, speed = self._window(y, x, zoom), self.frame_step * random_speed(self.speed_jitter, rng)

        def prepare(frame: np.ndarray) -> np.ndarray:
            part = window.cut(resize(frame, self.resize_to))
            return part if part.shape[:2] == self.size else resize(part, self.size)

        clip = self._read(sample["file_name"], share, speed, prepare)
        if self.color_jitter:
            clip = apply_color(clip, color_matrix(*factors))
        if coin < self.flip_prob:
            clip = self.modality.mirror(clip)
        return {**sample, "clip": torch.from_numpy(np.ascontiguousarray(clip))}

    def _window(self, y: float, x: float, zoom: float) -> Window:
        """1 / zoom of the crop's size, at the shares y and x of the room that the frame leaves (or lacks)."""
        (full_h, full_w), (h, w) = self.resize_to, (max(round(side / zoom), 1) for side in self.size)
        top, left = (int(np.floor(share * (room + (room >= 0)))) for share, room in ((y, full_h - h), (x, full_w - w)))
        return Window(left, top, w, h)

    def _read(self, path: str, share: float, speed: float, prepare) -> np.ndarray:
        """Decoded once, unless the container promised more frames than it holds where the clip lies."""
        length = self.modality.length(path)
        try:
            return self.modality.read(path, dense_indices(length, self.num_frames, share, speed), prepare)
        except FrameReadError as error:
            if not error.decoded:
                raise
            return self.modality.read(path, dense_indices(error.decoded, self.num_frames, share, speed), prepare)


class EvalPlan(NamedTuple):
    """What of a video is tested: every `step`-th frame, in chunks, or `clips` clips of `clip_frames` of them; each in
    `crops` crops.
    """

    resize_to: Size = (256, 256)
    size: Size = (224, 224)
    chunk_frames: int = 320
    pad_frames: int = 0
    clips: int = 0
    clip_frames: int = 64
    crops: int = 1
    modality: str = "rgb"
    step: int = 1

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "EvalPlan":
        test, sizes = cfg.TEST, (tuple(cfg.INPUT.RESIZE), tuple(cfg.INPUT.SIZE))
        plan = cls(
            *sizes, test.CHUNK_FRAMES, test.PAD_FRAMES, test.CLIPS, cfg.INPUT.NUM_FRAMES, test.CROPS,
            cfg.INPUT.MODALITY, cfg.INPUT.FRAME_STEP,
        )  # fmt: skip
        check_sizes(*sizes)
        modality(plan.modality)
        list(chunks((), plan.chunk_frames, plan.pad_frames))  # checks the two
        if plan.crops not in (1, 3) or plan.clips < 0:
            raise UserError(f"TEST.CROPS is {plan.crops}, TEST.CLIPS {plan.clips}; expected 1 or 3, and 0 or more")
        return plan

    def views(self, path: str) -> Iterator[tuple[int, np.ndarray]]:
        """(number of the view, (t, H, W, C) uint8): all parts of one view belong to one pass over time.

        FrameReadError where the video, or a frame of it, cannot be read.
        """
        kind = modality(self.modality)

        def prepare(frame: np.ndarray) -> np.ndarray:
            return resize(frame, self.resize_to)

        if self.clips:
            parts = enumerate(self._clips(kind, path, prepare))
            return self._cropped((clip * self.crops, part) for clip, part in parts)
        return self.whole(kind.stream(path))

    def whole(self, frames: Iterable[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
        """As `views`, of all frames (height, width, C) uint8 of a stream."""
        resized = (resize(frame, self.resize_to) for frame in islice(frames, 0, None, self.step))
        return self._cropped((0, part) for part in chunks(resized, self.chunk_frames, self.pad_frames))

    def _cropped(self, parts: Iterable[tuple[int, np.ndarray]]) -> Iterator[tuple[int, np.ndarray]]:
        for first, part in parts:
            for number, crop in enumerate(eval_crops(part, self.size, self.crops)):
                yield first + number, crop

    def _even_clips(self, length: int) -> np.ndarray:
        return self.step * even_clips(-(-length // self.step), self.clip_frames, self.clips)

    def _clips(self, kind, path: str, prepare) -> Iterator[np.ndarray]:
        length = kind.length(path)
        try:
            indices = self._even_clips(length)
            frames = kind.read(path, np.unique(indices), prepare)
        except FrameReadError as error:
            if not error.decoded:
                raise
            indices = self._even_clips(error.decoded)
            frames = kind.read(path, np.unique(indices), prepare)
        rows = np.searchsorted(np.unique(indices), indices)
        return (frames[row] for row in rows)


def eval_crops(clip: np.ndarray, size: Size, count: int) -> list[np.ndarray]:
    """The centre crop, or three along the longer side (the width of a square): start, centre, end."""
    (full_h, full_w), (h, w) = clip.shape[1:3], size
    top, left = (full_h - h) // 2, (full_w - w) // 2
    places = [(top, left)]
    if count == 3 and full_w >= full_h:
        places = [(top, 0), (top, left), (top, full_w - w)]
    elif count == 3:
        places = [(0, left), (top, left), (full_h - h, left)]
    return [clip[:, y : y + h, x : x + w] for y, x in places]


def check_sizes(resize_to: Sequence[int], size: Sequence[int]) -> None:
    """UserError unless a crop of `size` fits into frames of `resize_to`."""
    two = len(resize_to) == len(size) == 2
    if not two or min(size) < 1 or size[0] > resize_to[0] or size[1] > resize_to[1]:
        raise UserError(
            f"INPUT.SIZE is {size}, INPUT.RESIZE {resize_to}; expected (height, width), the first within the second"
        )
