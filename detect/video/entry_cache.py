"""The places of `entry_points`, found where they pay and kept on the disk.

Finding them costs as much as decoding a video three to five times. It is done once the frames that a process decoded of
a video only to get at later ones are PATIENCE times as many as the video has: a loader's worker that comes back to a
long video does so soon, a tool that reads of it once or twice never. They lie in `entry_points/` of the cache folder
(`DETECT_CACHE`, by default ~/.cache/action-detection), a small file for each video, by its absolute path; one is of use
for the same size, time of change and build of OpenCV.
"""

import fcntl
import functools
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from detect.utils.download import cache_folder
from detect.utils.files import UnusableFileError, signature, write_json
from detect.video.capture import FrameReadError, printable, said_length
from detect.video.entry_points import NO_ENTRIES, Entry, EntryPoints, find_entry_points, skipped_frames

logger = logging.getLogger(__name__)
LEAST_SKIPPED = 64  # fewer frames are decoded in the time that a seek takes
LEAST_FRAMES = 128  # a shorter video is decoded in some 15 ms; UCF-101 has 180 on average
PATIENCE = 2
FORMAT = 1  # of the file and of what is tried


@dataclass
class _Known:
    """What this process knows of a video: its signature, the places, once it has them, and frames skipped so far."""

    signed: list[int]
    points: EntryPoints | None = None
    skipped: int = 0


_known: dict[str, _Known] = {}


def entry_points(path: str | Path, wanted: Sequence[int] | np.ndarray) -> EntryPoints:
    """The places to read frames `wanted`, sorted and distinct, of a video file; none where there are none, or where
    they are not known and finding them does not pay yet.
    """
    if (skipped := skipped_frames(wanted)) < LEAST_SKIPPED:
        return NO_ENTRIES
    path = os.path.abspath(path)
    signed = signature(path)
    known = _known.get(path)
    if known is None or known.signed != signed:
        known = _known[path] = _Known(signed)
    if known.points is None:
        known.points = load(path, signed)  # another process may have found them
    if known.points is None:
        known.skipped += skipped
        length = said_length(path)
        if length >= LEAST_FRAMES and known.skipped >= PATIENCE * length:
            known.points = _find(path, signed)
    return known.points or NO_ENTRIES


def cache_file(path: str | Path) -> Path:
    """The file for the video at that path."""
    name = hashlib.sha256(os.fsencode(os.path.abspath(path))).hexdigest()[:32]
    return cache_folder() / "entry_points" / f"{name}.json"


def load(path: str | Path, signed: Sequence[int]) -> EntryPoints | None:
    """What the cache has of a video with that signature; None where it has nothing, or a damaged file."""
    file = cache_file(path)
    try:
        content = json.loads(file.read_bytes())
        if content["made_of"] != _made_of(path, signed):
            return None
        points = EntryPoints(content["frames"], tuple(Entry(*entry) for entry in content["entries"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        logger.warning("%s: cannot be used, its video is decoded from the start: %s", file, error)
        return None
    return points if _makes_sense(points) else None


def save(path: str | Path, signed: Sequence[int], points: EntryPoints) -> None:
    """Write down what was found; a cache that cannot be written is said, and no error."""
    made_of = _made_of(path, signed)
    try:
        write_json(cache_file(path), {"made_of": made_of, "frames": points.frames, "entries": points.entries})
    except UnusableFileError as error:
        logger.warning("%s", error)


def _find(path: str, signed: list[int]) -> EntryPoints | None:
    """None where another process is at it; no places for a file that cannot be read or changed meanwhile."""
    with _alone(path) as alone:
        if not alone:
            return None
        if (points := load(path, signed)) is not None:
            return points
        try:
            points = find_entry_points(path)
        except FrameReadError:
            return NO_ENTRIES  # who reads that frame says so
        if signature(path) != signed:
            return NO_ENTRIES
        save(path, signed, points)
        return points


@contextmanager
def _alone(path: str) -> Iterator[bool]:
    """Whether no other process holds the lock on the video. Where there are no locks, all may."""
    with open(path, "rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:
            pass
        yield True


def _made_of(path: str | Path, signed: Sequence[int]) -> list:
    return [FORMAT, printable(os.path.abspath(path)), *signed, _opencv_build()]


@functools.cache
def _opencv_build() -> str:
    """Of two builds of one version each has an FFmpeg of its own."""
    return hashlib.sha256(cv2.getBuildInformation().encode()).hexdigest()[:16]


def _makes_sense(points: EntryPoints) -> bool:
    numbers = [points.frames, *(number for entry in points.entries for number in entry)]
    if not all(type(number) is int and number >= 0 for number in numbers):
        return False
    firsts = [entry.first for entry in points.entries]
    ordered = all(before < after for before, after in zip(firsts, firsts[1:], strict=False))
    return ordered and all(entry.first < entry.stop <= points.frames for entry in points.entries)
