"""What the demo looks at: a file, a folder or a camera, with one face."""

import math
import time
from collections import deque
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import numpy as np
from tqdm import tqdm

from detect.api import ActionDetector
from detect.video.live import LiveFrames, OpenCVCapture, is_live, shown_name
from detect.video.readers import container_facts, iter_frames

# Of a camera the detector should not wait for long spans; two of its windows share still
LIVE_LINES = ("INPUT.SPAN_FRAMES", 32)
MOST_EVERY = 16  # frames between two keyframes of a camera; beyond, frames are left out


class FileInput:
    """A video file or a folder of numbered images. `stop` ends it before its last frame."""

    live = False

    def __init__(self, video: str):
        self.name, self.video = Path(video).stem, video
        self.fps, self._about = container_facts(video)
        self._over = False

    def __enter__(self) -> "FileInput":
        return self

    def __exit__(self, *_) -> None:
        pass

    def frames(self) -> Iterator[np.ndarray]:
        frames = iter_frames(self.video, threads=0)
        yield from takewhile(lambda _: not self._over, tqdm(frames, Path(self.video).name, self._about, unit="frame"))

    def time_of(self, frame: int) -> tuple[float, str]:
        """When the frame is shown, in seconds from the first one, and a word about it; called for each in order."""
        return frame / self.fps, ""

    def stop(self) -> None:
        self._over = True

    def every(self, detector: ActionDetector, every: int | None, flow: str) -> int:
        return detector.every(every)

    def summary(self) -> str:
        return ""


class CameraInput:
    """A camera or an address. Frames for which there is no time are left out; `stop` ends it with what there is."""

    live = True

    def __init__(self, video: str):
        self.video = self.name = shown_name(video)
        self._frames = LiveFrames(OpenCVCapture(video))
        self.fps = self._frames.fps
        self._arrived: deque[float] = deque()  # of the frames that the detector has, and whose results are awaited
        self._first, self._waits, self._count = None, 0.0, 0
        self._most = 0.0
        self._bar = None

    def __enter__(self) -> "CameraInput":
        return self

    def __exit__(self, *_) -> None:
        self._frames.__exit__(None, None, None)

    def frames(self) -> Iterator[np.ndarray]:
        with tqdm(desc=self.name, unit="frame") as self._bar:
            for frame, arrived in self._frames.arrivals():
                self._arrived.append(arrived)
                yield frame

    def time_of(self, frame: int) -> tuple[float, str]:
        arrived = self._arrived.popleft()
        self._first = arrived if self._first is None else self._first
        wait = self._frames.clock() - arrived
        self._waits, self._most, self._count = self._waits + wait, max(self._most, wait), self._count + 1
        self._bar.set_postfix_str(f"latency {wait:.2f} s, {self._frames.dropped} left out", refresh=False)
        self._bar.update()
        return arrived - self._first, f"latency {wait:.2f} s"

    def stop(self) -> None:
        self._frames.stop()

    def every(self, detector: ActionDetector, every: int | None, flow: str) -> int:
        """As given; else so that the detector keeps up with the camera: a keyframe is timed."""
        if every is not None:
            return every
        clip = np.zeros((detector.cfg.INPUT.NUM_FRAMES, 480, 640, 3), np.uint8)
        for _ in range(2):  # the first time is longer than the others
            start = time.perf_counter()
            detector.detect_clip(clip, flow=flow)
            seconds = time.perf_counter() - start
        return max(detector.every(None), min(math.ceil(1.1 * seconds * self.fps), MOST_EVERY))

    def summary(self) -> str:
        mean = self._waits / max(self._count, 1)
        came, dropped = self._frames.count, self._frames.dropped
        return f"{self.name}: {came} frames came, {dropped} left out; latency {mean:.2f} s, at most {self._most:.2f} s"


def open_input(video: str) -> FileInput | CameraInput:
    """FrameReadError where a camera does not open; of a file, when its frames are asked for."""
    return CameraInput(video) if is_live(video) else FileInput(video)
