"""A keyframe's clip as one picture: the keyframe large, all its frames in order, flow below, boxes where they belong.

Pictures are (H, W, 3) uint8 RGB.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from detect.video.flow import REST, decode_flow
from detect.visualization.drawing import BACKGROUND, FONT, caption, class_colour, draw_boxes, grid, outline

THUMB = 120  # height of a frame in the strip
TWO_ROWS = 24  # most frames that stand in two rows; of more, 12 stand in each
MARK, REPEATED, PLAIN = (255, 196, 0), (255, 122, 89), (160, 160, 160)  # keyframe, edge frame again, any other frame
BORDER, CAPTION, GAP = 4, 18, 6
SLOWEST = 0.5  # pixels: flow that is nowhere faster stays pale


@dataclass(frozen=True)
class ClipView:
    """What the model gets for one keyframe, and where it comes from.

    frames: (T, H, W, 3) uint8.  indices: (T,) the video's frame at each position.  position: of the keyframe.
    boxes: (n, 4) in pixels of `frames`.  labels: (n,).  title: lines above the picture.  flow: (T, H, W, 2) uint8 as
    stored, or None.
    """

    frames: np.ndarray
    indices: Sequence[int]
    position: int
    boxes: np.ndarray
    labels: Sequence[int]
    title: Sequence[str]
    flow: np.ndarray | None = None


def clip_sheet(view: ClipView, classes: Sequence[str]) -> np.ndarray:
    """The keyframe as the 2D network sees it, large, and beside it the clip as the 3D network does; flow below."""
    parts = [_part(view, view.frames, classes, f"keyframe {view.indices[view.position]}")]
    if view.flow is not None:
        colours, fastest = flow_colours(view.flow)
        parts.append(_part(view, colours, None, f"flow, full colour is {max(fastest, SLOWEST):.1f} pixels a frame"))
    sheet = np.vstack(parts)
    for line in reversed(view.title):
        sheet = caption(sheet, line)
    return sheet


def stacked(sheets: Sequence[np.ndarray]) -> np.ndarray:
    """Sheets below each other, the narrower ones with a margin on the right."""
    width = max(sheet.shape[1] for sheet in sheets)
    margins = [(width - sheet.shape[1], sheet) for sheet in sheets]
    return np.vstack([cv2.copyMakeBorder(s, 0, GAP, 0, m, cv2.BORDER_CONSTANT, value=(0, 0, 0)) for m, s in margins])


def flow_colours(flow: np.ndarray) -> tuple[np.ndarray, float]:
    """Stored flow (..., H, W, 2) as pictures: the hue is the direction, the strength of the colour the speed, white is
    rest; and the speed in pixels that 99 % of the flow does not exceed, which has the full colour.
    """
    moved = decode_flow(flow)
    moved[flow == REST] = 0.0
    speed, angle = np.hypot(moved[..., 0], moved[..., 1]), np.arctan2(moved[..., 1], moved[..., 0])
    fastest = float(np.percentile(speed, 99))
    hsv = np.full((*speed.shape, 3), 255, np.uint8)
    hsv[..., 0] = np.rint(angle % (2 * np.pi) * (90 / np.pi)) % 180  # OpenCV counts 180 hues
    hsv[..., 1] = 255 * np.minimum(speed / max(fastest, SLOWEST), 1)
    flat = cv2.cvtColor(hsv.reshape(-1, *hsv.shape[-2:]), cv2.COLOR_HSV2RGB)
    return flat.reshape(hsv.shape), fastest


def _part(view: ClipView, frames: np.ndarray, classes: Sequence[str] | None, text: str) -> np.ndarray:
    """The keyframe of `frames` and all of them; tags with the names where `classes` are given."""
    strip = _strip(view, frames)
    scale = (strip.shape[0] - 2 * GAP - CAPTION - 2 * BORDER) / frames.shape[1]
    large = _scaled(frames[view.position], scale)
    if classes is None:
        _outlines(large, view, scale)
    else:
        draw_boxes(large, view.boxes, view.labels, classes, scale=scale)
    return np.hstack([_margin(_cell(large, text, MARK), GAP, BACKGROUND), strip])


def _strip(view: ClipView, frames: np.ndarray) -> np.ndarray:
    scale, cells = THUMB / frames.shape[1], []
    by_distance = sorted(range(len(frames)), key=lambda position: -abs(position - view.position))
    own = {view.indices[position]: position for position in by_distance}  # the nearest to the keyframe is the true one
    for position, (frame, index) in enumerate(zip(frames, view.indices, strict=True)):
        small, colour, text = _scaled(frame, scale), PLAIN, str(index)
        if position == view.position:
            _outlines(small, view, scale)
            colour, text = MARK, f"keyframe {index}"
        elif own[index] != position:
            colour, text = REPEATED, f"{index} again"
        cells.append(_cell(small, text, colour))
    rows = -(-len(cells) // 12) if len(cells) > TWO_ROWS else 1 + (len(cells) > 6)
    return grid(cells, -(-len(cells) // rows), GAP)


def _outlines(image: np.ndarray, view: ClipView, scale: float) -> None:
    for box, label in zip(view.boxes, view.labels, strict=True):
        outline(image, box, class_colour(int(label)), 2, scale)


def _scaled(image: np.ndarray, scale: float) -> np.ndarray:
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def _cell(image: np.ndarray, text: str, colour: tuple[int, int, int]) -> np.ndarray:
    """A picture in a frame, which is `colour` where that is MARK, above its caption."""
    marked = colour == MARK
    framed = _margin(image, BORDER, colour if marked else BACKGROUND)
    strip = np.full((CAPTION, framed.shape[1], 3), colour if marked else BACKGROUND, np.uint8)
    ink = (0, 0, 0) if marked else colour
    cv2.putText(strip, text, (BORDER, CAPTION - 6), FONT, 0.42, ink, 1, cv2.LINE_AA)
    return np.vstack([framed, strip])


def _margin(image: np.ndarray, width: int, colour) -> np.ndarray:
    value = (colour,) * 3 if isinstance(colour, int) else colour
    return cv2.copyMakeBorder(image, *[width] * 4, cv2.BORDER_CONSTANT, value=value)
