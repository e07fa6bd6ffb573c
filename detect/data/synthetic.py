"""A synthetic action set, drawn by code and written to disk in the layout of UCF101-24.

Textured actors over cluttered, drifting backgrounds, one to three in a video. The classes come in pairs that are each
other reversed in time, so a single frame tells where an actor is but not what it does.

Coordinates are pixels of the drawn frame, angles degrees (positive turns counter-clockwise on the screen).
"""

import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from detect.data.records import ActionDataset
from detect.data.ucf24 import load_ucf24
from detect.video.writer import save_video

VERSION = 1  # of the drawing: to be raised with every change below, so that nobody trains on an older set
NUM_TRAIN, NUM_TEST = 320, 48

# class -> direction of (x, y, log size): what changes from frame to frame, at a rate drawn for each actor
CLASSES: dict[str, tuple[int, int, int]] = {
    "MoveLeft": (-1, 0, 0),
    "MoveRight": (1, 0, 0),
    "Rise": (0, -1, 0),
    "Fall": (0, 1, 0),
    "Grow": (0, 0, 1),
    "Shrink": (0, 0, -1),
}
SPRITE = 128  # side of the square that holds an actor's texture


@dataclass(frozen=True)
class Scene:
    """What the videos of a set have in common; pairs are ranges from which each actor draws."""

    num_frames: int = 32
    size: tuple[int, int] = (180, 240)  # height, width
    actor_size: tuple[float, float] = (52, 72)
    speed_x: tuple[float, float] = (3.6, 5.2)  # pixels a frame
    speed_y: tuple[float, float] = (3.0, 3.6)
    growth: tuple[float, float] = (0.034, 0.042)  # log ratio of size a frame
    counts: tuple[float, ...] = (0.35, 0.4, 0.25)  # how often 1, 2, ... actors
    late: float = 0.3  # share of the actors that come late or leave early


DETECTION = Scene()


@dataclass(frozen=True)
class Actor:
    """One actor: its picture and its path. Positions and scales have one entry a frame."""

    label: int
    rgba: np.ndarray  # (SPRITE, SPRITE, 4) float32, 0..1
    centres: np.ndarray  # (T, 2) x, y
    scales: np.ndarray  # (T,) pixels drawn for one pixel of the sprite
    angle: float
    start: int  # visible, and acting, in frames start .. stop - 1
    stop: int

    def warp(self, frame: int) -> np.ndarray:
        """The 2 x 3 affine map from sprite to frame."""
        centre = (SPRITE - 1) / 2
        matrix = cv2.getRotationMatrix2D((centre, centre), self.angle, float(self.scales[frame]))
        matrix[:, 2] += self.centres[frame] - centre
        return matrix


def _colour(rng: np.random.Generator, saturation: float, value: float) -> np.ndarray:
    hsv = np.array([[[rng.integers(180), saturation * 255, value * 255]]], np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32) / 255


def _texture(rng: np.random.Generator) -> np.ndarray:
    """A pattern of two colours and a pale wedge, (SPRITE, SPRITE, 3)."""
    y, x = np.mgrid[:SPRITE, :SPRITE].astype(np.float32) / SPRITE - 0.5
    kind, phase = rng.integers(4), rng.uniform(0, 2 * np.pi)
    if kind == 0:  # stripes
        mask = np.sin(rng.uniform(14, 20) * (x * np.cos(phase) + y * np.sin(phase)) + phase) > 0
    elif kind == 1:  # checks
        mask = (np.sin(16 * x + phase) > 0) ^ (np.sin(16 * y + phase) > 0)
    elif kind == 2:  # sectors
        mask = np.sin(3 * np.arctan2(y, x) + phase) > 0
    else:  # spots
        mask = np.sin(18 * x + phase) * np.sin(18 * y + 2 * phase) > 0.2
    first, second = _colour(rng, 0.85, 1.0), _colour(rng, 0.5, rng.uniform(0.3, 0.6))
    picture = np.where(mask[..., None], first, second)
    wedge = np.abs(np.angle(np.exp(1j * (np.arctan2(y, x) - phase)))) < 0.45
    return np.where(wedge[..., None], np.float32(0.95), picture).astype(np.float32)


