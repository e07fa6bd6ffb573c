import shutil
import struct

import cv2
import numpy as np
import pytest

from detect.video.readers import FrameReadError, count_frames, expected_length, iter_frames
from detect.video.truncation import promised_bytes, shortfall

CODECS = {"avi": "MJPG", "mp4": "mp4v", "mkv": "MJPG"}


def write_video(path, frames=40):
    """Noise, so that each frame has bytes of its own."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*CODECS[path.suffix[1:]]), 25, (64, 48))
    for image in np.random.default_rng(0).integers(0, 255, (frames, 48, 64, 3), np.uint8):
        writer.write(image)
    writer.release()
    return path


def index_first(path):
    """An MP4 with its index (moov) before the frames: each chunk's place moves by the size of the index."""
    data, boxes, at = path.read_bytes(), {}, 0
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        boxes[kind] = bytearray(data[at : at + size])
        at += size
    moov = boxes[b"moov"]
    at = moov.index(b"stco") + 8
    count = struct.unpack(">I", moov[at : at + 4])[0]
    places = np.frombuffer(moov[at + 4 : at + 4 + 4 * count], ">u4") + len(moov)
    moov[at + 4 : at + 4 + 4 * count] = places.astype(">u4").tobytes()
    rest = b"".join(bytes(box) for kind, box in boxes.items() if kind not in (b"ftyp", b"moov"))
    path.write_bytes(bytes(boxes[b"ftyp"]) + bytes(moov) + rest)
    return path


def write_kind(tmp_path, kind):
    path = write_video(tmp_path / f"v.{kind}")
    return index_first(path) if kind == "mp4" else path


@pytest.mark.parametrize("kind", CODECS)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_cut_off_file_is_an_error_after_its_last_frame(tmp_path, kind, share):
    path = write_kind(tmp_path, kind)
    assert len(list(iter_frames(path))) == 40 and promised_bytes(path) <= path.stat().st_size
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    decoded, seen = count_frames(path), 0
    with pytest.raises(FrameReadError, match=f"v.{kind}: cut off, (only )?{decoded} .*frames decode, and .*") as error:
        for _ in iter_frames(path):
            seen += 1
    assert 0 < seen == decoded == error.value.decoded < 40
    assert f"{decoded} of 40 frames" in str(error.value)


def test_only_the_index_of_an_avi_lacks(tmp_path):
    path = write_video(tmp_path / "v.avi")
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"idx1")])
    assert promised_bytes(path) > path.stat().st_size and len(list(iter_frames(path))) == 40


def test_a_file_of_full_length_whose_rest_is_zeros(tmp_path):
    path = write_video(tmp_path / "v.avi")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2].ljust(len(data), b"\0"))
    with pytest.raises(FrameReadError, match="v.avi: damaged, its header promises 40 frames and only 1. decode"):
        list(iter_frames(path))


def test_frames_without_bytes_are_no_loss(tmp_path):
    """The JHMDB way to repeat a frame, here for 20 of 40: the chunks stay where they are and become padding."""
    path = write_video(tmp_path / "v.avi")
    data = bytearray(path.read_bytes())
    at = data.rindex(b"idx1") + 8
    for row in range(at, at + 20 * 16, 16):
        data[row + 12 : row + 16] = bytes(4)
    path.write_bytes(data)
    assert shortfall(path, 20, 40) is None and "promises 20 frames" in shortfall(path, 10, 40)


@pytest.mark.parametrize(
    "data, end",
    [
        (b"", None),
        (b"RIFF", None),
        (b"RIFF" + struct.pack("<I", 100) + b"AVI ", 108),
        (b"RIFF" + struct.pack("<I", 4) + b"AVI RIFF" + struct.pack("<I", 50), 12 + 58),  # above 1 GB, a second one
        (b"RIFF" + struct.pack("<I", 4) + b"AVI junk" + struct.pack("<I", 50), 12),
        (b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + b"AVI ", None),  # never filled in
        (struct.pack(">I4s", 8, b"ftyp") + struct.pack(">I4s", 90, b"mdat"), 98),
        (struct.pack(">I4s", 8, b"ftyp") + struct.pack(">I4sQ", 1, b"mdat", 2**33), 8 + 2**33),
        (struct.pack(">I4s", 8, b"ftyp") + struct.pack(">I4s", 0, b"mdat"), 8),  # to the end, wherever that is
        (b"\x1a\x45\xdf\xa3\x81x\x18\x53\x80\x67\x40\x64", 4 + 1 + 1 + 4 + 2 + 100),
        (b"\x1a\x45\xdf\xa3\x81x\x18\x53\x80\x67\x01" + b"\xff" * 7, None),  # a stream
        (b"\x1a\x45\xdf\xa3", None),
        (b"FLV\x01", None),
    ],
)
def test_promised_bytes(tmp_path, data, end):
    (tmp_path / "v").write_bytes(data)
    assert promised_bytes(tmp_path / "v") == end


def test_real_files_are_whole_and_a_half_is_not(real_data, tmp_path):
    videos = [path for path in sorted(real_data.rglob("*")) if path.suffix in (".avi", ".mp4")]
    assert len(videos) > 20
    assert all(promised_bytes(path) <= path.stat().st_size for path in videos)
    for path in [path for path in videos if path.is_relative_to(real_data / "videos") or "jhmdb" in path.parts]:
        decoded = count_frames(path)
        assert shortfall(path, decoded, expected_length(path)) is None
        half = shutil.copy(path, tmp_path / f"half{path.suffix}")
        with open(half, "r+b") as stream:
            stream.truncate(path.stat().st_size // 2)
        with pytest.raises(FrameReadError, match="half"):
            list(iter_frames(half))
