"""Where decoding of a video file may begin: places from which a seek gives the very same frames as decoding from the
start.

OpenCV seeks by time stamp. Where those are irregular, or where the decoder needs what came before, it gives another
frame and says nothing. So every seek is tried once: beside one decoding from the start, a second one begins at each
place, and all of their frames are compared, value by value, until OVERLAP frames after the next place. Only what was
compared is used. On any doubt decoding begins at the start.
"""

import zlib
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from detect.video.capture import open_video, retrieve

# OpenCV goes to the keyframe before the time of 16 frames earlier, then decodes on, counting: 17 frames after keyframe
# k, so that no rounding leads to the keyframe before, cost no more to reach than k itself
LEAD = 17
APART = 32  # frames between places, at least; more of them shorten the way to a frame little and cost more to try
OVERLAP = 64  # frames in a row that can be read from one place at least: a window of the longest context
FROM_START = 2**62  # decoding from the start has no end to what was compared


class Entry(NamedTuple):
    """After a seek to `target` frames `first` to `stop` - 1 follow; `checksum` (CRC-32) is that of frame `first`."""

    target: int
    first: int
    stop: int
    checksum: int


class EntryPoints(NamedTuple):
    """Of one file: how many frames decode, and the places, by frame. frames: -1 where it is not known."""

    frames: int
    entries: tuple[Entry, ...]

    def before(self, frame: int) -> Entry | None:
        """The nearest place from which `frame` can be reached; None where that is the start."""
        row = bisect_right(self.entries, frame, key=lambda entry: entry.first) - 1
        return self.entries[row] if row >= 0 and frame < self.entries[row].stop else None


NO_ENTRIES = EntryPoints(-1, ())


def find_entry_points(path: str | Path) -> EntryPoints:
    """Decode the file from its start and, beside it, from each place that may do. FrameReadError for a bad frame."""
    capture, count, first_number, last_keyframe = open_video(path), 0, 0, 0
    due: list[tuple[int, int]] = []  # first, target
    trials: list[_Trial] = []
    kept: list[Entry] = []
    while capture.grab():
        if count == 0:
            first_number = _number_by_time(capture)
        elif _is_keyframe(capture) and count - last_keyframe >= APART:
            due.append((count + LEAD, _number_by_time(capture) - first_number + LEAD))
            last_keyframe = count
        if due and due[0][0] == count:
            trials.append(_Trial(path, *due.pop(0)))
        if trials:
            frame = retrieve(capture, path, count)
            trials = [trial for trial in trials if trial.agrees(frame)]
        count += 1
        while len(trials) > 1 and count - trials[1].first >= OVERLAP:
            kept.append(trials.pop(0).entry(count))
    return EntryPoints(count, tuple(sorted([*kept, *(trial.entry(count) for trial in trials)], key=lambda e: e.first)))


class _Trial:
    """A second decoding of the file, that began with a seek."""

    def __init__(self, path: str | Path, first: int, target: int):
        self.path, self.first, self.target, self.position = path, first, target, first
        self.checksum = 0
        self.capture = _sought(path, target)

    def agrees(self, expected: np.ndarray) -> bool:
        """Whether its next frame is the expected one."""
        there, frame = self.capture.retrieve() if self.capture.grab() else (False, None)
        if not there or not np.array_equal(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), expected):
            return False
        if self.position == self.first:
            self.checksum = zlib.crc32(expected)
        self.position += 1
        return True

    def entry(self, stop: int) -> Entry:
        return Entry(self.target, self.first, stop, self.checksum)


def _sought(path: str | Path, target: int) -> cv2.VideoCapture:
    capture = open_video(path)
    capture.set(cv2.CAP_PROP_POS_FRAMES, target)
    return capture


def _is_keyframe(capture: cv2.VideoCapture) -> bool:
    """Whether the frame grabbed is coded alone; without the property (OpenCV 4.8) none is known to be, and no seek is
    used.
    """
    kind = getattr(cv2, "CAP_PROP_FRAME_TYPE", None)
    return kind is not None and capture.get(kind) == ord("I")


def _number_by_time(capture: cv2.VideoCapture) -> int:
    """What OpenCV takes for the number of the frame grabbed, when it seeks."""
    return int(capture.get(cv2.CAP_PROP_POS_MSEC) * capture.get(cv2.CAP_PROP_FPS) / 1000 + 0.5)


class Cursor:
    """Goes forward through the frames of a video, by places where that saves decoding.

    position: how many frames are behind it, counted from the start, the one at hand included.
    """

    def __init__(self, path: str | Path, points: EntryPoints):
        self.path, self.points = path, points
        self._from_start()

    def move_to(self, index: int) -> bool:
        """Whether there is such a frame; `index` is not below the one of the call before."""
        if 0 <= self.points.frames <= index:
            self.position = self.points.frames
            return False
        entry = self.points.before(index)
        if entry and (index >= self._stop or entry.first - self.position > LEAD):
            self._enter(entry)
        elif index >= self._stop:
            self._from_start()
        while self.position <= index:
            if not self._capture.grab():
                if self._stop == FROM_START:
                    return False
                self._doubt()  # it was there when the places were tried
                continue
            self.position += 1
        return True

    def frame(self) -> np.ndarray:
        """The frame moved to, (height, width, 3) uint8 RGB. FrameReadError."""
        return retrieve(self._capture, self.path, self.position - 1)

    def _from_start(self) -> None:
        self._capture, self.position, self._stop = open_video(self.path), 0, FROM_START

    def _enter(self, entry: Entry) -> None:
        capture = _sought(self.path, entry.target)
        there, frame = capture.retrieve() if capture.grab() else (False, None)
        if there and zlib.crc32(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)) == entry.checksum:
            self._capture, self.position, self._stop = capture, entry.first + 1, entry.stop
        else:
            self._doubt()

    def _doubt(self) -> None:
        """Another frame than the one that was there: the places are of no use."""
        self.points = NO_ENTRIES
        self._from_start()


def skipped_frames(wanted: Sequence[int] | np.ndarray) -> int:
    """How many frames are decoded for nothing where these, sorted and distinct, are read from the start."""
    return int(wanted[-1]) + 1 - len(wanted)
