"""MATLAB's files from strangers."""

import io
import struct
import tempfile
import zlib
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings

from detect.utils import safe_mat
from detect.utils.safe_mat import MatError, has_words, load_mat


def saved(compress=True, **variables) -> bytes:
    stream = io.BytesIO()
    scipy.io.savemat(stream, variables, do_compression=compress)
    return stream.getvalue()


def load(tmp_path, data, variable="a"):
    path = tmp_path / "x.mat"
    path.write_bytes(data)
    return load_mat(path, variable)


@pytest.mark.parametrize("compress", [True, False])
def test_what_scipy_wrote_is_read(tmp_path, compress):
    cell = np.empty((1, 2), object)
    cell[0, 0], cell[0, 1] = np.arange(5, dtype=np.uint8), "text"
    data = saved(compress, first=np.ones(3), a={"name": "x", "boxes": np.arange(8).reshape(2, 4), "cell": cell})
    read = load(tmp_path, data)
    assert read["boxes"][0, 0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]] and read["name"][0, 0][0] == "x"
    assert read["cell"][0, 0][0, 0].tolist() == [[0, 1, 2, 3, 4]]
    assert read.shape == (1, 1) and read.dtype.names == ("name", "boxes", "cell")
    assert load(tmp_path, data, "first").tolist() == [[1, 1, 1]]
    with pytest.raises(MatError, match="x.mat: no b in it"):
        load(tmp_path, data, "b")


