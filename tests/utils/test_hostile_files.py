"""Pickles and .npz files that mean harm: no signal, no payload, memory within a small multiple of the file's size."""

import io
import pickle
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from detect.utils.safe_npz import NpzError, read_npz
from detect.utils.safe_pickle import UnsafePickleError, load_pickle

MIB = 1 << 20
DTYPE, REBUILD = b"cnumpy\ndtype\n", b"cnumpy.core.multiarray\n_reconstruct\n"


def array_pickle(code: bytes, state: bytes, shape: bytes, data: bytes) -> bytes:
    """An array whose dtype is `code` with `state` (opcodes of a tuple), `shape` (opcodes of a tuple), raw `data`."""
    dtype = DTYPE + b"(X" + struct.pack("<I", len(code)) + code + b"K\x00K\x01tR" + state + b"b"
    raw = b"B" + struct.pack("<I", len(data)) + data
    return b"\x80\x03" + REBUILD + b"(cnumpy\nndarray\nK\x00\x85C\x01btR(K\x01" + shape + dtype + b"\x89" + raw + b"tb."


PLAIN_STATE = b"(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"
OBJECT_FLAGS = PLAIN_STATE[:-2] + b"?t"  # flags 63: "has objects, is a list of pointers, needs initialising"


def refused(tmp_path, content: bytes, message: str = "") -> None:
    """The file is refused, by its name, in memory within 16 times its size (and what Python itself needs)."""
    path = tmp_path / "hostile.pkl"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(UnsafePickleError, match=rf"hostile.pkl: .*{message}"):
            load_pickle(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * len(content) + 2 * MIB, peak


def test_the_crafted_array_is_read_where_it_is_harmless(tmp_path):
    (tmp_path / "a.pkl").write_bytes(array_pickle(b"i8", PLAIN_STATE, b"K\x02\x85", struct.pack("<2q", 7, -1)))
    assert load_pickle(tmp_path / "a.pkl").tolist() == [7, -1]


def test_pointers_are_never_followed(tmp_path):
    """A dtype whose flags or code say "objects" would take eight bytes of the file for an address."""
    (tmp_path / "a.pkl").write_bytes(array_pickle(b"i8", OBJECT_FLAGS, b"K\x01\x85", b"\x41" * 8))
    assert load_pickle(tmp_path / "a.pkl").tolist() == [0x4141414141414141]  # the flags are not believed
    for code in (b"O", b"O8", b"V8", b"M8", b"(2,)O", b"i8,O8"):
        refused(tmp_path, array_pickle(code, OBJECT_FLAGS, b"K\x01\x85", b"\x41" * 8), "only numbers and text")
    fields = PLAIN_STATE.replace(b"NNN", b"N)}", 1)
    refused(tmp_path, array_pickle(b"i8", fields, b"K\x01\x85", b"\x41" * 8), "several fields")


def test_sizes_must_agree(tmp_path):
    long, negative, float_size = (
        b"\x8a\x05\x00\x00\x00\x00\x10\x85",
        b"J\xff\xff\xff\xff\x85",
        b"G" + b"\x40" * 8 + b"\x85",
    )
    for shape in (b"K\x03\x85", long, negative, b"K\x02K\x02\x86", float_size):
        refused(tmp_path, array_pickle(b"i8", PLAIN_STATE, shape, b"\x00" * 16), "an array of")


def test_claims_of_a_few_bytes(tmp_path):
    for content, message in (
        (b"Nr\xff\xff\xff\x7f.", "memo"),  # LONG_BINPUT: the unpickler makes a table of that length
        (b"Np4294967295\n.", "memo"),
        (b"\x80\x05B\xff\xff\xff\x7f.", "claims 2147483647 bytes"),
        (b"\x80\x05\x8e" + b"\xff" * 7 + b"\x7f.", "claims"),
        (b"\x80\x05\x95" + b"\xff" * 7 + b"\x7fN.", "a frame claims"),
        (b"T\xff\xff\xff\xff.", "claims"),  # a negative length
        (b"c__builtin__\nbytes\n(J\xff\xff\xff\x7ftR.", "bytes made of"),
        (b"c__builtin__\nbytearray\n(J\xff\xff\xff\x7ftR.", ""),
        (b"\x8f.", "EMPTY_SET"),
        (b"(V1\n", "cut off"),
        (b"", "no end"),
    ):
        refused(tmp_path, content, message)


def test_small_things_that_grow(tmp_path):
    """Empty lists of a byte each (64 in memory), a list in a list in a list, a text made again and again."""
    refused(tmp_path, b"(" + b"]" * 100_000 + b"l.", "containers")
    doubled = b"(" + b"K\x01" * 1000 + b"lq\x00" + b"0(" + b"h\x00" * 1000 + b"lq\x010(" + b"h\x01" * 1000 + b"l."
    refused(tmp_path, doubled, "hold each other")  # 10^9 numbers in 6 kB
    again = b"V" + b"a" * 10000 + b"\np0\n0(" + b"c_codecs\nencode\n(g0\nVlatin1\ntR" * 1000 + b"l."
    refused(tmp_path, again, "times its own size")
    refused(tmp_path, b"]q\x00h\x00a.", "hold each other")  # a list that holds itself
    refused(tmp_path, b"]" * 900 + b"a" * 899 + b".", "deep")


def test_functions_and_types_cannot_be_changed_or_returned(tmp_path):
    refused(tmp_path, b"c_codecs\nencode\n}b.", "a state for a function")
    refused(tmp_path, b"c_codecs\nencode\n.", "in place of a value")
    refused(tmp_path, DTYPE + b"(Vi8\ntR.", "in place of a value")
    refused(tmp_path, REBUILD + b"(tR.", "an array without content")
    refused(tmp_path, b"cnumpy\nndarray\n(K\x05tR.", "called like a function")


FUZZ = """
import pickle, random, resource, sys
from pathlib import Path
import numpy as np
from detect.utils.safe_npz import read_npz
from detect.utils.safe_pickle import load_pickle
folder, seed, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_AS, (int(open('/proc/self/statm').read().split()[0]) * 4096 + (256 << 20),) * 2)
rng, path, npz, whole = random.Random(seed), folder / 'fuzz.pkl', folder / 'fuzz.npz', 0
big = b'\\xff\\xff\\xff\\x7f'
sources = [source.read_bytes() for source in sorted(folder.glob('source*'))]
for _ in range(count):
    data = bytearray(rng.choice(sources))
    for _ in range(rng.choice((1, 1, 2, 4, 16)) if len(data) > 32 else 1):
        if not data:
            break
        place, kind = rng.randrange(len(data)), rng.random()
        if kind < 0.5:
            data[place] = rng.randrange(256)
        elif kind < 0.7:
            del data[place : place + rng.randrange(1, 9)]
        elif kind < 0.9:
            data[place:place] = rng.choice((bytes([rng.randrange(256)]), big, bytes(data[place : place + 9])))
        else:
            data = data[: max(place, 1)]
    target = npz if data[:2] == b'PK' else path
    target.write_bytes(data)
    try:
        content = (read_npz if target is npz else load_pickle)(target)
        pickle.dumps(content)  # touches everything that was made
        whole += 1
    except ValueError as error:
        assert 'fuzz' in str(error), error
print('survived', whole)
"""


def test_mutated_files_are_read_or_refused(tmp_path):
    """2,000 mutations of real-looking files in a process with 256 MiB to spare: neither a signal nor another error."""
    tube = {"label": np.int64(3), "sf": 4, "ef": 9, "boxes": np.arange(20, dtype=np.uint8).reshape(5, 4)}
    content = {
        "Class/v_1": {"numf": 30, "annotations": [tube, dict(tube)], "label": np.uint16(2)},
        "names": ["a", "bc"],
    }
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / f"source{protocol}").write_bytes(pickle.dumps(content, protocol))
    stream = io.BytesIO()
    np.savez_compressed(stream, labels=np.arange(9), names=np.array(["a", "bc"]), scores=np.ones((9, 3), np.float32))
    (tmp_path / "source_npz").write_bytes(stream.getvalue())
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", FUZZ, str(tmp_path), "0", "2000"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("survived"), (done.returncode, done.stderr[-2000:])
    assert 20 < int(done.stdout.split()[1]) < 1900  # some mutations are harmless, most are not


