"""Files: written whole or not at all, read with a clear word where they cannot be, named by their contents."""

import csv
import errno
import hashlib
import io
import json
import logging
import math
import os
import re
import sys
import uuid
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from detect.utils.errors import UserError

logger = logging.getLogger(__name__)
_NOT_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_TEMPORARY = re.compile(r"\.(.+)\.(\d+)\.tmp(\.\w+)?")


class UnusableFileError(UserError, OSError):
    """A file that cannot be read or written; the message names it and says why."""


def make_folder(path: str | os.PathLike) -> Path:
    """The folder, made with its parents where it is not there. UnusableFileError where it cannot be."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnusableFileError(f"{path}: this folder cannot be made: {error.strerror}") from error
    return Path(path)


def temporary_beside(path: Path, suffix: str = "") -> Path:
    """What this process calls `path` while it writes it; `remove_leftovers` knows the name."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp{suffix}")


@contextmanager
def atomic_file(path: str | os.PathLike, size: int | None = None) -> Iterator[BinaryIO]:
    """A binary file that takes the place of `path` when the block ends, and vanishes if the block fails.

    It is written beside `path`, forced to the disk and renamed, so a crash leaves `path` as it was. UnusableFileError
    where it cannot be made, or the disk is full. size: about how many bytes are to be written, for that message.
    """
    path = Path(path)
    temporary = temporary_beside(path)
    make_folder(path.parent)
    try:
        stream = open(temporary, "wb")  # noqa: SIM115
    except OSError as error:
        raise UnusableFileError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except Exception as error:
        if (cause := _of_a_full_disk(error)) is None:
            raise
        about = "" if size is None else f" (about {size:,} bytes were to be written)"
        raise UnusableFileError(
            f"{path}: cannot be written: {cause.strerror}{about}; what was there before is kept. "
            "Next: make room in this folder, or write to another one"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _of_a_full_disk(error: BaseException | None) -> OSError | None:
    """The OSError of a full disk, quota, size limit or broken disk behind `error`: torch.save raises one of its own."""
    while error is not None and not (isinstance(error, OSError) and error.errno in _NOT_WRITTEN):
        error = error.__cause__ or error.__context__
    return error


def remove_leftovers(
    folder: str | os.PathLike, pattern: str = ".*.tmp", only: Container[str] | None = None
) -> list[Path]:
    """Remove what `atomic_file` left directly in `folder` when its process was killed; returns those files.
    pattern: of the names of `temporary_beside`. only: the names of the files that were to be written, if not all.

    Call it before this process, and others that write there, write: a file of this process's id is an earlier one's.
    """
    removed = []
    for path in sorted(Path(folder).glob(pattern)):
        match = _TEMPORARY.fullmatch(path.name)
        if match is None or not path.is_file() or _other_process_lives(int(match[2])):
            continue
        if only is not None and match[1] not in only:
            continue
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("%s: left by a run that was killed, and cannot be removed: %s", path, error.strerror)
        else:
            removed.append(path)
    return removed


def _other_process_lives(pid: int) -> bool:
    if pid == os.getpid():  # in a container every run may have the same id
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # someone else's
        return True
    return True


def read_text(path: str | os.PathLike) -> str:
    """The text of a UTF-8 file, its line ends as \\n; a byte order mark is dropped. UnusableFileError."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UnusableFileError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UnusableFileError(f"{path}: not a text file in UTF-8 ({error})") from error


def write_text(path: str | os.PathLike, text: str) -> None:
    content = text.encode("utf-8", "backslashreplace")  # file names need not be UTF-8
    with atomic_file(path, len(content)) as stream:
        stream.write(content)


def write_once(path: str | os.PathLike, text: str) -> None:
    """As `write_text`, unless the file is there: of several processes at once, on any machines, the first one's stays.

    Where the file system has no hard links, by which one of them is the first, the last one's does.
    """
    path = Path(path)
    if path.exists():
        return
    own = temporary_beside(path.with_name(f"{path.name}.{uuid.uuid4().hex}"))  # two machines may have a process id each
    write_text(own, text)
    try:
        os.link(own, path)
    except FileExistsError:
        pass
    except OSError:
        write_text(path, text)
    finally:
        own.unlink(missing_ok=True)


def write_json(path: str | os.PathLike, value: Mapping) -> None:
    """Write JSON; numpy values become plain ones, numbers that are not finite become null."""
    write_text(path, json.dumps(_plain(value), indent=2, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def write_csv(path: str | os.PathLike, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A header and a line for each row; None is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def refuse_to_overwrite(names: dict[str, str]) -> None:
    """UserError if two of the options, {option: path}, are one file."""
    seen: dict[str, str] = {}
    for option, path in names.items():
        if path:
            real = os.path.realpath(path)
            if other := seen.get(real):
                raise UserError(f"{option} {path} is {other} too; give another file")
            seen[real] = option


def hash_files(*paths: str | os.PathLike) -> str:
    """sha256, in hex, of the files' contents in the given order."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            with open(path, "rb") as stream:
                while chunk := stream.read(1 << 20):
                    digest.update(chunk)
        except OSError as error:
            raise UnusableFileError(f"{path}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def signature(path: str | os.PathLike) -> list[int]:
    """What changes when a file, or a file in a folder, does: how many there are, their bytes, the newest time (ns).

    OSError where it is not there.
    """
    if os.path.isdir(path):
        with os.scandir(path) as entries:
            stats = [entry.stat() for entry in entries]
    else:
        stats = [os.stat(path)]
    return [len(stats), sum(stat.st_size for stat in stats), max((stat.st_mtime_ns for stat in stats), default=0)]


def report_bad_inputs(path: str | os.PathLike, rows: Sequence[tuple[str, str]]) -> None:
    """Name the bad inputs, (file, reason), on stderr and, in place of earlier ones, in `path`."""
    list_bad_inputs(path, rows, keep=False)
    for _, reason in rows:
        print(f"bad input: {reason}", file=sys.stderr)


def list_bad_inputs(path: str | os.PathLike, rows: Iterable[tuple[str, str]], *, keep: bool = True) -> None:
    """Write the lines `file<tab>message` of a bad_inputs.txt, each once, after those that are there (`keep`) or in
    their place; no lines, no file.
    """
    path = Path(path)
    lines = path.read_text("utf-8", "replace").splitlines() if keep and path.exists() else []
    lines = list(dict.fromkeys([*lines, *(f"{file}\t{message}" for file, message in rows)]))
    if lines:
        write_text(path, "\n".join(lines) + "\n")
    else:
        path.unlink(missing_ok=True)