numbers = st.sampled_from(["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
shapes = st.lists(st.integers(0, 3), min_size=2, max_size=3).map(tuple)


@settings(max_examples=60, deadline=None)
@given(numbers, shapes, st.booleans(), st.text(st.characters(codec="latin-1", exclude_characters="\0"), min_size=1))
def test_all_kinds_as_scipy_reads_them(dtype, shape, compress, text):
    array = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    cell = np.empty((1, 3), object)
    cell[0, 0], cell[0, 1], cell[0, 2] = array, text, {"x": array}
    data = saved(compress, a=array, b=text, c=cell, d={"p": array, "q": {"r": text}})
    expected = scipy.io.loadmat(io.BytesIO(data))
    with tempfile.TemporaryDirectory() as folder:
        for name in "abcd":
            alike(load(Path(folder), data, name), expected[name])


def alike(a, b):
    assert a.shape == b.shape and a.dtype.names == b.dtype.names
    if a.dtype.names:
        for name in a.dtype.names:
            alike(a[name], b[name])
    elif a.dtype == object:
        for x, y in zip(a.ravel(), b.ravel(), strict=True):
            alike(x, y)
    else:
        assert np.array_equal(a, b) and (a.dtype == b.dtype or a.dtype.kind == "U")


def test_numbers_have_matlabs_type_however_they_are_stored(tmp_path):
    """A double 239 stored in a byte: scipy says uint8, in which 239 + 62 is 45."""
    body = struct.pack("<IIII", 6, 8, 6, 0) + struct.pack("<IIii", 5, 8, 1, 2)
    body += struct.pack("<HH4s", 1, 1, b"a") + struct.pack("<HHBBBB", 2, 2, 239, 62, 0, 0)
    read = load(tmp_path, saved(a=1)[:128] + struct.pack("<II", 14, len(body)) + body)
    assert read.dtype == np.float64 and read.sum() == 301


@pytest.mark.parametrize(
    "file, variable",
    [("ucf101_24/finalAnnots.mat", "annot"), ("jhmdb/gkioxari_jhmdb_annot.mat", "annot")],
)
def test_real_files_as_scipy_reads_them(real_data, file, variable):
    expected = scipy.io.loadmat(real_data / file)[variable].ravel()[:200]
    found = load_mat(real_data / file, variable).ravel()[:200]
    if "frame" in found.dtype.names:
        assert np.array_equal(found[0]["bound"], expected[0]["bound"])
        assert [v[0] for v in found[0]["video_id"].ravel()] == [v[0] for v in expected[0]["video_id"].ravel()]
        return
    for a, b in zip(found, expected, strict=True):
        assert a["name"][0] == b["name"][0] and a["num_imgs"] == b["num_imgs"]
        for x, y in zip(a["tubes"].ravel(), b["tubes"].ravel(), strict=True):
            assert np.array_equal(x["boxes"], y["boxes"]) and x["sf"] == y["sf"]


def test_big_endian(tmp_path):
    body = struct.pack(">II", 14, 56) + struct.pack(">IIII", 6, 8, 6, 0) + struct.pack(">IIii", 5, 8, 1, 1)
    body += struct.pack(">HHI", 1, 1, ord("a") << 24) + struct.pack(">IId", 9, 8, 2.5)
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(">H", 0x0100) + b"MI"
    assert load(tmp_path, header + body).tolist() == [[2.5]]


def test_every_cut_is_a_clear_error(tmp_path):
    for data in (saved(a={"x": np.arange(9)}), saved(False, a={"x": np.arange(9)})):
        for length in range(0, len(data) - 1, 7):
            with pytest.raises(MatError, match="x.mat: "):
                load(tmp_path, data[:length])


def test_bombs_are_refused_before_they_unpack(tmp_path, monkeypatch):
    monkeypatch.setattr(safe_mat, "MAX_BYTES", 10_000)
    packed = zlib.compress(bytes(10**7))
    with pytest.raises(MatError, match="it unpacks to more than 10000 bytes; refused"):
        load(tmp_path, saved(a=1)[:128] + struct.pack("<II", 15, len(packed)) + packed)


def test_claims_are_held_against_the_bytes(tmp_path):
    head = saved(a=1)[:128]
    for kind, message in ((1, r"1073741824 arrays in \d+ bytes"), (6, r"the shape \(1, 1073741824\) in 4 bytes")):
        body = struct.pack("<IIII", 6, 8, kind, 0) + struct.pack("<IIii", 5, 8, 1, 1 << 30)
        body += struct.pack("<HH4s", 1, 1, b"a") + struct.pack("<HHI", 6, 4, 0)
        with pytest.raises(MatError, match=f"x.mat: .*{message}"):
            load(tmp_path, head + struct.pack("<II", 14, len(body)) + body)


def test_cells_in_cells_end_somewhere(tmp_path):
    inner = np.ones(1)
    for _ in range(20):
        cell = np.empty((1, 1), object)
        cell[0, 0] = inner
        inner = cell
    with pytest.raises(MatError, match="or cells and structs in one another 16 deep"):
        load(tmp_path, saved(a=inner))


def test_other_files(tmp_path):
    for data, message in (
        (b"", "not a .mat file of MATLAB 5 to 7"),
        (b"hello" * 100, "not a .mat file"),
        (b"MATLAB 7.3 MAT-file".ljust(512), "a file of MATLAB 7.3 .HDF5.; save it with '-v7'"),
    ):
        with pytest.raises(MatError, match=f"x.mat: {message}"):
            load(tmp_path, data)
    with pytest.raises(FileNotFoundError):
        load_mat(tmp_path / "gone.mat", "a")


def test_words():
    data = saved(a={"num_imgs": 1, "tubes": 2})
    assert has_words(data, b"num_imgs", b"tubes") and not has_words(data, b"bound")
    assert not has_words(b"", b"x") and not has_words(data[:128] + b"\x0f\0\0\0\0\0\0\0broken", b"x")


def test_random_damage_never_does_worse_than_an_error(tmp_path):
    data = bytearray(saved(False, a={"x": np.arange(9), "y": "text"}))
    random, refused = np.random.default_rng(0), 0
    for _ in range(1000):
        hurt = bytearray(data)
        for place in random.integers(128, len(hurt), 3):
            hurt[place] = random.integers(256)
        try:
            load(tmp_path, bytes(hurt))
        except MatError:
            refused += 1
    assert refused > 200
