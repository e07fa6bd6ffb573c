"""Cameras: frames are left out rather than late, memory is bounded, and the end is clean. No camera is needed."""

import os
import queue
import signal
import threading
import time
import weakref

import numpy as np
import pytest

from detect.utils.cli import finishing_on_signals
from detect.video.live import LiveFrames, OpenCVCapture, is_live, shown_name
from detect.video.readers import FrameReadError
from detect.video.writer import save_video


class Frame(np.ndarray):
    """An array that can be watched."""


class FakeCapture:
    """Gives the frames that a test feeds to it: numbers, None for the end, or an error."""

    fps = 25.0

    def __init__(self, endless=True):
        self.endless, self.released, self.made = endless, threading.Event(), []
        self._fed = queue.Queue()

    def feed(self, *items):
        for item in items:
            self._fed.put(item)

    def read(self):
        item = self._fed.get(timeout=20)
        if item is None or isinstance(item, Exception):
            if item is not None:
                raise item
            return None
        frame = np.full((4, 6, 3), item, np.uint8).view(Frame)
        self.made.append(weakref.ref(frame))
        return frame

    def release(self):
        self.released.set()

    def alive(self):
        return sum(frame() is not None for frame in self.made)


def wait_for(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_slow_reader_gets_the_newest_frames_and_memory_is_bounded():
    capture = FakeCapture()
    with LiveFrames(capture, queue=4) as live:
        arrivals = live.arrivals()
        capture.feed(0)
        assert next(arrivals).frame[0, 0, 0] == 0
        capture.feed(*range(1, 51))  # while the reader is busy with the first one
        wait_for(lambda: live.count == 51)
        assert capture.alive() <= 4 + 1 and live.dropped == 46
        capture.feed(None)
        assert [int(frame[0, 0, 0]) for frame, _ in arrivals] == [47, 48, 49, 50]  # without a gap between them
    assert capture.released.is_set() and live.dropped == 46


def test_a_fast_reader_gets_every_frame():
    capture, seen = FakeCapture(), []
    with LiveFrames(capture, queue=4) as live:
        capture.feed(0)
        for frame, arrived in live.arrivals():
            seen.append(int(frame[0, 0, 0]))
            assert 0 <= live.clock() - arrived < 5
            capture.feed(len(seen) if len(seen) < 30 else None)
    assert seen == list(range(30)) and live.dropped == 0 and live.fps == 25


def test_frames_are_left_out_rather_than_late():
    """A camera of 100 frames a second, a reader of 20: what it gets is no older than the queue is long, 4 / 100 s, and
    what a loaded machine adds; without leaving out the last of 100 frames would be 4 s late."""

    class Camera(FakeCapture):
        def read(self):
            time.sleep(0.01)
            self.made.append(None)
            return np.zeros((4, 6, 3), np.uint8) if len(self.made) < 100 else None

    ages = []
    with LiveFrames(Camera(), queue=4) as live:
        for _, arrived in live.arrivals():
            ages.append(live.clock() - arrived)
            time.sleep(0.05)
    assert live.dropped > 30 and live.dropped + len(ages) == live.count == 99
    assert np.median(ages) < 0.5


def test_a_file_on_a_web_server_is_given_whole():
    """It waits for its reader, so nothing is left out."""
    capture = FakeCapture(endless=False)
    capture.feed(*range(20), None)
    with LiveFrames(capture, queue=4) as live:
        seen = []
        for frame, _ in live.arrivals():
            seen.append(int(frame[0, 0, 0]))
            time.sleep(0.005)
            assert live.count - len(seen) <= 4 + 1
    assert seen == list(range(20)) and live.dropped == 0


def test_stopping_gives_out_what_waits():
    capture = FakeCapture()
    with LiveFrames(capture, queue=4) as live:
        arrivals = live.arrivals()
        capture.feed(0, 1, 2)
        next(arrivals)
        wait_for(lambda: live.count == 3)
        live.stop()
        capture.feed(3)  # the thread was waiting for it
        assert len(list(arrivals)) in (2, 3)
    assert capture.released.is_set()


def test_a_camera_that_gives_nothing_or_breaks():
    capture = FakeCapture()
    capture.feed(None)
    with LiveFrames(capture) as live, pytest.raises(FrameReadError, match="opened and gave no frame"):
        list(live.arrivals())
    capture = FakeCapture()
    capture.feed(1, OSError("unplugged"))
    seen = []
    with LiveFrames(capture) as live, pytest.raises(OSError, match="unplugged"):
        seen.extend(live.arrivals())
    assert capture.released.is_set()
    capture = FakeCapture()
    with LiveFrames(capture):
        pass  # never asked for a frame
    assert capture.released.is_set()


@pytest.mark.parametrize("source, live", [
    ("0", True), ("12", True), ("/dev/video0", True), ("rtsp://a/b", True), ("https://a/b.mp4", True),
    ("./0", False), ("video.mp4", False), ("1234", False), ("/data/0", False), ("C:/video.avi", False),
])  # fmt: skip
def test_what_is_live(source, live):
    assert is_live(source) == live


def test_opencv_opens_what_is_there_and_says_what_is_not(tmp_path):
    save_video(tmp_path / "film.avi", [np.full((32, 48, 3), 40 * k, np.uint8) for k in range(5)], fps=10)
    capture = OpenCVCapture(f"file://{tmp_path}/film.avi")
    assert (capture.fps, capture.endless) == (10, False)
    with LiveFrames(capture) as live:
        assert [round(frame.mean() / 40) for frame, _ in live.arrivals()] == [0, 1, 2, 3, 4]
    with pytest.raises(FrameReadError, match=r"^http://127.0.0.1:9/x: gives no video"):
        OpenCVCapture("http://user:secret@127.0.0.1:9/x")
    with pytest.raises(FrameReadError, match="camera 997: does not open"):
        OpenCVCapture("997")
    assert shown_name("rtsp://user:secret@host:554/a@b") == "rtsp://host:554/a@b"


def test_the_first_signal_stops_and_the_second_ends():
    stopped = []
    before = signal.getsignal(signal.SIGINT)
    with finishing_on_signals(lambda: stopped.append(1)):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        assert stopped == [1]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
    assert signal.getsignal(signal.SIGINT) is before
    with finishing_on_signals(lambda: stopped.append(1)):
        pass
    assert signal.getsignal(signal.SIGINT) is before
