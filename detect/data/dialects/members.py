"""Small text files below a folder or in a tar or zip archive, read where they are, and written to a folder or tar."""

import hashlib
import io
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from detect.data.checks import AnnotationError
from detect.utils.errors import UserError
from detect.utils.files import atomic_file, hash_files, make_folder

MAX_MEMBER = 1 << 20  # bytes of one file; a frame's boxes have a few lines
ARCHIVES = (".tar", ".tar.gz", ".tgz")


def text_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every .txt file, names relative and with /, sorted where it is a folder. Nothing is unpacked
    to disk. AnnotationError for a damaged archive and for a file over a megabyte.
    """
    if path.is_dir():
        yield from _of_folder(path)
        return
    try:
        yield from _of_zip(path) if zipfile.is_zipfile(path) else _of_tar(path)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        raise AnnotationError(f"{path}: not a readable tar or zip archive ({error}); it may be cut off") from error
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error})") from error


def hash_members(path: Path) -> str:
    """sha256 of an archive, or of the names and contents of a folder's .txt files."""
    if not path.is_dir():
        return hash_files(path)
    digest = hashlib.sha256()
    for name, content in _of_folder(path):
        digest.update(f"{name}\0{len(content)}\0".encode("utf-8", "surrogateescape") + content)
    return digest.hexdigest()


def _of_folder(path: Path) -> Iterator[tuple[str, bytes]]:
    for folder, folders, files in os.walk(path):
        folders.sort()
        for file in sorted(file for file in files if file.endswith(".txt")):
            place = os.path.join(folder, file)
            _check_size(place, os.path.getsize(place))
            with open(place, "rb") as stream:
                yield os.path.relpath(place, path).replace(os.sep, "/"), stream.read(MAX_MEMBER)


def _of_tar(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(".txt"):
                _check_size(member.name, member.size)
                yield member.name, archive.extractfile(member).read()


def _of_zip(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.filename.endswith(".txt"):
                _check_size(info.filename, info.file_size)
                with archive.open(info) as stream:
                    yield info.filename, stream.read(MAX_MEMBER)


def _check_size(name: str, size: int) -> None:
    if size > MAX_MEMBER:
        raise AnnotationError(f"{name}: {size} bytes; a file of boxes has at most {MAX_MEMBER}")


def write_members(path: Path, members: Iterable[tuple[str, str]]) -> None:
    """Write (name, text) pairs below a new folder, or into one archive where `path` ends as one of `ARCHIVES`; all or
    nothing. UserError for a folder that is there and not empty, or a name that leads out of it.
    """
    if path.name.endswith(ARCHIVES):
        with (
            atomic_file(path) as stream,
            tarfile.open(fileobj=stream, mode="w:gz" if "gz" in path.name else "w") as tar,
        ):
            for name, text in members:
                content = text.encode()
                member = tarfile.TarInfo(_safe(name))
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        return
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(
            f"{path}: exists and is not an empty folder; name a new one, or one that ends in .tar.gz"
        )
    temporary = make_folder(path.with_name(f".{path.name}.{os.getpid()}.tmp"))
    try:
        for name, text in members:
            place = temporary / _safe(name)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _safe(name: str) -> str:
    if name.startswith("/") or ".." in name.split("/") or "\\" in name or "\0" in name:
        raise UserError(f"the video name {name!r} leads out of the folder; it cannot be written as a file")
    return name
