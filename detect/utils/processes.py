"""Work shared out to processes of one thread each, a video at a time."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

import cv2

from detect.utils.errors import UserError


class WorkerKilledError(UserError, ChildProcessError):
    """A worker process ended before its job did."""


def in_processes(function: Callable, jobs: Iterable[tuple], workers: int) -> Iterator[tuple[tuple, Any]]:
    """(job, `function(*job)`) of each job, as they finish; its errors are raised here. Close it where it is not used to
    its end: then, and after any error, its workers, and no other
    children of this process, are killed.

    Few jobs are handed out ahead, as there can be 240,000. WorkerKilledError names those that were under way.
    """
    context = _Workers()
    pending: dict[Future, tuple] = {}
    with ProcessPoolExecutor(workers, context, _start_worker) as pool:
        try:
            for job in jobs:
                pending[pool.submit(function, *job)] = job
                if len(pending) >= 2 * workers:
                    yield from _finished(pending)
            while pending:
                yield from _finished(pending)
        except BaseException as error:
            for worker in context.workers:
                worker.kill()
            if isinstance(error, BrokenProcessPool):
                under_way = ", ".join(str(job[0]) for job in pending.values())
                raise WorkerKilledError(f"a worker process was killed (out of memory?) at one of {under_way}") from None
            raise


class _Workers(SpawnContext):
    """Starts the workers of a pool and knows them: this process may have other children. They are spawned, because a
    forked process inherits OpenCV's thread pool without its threads.
    """

    def __init__(self) -> None:
        super().__init__()
        self.workers: list[SpawnProcess] = []

    def Process(self, **arguments: Any) -> SpawnProcess:
        self.workers.append(SpawnProcess(**arguments))
        return self.workers[-1]


def _finished(pending: dict[Future, tuple]) -> Iterator[tuple[tuple, Any]]:
    for future in wait(pending, return_when=FIRST_COMPLETED).done:
        yield pending[future], future.result()
        del pending[future]


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its workers
    cv2.setNumThreads(1)

    def end_with_parent() -> None:  # also after kill -9
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
