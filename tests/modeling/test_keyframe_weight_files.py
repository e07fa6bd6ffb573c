"""Files of foreign weights: their layouts, and what is refused."""

import pickle

import numpy as np
import pytest

from detect.utils.checkpoint_files import CheckpointError, read_arrays
from detect.utils.safe_pickle import UnsafePickleError


def write(path, content, protocol=2):
    path.write_bytes(pickle.dumps(content, protocol))
    return str(path)


class Python2Pickler(pickle._Pickler):
    """Byte strings as Python 2 wrote them: protocol 2, one kind of string for names and for the arrays' data."""

    def save_string(self, value):
        data = value.encode("latin1") if isinstance(value, str) else value
        self.write(pickle.BINSTRING + len(data).to_bytes(4, "little") + data)

    dispatch = {**pickle._Pickler.dispatch, str: save_string, bytes: save_string}


def test_layouts_of_pickles(tmp_path):
    arrays = {"conv1_w": np.arange(-300, 300, dtype=np.float32).reshape(2, 300), "lr": np.float32([[0.1]])}
    layouts = {
        "detectron2": {"model": arrays, "__author__": "Detectron2 Model Zoo"},
        "detectron": {"blobs": arrays, "cfg": "MODEL: {}"},
        "bare": arrays,
    }
    for name, content in layouts.items():
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            read, author = read_arrays(write(tmp_path / "a.pkl", content, protocol))
            assert list(read) == list(arrays) and author == content.get("__author__", "")
            for key in arrays:
                np.testing.assert_array_equal(read[key], arrays[key])
        with (tmp_path / f"{name}.pkl").open("wb") as file:
            Python2Pickler(file, 2).dump(content)
        python2 = (tmp_path / f"{name}.pkl").read_bytes()
        assert b"T\x07\x00\x00\x00conv1_w" in python2 and b"_codecs" not in python2  # strings of Python 2
        np.testing.assert_array_equal(read_arrays(tmp_path / f"{name}.pkl")[0]["conv1_w"], arrays["conv1_w"])


def test_files_that_are_no_weights(tmp_path):
    with pytest.raises(CheckpointError, match="gone.pkl: no such file"):
        read_arrays(tmp_path / "gone.pkl")
    for content in ([1], {}, {"model": {}}, {"model": [np.zeros(1)]}):
        with pytest.raises(CheckpointError, match="a.pkl: neither arrays by name"):
            read_arrays(write(tmp_path / "a.pkl", content))
    with pytest.raises(CheckpointError, match="a.pkl: 'conv1_w' is no name of an array of numbers \\(str\\)"):
        read_arrays(write(tmp_path / "a.pkl", {"conv1_w": "text"}))
    with pytest.raises(CheckpointError, match="a.pkl: 3 is no name of an array"):
        read_arrays(write(tmp_path / "a.pkl", {3: np.zeros(1)}))


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_a_hostile_pickle_runs_nothing(tmp_path, protocol):
    target = tmp_path / "created"
    path = write(tmp_path / "hostile.pkl", {"model": {"conv1_w": Hostile(str(target))}}, protocol)
    with pytest.raises(UnsafePickleError, match=r"hostile.pkl: refused to load the global \w+.open"):
        read_arrays(path)
    assert not target.exists()
