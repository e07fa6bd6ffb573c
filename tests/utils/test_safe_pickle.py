import collections
import os
import pickle
import subprocess

import numpy as np
import pytest

from detect.utils.safe_pickle import UnsafePickleError, load_pickle


class Hostile:
    """Unpickled by pickle.load, this runs `function(*arguments)`."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def write(path, content, protocol):
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_plain_values_survive(tmp_path, protocol):
    content = {
        "array": np.arange(6, dtype=np.uint8).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "empty": np.empty((0, 4), np.float32),
        "scalar": np.uint16(300),
        np.str_("numpy key"): [1, 2.5, "text", None, (True,)],
        "bytes": b"\x00\xff",
        "ordered": collections.OrderedDict(a=1),
    }
    read = load_pickle(write(tmp_path / "a.pkl", content, protocol))
    assert list(read) == list(content)
    for key, value in content.items():
        if isinstance(value, np.ndarray | np.generic):
            assert read[key].dtype == value.dtype
            np.testing.assert_array_equal(read[key], value)
        else:
            assert read[key] == value


def test_both_numpy_module_names(tmp_path):
    content = pickle.dumps(np.arange(3), protocol=0)
    for module in (b"numpy.core", b"numpy._core"):
        path = tmp_path / "a.pkl"
        path.write_bytes(content.replace(b"numpy._core", b"numpy.core").replace(b"numpy.core", module))
        np.testing.assert_array_equal(load_pickle(path), [0, 1, 2])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "call",
    [
        lambda path: Hostile(open, path, "w"),
        lambda path: Hostile(os.system, f"touch {path}"),
        lambda path: Hostile(subprocess.call, ["touch", path]),
        lambda path: Hostile(eval, f"open({path!r}, 'w')"),
    ],
)
def test_hostile_pickle_runs_nothing(tmp_path, call, protocol):
    target = tmp_path / "created"
    path = write(tmp_path / "hostile.pkl", {"videos": [call(str(target))]}, protocol)
    with pytest.raises(UnsafePickleError, match=r"hostile\.pkl: refused to load the global \w+\.\w+"):
        load_pickle(path)
    assert not target.exists()
    # the file is indeed hostile
    pickle.loads(path.read_bytes())
    assert target.exists()


def test_functions_of_allowed_modules_are_refused(tmp_path):
    with pytest.raises(UnsafePickleError, match="numpy.*fromfile"):
        load_pickle(write(tmp_path / "a.pkl", np.fromfile, 2))


def test_codec_other_than_latin1_is_refused(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"c_codecs\nencode\n(Vabc\nVzlib\ntR.")
    with pytest.raises(UnsafePickleError, match="a.pkl: refused codec 'zlib'"):
        load_pickle(path)


@pytest.mark.parametrize("cut", [0, 1, 40, -1])
def test_cut_off_file_is_named(tmp_path, cut):
    path = write(tmp_path / "a.pkl", {"boxes": np.arange(100)}, 3)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UnsafePickleError, match=r"a\.pkl: not a readable pickle"):
        load_pickle(path)
