"""Transforms of a clip and its boxes. Clips are (T, H, W, 3) uint8 RGB; boxes (n, 4) x0 y0 x1 y1 pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from detect.utils.errors import UserError

PAD_VALUE = 128  # mid grey: zero after scaling to [-1, 1]
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


@dataclass(frozen=True)
class Window:
    """The part of a frame that is resized to the network's input; it may reach beyond the frame. Whole
    pixels.
    """

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def random(cls, height: int, width: int, zoom: float, rng: np.random.Generator) -> "Window":
        """A window 1 / zoom of the frame's size, anywhere inside the frame, or with the frame anywhere inside
        it.
        """
        w, h = max(round(width / zoom), 1), max(round(height / zoom), 1)
        x, y = (round(rng.uniform(0, 1) * slack) for slack in (width - w, height - h))
        return cls(x, y, w, h)

    def cut(self, frame: np.ndarray) -> np.ndarray:
        """This part of the frame, (height, width, 3), grey where there is no frame."""
        h, w = frame.shape[:2]
        x0, y0 = max(self.x, 0), max(self.y, 0)
        part = frame[y0 : min(self.y + self.height, h), x0 : min(self.x + self.width, w)]
        if part.shape[:2] == (self.height, self.width):
            return part
        top, left = y0 - self.y, x0 - self.x
        bottom, right = self.height - part.shape[0] - top, self.width - part.shape[1] - left
        return cv2.copyMakeBorder(part, top, bottom, left, right, cv2.BORDER_CONSTANT, value=[PAD_VALUE] * 3)

    def map_boxes(self, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Boxes of the frame in pixels of this window resized to `size` (height, width); not clipped."""
        scale = np.array([size[1] / self.width, size[0] / self.height] * 2)
        return (boxes - np.array([self.x, self.y] * 2)) * scale


def check_augmentation(
    flip_prob: float, color_jitter: float, scale_jitter: Sequence[float], speed_jitter: Sequence[float] = (1.0, 1.0)
) -> None:
    """UserError for values that make no sense, by their config keys."""
    if not 0 <= flip_prob <= 1:
        raise UserError(f"flip_prob is {flip_prob}; legal values are 0 to 1 (INPUT.FLIP_PROB)")
    if not 0 <= color_jitter < 1:
        raise UserError(f"color_jitter is {color_jitter}; legal values are 0 up to 1 (INPUT.COLOR_JITTER)")
    if len(scale_jitter) != 2 or not 0 < scale_jitter[0] <= scale_jitter[1]:
        raise UserError(f"scale_jitter is {scale_jitter}, not 0 < lowest <= highest (INPUT.SCALE_JITTER)")
    if len(speed_jitter) != 2 or not 0 < speed_jitter[0] <= speed_jitter[1] < np.inf:
        raise UserError(f"speed_jitter is {speed_jitter}, not 0 < slowest <= fastest (INPUT.SPEED_JITTER)")


def check_one_speed(speed_jitter: Sequence[float], obstacle: str) -> None:
    """UserError for any other speed than the recorded one, which the `obstacle` does not allow."""
    if tuple(speed_jitter) != (1.0, 1.0):
        raise UserError(f"INPUT.SPEED_JITTER is {speed_jitter}, but {obstacle}; set INPUT.SPEED_JITTER (1.0, 1.0)")


def resize(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A frame at `size` (height, width), bilinear; the aspect ratio is not kept."""
    return cv2.resize(frame, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)


def flip_boxes(boxes: np.ndarray, width: float) -> np.ndarray:
    """Boxes of an image of this width, of the same image mirrored left and right. Twice is the identity."""
    x0, y0, x1, y1 = boxes.T
    return np.stack([width - x1, y0, width - x0, y1], axis=1)


def clip_boxes(boxes: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes cut at the borders of an image of `size` (height, width), and the share of each one's area that
    is left.
    """
    height, width = size
    cut = boxes.clip(0, [width, height, width, height])
    return cut, _area(cut) / np.maximum(_area(boxes), 1e-9)


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def color_matrix(brightness: float, contrast: float, saturation: float) -> np.ndarray:
    """The (3, 4) affine map of RGB that multiplies each of these by its factor; 1 leaves it as it is.

    Saturation blends with the luma, contrast is about mid grey (a fixed one, so that no frame of a clip
    differs from its neighbours), brightness scales the result.
    """
    linear = saturation * np.eye(3) + (1 - saturation) * np.tile(LUMA, (3, 1))
    offset = np.full((3, 1), (1 - contrast) * PAD_VALUE)
    return brightness * np.hstack([contrast * linear, offset])


def apply_color(clip: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """One colour map for all frames; results are rounded and held in 0..255."""
    t, h, w, _ = clip.shape
    return cv2.transform(clip.reshape(t * h, w, 3), matrix).reshape(clip.shape)