def test_npz_files_that_claim_more_than_they_hold(tmp_path):
    path = tmp_path / "scores.npz"
    np.savez_compressed(path, x=np.zeros(50_000_000))  # 400 MB in 400 kB
    with pytest.raises(NpzError, match=r"scores.npz: x.npy has \d+ bytes and would become 400000128; refused"):
        read_npz(path)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)})
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x.npy", header.getvalue() + b"\x00" * 16)
    with pytest.raises(NpzError, match=r"scores.npz: x.npy claims .*1099511627776.* and holds 16 bytes"):
        read_npz(path)
    np.savez(path, x=np.array([{}], dtype=object))
    with pytest.raises(NpzError, match="x.npy holds object"):
        read_npz(path)
    for damage in (b"", b"PK", b"no zip at all"):
        path.write_bytes(damage)
        with pytest.raises(NpzError, match="scores.npz: not a readable .npz"):
            read_npz(path)
    np.savez(path, a=np.zeros((0, 4)), b=np.asfortranarray(np.arange(6.0).reshape(2, 3)), c=np.float32(2))
    found = read_npz(path)
    assert found["a"].shape == (0, 4) and found["c"] == np.float32(2) and found["b"].flags.f_contiguous
    assert found["b"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_real_files_are_read_as_before(real_data):
    for name in ("ucf101_24/pyannot.pkl", "jhmdb/JHMDB-GT.pkl"):
        path = real_data / name
        content = load_pickle(path, encoding="latin1")
        expected = pickle.loads(path.read_bytes(), encoding="latin1")
        assert pickle.dumps(_listed(content)) == pickle.dumps(_listed(expected))


def _listed(value):
    """Arrays as lists with their types, to be compared."""
    if isinstance(value, dict):
        return [(str(key), _listed(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [_listed(item) for item in value]
    return (str(value.dtype), value.tolist()) if isinstance(value, (np.ndarray, np.generic)) else value
