"""Optical flow on disk: two grey images for each pair of frames, the horizontal (x) and the vertical (y) displacement.

N frames give N - 1 flows; flow k is the motion from frame k to frame k + 1, in pixels, x to the right and y down, held
to +-20 and spread over 0..255, so that rest is 127.5 (stored as 128). That is the format of TSN's dense_flow and of
what came after it.

The flow that the action detectors ACT, ROAD and MOC share (brox-images, FlowBrox04) is one colour image a frame,
00001.jpg ...: x in red, y in green, rest at 128 as well; its third channel is left out. A network takes it as it is
stored, so train and test with one kind.
"""

import functools
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from detect.utils.files import atomic_file
from detect.video.readers import FrameReadError, MissingMediaError, decode_image, list_folder

REST = 128  # stored value of no motion
BOUND = 20.0  # pixels; the paper, and TSN truncate to [-20, 20]
META = "meta.json"  # written last: a folder that has it is complete
FLOW_NAME = re.compile(r"(?P<prefix>.*?)(?P<component>[xy])_(?P<number>\d+)\.(jpe?g|png)", re.IGNORECASE)
COLOUR_NAME = re.compile(r"(?P<number>\d+)\.(jpe?g|png)", re.IGNORECASE)  # x and y as colours of one image
PREFIXES = {  # what stands before x_00001.jpg and y_00001.jpg
    "flow_": "TSN's dense_flow, mmaction2, and denseflow, which counts from 0",
    "": "mmaction2's test data",
    r"\d+-": "TSM's Something-something v1: 000123-x_00001.jpg in the folder of video 123",
}

# What tells flow from other images. Measured, for each video, on TV-L1 and DIS flow of eleven real clips of UCF-101,
# HMDB-51 and Kinetics and on TV-L1 images of mmaction2, and on the clips' own frames:
#                                               flow        frames
#   spread over the colour channels             0           20..85
#   mean                                        122..137    34..158
#   step between neighbouring pixels, grey,     0.04..1.0   3.8..13.4
#     shorter side shrunk to 128 pixels
SAMPLED_PAIRS = 8
MAX_ROUGHNESS = 1.8
MAX_OFF_CENTRE = 48.0  # a camera that pans all the time at 15 pixels a frame
MAX_COLOUR = 4.0
ROUGHNESS_SIDE = 128


def encode_flow(flow: np.ndarray) -> np.ndarray:
    """Displacements in pixels as uint8: 255 * (v + 20) / 40 of v held to +-20, halves rounded to even as C's cvRound
    does. ValueError if a value is not a number."""
    if np.isnan(flow).any():
        raise ValueError(f"{int(np.isnan(flow).sum())} of {flow.size} flow values are not numbers")
    scaled = 255 * (np.clip(flow, -BOUND, BOUND).astype(np.float64) + BOUND) / (2 * BOUND)
    return np.rint(scaled).astype(np.uint8)


def decode_flow(image: np.ndarray) -> np.ndarray:
    """The displacements, float32 in pixels, of stored values; 128, the stored rest, gives +0.078."""
    return (image.astype(np.float64) / 255 * (2 * BOUND) - BOUND).astype(np.float32)


def flip_flow(flow: np.ndarray) -> np.ndarray:
    """Mirror (..., H, W, 2) uint8 flow left and right: the place, and the sign of x. Twice is the identity."""
    mirrored = flow[..., ::-1, :].copy()
    mirrored[..., 0] = 255 - mirrored[..., 0]
    return mirrored


def flow_length(path: str | Path) -> int:
    """How many flows the folder holds, in any naming of PREFIXES or one colour image each, counted from 0 or 1.

    Raises FrameReadError if there is none, a number is missing, x and y differ in number, or two namings are mixed.
    """
    return len(flow_files(Path(path)))


@functools.cache
def checked_flow_length(path: str) -> int:
    """As `flow_length`; the first time that a process meets a folder, its images are checked to be flow."""
    check_flow_range(path)
    return flow_length(path)


