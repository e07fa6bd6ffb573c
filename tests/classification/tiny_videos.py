"""Tiny videos whose class is their colour, and a config with which a network learns them in seconds."""

from pathlib import Path

import cv2
import numpy as np

from detect.tasks.classification import CLASSIFICATION
from detect.tasks.runner import run

BASE = Path(__file__).resolve().parents[2] / "configs" / "Base-ActionClassifier.yaml"
TINY = [
    "MODEL.DEVICE", "cpu", "MODEL.CONTEXT.WIDTH", 0.125, "MODEL.CONTEXT.OVERRIDES.conv_std", 0.0,
    "MODEL.CONTEXT.OVERRIDES.bn_momentum", 0.1, "INPUT.RESIZE", (36, 36), "INPUT.SIZE", (32, 32),
    "INPUT.NUM_FRAMES", 8, "TEST.CHUNK_FRAMES", 16, "TEST.IMS_PER_BATCH", 4, "DATALOADER.NUM_WORKERS", 0,
    "SOLVER.IMS_PER_BATCH", 4, "SOLVER.BASE_LR", 0.05, "SOLVER.MAX_ITER", 4, "SEED", 3,
]  # fmt: skip


def write_video(path: Path, frames: np.ndarray) -> None:
    """(T, H, W, 3) RGB as Motion JPEG, every frame of which stands alone."""
    height, width = frames.shape[1:3]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (width, height))
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
    writer.release()


def write_set(folder: Path, count: int = 6) -> Path:
    """Videos of 6, 9, 12, ... frames, 40 x 48, red, green and blue in turn; returns the list file beside them."""
    rng, lines = np.random.default_rng(0), []
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        name = ("red", "green", "blue")[number % 3]
        level, noise = 60 + 120 * np.eye(3)[number % 3], rng.integers(-20, 20, (6 + 3 * number, 40, 48, 3))
        write_video(folder / f"{name}{number}.avi", (level + noise).astype(np.uint8))
        lines.append(f"{name}{number}.avi {name}")
    (folder / "list.txt").write_text("\n".join(lines) + "\n")
    return folder / "list.txt"


def train(video_list: Path, output: Path, *overrides, weights="", resume=False, eval_only=False, save_scores=False):
    """What tools/train_classifier.py does, on the videos of a list; returns the results by set."""
    sets = [part for key in ("TRAIN", "TEST") for part in (f"DATASETS.{key}", (f"list:{video_list}",))]
    words = (*TINY, *sets, "OUTPUT_DIR", output, "TEST.SAVE_SCORES", save_scores, *overrides)
    words = [str(word) if isinstance(word, Path) else word for word in words]
    return run(CLASSIFICATION, str(BASE), words, weights, resume, eval_only)
