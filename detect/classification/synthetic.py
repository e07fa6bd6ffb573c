"""A classification set drawn by code: one actor a video, its class visible only in the order of the frames.

The classes are `detect.data.synthetic.CLASSES`, in pairs. A video of the second class of a pair is drawn as the first
and reversed in time, so a video reversed is distributed exactly as its partner's, background and all: who cannot tell
the order of the frames is at chance within a pair.
"""

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from detect.classification.records import VideoItem, VideoSet
from detect.data import synthetic
from detect.utils.errors import UserError
from detect.utils.files import hash_files
from detect.video.writer import save_video

VERSION = 1  # of what this file draws; `synthetic.VERSION` counts the changes there
NUM_TRAIN, NUM_TEST = 960, 240
CLASSES = tuple(synthetic.CLASSES)
PARTNERS = {name: CLASSES[index ^ 1] for index, name in enumerate(CLASSES)}  # class -> the same reversed in time
SHRINK = 2  # drawn at twice the size and averaged down, for smooth outlines
# With 13 frames the temporal strides of the networks fall alike in both directions of time (docs/measurements.md).
SCENE = synthetic.Scene(
    num_frames=13,
    size=(64 * SHRINK, 64 * SHRINK),
    actor_size=(40, 56),
    speed_x=(4.0, 6.0),
    speed_y=(4.0, 6.0),
    growth=(0.06, 0.08),
    counts=(1.0,),
    late=0.0,
)


def draw_example(rng: np.random.Generator, label: int) -> np.ndarray:
    """A video of class `label`, (T, H, W, 3) uint8 RGB. From the same state of `rng` the two classes of a pair give the
    same frames in opposite order.
    """
    frames, _ = synthetic.draw_video(rng, synthetic.make_actors(rng, label - label % 2, SCENE), SCENE)
    t, h, w, c = frames.shape
    frames = frames.reshape(t, h // SHRINK, SHRINK, w // SHRINK, SHRINK, c).mean((2, 4)).round().astype(np.uint8)
    return frames[::-1] if label % 2 else frames


def write_videos(folder: Path, num_train: int = NUM_TRAIN, num_test: int = NUM_TEST, seed: int = 0) -> None:
    """Draw the set: folder/{train,test}/<Class>/<video>.avi, the lists folder/{train,test}.txt of `path label`,
    classes.txt, and partners.txt with a line `class partner` for each.

    `folder` appears whole or not at all; if another process is the first to write it, its set is kept.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    jobs = [
        (temporary, subset, index, seed)
        for subset, count in (("train", num_train), ("test", num_test))
        for index in range(count)
    ]
    try:
        lines: dict[str, list[str]] = {"train": [], "test": []}
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # not processes: a fork of a process with threads may hang
            drawn = tqdm(pool.map(_write_one, jobs), "drawing the synthetic videos", len(jobs), unit="video")
            for (_, subset, _, _), line in zip(jobs, drawn, strict=True):
                lines[subset].append(line)
        for subset, listed in lines.items():
            (temporary / f"{subset}.txt").write_text("".join(listed))
        (temporary / "classes.txt").write_text("".join(f"{name}\n" for name in CLASSES))
        (temporary / "partners.txt").write_text("".join(f"{name} {partner}\n" for name, partner in PARTNERS.items()))
        temporary.chmod(0o755)  # mkdtemp's is for its owner only
        if not folder.exists():
            temporary.rename(folder)
    except OSError:
        if not folder.exists():
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_one(job: tuple[Path, str, int, int]) -> str:
    """Draw one video; returns its line in the list. Depends on the job alone."""
    folder, subset, index, seed = job
    label = CLASSES[index % len(CLASSES)]
    path = f"{subset}/{label}/{label}_{index:04d}.avi"
    rng = np.random.default_rng([seed, subset == "test", index])
    save_video(folder / path, draw_example(rng, index % len(CLASSES)))
    return f"{path} {label}\n"


def load_synthetic_videos(root: str | Path, subset: str, *, name: str = "", modality: str = "rgb") -> VideoSet:
    """The "train" or "test" videos of the set in `root`/synthetic_cls/, drawn first where it is not there.

    Raises UserError for flow, of which there is none.
    """
    name = name or f"synthetic_cls_{subset}"
    if modality != "rgb":
        raise UserError(f"{name} has no {modality}; extract it with tools/extract_flow.py and name it by list:PATH")
    folder = Path(root) / "synthetic_cls" / f"v{synthetic.VERSION}.{VERSION}"
    if not folder.exists():
        write_videos(folder)
    listed = folder / f"{subset}.txt"
    rows = [line.split() for line in listed.read_text().splitlines()]
    items = tuple(VideoItem(path, str(folder / path), CLASSES.index(label)) for path, label in rows)
    return VideoSet(name, items, CLASSES, annotation_hash=hash_files(listed))
