"""Frames of a camera or of a stream on the network, which come when they come: late ones are left out.

A thread reads, so that nothing piles up in the driver while a frame is looked at; the queue between holds a few frames,
and where it is full the oldest one goes.
"""

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from detect.video.opencv import quiet_opencv
from detect.video.readers import DEFAULT_FPS, FrameReadError

QUEUE = 16  # frames: half a second, and what comes while a detector looks at one keyframe
TIMEOUT = 10  # seconds in which a stream on the network must answer
_CAMERA, _DEVICE, _ADDRESS = (re.compile(p) for p in (r"\d{1,3}", r"/dev/video\d+", r"[a-z][a-z0-9+.-]*://.+"))


class Capture(Protocol):
    """A source of frames. fps: what it says, 0 where it does not know.  endless: it does not wait for its reader."""

    fps: float
    endless: bool

    def read(self) -> np.ndarray | None:
        """The next frame (h, w, 3) uint8 RGB, when it is there; None when there are no more."""

    def release(self) -> None: ...


class Arrival(NamedTuple):
    """A frame with the time at which it came, in seconds of `LiveFrames.clock`."""

    frame: np.ndarray
    time: float


def is_live(source: str) -> bool:
    """Whether it names a camera (0, /dev/video0) or an address (rtsp://..., http://...), and no file or folder."""
    return any(pattern.fullmatch(str(source)) for pattern in (_CAMERA, _DEVICE, _ADDRESS))


class OpenCVCapture:
    """A camera or an address by OpenCV. FrameReadError where it does not open."""

    def __init__(self, source: str):
        with quiet_opencv():
            if _ADDRESS.fullmatch(source):
                wait = TIMEOUT * 1000
                limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, wait, cv2.CAP_PROP_READ_TIMEOUT_MSEC, wait]
                self._capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, limits)
            else:
                self._capture = cv2.VideoCapture(int(source) if source.isdigit() else source)
        if not self._capture.isOpened():
            raise FrameReadError(_does_not_open(source))
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # of drivers that have one: its frames would be old ones
        self.fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.endless = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) <= 0  # a file on a web server says how long it is

    def read(self) -> np.ndarray | None:
        there, frame = self._capture.read()
        return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) if there else None

    def release(self) -> None:
        self._capture.release()


def shown_name(source: str) -> str:
    """The address without the password that it may hold."""
    return re.sub(r"(?<=//)[^/@]*@", "", source)


def _does_not_open(source: str) -> str:
    if _ADDRESS.fullmatch(source):
        name = shown_name(source)
        return f"{name}: gives no video (an answer is waited for {TIMEOUT} s); see whether a player opens it"
    return (
        f"camera {source}: does not open; it is not there, in use by another program, or not yours to read. "
        "`ls -l /dev/video*` shows those of this machine; a folder of that name is given as ./NAME"
    )


class LiveFrames:
    """Iterates over the frames of a capture, leaving out those for which there was no time.

    At most `queue` frames wait. What a capture that is not `endless` has is given whole: the reader waits.

        with LiveFrames(OpenCVCapture("0")) as live:
            for frame, time in live.arrivals():
                ...

    dropped: how many were left out.  count: how many came.  FrameReadError where the first one does not come.
    """

    def __init__(self, capture: Capture, queue: int = QUEUE, clock: Callable[[], float] = time.monotonic):
        self.capture, self.clock = capture, clock
        self.fps = capture.fps if 0 < capture.fps < 1000 else DEFAULT_FPS
        self.count = self.dropped = 0
        self._queue: deque[Arrival] = deque()
        self._most, self._over, self._failure = queue, False, None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="camera", daemon=True)

    def __enter__(self) -> "LiveFrames":
        return self

    def __exit__(self, *_) -> None:
        self.stop()
        if self._thread.ident is None:
            self.capture.release()
        else:
            self._thread.join(timeout=2.0)  # a driver may hang; the thread ends with the program then

    def stop(self) -> None:
        """No more frames are taken; those that wait are given out. Safe in a signal handler."""
        self._over = True

    def arrivals(self) -> Iterator[Arrival]:
        """The frames from now on, with the times at which they came, as long as there are any. To be called once."""
        self._thread.start()
        while (arrival := self._next()) is not None:
            yield arrival
        if self._failure is not None:
            raise self._failure

    def _next(self) -> Arrival | None:
        with self._changed:
            while not self._queue and not self._over:
                self._changed.wait(0.1)  # `stop` cannot notify: a signal may come while the lock is held
            arrival = self._queue.popleft() if self._queue else None
            self._changed.notify_all()
            return arrival

    def _read(self) -> None:
        try:
            while not self._over and (frame := self.capture.read()) is not None:
                self._put(Arrival(frame, self.clock()))
            if not (self.count or self._over):
                self._failure = FrameReadError("the camera opened and gave no frame; is another program using it?")
        except Exception as error:  # it belongs to who asks for frames, not to this thread
            self._failure = error
        finally:
            self.capture.release()
            self._over = True
            with self._changed:
                self._changed.notify_all()

    def _put(self, arrival: Arrival) -> None:
        with self._changed:
            while not self.capture.endless and len(self._queue) >= self._most and not self._over:
                self._changed.wait(0.1)
            if len(self._queue) >= self._most:
                self._queue.popleft()
                self.dropped += 1
            self._queue.append(arrival)
            self.count += 1
            self._changed.notify_all()
