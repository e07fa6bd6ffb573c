"""Jobs in processes: every result comes, errors do, and nobody is left behind."""

import multiprocessing
import os
import signal
import time
from contextlib import closing

import pytest

from detect.utils.errors import UserError
from detect.utils.processes import WorkerKilledError, in_processes


def half(number):
    if number % 2:
        raise UserError(f"{number} is odd")
    return number // 2


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


def test_every_job_and_its_result():
    assert sorted(in_processes(half, ((n,) for n in range(0, 40, 2)), 2)) == [((n,), n // 2) for n in range(0, 40, 2)]


def test_an_error_is_raised_here():
    with pytest.raises(UserError, match="3 is odd"):
        list(in_processes(half, [(2,), (3,)], 1))
    assert not multiprocessing.active_children()


def test_a_killed_worker_is_said_with_its_job():
    with pytest.raises(WorkerKilledError, match="killed .* at one of 17$"):
        list(in_processes(die, [(17,)], 1))


def test_closed_before_the_end():
    with closing(in_processes(time.sleep, [(0,), (60,), (60,)], 2)) as results:
        assert next(results) == ((0,), None)
        start = time.monotonic()
    assert time.monotonic() - start < 10 and not multiprocessing.active_children()


def test_other_children_of_this_process_live_on():
    other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    other.start()
    try:
        with pytest.raises(UserError, match="3 is odd"):
            list(in_processes(half, [(3,)], 1))
        with closing(in_processes(time.sleep, [(0,), (60,)], 1)) as results:
            assert next(results) == ((0,), None)
        assert multiprocessing.active_children() == [other]
    finally:
        other.kill()
        other.join()