def _silhouette(rng: np.random.Generator) -> np.ndarray:
    """A disc, a rounded polygon or a star with its outline: (alpha, interior), each (SPRITE, SPRITE)."""
    angles = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    corners, depth = rng.integers(3, 7), rng.choice([0.0, 0.08, 0.16])
    radius = (1 - depth + depth * np.cos(corners * angles + rng.uniform(0, 2 * np.pi))) * (SPRITE / 2 - 2)
    points = np.stack([np.cos(angles), np.sin(angles)], 1) * radius[:, None] + (SPRITE - 1) / 2
    alpha = np.zeros((SPRITE, SPRITE), np.uint8)
    cv2.fillPoly(alpha, [points.round().astype(np.int32)], 255, cv2.LINE_AA)
    interior = cv2.erode(alpha, np.ones((7, 7), np.uint8))
    return alpha.astype(np.float32) / 255, interior.astype(np.float32) / 255


def _sprite(rng: np.random.Generator) -> np.ndarray:
    alpha, interior = _silhouette(rng)
    outline = np.float32(0.05)
    colour = _texture(rng) * interior[..., None] + outline * (1 - interior[..., None])
    return np.dstack([colour, alpha])


def _background(rng: np.random.Generator, scene: Scene) -> Iterator[np.ndarray]:
    """Frames of a dim clutter of blobs and bars that drifts at constant speed, (H, W, 3) float32."""
    h, w = scene.size
    canvas = np.zeros((2 * h, 2 * w, 3), np.float32)
    for cells, weight in ((3, 0.5), (9, 0.3), (27, 0.2)):
        noise = rng.random((cells, cells, 3), np.float32)
        canvas += weight * cv2.resize(noise, (2 * w, 2 * h), interpolation=cv2.INTER_CUBIC)
    grey = canvas.mean(2, keepdims=True)
    canvas = np.clip(0.12 + 0.45 * (0.6 * grey + 0.4 * canvas), 0, 1)
    for _ in range(14):
        centre = (int(rng.integers(2 * w)), int(rng.integers(2 * h)))
        colour = (0.15 + 0.4 * _colour(rng, 0.35, rng.uniform(0.3, 0.9))).tolist()
        axes = tuple(int(v) for v in rng.integers(6, 34, 2))
        if rng.random() < 0.5:
            cv2.ellipse(canvas, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
        else:
            box = cv2.boxPoints((centre, axes, float(rng.uniform(0, 180)))).astype(np.int32)
            cv2.fillPoly(canvas, [box], colour, cv2.LINE_AA)
    velocity = rng.uniform(-1.2, 1.2, 2)
    middle = np.array([w / 2, h / 2])
    for frame in range(scene.num_frames):
        offset = middle + velocity * (frame - scene.num_frames / 2)
        shift = np.array([[1, 0, -offset[0]], [0, 1, -offset[1]]])
        yield cv2.warpAffine(canvas, shift, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _path(rng: np.random.Generator, label: int, scene: Scene, base: float) -> tuple[np.ndarray, ...]:
    """Centres and sizes over the frames, symmetric about the middle: time reversed gives the partner class."""
    dx, dy, growth = list(CLASSES.values())[label]
    last = scene.num_frames - 1
    t = np.arange(scene.num_frames) - last / 2
    travel = np.array([dx * rng.uniform(*scene.speed_x), dy * rng.uniform(*scene.speed_y)])
    log_size = growth * rng.uniform(*scene.growth) * t
    span = np.abs(travel) * last / 2
    sides = np.array(scene.size[::-1])
    margin = np.minimum(base * 0.5 * np.exp(np.abs(log_size).max()) - 8 + span, sides / 2)
    middle = rng.uniform(margin, sides - margin)
    return middle + travel * t[:, None], base * np.exp(log_size)


def _overlap(a: np.ndarray, a_size: np.ndarray, b: np.ndarray, b_size: np.ndarray) -> bool:
    return bool((np.abs(a - b).max(1) < (a_size + b_size) / 2).any())


def make_actors(rng: np.random.Generator, first_label: int, scene: Scene = DETECTION) -> list[Actor]:
    """One or more actors that never overlap; the first has class `first_label`, the others any."""
    actors, paths = [], []
    wanted = int(rng.choice(len(scene.counts), p=scene.counts)) + 1
    for attempt in range(60):
        label = first_label if not actors else int(rng.integers(len(CLASSES)))
        centres, sizes = _path(rng, label, scene, rng.uniform(*scene.actor_size))
        if any(_overlap(centres, sizes, c, s) for c, s in paths):
            continue
        start, stop = 0, scene.num_frames
        if rng.random() < scene.late:  # some come late or leave early
            cut = int(rng.integers(4, 10))
            start, stop = (cut, stop) if rng.random() < 0.5 else (start, stop - cut)
        actors.append(Actor(label, _sprite(rng), centres, sizes / SPRITE, rng.uniform(0, 360), start, stop))
        paths.append((centres, sizes))
        if len(actors) == wanted or attempt > 40:
            break
    return actors


def draw_video(
    rng: np.random.Generator, actors: list[Actor], scene: Scene = DETECTION
) -> tuple[np.ndarray, list[np.ndarray]]:
    """The frames, (T, H, W, 3) uint8 RGB, and for each actor its boxes [x, y, w, h] in frames start .. stop - 1."""
    h, w = scene.size
    frames = np.empty((scene.num_frames, h, w, 3), np.uint8)
    boxes: list[list[list[int]]] = [[] for _ in actors]
    for t, canvas in enumerate(_background(rng, scene)):
        for actor, track in zip(actors, boxes, strict=True):
            if not actor.start <= t < actor.stop:
                continue
            drawn = cv2.warpAffine(actor.rgba, actor.warp(t), (w, h), flags=cv2.INTER_AREA)
            alpha = drawn[..., 3:]
            canvas = canvas * (1 - alpha) + drawn[..., :3] * alpha
            track.append(list(cv2.boundingRect((alpha[..., 0] > 0.5).astype(np.uint8))))
        frames[t] = (canvas * 255).clip(0, 255)
    return frames, [np.array(track, np.uint8) for track in boxes]  # 8 bits as in the real file: no side exceeds 255


def write_dataset(root: Path, num_train: int = NUM_TRAIN, num_test: int = NUM_TEST, seed: int = 0) -> None:
    """Draw the set into `root`: videos/<Class>/<video>.avi and splitfiles/ with the lists, classes and pyannot.pkl."""
    sizes = {"train": num_train, "test": num_test}
    jobs = [(root, subset, index, seed) for subset, count in sizes.items() for index in range(count)]
    lists: dict[str, list[str]] = {"train": [], "test": []}
    annotations = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # not processes: a fork of a process with threads may hang
        drawn = tqdm(pool.map(_write_one, jobs), "drawing the synthetic set", len(jobs), unit="video")
        for (_, subset, _, _), (name, annotation) in zip(jobs, drawn, strict=True):
            annotations[name] = annotation
            lists[subset].append(name)
    folder = root / "splitfiles"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    for subset, listed in lists.items():
        (folder / f"{subset}list01.txt").write_text("\n".join(listed) + "\n")
    temporary = folder / "pyannot.pkl.tmp"
    temporary.write_bytes(pickle.dumps(annotations, protocol=3))
    temporary.replace(folder / "pyannot.pkl")  # last and whole: its presence says that the set is complete


def _write_one(job: tuple[Path, str, int, int]) -> tuple[str, dict]:
    """Draw one video; returns its name and its entry in pyannot.pkl. Depends on the job alone."""
    root, subset, index, seed = job
    rng = np.random.default_rng([seed, subset == "test", index])
    label = index % len(CLASSES)
    name = list(CLASSES)[label]
    name = f"{name}/v_{name}_{subset}_{index:04d}"
    actors = make_actors(rng, label)
    frames, boxes = draw_video(rng, actors)
    save_video(root / "videos" / f"{name}.avi", frames)  # Motion JPEG: every OpenCV build writes and reads it
    tubes = [{"label": a.label, "sf": a.start, "ef": a.stop, "boxes": b} for a, b in zip(actors, boxes, strict=True)]
    return name, {"annotations": tubes, "numf": np.uint8(DETECTION.num_frames), "label": label, "size": DETECTION.size}


def load_synthetic(root: str | Path, subset: str, name: str) -> ActionDataset:
    """The "train" or "test" videos of the set in `root`/v<VERSION>, drawn first where it is not there."""
    root = Path(root) / f"v{VERSION}"
    if not (root / "splitfiles" / "pyannot.pkl").exists():
        write_dataset(root)
    return load_ucf24(root, subset, name=name)
