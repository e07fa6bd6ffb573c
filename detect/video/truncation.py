"""Whether a video file is cut off: how long its container says that it is, against how long the file is.

The count of frames in a header does not tell. Of the whole AVI files of JHMDB, HMDB-51 and UT-Interaction measured,
many say 1 or 2 more than decode, one says 48 for 40 (8 frames have no bytes, which means that the one before stays),
and an MP4 may hold frames that its edit list leaves out. The sizes of the outermost chunks are exact: in none of these
files do they reach beyond the end.
"""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

MP4_BOXES = {
    b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"mfra", b"sidx", b"free", b"skip", b"wide", b"uuid", b"udta", b"meta",
}  # fmt: skip
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
MIN_SHARE, MIN_LACKING = 0.75, 8  # whole files: at most 2 lack


def shortfall(path: str | Path, decoded: int, said: int) -> str | None:
    """Why the file is no whole video, or None. `decoded`: how many frames decode; `said`: of how many the header tells.

    It is cut off where bytes of its outermost chunks lack and frames do too. A file that keeps its length, the rest
    being zeros, is known by its frames: an AVI (there the count is written, elsewhere it may be a guess from the
    duration) of which, empty frames aside, less than MIN_SHARE and at least MIN_LACKING fewer decode. An MPEG stream,
    FLV or WMV promises nothing that could be held against it.
    """
    held, promised = os.path.getsize(path), promised_bytes(path)
    advice = "copy or download it again"
    if promised is not None and held < promised and decoded < (said if said > 0 else decoded + 1):
        frames = f"{decoded} of {said}" if said > 0 else f"only {decoded}"
        return f"{path}: cut off, {frames} frames decode, and {held} of {promised} bytes are there; {advice}"
    if _is_avi(path):
        said -= _empty_frames(path)
        if decoded < MIN_SHARE * said and said - decoded >= MIN_LACKING:
            return f"{path}: damaged, its header promises {said} frames and only {decoded} decode; {advice}"
    return None


def promised_bytes(path: str | Path) -> int | None:
    """Where the outermost chunks of an AVI, MP4, QuickTime, Matroska or WebM file end; None where they do not say."""
    with open(path, "rb") as stream:
        head = stream.read(8)
        stream.seek(0)
        if head[:4] == b"RIFF":
            return _last_end(stream, _riff_size)
        if head[4:] in MP4_BOXES:
            return _last_end(stream, _box_size)
        return _matroska_end(stream) if head[:4] == EBML else None


def _is_avi(path: str | Path) -> bool:
    with open(path, "rb") as stream:
        return stream.read(4) == b"RIFF"


def _empty_frames(path: str | Path) -> int:
    """How many frames without bytes the index of an AVI lists, 0 where it is not there."""
    with open(path, "rb") as stream:
        stream.seek(12)
        while len(head := stream.read(8)) == 8:
            tag, size = struct.unpack("<4sI", head)
            if tag == b"idx1":  # of each chunk: name, flags, place, size
                rows = np.frombuffer(stream.read(size // 16 * 16), [("name", "S4"), ("", "<u4", 2), ("size", "<u4")])
                return int((np.isin(rows["name"], (b"00dc", b"00db")) & (rows["size"] == 0)).sum())
            stream.seek(size + size % 2, os.SEEK_CUR)
    return 0


def _last_end(stream: BinaryIO, size_at: Callable[[BinaryIO], int | None]) -> int | None:
    """The end of the last chunk of a row of them; what follows and is no chunk does not count."""
    end = None
    while size := size_at(stream):
        end = (end or 0) + size
        stream.seek(end)
    return end


def _riff_size(stream: BinaryIO) -> int | None:
    """Above 1 GB an AVI is a row of RIFF chunks. A size never filled in is 0 or all ones."""
    tag, size = struct.unpack("<4sI", stream.read(8).ljust(8, b"\0"))
    return 8 + size if tag == b"RIFF" and 0 < size < 0xFFFFFFFF else None


def _box_size(stream: BinaryIO) -> int | None:
    """ISO 14496-12, 4.2: a size of 1 is followed by one of 64 bits, 0 reaches to the end."""
    size, kind, large = struct.unpack(">I4sQ", stream.read(16).ljust(16, b"\0"))
    size = large if size == 1 else size
    return size if kind in MP4_BOXES and size >= 8 else None


def _matroska_end(stream: BinaryIO) -> int | None:
    stream.seek(4)
    header = _ebml_size(stream)
    stream.seek(header or 0, os.SEEK_CUR)
    if header is None or stream.read(4) != SEGMENT:
        return None
    size = _ebml_size(stream)
    return None if size is None else stream.tell() + size


def _ebml_size(stream: BinaryIO) -> int | None:
    """RFC 8794, 4: the zeros before the first one say how many bytes follow; all ones is an unknown size."""
    first = int.from_bytes(stream.read(1), "big")
    more = 8 - first.bit_length()
    rest = stream.read(more)
    if not first or len(rest) < more:
        return None
    value, bits = int.from_bytes(bytes([first]) + rest, "big"), 7 * (more + 1)
    value &= (1 << bits) - 1
    return value if value < (1 << bits) - 1 else None
