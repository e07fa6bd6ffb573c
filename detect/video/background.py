"""A random texture in place of what is not near an actor: a detector of few recordings then cannot learn the place.

Cutting out boxes leaves patches; their margins are drawn for each side, so that a patch does not tell where its box is.
"""

import cv2
import numpy as np

from detect.utils.errors import UserError

MARGIN_X, MARGIN_Y = (0.3, 0.6), (0.1, 0.25)  # of a box's width and height, on each side: the actor moves in the clip
SOFT_EDGE = 0.04  # of the frame's shorter side
GRID_CELLS, MOST_GRIDS = (1, 3), 5  # cells of the coarsest grid along the shorter side; each next one has twice as many
FINER = 0.6  # strength of a grid, of that of the one before
DRIFT_PROB, DRIFT = 0.5, 0.015  # chance of a drift, and the fastest: of the frame's side in a frame


def check_background(background_prob: float) -> None:
    """UserError for what is no probability, by its config key."""
    if not 0 <= background_prob <= 1:
        raise UserError(f"background_prob is {background_prob}; legal values are 0 to 1 (INPUT.BACKGROUND_PROB)")


def replace_background(clip: np.ndarray, boxes: np.ndarray, seen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The clip (T, H, W, 3) uint8 with one random texture, still or drifting, in place of what is not near a box.

    boxes: (n, 4) x0 y0 x1 y1 in pixels of the clip; they may reach beyond it. seen: (4,) where in it the video's frame
    is, beyond which all is texture. Inside of the grown boxes no pixel of the video changes; the edges around them are
    soft. Where no box is seen nothing changes: a clip of texture alone would teach nothing. Equal states of `rng` give
    equal results; `clip` stays as it is.
    """
    length, height, width, _ = clip.shape
    kept = _kept(boxes, seen, (height, width), rng)
    if not kept.any():
        return clip
    places = _places(length, (height, width), rng)
    texture = random_texture((height + int(places[:, 0].max()), width + int(places[:, 1].max())), rng)
    new, out = 1 - kept, np.empty(clip.shape, np.uint8)
    for frame, (y, x), result in zip(clip, places.tolist(), out, strict=True):
        cv2.blendLinear(frame, texture[y : y + height, x : x + width], kept, new, dst=result)
    return out


def random_texture(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Smooth colour noise, (height, width, 3) uint8: the sum of one to five random grids, each finer and weaker."""
    height, width = size
    cells = int(rng.integers(GRID_CELLS[0], GRID_CELLS[1] + 1)) / min(size)
    noise = np.full((1, 1, 3), 127.5, np.float32)
    for number in range(int(rng.integers(1, MOST_GRIDS + 1))):
        rows, columns = (round(side * cells * 2**number) + 1 for side in size)
        grid = rng.uniform(-127.5, 127.5, (rows, columns, 3)).astype(np.float32) * FINER**number
        noise = cv2.resize(noise, (columns, rows), interpolation=cv2.INTER_LINEAR).reshape(grid.shape) + grid
    small = noise.round().clip(0, 255).astype(np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def _kept(boxes: np.ndarray, seen: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """How much of each pixel stays, (H, W) float32: 1 in the grown boxes, falling to 0 over the soft edge or where the
    frame ends.
    """
    edge = max(SOFT_EDGE * min(size), 1.0)
    y, x = (np.arange(side) + 0.5 for side in size)
    kept = np.zeros(size, np.float32)
    for x0, y0, x1, y1 in boxes.tolist():
        left, right = rng.uniform(*MARGIN_X, 2) * (x1 - x0)
        top, bottom = rng.uniform(*MARGIN_Y, 2) * (y1 - y0)
        across, down = _inside(x, x0 - left, x1 + right, edge), _inside(y, y0 - top, y1 + bottom, edge)
        np.maximum(kept, np.outer(down, across), out=kept, casting="same_kind")
    x0, y0, x1, y1 = seen
    return kept * np.outer((y > y0) & (y < y1), (x > x0) & (x < x1))


def _inside(centres: np.ndarray, low: float, high: float, edge: float) -> np.ndarray:
    """1 from low to high, falling to 0 at a distance of `edge`."""
    outside = np.maximum(np.maximum(low - centres, centres - high), 0)
    return (1 - outside / edge).clip(0, 1)


def _places(length: int, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Top and left of each frame's part of the texture, (T, 2) int64 from 0; at rest or at a constant velocity."""
    if rng.random() >= DRIFT_PROB:
        return np.zeros((length, 2), np.int64)
    velocity = rng.uniform(-DRIFT, DRIFT, 2) * size
    places = np.rint(np.arange(length)[:, None] * velocity).astype(np.int64)
    return places - places.min(axis=0)
