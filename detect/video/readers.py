"""Frames of a video file (OpenCV) or of a folder of JPEG or PNG images, as RGB uint8 (height, width, 3).

Frame numbers are 0-based, counted in decoding order; a container's header is never believed (it claims 48
frames for a JHMDB clip of 40). A folder's images are numbered from 0 or 1; the lowest number there is frame
0.

OpenCV counts frames as they are decoded. PyAV, torchcodec and decord look them up by time stamp: at best 2.7 x as fast,
where a file has many keyframes, and one frame off in the DivX files of HMDB-51 (`tools/benchmark.py data`). Here a seek
is used only where it was seen to give the very same frames, see `detect.video.entry_points`.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from detect.video.capture import (  # noqa: F401  some are for those who read videos
    MAX_SAID_FRAMES,
    FrameReadError,
    MissingMediaError,
    cv2,
    open_video,
    printable,
    retrieve,
    said_length,
)
from detect.video.entry_cache import entry_points
from detect.video.entry_points import Cursor, EntryPoints
from detect.video.truncation import shortfall

IMAGE_NAME = re.compile(r"(?P<prefix>|[^.\d]|[^.].*\D)(?P<number>\d+)\.(jpe?g|png)", re.IGNORECASE)
VIDEO_SUFFIXES = {".avi", ".mp4", ".m4v", ".mkv", ".webm", ".mov", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp"}
RGB_PREFIXES = ("", "img_", "image_", "frame_", "frame", "img", "image")  # where flow images lie beside them
DEFAULT_FPS = 25.0
END_MARKERS = {".png": b"IEND", ".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9"}


def read_frames(
    path: str | Path,
    indices: Sequence[int] | np.ndarray,
    prepare: Callable[[np.ndarray], np.ndarray] = lambda frame: frame,
    entries: EntryPoints | None = None,
) -> np.ndarray:
    """The frames with these numbers, (n, height, width, 3) uint8 RGB, in the order asked for; repeats are
    allowed.

    `prepare` is applied to each distinct frame as it is decoded: a resize there keeps the full-size frames from piling
    up. entries: where decoding of a video file may begin; by default those that `entry_cache` knows or, where a file is
    read often, finds; with `entry_points.NO_ENTRIES` it is decoded from its start. Raises FrameReadError.
    """
    wanted, rows = np.unique(np.asarray(indices, np.int64), return_inverse=True)
    if len(wanted) == 0:
        return np.empty((0, 0, 0, 3), np.uint8)
    if wanted[0] < 0:
        raise FrameReadError(f"{path}: frame {wanted[0]} was asked for; frames are numbered from 0")
    found = _read_images(Path(path), wanted) if _is_folder(path) else _read_video(Path(path), wanted, entries)
    for row, frame in enumerate(map(prepare, found)):
        if row == 0:
            frames = np.empty((len(wanted), *frame.shape), frame.dtype)
        elif frame.shape != frames.shape[1:]:
            sizes = sorted({frames.shape[1:], frame.shape})
            raise FrameReadError(f"{path}: frames {wanted[0]} to {wanted[-1]} differ in size: {sizes}")
        frames[row] = frame  # one buffer: a list of frames, stacked and indexed, costs a third of the decoding again
    return frames if len(rows) == len(wanted) and (np.diff(rows) > 0).all() else frames[rows]


def count_frames(path: str | Path) -> int:
    """How many frames decode; for a folder, up to its highest number (a gap is an error when read)."""
    if _is_folder(path):
        return len(_image_files(Path(path)))
    capture, count = open_video(path), 0
    while capture.grab():
        count += 1
    if count == 0:
        raise FrameReadError(f"{path}: no frame decodes; the file is empty or damaged")
    return count


def expected_length(path: str | Path) -> int:
    """How many frames a container says it has, without decoding; may be wrong by a few. A folder's, and where the
    container says nothing, are counted.
    """
    if _is_folder(path):
        return count_frames(path)
    return said_length(path) or count_frames(path)


def container_facts(path: str | Path) -> tuple[float, int | None]:
    """Frames a second, and about how many frames there are, as the header says; only for playing and for progress.

    A folder of frames, and a container that does not say, has DEFAULT_FPS.
    """
    if not os.path.isfile(path):
        return DEFAULT_FPS, None
    try:
        capture = open_video(path)
    except FrameReadError:
        return DEFAULT_FPS, None
    fps, count = capture.get(cv2.CAP_PROP_FPS), int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    return (fps if 0 < fps < 1000 else DEFAULT_FPS), (count if count > 0 else None)


def iter_frames(path: str | Path, threads: int = 1, *, one_size: bool = False) -> Iterator[np.ndarray]:
    """Each frame once, in order, holding one at a time. Raises FrameReadError; of a video that is cut off after the
    last frame that decodes, see `detect.video.truncation`.

    one_size: a frame of another size than the one before is an error, too.
    """
    count, size = 0, None
    for frame in iter_frames_or_errors(path, threads):
        if isinstance(frame, FrameReadError):
            raise frame
        if one_size and size not in (None, frame.shape):
            raise _other_size(path, count, size, frame.shape)
        yield frame
        count, size = count + 1, frame.shape
    if os.path.isfile(path) and (reason := shortfall(path, count, said_length(path))):
        error = FrameReadError(reason)
        error.decoded = count
        raise error


def iter_frames_or_errors(path: str | Path, threads: int = 1) -> Iterator[np.ndarray | FrameReadError]:
    """As `iter_frames`, but a frame that cannot be read is given as its error, and the next ones follow where
    possible.

    A video or folder that cannot be read at all raises FrameReadError. `threads` of the decoder: one is the
    fastest for frames of 240 x 320, 0 leaves the choice to FFmpeg.
    """
    if _is_folder(path):
        for file in _image_files(Path(path)):
            try:
                yield _read_image(Path(path) / file)
            except FrameReadError as error:
                yield error
        return
    capture, count = open_video(path, threads), 0
    while capture.grab():
        try:
            yield retrieve(capture, path, count)
        except FrameReadError as error:
            yield error
        count += 1
    if count == 0:
        raise FrameReadError(f"{path}: no frame decodes; the file is empty or damaged")


def decode_image(path: Path, mode: int = cv2.IMREAD_COLOR) -> np.ndarray:
    """A JPEG or PNG file as OpenCV gives it (colour is BGR) in one of its reading modes. Raises FrameReadError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise FrameReadError(f"{path}: this frame is missing, frames after it are there") from None
    except OSError as error:
        raise FrameReadError(f"{path}: cannot be read ({error})") from error
    # OpenCV fills the missing part of a cut-off image with grey and says nothing
    whole = END_MARKERS[path.suffix.lower()] in data
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), mode) if whole else None
    except cv2.error:  # e.g. a header that claims billions of pixels
        image = None
    if image is None:
        raise FrameReadError(f"{path}: {len(data)} bytes, not a readable image; empty, cut off or damaged")
    return image


