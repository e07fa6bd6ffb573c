"""What decoding a video tells, remembered for as long as its files do not change."""

import json
import logging
import os
import time
from pathlib import Path
from typing import NamedTuple

import cv2
from iopath.common.file_io import file_lock

from detect.utils.files import make_folder, write_text
from detect.video.readers import FrameReadError, iter_frames, printable

logger = logging.getLogger(__name__)
SAVE_SECONDS = 20.0  # at most so much decoding is lost when a run is killed


class MediaFacts(NamedTuple):
    """Of a video file or a folder of frames. `problem`: why it cannot be read to its end, else ""."""

    frames: int
    height: int
    width: int
    problem: str = ""


def look_at(path: str) -> MediaFacts:
    """Decode a video from start to end."""
    count, size, problem = 0, (0, 0), ""
    try:
        for frame in iter_frames(path, one_size=True):
            count, size = count + 1, frame.shape[:2]
    except FrameReadError as error:
        problem = printable(str(error))
    return MediaFacts(count, *size, problem)


class FactsCache:
    """The facts of videos that could be read, in a JSON file; by path, of use while the `signature` stays.

    A file that is damaged, or was written with another OpenCV, is begun anew. Whoever wrote to it meanwhile keeps what
    they wrote.
    """

    def __init__(self, file: str | Path):
        self.file = Path(file)
        self._new: dict[str, list] = {}
        self._known = self._read()
        self._saved = time.monotonic()

    def get(self, path: str, signed: list[int]) -> MediaFacts | None:
        """What is known of `path`, if its signature is still `signed`."""
        path = os.path.abspath(path)
        entry = self._new.get(path) or self._known.get(path)
        return MediaFacts(*entry[3:]) if entry and entry[:3] == signed else None

    def add(self, path: str, signed: list[int], facts: MediaFacts) -> None:
        """Remember facts, on the disk within SAVE_SECONDS if more are added; those of a bad video are not kept."""
        if facts.problem:
            return
        self._new[os.path.abspath(path)] = [*signed, facts.frames, facts.height, facts.width]
        if time.monotonic() - self._saved > SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Write down what is new, beside what others wrote."""
        if self._new:
            make_folder(self.file.parent)
            with file_lock(str(self.file)):
                self._known = {**self._read(), **self._new}
                write_text(self.file, json.dumps({"opencv": cv2.__version__, "videos": self._known}))
            self._new = {}
        self._saved = time.monotonic()

    def _read(self) -> dict[str, list]:
        try:
            content = json.loads(self.file.read_bytes())
            entries = dict(content["videos"]) if content["opencv"] == cv2.__version__ else {}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError) as error:
            logger.warning("%s: cannot be used, all videos are decoded again: %s", self.file, error)
            return {}
        return {path: entry for path, entry in entries.items() if _is_entry(entry)}


def _is_entry(entry: object) -> bool:
    return isinstance(entry, list) and len(entry) == 6 and all(type(value) is int for value in entry)
