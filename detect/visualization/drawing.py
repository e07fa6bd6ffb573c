"""Drawing: boxes with labels and scores on frames, and picture grids. Images are (H, W, 3) uint8 RGB arrays."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from detect.utils.files import UnusableFileError, make_folder
from detect.visualization.tags import Tag, draw_tagged

FONT = cv2.FONT_HERSHEY_SIMPLEX
GROUND_TRUTH = (255, 255, 255)
BACKGROUND = 28  # grey of sheets and captions


def class_colour(label: int) -> tuple[int, int, int]:
    """A bright colour for a class index or an actor's number; hues a golden ratio apart, so that neighbours differ."""
    hue = int(180 * ((0.08 + label * 0.618034) % 1.0))
    rgb = cv2.cvtColor(np.array([[[hue, 190, 255]]], np.uint8), cv2.COLOR_HSV2RGB)[0, 0]
    return int(rgb[0]), int(rgb[1]), int(rgb[2])


def readable(image: np.ndarray, height: int = 360) -> tuple[np.ndarray, float]:
    """`image` enlarged by a whole factor until it is about `height` rows high, and that factor."""
    factor = max(1, round(height / image.shape[0]))
    return enlarged(image, factor), float(factor)


def enlarged(image: np.ndarray, factor: int) -> np.ndarray:
    """A copy of `image`, `factor` times as large."""
    if factor == 1:
        return image.copy()
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)


def draw_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: Sequence[int],
    class_names: Sequence[str],
    scores: Sequence[float] | None = None,
    scale: float = 1.0,
) -> np.ndarray:
    """Draw detections in class colours with their names and scores, in place; boxes (n, 4) in pixels times `scale`."""
    shown = ["" if scores is None else f"  {score:.2f}" for score in (labels if scores is None else scores)]
    tags = [
        Tag(class_names[int(label)] + score, "", class_colour(int(label)))
        for label, score in zip(labels, shown, strict=True)
    ]
    return draw_tagged(image, np.asarray(boxes) * scale, tags)


def draw_actors(
    image: np.ndarray,
    boxes: np.ndarray,
    names: Sequence[str],
    scores: Sequence[float],
    numbers: Sequence[int],
    scale: float = 1.0,
) -> np.ndarray:
    """As `draw_boxes`, each actor in the colour of their number, which the tag says too."""
    columns = zip(names, scores, numbers, strict=True)
    tags = [Tag(f"{name}  {score:.2f}", f"#{number}", class_colour(int(number))) for name, score, number in columns]
    return draw_tagged(image, np.asarray(boxes) * scale, tags)


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
    tags = [Tag(class_names[int(label)], "", GROUND_TRUTH) for label in labels]
    return draw_tagged(image, np.asarray(boxes) * scale, tags)


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
