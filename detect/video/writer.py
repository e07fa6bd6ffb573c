"""Video files written frame by frame."""

import os
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from detect.utils.errors import UserError
from detect.utils.files import UnusableFileError, make_folder


class VideoWriter:
    """Writes RGB frames one by one (.mp4: MPEG-4, .avi: Motion JPEG); the file appears when it is complete."""

    CODECS = {".mp4": "mp4v", ".avi": "MJPG"}

    def __init__(self, path: str | Path, fps: float):
        self.path, self.fps = Path(path), fps
        suffix = self.path.suffix.lower()
        if suffix not in self.CODECS:
            raise UserError(f"output video {self.path}: the suffix must be one of {', '.join(self.CODECS)}")
        make_folder(self.path.parent)
        self.temporary = self.path.with_name(f".{self.path.stem}.part{suffix}")
        self.codec = cv2.VideoWriter_fourcc(*self.CODECS[suffix])
        self.writer = None

    def write(self, frame: np.ndarray) -> None:
        if self.writer is None:
            self.writer = cv2.VideoWriter(str(self.temporary), self.codec, self.fps, frame.shape[1::-1])
            if not self.writer.isOpened():
                raise UnusableFileError(f"OpenCV cannot write a {self.path.suffix} video to {self.path}")
        self.writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind, error, trace) -> None:
        if self.writer is None:
            return
        self.writer.release()
        if kind is None:
            os.replace(self.temporary, self.path)
        else:
            self.temporary.unlink(missing_ok=True)


def save_video(path: str | Path, frames: Iterable[np.ndarray], fps: float = 16.0) -> None:
    """Write RGB frames of one size as a video."""
    with VideoWriter(path, fps) as writer:
        for frame in frames:
            writer.write(frame)
