"""OpenCV's log level is one for all threads."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import cv2
import pytest

from detect.video.opencv import quiet_opencv

log = getattr(cv2.utils, "logging", cv2)


def test_blocks_that_overlap_in_threads_leave_the_level_of_before():
    """The one that opens first closes first, while the other is open: it must not take the silent level for the
    level of before, nor end the other's silence.
    """
    before = log.getLogLevel()
    assert before != 0
    opened, both, closed = Barrier(2), Barrier(2), Barrier(2)

    def first():
        with quiet_opencv():
            opened.wait(10)
            both.wait(10)
        closed.wait(10)

    def second():
        opened.wait(10)
        with quiet_opencv():
            both.wait(10)
            closed.wait(10)
            return log.getLogLevel()

    def third():
        for _ in range(200):
            with quiet_opencv():
                assert log.getLogLevel() == 0

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(work) for work in (first, second, third, third)]
        assert [job.result(20) for job in waiting] == [None, 0, None, None]
    assert log.getLogLevel() == before


def test_an_error_inside_restores_it():
    before = log.getLogLevel()
    with pytest.raises(RuntimeError), quiet_opencv():
        raise RuntimeError
    assert log.getLogLevel() == before
