"""What readers and writers need of OpenCV itself."""

from collections.abc import Iterator
from contextlib import contextmanager

import cv2


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """OpenCV writes on stderr what it cannot open; here that is an error, raised once, with the file's name."""
    log = getattr(cv2.utils, "logging", cv2)  # the functions moved in OpenCV 5
    level = log.getLogLevel()
    log.setLogLevel(0)  # silent
    try:
        yield
    finally:
        log.setLogLevel(level)