def list_folder(path: str | Path) -> list[str]:
    """The names in a folder. FrameReadError where it cannot be listed."""
    try:
        return os.listdir(path)
    except OSError as error:
        raise FrameReadError(f"{path}: this folder of images cannot be listed: {error.strerror}") from error


def _is_folder(path: str | Path) -> bool:
    if not os.path.exists(path):
        raise MissingMediaError(f"{path}: there is no such video file or folder of frames")
    return os.path.isdir(path)


def _other_size(path: str | Path, index: int, before: tuple[int, ...], now: tuple[int, ...]) -> FrameReadError:
    where = Path(path) / _image_files(Path(path))[index] if _is_folder(path) else path
    sizes = f"{before[1]} x {before[0]} and {now[1]} x {now[0]} pixels"
    return FrameReadError(f"{where}: frames {index - 1} and {index} differ in size: {sizes}")


def _too_short(path: str | Path, wanted: int, decoded: int) -> FrameReadError:
    error = FrameReadError(f"{path}: frame {wanted} was asked for, but only {decoded} frames decode")
    error.decoded = decoded
    return error


def _read_video(path: Path, wanted: np.ndarray, entries: EntryPoints | None) -> Iterator[np.ndarray]:
    cursor = Cursor(path, entry_points(path, wanted) if entries is None else entries)
    for index in wanted.tolist():
        if not cursor.move_to(index):
            raise _too_short(path, int(wanted[-1]), cursor.position)
        yield cursor.frame()


def _read_images(folder: Path, wanted: np.ndarray) -> Iterator[np.ndarray]:
    files = _image_files(folder)
    if wanted[-1] >= len(files):
        raise _too_short(folder, int(wanted[-1]), len(files))
    for index in wanted.tolist():
        yield _read_image(folder / files[index])


def _image_files(folder: Path) -> list[str]:
    """The name of each frame's image, whether or not it is there: a gap in the numbers keeps its place."""
    by_prefix: dict[str, dict[int, str]] = {}
    for name in list_folder(folder):
        if match := IMAGE_NAME.fullmatch(name):
            images = by_prefix.setdefault(match["prefix"], {})
            if other := images.get(int(match["number"])):
                raise FrameReadError(f"{folder}: {other} and {name} are both frame {match['number']}")
            images[int(match["number"])] = name
    prefix = next((p for p in RGB_PREFIXES if p in by_prefix), None)
    if len(by_prefix) == 1:
        (prefix,) = by_prefix
    if prefix is None:
        found = f"images with prefixes {sorted(by_prefix)}" if by_prefix else "no numbered .jpg or .png image"
        raise FrameReadError(f"{folder}: {found}; expected 00001.jpg, 00002.jpg, ... or img_00001.jpg, ...")

    images = by_prefix[prefix]
    first, last = min(images), max(images)
    if first > 1:
        raise FrameReadError(f"{folder}: the first image is {images[first]}; frames are numbered from 0 or 1")
    number, suffix = images[first][len(prefix) :].split(".")
    return [images.get(i, f"{prefix}{i:0{len(number)}d}.{suffix}") for i in range(first, last + 1)]


def _read_image(path: Path) -> np.ndarray:
    return cv2.cvtColor(decode_image(path), cv2.COLOR_BGR2RGB)