def read_flow(path: str | Path, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """The flows with these 0-based numbers, (n, height, width, 2) uint8, x then y, in the order asked for; repeats are
    allowed. Raises FrameReadError."""
    files = flow_files(Path(path))
    wanted, rows = np.unique(np.asarray(indices, np.int64), return_inverse=True)
    if len(wanted) == 0:
        return np.empty((0, 0, 0, 2), np.uint8)
    for index in (wanted[0], wanted[-1]):
        if not 0 <= index < len(files):
            error = FrameReadError(f"{path}: flow {index} was asked for; there are {len(files)}, numbered from 0")
            error.decoded = len(files)
            raise error
    flows = [load_flow(files[index]) for index in wanted.tolist()]
    sizes = {flow.shape[:2] for flow in flows}
    if len(sizes) > 1:
        raise FrameReadError(f"{path}: flow images {wanted[0]} to {wanted[-1]} differ in size: {sorted(sizes)}")
    return np.stack([flows[row] for row in rows])


def load_flow(files: tuple[Path, ...]) -> np.ndarray:
    """One flow of `flow_files`, (height, width, 2) uint8. Raises FrameReadError."""
    x, y = _components(files)
    if x.shape != y.shape:
        raise FrameReadError(f"{files[0]}: x and y differ in size: {sorted({x.shape, y.shape})}")
    return np.stack([x, y], -1)


def _components(files: tuple[Path, ...]) -> list[np.ndarray]:
    """x and y of one flow, each (height, width)."""
    if len(files) == 1:
        colour = decode_image(files[0], cv2.IMREAD_COLOR)  # blue, green, red
        return [colour[..., 2], colour[..., 1]]
    return [decode_image(file, cv2.IMREAD_GRAYSCALE) for file in files]


def write_flow(path: str | Path, flows: Iterable[np.ndarray], meta: Mapping[str, Any], quality: int = 95) -> int:
    """Write a video's flows, each (height, width, 2) float in pixels, as flow_x_00001.jpg, flow_y_00001.jpg, ...

    The folder appears whole, with `meta` and the format's facts (frames, flows, height, width, bound, jpeg_quality) in
    meta.json, or not at all: it is filled as `temporary_folder(path)` and renamed. Returns the number of flows.
    ValueError if there are none.
    """
    path, temporary = Path(path), temporary_folder(path)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    count, size = 0, (0, 0)
    try:
        for count, flow in enumerate(flows, 1):
            size = flow.shape[:2]
            for component, image in zip("xy", np.moveaxis(encode_flow(flow), -1, 0), strict=True):
                _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
                (temporary / f"flow_{component}_{count:05d}.jpg").write_bytes(data)
        if count == 0:
            raise ValueError(f"{path}: no flow to write")
        facts = {"frames": count + 1, "flows": count, "height": size[0], "width": size[1]}
        facts |= {"bound": BOUND, "jpeg_quality": quality}
        with atomic_file(temporary / META) as file:
            file.write(json.dumps({**meta, **facts}, indent=1).encode())
        os.rename(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return count


def temporary_folder(path: str | Path) -> Path:
    """Where `write_flow` gathers a video's flow; what is there without a running writer is the rest of a dead one."""
    path = Path(path)
    return path.with_name(f".{path.name}.tmp")


def check_flow_range(path: str | Path) -> None:
    """Raise FrameReadError if the folder's images cannot be flow in this format; it says which measure is off.

    Rest is 127.5 and motion varies smoothly, so flow is grey, its mean over a video stays near the middle, and
    neighbouring pixels hardly differ: see the figures at SAMPLED_PAIRS. Frames, flow drawn in colours, flow as
    magnitudes (rest at 0) and the like fail at least one. Single images can be far from the middle (a pan of 15 pixels
    is 96 away), therefore a sample over the whole video is judged.
    """
    files = flow_files(Path(path))
    chosen = np.unique(np.linspace(0, len(files) - 1, SAMPLED_PAIRS).round().astype(int))
    images, unreadable = [], None
    for index in chosen:
        try:
            if len(files[index]) == 2:
                images += [decode_image(file, cv2.IMREAD_UNCHANGED) for file in files[index]]
            else:  # of three channels, each of the first two as a grey image
                images += _components(files[index])
        except FrameReadError as error:  # an error where it is read, not of the whole folder
            unreadable = error
    if not images:
        raise unreadable
    measures = {
        "spread over the colour channels": (max(map(_colour, images)), 0, MAX_COLOUR),
        "mean": (float(np.mean([image.mean() for image in images])), 127.5 - MAX_OFF_CENTRE, 127.5 + MAX_OFF_CENTRE),
        "step between neighbouring pixels": (float(np.median([_roughness(i) for i in images])), 0, MAX_ROUGHNESS),
    }
    for name, (value, low, high) in measures.items():
        if not low <= value <= high:
            raise FrameReadError(
                f"{path}: the images are not optical flow with +-20 pixels spread over 0..255: the {name} is "
                f"{value:.1f}, of flow it is {low:g} to {high:g}; make them with tools/extract_flow.py"
            )


def _colour(image: np.ndarray) -> float:
    return float(np.ptp(image.astype(np.int16), axis=2).mean()) if image.ndim == 3 else 0.0


def _roughness(image: np.ndarray) -> float:
    grey = image if image.ndim == 2 else image[..., 0]
    scale = ROUGHNESS_SIDE / min(grey.shape)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    steps = [np.abs(np.diff(grey.astype(np.int16), axis=axis)) for axis in (0, 1)]
    return float(np.mean([step.mean() for step in steps if step.size] or [0.0]))


def flow_files(folder: Path) -> list[tuple[Path, ...]]:
    """The x and y image of each flow, or the one that holds both, in order. Raises FrameReadError."""
    if not folder.is_dir():
        raise MissingMediaError(f"{folder}: there is no such folder of flow images")
    names = list_folder(folder)
    found: dict[str, dict[str, dict[int, Path]]] = {}
    for name in names:
        match = FLOW_NAME.fullmatch(name)
        if match and any(re.fullmatch(known, match["prefix"]) for known in PREFIXES):
            _enter(found.setdefault(match["prefix"], {"x": {}, "y": {}})[match["component"].lower()], match, folder)
    if not found:
        return _colour_files(folder, names)
    if len(found) > 1:
        raise FrameReadError(f"{folder}: flow images of {len(found)} namings, prefixes {sorted(found)}; keep one")
    ((x, y),) = (components.values() for components in found.values())
    if len(x) != len(y):
        raise FrameReadError(f"{folder}: {len(x)} x and {len(y)} y flow images; there must be one of each per pair")
    return _in_order({"x": x, "y": y}, folder)


def _colour_files(folder: Path, names: Sequence[str]) -> list[tuple[Path, ...]]:
    images: dict[int, Path] = {}
    for match in filter(None, map(COLOUR_NAME.fullmatch, names)):
        _enter(images, match, folder)
    if not images:
        raise FrameReadError(
            f"{folder}: no flow images; expected flow_x_00001.jpg and flow_y_00001.jpg, ... (or 00001.jpg, ... of "
            "brox-images)"
        )
    return _in_order({"colour": images}, folder)


def _enter(images: dict[int, Path], match: re.Match, folder: Path) -> None:
    number, name = int(match["number"]), match[0]
    if other := images.get(number):
        raise FrameReadError(f"{folder}: {other.name} and {name} are both flow {match['number']}")
    images[number] = folder / name


def _in_order(components: dict[str, dict[int, Path]], folder: Path) -> list[tuple[Path, ...]]:
    every = [number for images in components.values() for number in images]
    first, last = min(every), max(every)
    if first > 1:
        raise FrameReadError(f"{folder}: the first flow image is {first}; they are numbered from 0 or 1")
    for component, images in components.items():
        missing = [number for number in range(first, last + 1) if number not in images]
        if missing:
            raise FrameReadError(f"{folder}: the {component} flow images lack {missing[:5]} of {first} to {last}")
    return [tuple(images[number] for images in components.values()) for number in range(first, last + 1)]
