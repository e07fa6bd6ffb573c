"""Drawing: boxes with labels and scores on frames, and picture grids. Images are (H, W, 3) uint8 RGB arrays."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from detect.utils.files import UnusableFileError, make_folder

FONT = cv2.FONT_HERSHEY_SIMPLEX
GROUND_TRUTH = (255, 255, 255)
BACKGROUND = 28  # grey of sheets and captions


def class_colour(label: int) -> tuple[int, int, int]:
    """A bright colour for a class index; hues a golden ratio apart, so that neighbours differ."""
    hue = int(180 * ((0.08 + label * 0.618034) % 1.0))
    rgb = cv2.cvtColor(np.array([[[hue, 190, 255]]], np.uint8), cv2.COLOR_HSV2RGB)[0, 0]
    return int(rgb[0]), int(rgb[1]), int(rgb[2])


def readable(image: np.ndarray, height: int = 360) -> tuple[np.ndarray, float]:
    """`image` enlarged by a whole factor until it is about `height` rows high, and that factor."""
    factor = max(1, round(height / image.shape[0]))
    if factor == 1:
        return image.copy(), 1.0
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), float(factor)


def draw_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: Sequence[int],
    class_names: Sequence[str],
    scores: Sequence[float] | None = None,
    scale: float = 1.0,
) -> np.ndarray:
    """Draw detections in class colours with their names and scores, in place; boxes (n, 4) in pixels times `scale`."""
    size = max(image.shape[0] / 720, 0.42)
    thickness = max(1, round(image.shape[0] / 180))
    for i in range(len(boxes) - 1, -1, -1):  # the best last, on top
        colour = class_colour(int(labels[i]))
        x0, y0 = outline(image, boxes[i], colour, thickness, scale)
        text = class_names[int(labels[i])] + ("" if scores is None else f" {scores[i]:.2f}")
        _draw_tag(image, text, x0, y0, colour, size)
    return image


def outline(
    image: np.ndarray, box: Sequence[float], colour: tuple[int, int, int], thickness: int, scale: float = 1.0
) -> tuple[int, int]:
    """Draw a box, in pixels times `scale`, with a dark edge, in place; returns its upper left corner there."""
    x0, y0, x1, y1 = (int(round(v * scale)) for v in box)
    cv2.rectangle(image, (x0, y0), (x1, y1), (0, 0, 0), thickness + 2)
    cv2.rectangle(image, (x0, y0), (x1, y1), colour, thickness)
    return x0, y0


def draw_instances(image: np.ndarray, found, class_names: Sequence[str], scale: float = 1.0) -> np.ndarray:
    """`draw_boxes` of an Instances on the CPU with pred_boxes, pred_classes and scores, in place."""
    boxes, labels, scores = found.pred_boxes.tensor.numpy(), found.pred_classes.tolist(), found.scores.tolist()
    return draw_boxes(image, boxes, labels, class_names, scores, scale)


def draw_ground_truth(
    image: np.ndarray, boxes: np.ndarray, labels: Sequence[int], class_names: Sequence[str], scale: float = 1.0
) -> np.ndarray:
    """Draw annotated boxes in white, in place."""
    size = max(image.shape[0] / 720, 0.42)
    for box, label in zip(boxes, labels, strict=True):
        x0, y0, x1, y1 = (int(round(v * scale)) for v in box)
        cv2.rectangle(image, (x0, y0), (x1, y1), GROUND_TRUTH, max(1, round(image.shape[0] / 240)))
        _draw_tag(image, class_names[int(label)], x0, y0, GROUND_TRUTH, size)
    return image


def _draw_tag(image: np.ndarray, text: str, x: int, y: int, colour: tuple[int, int, int], size: float) -> None:
    """Black text on a filled tag above (x, y), moved inside the picture."""
    (w, h), base = cv2.getTextSize(text, FONT, size, 1)
    x = min(max(x, 0), max(image.shape[1] - w - 6, 0))
    y = max(y, h + base + 4)
    cv2.rectangle(image, (x, y - h - base - 4), (x + w + 6, y), colour, -1)
    cv2.putText(image, text, (x + 3, y - base - 1), FONT, size, (0, 0, 0), 1, cv2.LINE_AA)


def caption(image: np.ndarray, text: str) -> np.ndarray:
    """`image` under a dark strip with a line of text."""
    strip = np.full((26, image.shape[1], 3), BACKGROUND, np.uint8)
    cv2.putText(strip, text, (8, 18), FONT, 0.5, (235, 235, 235), 1, cv2.LINE_AA)
    return np.vstack([strip, image])


def grid(pictures: Sequence[np.ndarray], columns: int, gap: int = 6) -> np.ndarray:
    """Pictures of one size in rows of `columns`, dark gaps between; empty cells stay dark."""
    h, w = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * (h + gap) + gap, columns * (w + gap) + gap, 3), BACKGROUND, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = gap + (i // columns) * (h + gap), gap + (i % columns) * (w + gap)
        sheet[y : y + h, x : x + w] = picture
    return sheet


def save_image(path: str | Path, image: np.ndarray) -> None:
    """Write an RGB picture; the format follows the file name. UnusableFileError where it cannot be written."""
    path = Path(path)
    make_folder(path.parent)
    try:
        written = cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    except cv2.error:  # of a file name without a format that it knows
        written = False
    if not written:
        raise UnusableFileError(f"cannot write the picture {path}; the folder must be writable, the name end in .png")
