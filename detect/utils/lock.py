"""One training at a time in a folder."""

import errno
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from detect.utils.comm import is_main_process
from detect.utils.errors import UserError
from detect.utils.files import UnusableFileError, make_folder

logger = logging.getLogger(__name__)
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_open_locks: set[int] = set()  # file descriptors


class FolderInUseError(UserError):
    """Another run writes to the folder."""


@contextmanager
def only_run(folder: str | os.PathLike) -> Iterator[None]:
    """Hold `folder`/.lock within the block; FolderInUseError if another run has it.

    Rank 0 does, the others pass. The lock ends with the process, however it ends.
    """
    if not is_main_process():
        yield
        return
    path = make_folder(folder) / ".lock"
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise UnusableFileError(f"{path}: cannot be written: {error.strerror}") from error
    _open_locks.add(lock)
    try:
        _take(lock, path)
        yield
    finally:
        if lock in _open_locks:
            _open_locks.remove(lock)
            os.close(lock)


def _take(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 200).decode(errors="replace").strip() or "unknown"
        raise FolderInUseError(
            f"{path.parent}: another run ({holder}) is training into this folder; wait for it or stop it, or give "
            "another OUTPUT_DIR"
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise UnusableFileError(f"{path}: cannot be locked: {error.strerror}") from error
        logger.warning("%s: this file system has no locks; see that no other run writes there", path)
        return
    with suppress(OSError):  # only a help to who reads it; the disk may be full
        os.truncate(lock, 0)
        os.write(lock, f"process {os.getpid()} on {socket.gethostname()}\n".encode())


def _close_in_child() -> None:
    """A forked loader process that outlives its killed parent by seconds must not hold the lock."""
    while _open_locks:
        os.close(_open_locks.pop())


os.register_at_fork(after_in_child=_close_in_child)
