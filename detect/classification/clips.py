"""From a video to the uint8 clips that the classifier takes, (T, H, W, C); sizes as in Xie et al., ECCV 2018.

Frames are resized to INPUT.RESIZE (256 x 256, the aspect ratio is not kept) as they are decoded; INPUT.SIZE (224 x 224)
of them is cropped.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from detect.classification.media import modality
from detect.classification.sampling import chunks, dense_indices, even_clips
from detect.d2 import CfgNode
from detect.video.readers import FrameReadError
from detect.video.transforms import resize

Size = tuple[int, int]  # height, width


class ClipMapper:
    """A training sample: consecutive frames from a random start, a random crop, mirrored or not."""

    def __init__(self, num_frames: int, resize_to: Size, size: Size, flip_prob: float, modality_name: str = "rgb"):
        check_sizes(resize_to, size)
        if not 0 <= flip_prob <= 1 or num_frames < 1:
            raise ValueError(f"INPUT.FLIP_PROB {flip_prob}, INPUT.NUM_FRAMES {num_frames}; expected 0 to 1, 1 or more")
        self.num_frames, self.resize_to, self.size, self.flip_prob = num_frames, resize_to, size, flip_prob
        self.modality = modality(modality_name)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "ClipMapper":
        sizes = tuple(cfg.INPUT.RESIZE), tuple(cfg.INPUT.SIZE)
        return cls(cfg.INPUT.NUM_FRAMES, *sizes, cfg.INPUT.FLIP_PROB, cfg.INPUT.MODALITY)

    def __call__(self, sample: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        """`sample` (with `file_name`) and its `clip`, (num_frames, H, W, C) uint8; equal states of `rng` give equal
        clips. FrameReadError where the video cannot be read.
        """
        share, y, x, coin = rng.random(4)
        (full_h, full_w), (h, w) = self.resize_to, self.size
        top, left = int(y * (full_h - h + 1)), int(x * (full_w - w + 1))

        def prepare(frame: np.ndarray) -> np.ndarray:
            return resize(frame, self.resize_to)[top : top + h, left : left + w]

        clip = self._read(sample["file_name"], share, prepare)
        if coin < self.flip_prob:
            clip = self.modality.mirror(clip)
        return {**sample, "clip": torch.from_numpy(np.ascontiguousarray(clip))}

    def _read(self, path: str, share: float, prepare) -> np.ndarray:
        """Decoded once, unless the container promised more frames than it holds where the clip lies."""
        length = self.modality.length(path)
        try:
            return self.modality.read(path, dense_indices(length, self.num_frames, share), prepare)
        except FrameReadError as error:
            if not error.decoded:
                raise
            return self.modality.read(path, dense_indices(error.decoded, self.num_frames, share), prepare)


class TestPlan(NamedTuple):
    """What of a video is tested: all frames, in chunks, or `clips` clips of `clip_frames`; each in `crops` crops."""

    resize_to: Size = (256, 256)
    size: Size = (224, 224)
    chunk_frames: int = 320
    pad_frames: int = 0
    clips: int = 0
    clip_frames: int = 64
    crops: int = 1
    modality: str = "rgb"

    __test__ = False  # not a test of pytest

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "TestPlan":
        test, sizes = cfg.TEST, (tuple(cfg.INPUT.RESIZE), tuple(cfg.INPUT.SIZE))
        plan = cls(
            *sizes, test.CHUNK_FRAMES, test.PAD_FRAMES, test.CLIPS, cfg.INPUT.NUM_FRAMES, test.CROPS, cfg.INPUT.MODALITY
        )
        check_sizes(*sizes)
        modality(plan.modality)
        list(chunks((), plan.chunk_frames, plan.pad_frames))  # checks the two
        if plan.crops not in (1, 3) or plan.clips < 0:
            raise ValueError(f"TEST.CROPS is {plan.crops}, TEST.CLIPS {plan.clips}; expected 1 or 3, and 0 or more")
        return plan

    def views(self, path: str) -> Iterator[tuple[int, np.ndarray]]:
        """(number of the view, (t, H, W, C) uint8): all parts of one view belong to one pass over time.

        FrameReadError where the video, or a frame of it, cannot be read.
        """
        kind = modality(self.modality)

        def prepare(frame: np.ndarray) -> np.ndarray:
            return resize(frame, self.resize_to)

        if self.clips:
            frames = self._clips(kind, path, prepare)
            parts = ((clip * self.crops, part) for clip, part in enumerate(frames))
        else:
            resized = (prepare(frame) for frame in kind.stream(path))
            parts = ((0, part) for part in chunks(resized, self.chunk_frames, self.pad_frames))
        for first, part in parts:
            for number, crop in enumerate(test_crops(part, self.size, self.crops)):
                yield first + number, crop

    def _clips(self, kind, path: str, prepare) -> Iterator[np.ndarray]:
        length = kind.length(path)
        try:
            indices = even_clips(length, self.clip_frames, self.clips)
            frames = kind.read(path, np.unique(indices), prepare)
        except FrameReadError as error:
            if not error.decoded:
                raise
            indices = even_clips(error.decoded, self.clip_frames, self.clips)
            frames = kind.read(path, np.unique(indices), prepare)
        rows = np.searchsorted(np.unique(indices), indices)
        return (frames[row] for row in rows)


def test_crops(clip: np.ndarray, size: Size, count: int) -> list[np.ndarray]:
    """The centre crop, or three along the longer side (the width of a square): start, centre, end."""
    (full_h, full_w), (h, w) = clip.shape[1:3], size
    top, left = (full_h - h) // 2, (full_w - w) // 2
    places = [(top, left)]
    if count == 3 and full_w >= full_h:
        places = [(top, 0), (top, left), (top, full_w - w)]
    elif count == 3:
        places = [(0, left), (top, left), (full_h - h, left)]
    return [clip[:, y : y + h, x : x + w] for y, x in places]


test_crops.__test__ = False


def check_sizes(resize_to: Sequence[int], size: Sequence[int]) -> None:
    """ValueError unless a crop of `size` fits into frames of `resize_to`."""
    two = len(resize_to) == len(size) == 2
    if not two or min(size) < 1 or size[0] > resize_to[0] or size[1] > resize_to[1]:
        raise ValueError(
            f"INPUT.SIZE is {size}, INPUT.RESIZE {resize_to}; expected (height, width), the first within the second"
        )
