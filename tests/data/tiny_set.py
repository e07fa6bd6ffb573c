"""Write sets of small random videos in the layout of UCF101-24."""

import pickle
from pathlib import Path

import cv2
import numpy as np

SIZE = (24, 32)


def draw(num_frames: int, seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Random frames (n, h, w, 3) whose first pixel is the frame's number."""
    frames = np.random.default_rng(seed).integers(0, 256, (num_frames, *size, 3), np.uint8)
    frames[:, 0, 0] = np.arange(num_frames)[:, None]
    return frames


def write_frames(folder: Path, frames: np.ndarray, first: int = 1) -> None:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, first):
        cv2.imwrite(str(folder / f"{number:05d}.png"), frame[:, :, ::-1])


def write_ucf(root: Path, annotations: dict, split: str = "train", classes: str = "Left\nRight\n") -> Path:
    folder = root / "splitfiles"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "classes.txt").write_text(classes)
    (folder / "pyannot.pkl").write_bytes(pickle.dumps(annotations, protocol=3))
    (folder / f"{split}list01.txt").write_text("\n".join(annotations) + "\n")
    return root


def entry(num_frames: int, *tubes: dict, size: tuple[int, int] = SIZE) -> dict:
    return {"numf": np.uint8(num_frames), "label": 0, "annotations": list(tubes), "size": size}


def tube(label: int, start: int, boxes: list) -> dict:
    return {"label": label, "sf": start, "ef": start + len(boxes), "boxes": np.array(boxes, np.uint8)}
