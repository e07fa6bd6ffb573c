"""What a form of file is recognised by: a file's first bytes, or the names in a folder or archive."""

import io
import itertools
import os
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from detect.utils.gzipped import MAX_LINE, read_start

MAX_HEAD = 1 << 26  # bytes, unpacked, that are looked through
MAX_NAMES = 2000


@dataclass(frozen=True)
class Glimpse:
    """A file, folder or archive as `recognise` functions see it; nothing is read before it is asked for."""

    path: Path

    @cached_property
    def is_folder(self) -> bool:
        return os.path.isdir(self.path)

    @cached_property
    def head(self) -> bytes:
        """The first bytes, unpacked where the file is gzipped; none of a folder."""
        if self.is_folder:
            return b""
        return read_start(self.path, MAX_HEAD)

    @cached_property
    def start(self) -> bytes:
        """As `head`, but only the first `MAX_LINE` bytes."""
        return b"" if self.is_folder else read_start(self.path, MAX_LINE)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names below a folder or in a tar or zip archive, the first `MAX_NAMES`, with / between their parts."""
        return tuple(itertools.islice(self._all_names(), MAX_NAMES))

    def _all_names(self) -> Iterator[str]:
        if self.is_folder:
            for folder, folders, files in os.walk(self.path):
                folders.sort()
                for name in (*folders, *sorted(files)):
                    yield os.path.relpath(os.path.join(folder, name), self.path).replace(os.sep, "/")
        elif self.start[:4] == b"PK\3\4":
            try:
                yield from zipfile.ZipFile(self.path).namelist()
            except (zipfile.BadZipFile, OSError):
                return
        elif self.start[257:262] == b"ustar":
            try:
                with tarfile.open(fileobj=io.BytesIO(self.head)) as archive:
                    yield from (member.name for member in archive)
            except tarfile.TarError:  # cut off here, or in the file: the reader says so
                return

    @property
    def is_json(self) -> bool:
        return self.head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")

    def has(self, *words: bytes) -> bool:
        """Whether all of the words are in the head."""
        return all(word in self.head for word in words)
