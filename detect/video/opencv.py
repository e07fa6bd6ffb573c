"""What readers and writers need of OpenCV itself."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

_lock = threading.Lock()
_depth, _level = 0, 0  # blocks that are open in all threads, and the level before the first of them


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """OpenCV writes on stderr what it cannot open; here that is an error, raised once, with the file's name.

    Its log level is one for all threads: the first block that opens silences it, the last that closes restores it.
    """
    global _depth, _level
    log = getattr(cv2.utils, "logging", cv2)  # the functions moved in OpenCV 5
    with _lock:
        if _depth == 0:
            _level = log.getLogLevel()
            log.setLogLevel(0)  # silent
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                log.setLogLevel(_level)
