"""Whether boxes lie where something moves: evidence about an annotation that needs no network.

A network learns shifted or misread boxes of a few clips by heart as well as right ones, so its score does not tell.
What moves does: of a frame the change to the frames GAP before and after it (the smaller of the two, so that what moved
is where it is now) is compared with the area of the boxes, by the correlation over pixels; so are other readings of the
same numbers, and the boxes of frames nearby.

Measured, means over videos, on boxes that are right: 0.72 on 16 videos of the synthetic set, 0.36 and 0.32 on 24 each
of Weizmann and UT-Interaction. No other reading of them was better by more than 0.02 (by 0.05 in parts of 8 videos),
and no other frame by more than 0.01 (0.02). Of numbers read wrong in six ways the right reading was better by 0.08 to
0.72, and of boxes 3 or 5 frames off the right frame by 0.04 to 0.24. Where nothing moves, or all does because the
camera does, nothing can be said.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np

from detect.data.records import VideoRecord
from detect.video.readers import FrameReadError, read_frames

GAP = 3  # frames
FRAMES, WIDTH = 10, 128  # looked at in each video; pixels across
REACH = 10  # frames that a shift is looked for
MIN_VIDEOS, MIN_FIT, MIN_SHARE, MIN_CERTAINTY = 4, 0.2, 0.8, 4.0
MIN_GAIN = {"reading": 0.1, "shift": 0.04}

Sized = Callable[[np.ndarray, int, int], np.ndarray]  # boxes (n, 4), width, height of the frame -> boxes


class Reading(NamedTuple):
    """How the numbers of a box may have been meant."""

    what: str  # is wrong, for a message
    right: Sized  # from the boxes as they were read to those that were meant


def _scaled(factor: float) -> Sized:
    return lambda boxes, width, height: boxes * factor


READINGS = (
    Reading("x, y, width, height read as two corners", lambda b, w, h: np.hstack([b[:, :2], b[:, :2] + b[:, 2:]])),
    Reading("two corners read as x, y, width, height", lambda b, w, h: np.hstack([b[:, :2], b[:, 2:] - b[:, :2]])),
    Reading("a centre read as a corner", lambda b, w, h: b - np.tile((b[:, 2:] - b[:, :2]) / 2, 2)),
    Reading("y before x", lambda b, w, h: b[:, [1, 0, 3, 2]]),
    Reading("mirrored left and right", lambda b, w, h: np.stack([w - b[:, 2], b[:, 1], w - b[:, 0], b[:, 3]], 1)),
    Reading("y counted from below", lambda b, w, h: np.stack([b[:, 0], h - b[:, 3], b[:, 2], h - b[:, 1]], 1)),
    Reading("shares of the frame, not pixels", lambda b, w, h: b * np.array([w, h, w, h])),
    *(
        Reading(f"in pixels of a picture {factor:.3g} times as large", _scaled(1 / factor))
        for factor in (4, 3, 2.5, 2, 5 / 3, 1.5, 4 / 3, 1.25, 0.8, 0.75, 2 / 3, 0.6, 0.5, 0.4, 1 / 3, 0.25)
    ),
)


class Fit(NamedTuple):
    """How well boxes fit the motion: as they were read, and the best other reading or shift; (videos,) arrays."""

    as_read: np.ndarray
    other: np.ndarray
    name: str
    shift: int = 0

    @property
    def gain(self) -> float:
        return float((self.other - self.as_read).mean()) if len(self.other) else 0.0

    def evidence(self) -> str:
        """The numbers, for a message."""
        better = int((self.other > self.as_read).sum())
        before, after = self.as_read.mean(), self.other.mean()
        numbers = f"correlation of boxes and motion {before:.2f} as read, {after:.2f} otherwise"
        return f"{numbers}, better in {better} of {len(self.other)} videos"

    def is_certain(self, kind: str) -> bool:
        """Whether the other one is markedly better: by much, in nearly all videos, beyond their differences."""
        gains, count = self.other - self.as_read, len(self.other)
        if count < MIN_VIDEOS or self.other.mean() < MIN_FIT or self.gain < MIN_GAIN[kind]:
            return False
        error = gains.std(ddof=1) / np.sqrt(count)
        return (gains > 0).mean() >= MIN_SHARE and self.gain >= MIN_CERTAINTY * error


class MovingVideo:
    """Where something moves on some annotated frames of a video."""

    def __init__(self, video: VideoRecord):
        """FrameReadError if it cannot be read."""
        self.video, frames = video, video.annotated_frames()
        frames = frames[(frames >= GAP) & (frames < video.num_frames - GAP)]
        frames = np.unique(frames[np.linspace(0, len(frames) - 1, FRAMES).astype(int)]) if len(frames) else frames
        self.maps = dict(zip(frames.tolist(), motion(video, frames), strict=True)) if len(frames) else {}

    @cached_property
    def as_read(self) -> float:
        return self.fit()

    def fit(self, right: Sized | None = None, shift: int = 0) -> float:
        """Mean correlation of the motion with the boxes `shift` frames later; nan where there are none."""
        found = []
        for frame, moving in self.maps.items():
            boxes = self.video.boxes_at(frame + shift)[0].astype(np.float64)
            if len(boxes):
                boxes = boxes if right is None else right(boxes, self.video.width, self.video.height)
                found.append(correlation(moving, boxes / self._scale(moving)))
        return float(np.mean(found)) if found else np.nan

    def _scale(self, moving: np.ndarray) -> np.ndarray:
        height, width = moving.shape
        return np.array([self.video.width / width, self.video.height / height] * 2)


def motion(video: VideoRecord, frames: np.ndarray) -> list[np.ndarray]:
    """Of each frame a small map (h, WIDTH) float32 of the change to the frames before and after it."""
    size = (WIDTH, max(1, round(WIDTH * video.height / video.width)))
    needed = np.unique(np.concatenate([frames - GAP, frames, frames + GAP]))

    def prepare(frame: np.ndarray) -> np.ndarray:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        return cv2.GaussianBlur(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), (5, 5), 0)[..., None]

    at = dict(zip(needed.tolist(), read_frames(video.path, needed, prepare)[..., 0].astype(np.float32), strict=True))
    maps = []
    for frame in frames.tolist():
        before, now, after = at[frame - GAP], at[frame], at[frame + GAP]
        moving = cv2.GaussianBlur(np.minimum(abs(now - before), abs(after - now)), (9, 9), 0)
        maps.append(np.minimum(moving, np.percentile(moving, 99)))  # a flash, or a ball, is not all
    return maps


def correlation(moving: np.ndarray, boxes: np.ndarray) -> float:
    """Of a map and the area that boxes (n, 4), in its pixels, cover; 0 where either is the same everywhere."""
    covered = np.zeros(moving.shape, bool)
    for x0, y0, x1, y1 in np.rint(boxes.clip(0, max(moving.shape))).astype(int):
        covered[y0:y1, x0:x1] = True
    if covered.all() or not covered.any() or moving.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(moving.ravel(), covered.ravel())[0, 1])


def moving_videos(videos: Sequence[VideoRecord]) -> list[MovingVideo]:
    """Those that can be read and have boxes on frames with neighbours."""
    found = []
    for video in videos:
        try:
            found.append(MovingVideo(video))
        except FrameReadError:  # said by whoever needs the video
            continue
    return [video for video in found if video.maps]


def best_reading(videos: Sequence[MovingVideo]) -> Fit:
    """The boxes as read against the best of READINGS."""
    fits = [_compared(videos, lambda v, r=reading: v.fit(r.right), reading.what) for reading in READINGS]
    return max(fits, key=lambda fit: fit.gain)


def best_shift(videos: Sequence[MovingVideo]) -> Fit:
    """The boxes of each frame against those of the frames up to REACH before and after it."""
    shifts = [shift for shift in range(-REACH, REACH + 1) if shift]
    fits = [_compared(videos, lambda v, s=shift: v.fit(shift=s), f"{shift:+d}", shift) for shift in shifts]
    return max(fits, key=lambda fit: fit.gain)


def _compared(videos: Sequence[MovingVideo], other: Callable[[MovingVideo], float], name: str, shift: int = 0) -> Fit:
    pairs = np.array([(video.as_read, other(video)) for video in videos]).reshape(-1, 2)
    pairs = pairs[np.isfinite(pairs).all(1)]
    return Fit(pairs[:, 0], pairs[:, 1], name, shift)
