"""Gzip is told by content, and what it unpacks to is bounded."""

import gzip
import tracemalloc

import pytest

from detect.utils import gzipped
from detect.utils.files import UnusableFileError
from detect.utils.gzipped import TooLargeError, read_start, read_unpacked


def test_the_content_says_whether_it_is_packed(tmp_path):
    (tmp_path / "plain.gz").write_bytes(b"hello")
    (tmp_path / "packed.json").write_bytes(gzip.compress(b"hello"))
    for name in ("plain.gz", "packed.json"):
        assert read_unpacked(tmp_path / name) == b"hello" and read_start(tmp_path / name, 2) == b"he"


def test_damaged_and_missing_files(tmp_path):
    (tmp_path / "cut").write_bytes(gzip.compress(b"hello")[:-4])
    with pytest.raises(UnusableFileError, match=r"cut: damaged gzip file \(Compressed file ended"):
        read_unpacked(tmp_path / "cut")
    with pytest.raises(UnusableFileError, match="gone: cannot be read: No such file"):
        read_unpacked(tmp_path / "gone")


def test_a_small_file_does_not_take_much_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(gzipped, "SPARE", 1 << 16)
    path = tmp_path / "bomb.json"
    path.write_bytes(gzip.compress(b" " * 40_000_000))  # to 40 kB
    tracemalloc.start()
    with pytest.raises(TooLargeError, match="bomb.json: unpacks to more than .* bytes; unpack it first"):
        read_unpacked(path)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
