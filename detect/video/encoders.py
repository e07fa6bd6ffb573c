"""Encoders of a video file: H.264 by PyAV or by OpenCV, and what every OpenCV has.

H.264 with 4:2:0 colour in an MP4 whose index comes first is what every browser plays. The OpenCV wheels have no encoder
of it; those of other builds (conda, Linux distributions, macOS) may. PyAV's wheels have libx264.
"""

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from detect.utils.files import UnusableFileError
from detect.video.opencv import quiet_opencv

H264, MPEG4, MJPEG = "H.264", "MPEG-4 Part 2", "Motion JPEG"
# libx264's constant quality and speed; against MPEG-4 in docs/performance.md
QUALITY, PRESET = "20", "veryfast"
Size = tuple[int, int]  # height, width, even


class Encoder(Protocol):
    """codec: what it writes, for people.  OSError where the file cannot be written, if the library says so."""

    codec: str

    def write(self, frame: np.ndarray) -> None: ...

    def close(self) -> None: ...

    def abandon(self) -> None:
        """Let go of the file, whatever state it is in; after `close` too."""


def open_mp4(path: Path, fps: float, size: Size) -> Encoder:
    """H.264 by PyAV where it is installed, by OpenCV where it can, else MPEG-4 Part 2, which browsers do not play."""
    return open_h264(path, fps, size) or OpenCVEncoder(path, "mp4v", MPEG4, fps, size)


def open_mjpeg(path: Path, fps: float, size: Size) -> Encoder:
    return OpenCVEncoder(path, "MJPG", MJPEG, fps, size)


def open_h264(path: Path, fps: float, size: Size) -> Encoder | None:
    """None where neither library has an encoder of it."""
    try:
        import av
    except ImportError:
        av = None
    if av is not None and "libx264" in av.codecs_available:
        return PyAVEncoder(path, fps, size)
    with suppress(UnusableFileError), quiet_opencv():
        return OpenCVEncoder(path, "avc1", H264, fps, size)
    return None


class OpenCVEncoder:
    def __init__(self, path: Path, fourcc: str, codec: str, fps: float, size: Size):
        self.codec = codec
        self._writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*fourcc), fps, size[::-1])
        if not self._writer.isOpened():
            raise UnusableFileError(f"OpenCV cannot write a {path.suffix} video to {path}")

    def write(self, frame: np.ndarray) -> None:
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        self._writer.release()

    abandon = close


class PyAVEncoder:
    codec = H264

    def __init__(self, path: Path, fps: float, size: Size):
        import av

        rate = Fraction(fps).limit_denominator(1001)  # 30000/1001 and the like
        try:
            self._file = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        except OSError as error:
            raise UnusableFileError(f"{path}: cannot be written ({error.strerror})") from error
        try:
            self._stream = self._file.add_stream("libx264", rate=rate, options={"crf": QUALITY, "preset": PRESET})
            self._stream.height, self._stream.width = size
            self._stream.pix_fmt = "yuv420p"
        except BaseException:
            self.abandon()
            raise
        self._frame_of = av.VideoFrame.from_ndarray

    def write(self, frame: np.ndarray) -> None:
        self._file.mux(self._stream.encode(self._frame_of(frame, format="rgb24")))

    def close(self) -> None:
        self._file.mux(self._stream.encode(None))  # those that wait for later ones
        self._file.close()

    def abandon(self) -> None:
        with suppress(OSError, ValueError):
            self._file.close()
