"""Video files written frame by frame."""

import logging
import os
from collections.abc import Callable, Iterable
from glob import escape
from pathlib import Path

import cv2
import numpy as np

from detect.utils.errors import UserError
from detect.utils.files import UnusableFileError, make_folder, remove_leftovers, temporary_beside
from detect.video.encoders import Encoder, open_mjpeg, open_mp4

logger = logging.getLogger(__name__)


class VideoWriter:
    """Writes RGB frames one by one (.mp4: H.264 where it can be had, else MPEG-4; .avi: Motion JPEG); the file appears
    when it is complete.

    `codec` says what was written, from the first frame on. The codecs want even sizes: an odd one is padded by a row or
    column, and a frame of another size than the first is cut or padded to it; a warning says so. UnusableFileError,
    with the former file as it was, where what was written cannot be read back, as on a full disk.
    """

    ENCODERS: dict[str, Callable[..., Encoder]] = {".mp4": open_mp4, ".avi": open_mjpeg}

    def __init__(self, path: str | Path, fps: float):
        self.path, self.fps = Path(path), fps
        suffix = self.path.suffix.lower()
        if suffix not in self.ENCODERS:
            raise UserError(f"output video {self.path}: the suffix must be one of {', '.join(self.ENCODERS)}")
        make_folder(self.path.parent)
        self.temporary = temporary_beside(self.path, suffix)  # OpenCV looks at the suffix
        remove_leftovers(self.path.parent, f".{escape(self.path.name)}.*.tmp{suffix}")
        self._open = self.ENCODERS[suffix]
        self.encoder, self.codec, self.count, self.size, self._warned = None, "", 0, (0, 0), False
        self._last: np.ndarray | None = None

    def write(self, frame: np.ndarray, time: float | None = None) -> None:
        """Append a frame (h, w, 3) uint8.

        time: when it is shown, in seconds from the first one's 0, for frames that do not come at one rate: the one
        before stands until then, and one that comes too soon for the rate takes its place.
        """
        height, width = frame.shape[:2]
        if self.encoder is None:
            self.size = (height + height % 2, width + width % 2)
            self.encoder = self._open(self.temporary, self.fps, self.size)
            self.codec = self.encoder.codec
        if (height, width) != self.size:
            frame = self._fit(frame)
        if time is None:
            self._encode(frame)
            return
        while self._last is not None and self.count < round(time * self.fps):
            self._encode(self._last)
        self._last = frame.copy()

    def _encode(self, frame: np.ndarray) -> None:
        try:
            self.encoder.write(frame)
        except OSError as error:
            raise self._unusable(f"frame {self.count} cannot be written ({error.strerror or error})") from error
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
            if self.encoder is not None and kind is None:
                if self._last is not None:
                    self._encode(self._last)
                self._close()
                self._check()
                os.replace(self.temporary, self.path)
        finally:  # a signal may have come when the file was there and `encoder` was not yet
            if self.encoder is not None:
                self.encoder.abandon()
            self.temporary.unlink(missing_ok=True)

    def _close(self) -> None:
        try:
            self.encoder.close()
        except OSError:
            raise self._unusable(f"{self.count} frames were written and cannot be read back") from None

    def _check(self) -> None:
        """OpenCV does not say when the disk is full: the file must say as many frames, and give the last of them."""
        capture = cv2.VideoCapture(str(self.temporary), cv2.CAP_FFMPEG)
        said = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.set(cv2.CAP_PROP_POS_FRAMES, self.count - 1)
        if said != self.count or not capture.read()[0]:
            raise self._unusable(f"{self.count} frames were written and cannot be read back")

    def _unusable(self, what: str) -> UnusableFileError:
        return UnusableFileError(f"{self.path}: {what}; is the disk full? What stood there before was kept")


def save_video(path: str | Path, frames: Iterable[np.ndarray], fps: float = 16.0) -> None:
    """Write RGB frames of one size as a video."""
    with VideoWriter(path, fps) as writer:
        for frame in frames:
            writer.write(frame)
