"""A video file as OpenCV opens it, and the error of whatever cannot be read."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # errors are raised here, once, with the file's name

import cv2
import numpy as np

from detect.utils.errors import UserError
from detect.video.opencv import quiet_opencv

MAX_SAID_FRAMES = 10**7  # four days of video: a container that says more is wrong


class FrameReadError(UserError, RuntimeError):
    """A frame cannot be read; the message names the file, the frame and how many decode.

    `decoded`: how many frames the video has, where the reason is that it ends too early, else None.
    """

    decoded: int | None = None

    def __init__(self, message: str):
        super().__init__(printable(message))


class MissingMediaError(FrameReadError):
    """There is no such video file or frame folder."""


def printable(name: str | Path) -> str:
    """The name as UTF-8 can hold it: a byte of a file name that is no UTF-8 becomes \\xff or the like."""
    named = re.sub(r"[\udc80-\udcff]", lambda byte: f"\\x{ord(byte[0]) - 0xDC00:x}", str(name))
    return named.encode("utf-8", "backslashreplace").decode()


def said_length(path: str | Path) -> int:
    """How many frames a video's header says there are; 0 where it does not say."""
    said = int(open_video(path).get(cv2.CAP_PROP_FRAME_COUNT))
    return said if 0 < said < MAX_SAID_FRAMES else 0


def open_video(path: str | Path, threads: int = 1) -> cv2.VideoCapture:
    """Before its first frame. `threads` of the decoder: 0 leaves the choice to FFmpeg. FrameReadError."""
    # FFmpeg is named so that OpenCV does not take 00001.png for a sequence of images, nor try cameras
    with quiet_opencv(), _name_for_opencv(path) as name:
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads])
    if not capture.isOpened():
        raise FrameReadError(f"{path}: does not open as a video; it is empty, cut off or of an unknown format")
    return capture


@contextmanager
def _name_for_opencv(path: str | Path) -> Iterator[str]:
    """A name of the file that is UTF-8, there while it is opened: OpenCV 5 crashes on any other."""
    if printable(path) == str(path):
        yield str(path)
        return
    suffix = os.path.splitext(path)[1]
    with tempfile.TemporaryDirectory(prefix="video-") as folder:
        link = os.path.join(folder, "video" + (suffix if suffix.isascii() else ""))
        try:
            os.symlink(os.path.abspath(path), link)
        except OSError as error:
            raise FrameReadError(f"{path}: OpenCV cannot open a name that is not UTF-8; rename it ({error})") from error
        yield link


def retrieve(capture: cv2.VideoCapture, path: str | Path, index: int) -> np.ndarray:
    """The frame that was grabbed last, RGB uint8 (height, width, 3); `index` is for the message. FrameReadError."""
    ok, frame = capture.retrieve()
    if not ok or frame is None:
        raise FrameReadError(f"{path}: frame {index} does not decode")
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
