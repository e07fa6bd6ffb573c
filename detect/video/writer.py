"""Video files written frame by frame."""

import logging
import os
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from detect.utils.errors import UserError
from detect.utils.files import UnusableFileError, make_folder

logger = logging.getLogger(__name__)


class VideoWriter:
    """Writes RGB frames one by one (.mp4: MPEG-4, .avi: Motion JPEG); the file appears when it is complete.

    The codecs want even sizes: an odd one is padded by a row or column, and a frame of another size than the first is
    cut or padded to it; a warning says so. UnusableFileError, with the former file as it was, where what was written
    cannot be read back, as on a full disk.
    """

    CODECS = {".mp4": "mp4v", ".avi": "MJPG"}

    def __init__(self, path: str | Path, fps: float):
        self.path, self.fps = Path(path), fps
        suffix = self.path.suffix.lower()
        if suffix not in self.CODECS:
            raise UserError(f"output video {self.path}: the suffix must be one of {', '.join(self.CODECS)}")
        make_folder(self.path.parent)
        self.temporary = self.path.with_name(f".{self.path.stem}.part{suffix}")
        self.codec = cv2.VideoWriter_fourcc(*self.CODECS[suffix])
        self.writer, self.count, self.size, self._warned = None, 0, (0, 0), False

    def write(self, frame: np.ndarray) -> None:
        height, width = frame.shape[:2]
        if self.writer is None:
            self.size = (height + height % 2, width + width % 2)
            self.writer = cv2.VideoWriter(str(self.temporary), self.codec, self.fps, self.size[::-1])
            if not self.writer.isOpened():
                raise UnusableFileError(f"OpenCV cannot write a {self.path.suffix} video to {self.path}")
        if (height, width) != self.size:
            frame = self._fit(frame)
        self.writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        self.count += 1

    def _fit(self, frame: np.ndarray) -> np.ndarray:
        (height, width), (full_height, full_width) = frame.shape[:2], self.size
        if not self._warned:
            logger.warning(
                "%s: %d x %d frames are fitted to %d x %d", self.path, width, height, full_width, full_height
            )
            self._warned = True
        frame = frame[:full_height, :full_width]
        below, right = full_height - frame.shape[0], full_width - frame.shape[1]
        return cv2.copyMakeBorder(frame, 0, below, 0, right, cv2.BORDER_REPLICATE)

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind, error, trace) -> None:
        try:
            if self.writer is not None:
                self.writer.release()
                if kind is None:
                    self._check()
                    os.replace(self.temporary, self.path)
        finally:  # a signal may have come when the file was there and `writer` was not yet
            self.temporary.unlink(missing_ok=True)

    def _check(self) -> None:
        """OpenCV does not say when the disk is full: the file must say as many frames, and give the last of them."""
        capture = cv2.VideoCapture(str(self.temporary), cv2.CAP_FFMPEG)
        said = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.set(cv2.CAP_PROP_POS_FRAMES, self.count - 1)
        if said != self.count or not capture.read()[0]:
            raise UnusableFileError(
                f"{self.path}: {self.count} frames were written and cannot be read back; is the disk full? "
                "What stood there before was kept"
            )


def save_video(path: str | Path, frames: Iterable[np.ndarray], fps: float = 16.0) -> None:
    """Write RGB frames of one size as a video."""
    with VideoWriter(path, fps) as writer:
        for frame in frames:
            writer.write(frame)
