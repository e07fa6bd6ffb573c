"""A set that a tiny network learns in seconds: a red or a green square moves over a dull background."""

from pathlib import Path

import numpy as np

from tests.data.tiny_set import entry, tube, write_frames, write_ucf
from tests.tiny import OVERRIDES

SIZE, SIDE, LENGTH = (48, 64), 18, 16
CLASSES = "Red\nGreen\n"
TINY = [
    *OVERRIDES, "MODEL.CONTEXT.NAME", "i2d", "MODEL.CONTEXT.OVERRIDES.bn_momentum", 0.1,
    "MODEL.ROI_HEADS.NUM_CLASSES", 2,
    "INPUT.NUM_FRAMES", 4, "MODEL.ANCHOR_GENERATOR.SIZES", [[16]], "MODEL.ROI_HEADS.POSITIVE_FRACTION", 0.5,
    "SOLVER.IMS_PER_BATCH", 4, "SOLVER.BASE_LR", 0.02, "SOLVER.MAX_ITER", 100, "SOLVER.WARMUP_ITERS", 5,
    "DATALOADER.NUM_WORKERS", 0,
]  # fmt: skip


def square_path(seed: int) -> np.ndarray:
    """Corners x, y of the square in each frame, (LENGTH, 2): straight on, in a direction of its own."""
    rng = np.random.default_rng(seed)
    span = np.array([SIZE[1], SIZE[0]]) - SIDE
    start, stop = rng.uniform(0, 1, 2) * span, rng.uniform(0, 1, 2) * span
    start[0], stop[0] = (0, span[0]) if seed % 4 < 2 else (span[0], 0)
    return np.rint(np.linspace(start, stop, LENGTH)).astype(int)


BROKEN = {  # what is wrong -> how to make it, and the start of what is found
    "corners": (
        {"boxes_of": lambda boxes: np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])},
        "boxes are off: x, y, width, height read as two corners",
    ),
    "sizes": (
        {"boxes_of": lambda boxes: np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])},
        "boxes are off: they stick out of the image",
    ),
    "half": ({"boxes_of": lambda boxes: boxes // 2}, "boxes are off: in pixels of a picture 0.5 times as large"),
    "late": ({"late": 3}, "keyframes are shifted: the boxes come about 3 frames too late"),
    "constant": ({"label_of": lambda seed: 1}, "labels are constant: Green and no other"),
    "two": ({"copies": 2}, "labels contradict each other: the same clip has two"),
}


def draw_square(seed: int, colour: int) -> np.ndarray:
    """(LENGTH, h, w, 3) uint8."""
    rng = np.random.default_rng(seed)
    frames = np.repeat(rng.integers(60, 90, (1, *SIZE, 3), np.uint8), LENGTH, 0)
    texture = rng.integers(0, 60, (SIDE, SIDE, 3), np.uint8)
    texture[..., colour] += 180
    for frame, (x, y) in zip(frames, square_path(seed), strict=True):
        frame[y : y + SIDE, x : x + SIDE] = texture
    return frames


def write_squares(
    root: Path, count: int = 6, boxes_of=lambda boxes: boxes, label_of=lambda seed: seed % 2, late=0, copies=1
) -> Path:
    """`count` videos, red and green in turn. boxes_of: from x, y, w, h (n, 4) to what the annotation has instead.
    label_of: a video's label.  late: frames by which its boxes are late.  copies: videos that look the same.
    """
    annotations = {}
    for seed in range(count):
        name = f"V/{seed}"
        look = seed // copies
        write_frames(root / "rgb-images" / name, draw_square(look, look % 2))
        boxes = np.hstack([square_path(look), np.full((LENGTH, 2), SIDE)])
        boxes = boxes_of(boxes)[: LENGTH - late]
        annotations[name] = entry(LENGTH, {**tube(label_of(seed), late, boxes), "ef": late + len(boxes)}, size=SIZE)
    return write_ucf(root, annotations, classes=CLASSES)
