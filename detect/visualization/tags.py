"""Boxes with rounded corners and tags that can be read, on pictures of any size. Images are (H, W, 3) uint8 RGB arrays.

The letters are those of Pillow's own font (Aileron), drawn with smooth edges; OpenCV's are strokes. It knows ASCII
only: for other letters a font of the system is used.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from PIL import ImageFont

Colour = tuple[int, int, int]
DARK, LIGHT = (16, 16, 18), (255, 255, 255)
SMALL = 0.78  # of the second text, beside the first one's size
LEAST = 8  # pixels of letters that can be read at all
WIDE_FONTS = ("NotoSansCJK-Regular.ttc", "DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf")  # the first one there is


class Tag(NamedTuple):
    """text: what it says.  small: after it, less loud.  colour: of the tag and its box."""

    text: str
    small: str
    colour: Colour


def letter_size(image: np.ndarray) -> int:
    """Pixels: 12 at 240 rows, 22 at 720, 30 at 1080, 52 at 2160."""
    return round(7 + min(image.shape[:2]) / 48)


def line_width(image: np.ndarray) -> int:
    """Pixels: 2 up to 720 rows, 4 at 1080, 8 at 2160."""
    return max(2, round(min(image.shape[:2]) / 270))


def draw_tagged(image: np.ndarray, boxes: np.ndarray, tags: Sequence[Tag]) -> np.ndarray:
    """Draw boxes (n, 4) x0 y0 x1 y1 with their tags, in place; the first ones lie on top, and have the best places."""
    corners = [tuple(int(round(v)) for v in box) for box in np.asarray(boxes).tolist()]
    for box, tag in zip(corners[::-1], tags[::-1], strict=True):
        draw_box(image, box, tag.colour)
    placed: list[tuple[int, int, int, int]] = []
    for box, tag in zip(corners, tags, strict=True):
        mask = _fitted(tag, letter_size(image), image.shape[1])
        place = _place(box, (mask.shape[1], mask.shape[0]), image.shape, placed)
        placed.append(place)
        _paste(image, place[:2], mask, tag.colour)
    return image


def draw_box(image: np.ndarray, box: tuple[int, int, int, int], colour: Colour) -> None:
    """A frame with rounded corners, dark on both sides so that it shows on any ground."""
    width = line_width(image)
    x0, y0, x1, y1 = box
    radius = int(np.clip(min(x1 - x0, y1 - y0) // 8, 0, 4 * width + 2))
    for thickness, shade in ((width + 2, DARK), (width, colour)):
        for start, end in (
            ((x0 + radius, y0), (x1 - radius, y0)), ((x0 + radius, y1), (x1 - radius, y1)),
            ((x0, y0 + radius), (x0, y1 - radius)), ((x1, y0 + radius), (x1, y1 - radius)),
        ):  # fmt: skip
            cv2.line(image, start, end, shade, thickness)
        for x, y, angle in ((x0, y0, 180), (x1, y0, 270), (x1, y1, 0), (x0, y1, 90)):
            centre = (x + radius if x == x0 else x - radius, y + radius if y == y0 else y - radius)
            cv2.ellipse(image, centre, (radius, radius), angle, 0, 90, shade, thickness, cv2.LINE_AA)


def draw_trail(image: np.ndarray, points: np.ndarray, colour: Colour) -> None:
    """Where something was, (n, 2) x y, the oldest first: a line that grows thinner into the past."""
    width = line_width(image) + 1
    corners = np.round(points).astype(int).tolist()
    for k in range(1, len(corners)):
        cv2.line(image, corners[k - 1], corners[k], colour, max(1, round(width * k / len(corners))), cv2.LINE_AA)


def draw_note(image: np.ndarray, text: str) -> None:
    """A line of text in the lower right corner, in place, where tags seldom are."""
    mask = _fitted(Tag(text, "", LIGHT), letter_size(image), image.shape[1])
    margin = line_width(image) * 3
    corner = image.shape[1] - mask.shape[1] - margin, image.shape[0] - mask.shape[0] - margin
    _paste(image, corner, mask, LIGHT)


def _fitted(tag: Tag, size: int, room: int) -> np.ndarray:
    """The letters of a tag (h, w) uint8, with its margins, in at most `room` columns where that can be."""
    mask = _letters(tag.text, tag.small, size)
    while mask.shape[1] > room and size > LEAST:
        size -= 1
        mask = _letters(tag.text, tag.small, size)
    text = tag.text
    while mask.shape[1] > room and len(text) > 1:
        text = text[:-1]
        mask = _letters(f"{text}..", "", size)
    return mask[:, :room]


@lru_cache(512)
def _letters(text: str, small: str, size: int) -> np.ndarray:
    """(h, w) uint8: how much of each pixel the letters cover. Of one height for all texts of a size."""
    plain = text.isascii()
    ascent, descent = _font(size, plain).getmetrics()
    side, above = max(3, size // 3), max(1, size // 8)
    parts = [(text, size, 255), *([(small, round(SMALL * size), 165)] if small else [])]
    widths = [int(np.ceil(_font(points, plain).getlength(part))) for part, points, _ in parts]
    gap = max(3, size // 3)
    mask = np.zeros((ascent + descent + 2 * above, sum(widths) + gap * (len(parts) - 1) + 2 * side), np.uint8)
    x = side
    for (part, points, strength), width in zip(parts, widths, strict=True):
        core, (left, top) = _font(points, plain).getmask2(part, "L", anchor="ls")
        letters = np.array(core, np.uint8).reshape(core.size[::-1])
        row, column = above + ascent + top, max(x + left, 0)
        view = mask[max(row, 0) : row + letters.shape[0], column : column + letters.shape[1]]
        letters = letters[max(-row, 0) :][: view.shape[0], : view.shape[1]]
        view[:] = np.maximum(view, (letters.astype(np.uint16) * strength // 255).astype(np.uint8))
        x += width + gap
    mask.setflags(write=False)
    return mask


@lru_cache(64)
def _font(size: int, plain: bool = True) -> ImageFont.FreeTypeFont:
    for name in () if plain else WIDE_FONTS:
        with suppress(OSError):
            return ImageFont.truetype(name, round(0.9 * size))  # these are larger
    return ImageFont.load_default(size)


def _place(box: tuple, size: tuple[int, int], shape: tuple[int, ...], placed: list[tuple]) -> tuple:
    """Where a tag of `size` (w, h) of a box goes, x0 y0 x1 y1: over the box if that is free, else at the nearest free
    place, and inside the picture."""
    (x0, y0, x1, y1), (w, h), (height, width) = box, size, shape[:2]
    wanted = [(x0, y0 - h), (x1 - w, y0 - h), (x0, y0), (x0, y1), (x1 - w, y1), (x1, y0), (x0 - w, y0)]
    wanted += [(x0, y0 + step * h) for k in range(1, 12) for step in (k, -1 - k)]

    def inside(x: int, y: int) -> tuple[int, int, int, int]:
        x, y = min(max(x, 0), max(width - w, 0)), min(max(y, 0), max(height - h, 0))
        return x, y, x + w, y + h

    def covered(place: tuple) -> int:
        return sum(
            max(min(place[2], other[2]) - max(place[0], other[0]), 0)
            * max(min(place[3], other[3]) - max(place[1], other[1]), 0)
            for other in placed
        )

    return min((inside(*place) for place in wanted), key=covered)


def _paste(image: np.ndarray, corner: tuple[int, int], letters: np.ndarray, colour: Colour) -> None:
    """A rounded tag with dark letters, light ones on a dark colour, whose upper left corner is there; what lies outside
    the picture is cut off.
    """
    x, y = corner
    view = image[max(y, 0) : y + letters.shape[0], max(x, 0) : x + letters.shape[1]]
    letters = letters[max(-y, 0) :, max(-x, 0) :][: view.shape[0], : view.shape[1]]
    shape = _rounded(view.shape[0], view.shape[1])[..., None].astype(np.float32) / 255 * 0.92
    ink = letters[..., None].astype(np.float32) / 255
    tag = np.float32(colour) * (1 - ink) + np.float32(DARK if _brightness(colour) > 115 else LIGHT) * ink
    view[:] = np.round(view * (1 - shape) + tag * shape).astype(np.uint8)


def _brightness(colour: Colour) -> float:
    """0 to 255, as the eye sees it (ITU-R BT.601)."""
    return float(np.dot(colour, (0.299, 0.587, 0.114)))


@lru_cache(256)
def _rounded(height: int, width: int) -> np.ndarray:
    """(height, width) uint8: a full rectangle with rounded corners."""
    radius, bits = min(height // 4, width // 4), 3
    mask = np.zeros((height, width), np.uint8)
    corners = [(radius, radius), (width - 1 - radius, radius), (radius, height - 1 - radius)]
    corners.append((width - 1 - radius, height - 1 - radius))
    for x, y in corners:
        cv2.circle(mask, (x << bits, y << bits), radius << bits, 255, -1, cv2.LINE_AA, bits)
    mask[radius : height - radius] = 255
    mask[:, radius : width - radius] = 255
    mask.setflags(write=False)
    return mask
