import numpy as np
import pytest

from detect.classification.scores import NO_LABEL, Scores, fuse, fuse_scores, load_scores, save_scores, top_k


def scores(rows, labels, names=("a", "b", "c"), classes=("x", "y", "z")):
    return Scores(tuple(names), np.array(labels, np.int64), np.array(rows, np.float32), tuple(classes))


RGB = scores([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.5, 0.4]], [0, 0, 2])
FLOW = scores([[0.2, 0.1, 0.7], [0.5, 0.4, 0.1], [0.1, 0.6, 0.3]], [2, 0, 0], names=("c", "a", "b"))


def test_top_k():
    rows, labels = RGB.scores, RGB.labels
    assert [top_k(rows, labels, k) for k in (1, 2, 3, 5)] == [1 / 3, 2 / 3, 1.0, 1.0]
    ties = np.array([[0.5, 0.5], [0.5, 0.5]], np.float32)
    assert top_k(ties, np.array([0, 1]), 1) == 0.5  # the lower class number first
    assert top_k(np.zeros((2, 2), np.float32), np.array([0, 1]), 2) == 0.0  # unreadable: never right
    assert top_k(rows, np.array([0, NO_LABEL, NO_LABEL]), 1) == 1.0
    assert top_k(rows, np.full(3, NO_LABEL), 1) is None
    assert top_k(np.empty((0, 3)), np.empty(0, np.int64), 1) is None


@pytest.fixture
def files(tmp_path):
    for name, found in (("rgb", RGB), ("flow", FLOW)):
        save_scores(tmp_path / f"{name}.npz", found)
    return [tmp_path / "rgb.npz", tmp_path / "flow.npz"]


def test_round_trip(files):
    found = load_scores(files[0])
    assert found.names == RGB.names and found.classes == RGB.classes
    assert np.array_equal(found.scores, RGB.scores) and np.array_equal(found.labels, RGB.labels)


def test_fusion_aligns_by_name(files):
    """Equal weights: a (0.6 + 0.5) / 2 = 0.55 and so on; 3 : 1 for c: (3 * 0.1 + 0.2) / 4 = 0.125 and so on."""
    equal = fuse_scores(files)
    assert np.allclose(equal.scores, [[0.55, 0.35, 0.1], [0.15, 0.55, 0.3], [0.15, 0.3, 0.55]])
    weighted = fuse_scores(files, [3, 1])
    assert np.allclose(weighted.scores[2], [0.125, 0.4, 0.475])
    assert np.allclose(fuse_scores(files, [30, 10]).scores, weighted.scores)


def test_what_the_tool_prints(files, tmp_path, capsys):
    fuse(files, None, tmp_path / "both.npz")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{files[0]}: top-1 = 0.333, top-5 = 1.000"
    assert lines[-2:] == ["top-1 = 0.667", "top-5 = 1.000"]
    assert np.allclose(load_scores(tmp_path / "both.npz").scores, fuse_scores(files).scores)


def test_a_video_that_one_stream_could_not_read_is_judged_by_the_other(files):
    save_scores(files[1], FLOW._replace(scores=FLOW.scores * [[0], [1], [1]]))
    assert fuse_scores(files).scores[2].argmax() == RGB.scores[2].argmax()


@pytest.mark.parametrize(
    "other, message",
    [
        (RGB._replace(names=("a", "b", "d")), r"1 videos are only in .*rgb.npz: c; 1 videos are only in .*flow.npz: d"),
        (RGB._replace(classes=("x", "z", "y")), "or in another order: class 1 is 'y' in the first and 'z'"),
        (RGB._replace(labels=np.array([0, 1, 2])), "differ in the labels of 1 videos, first b"),
        (RGB._replace(names=("a", "b", "b")), r"flow.npz: scores \(3, 3\).* each once"),
        (RGB._replace(labels=np.array([0])), r"flow.npz: scores \(3, 3\), labels \(1,\)"),
    ],
)
def test_files_that_do_not_match(files, other, message):
    save_scores(files[1], other)
    with pytest.raises(ValueError, match=message):
        fuse_scores(files)


def test_bad_weights_and_files(files):
    for weights in ([1.0], [1.0, 0.0], [1.0, float("nan")]):
        with pytest.raises(ValueError, match="one positive number for each"):
            fuse_scores(files, weights)
    with pytest.raises(ValueError, match="two or more"):
        fuse_scores(files[:1])
    files[1].write_bytes(b"no zip")
    with pytest.raises(ValueError, match="flow.npz: not a file of scores"):
        fuse_scores(files)
    files[1].unlink()
    with pytest.raises(OSError, match="cannot be read"):
        fuse_scores(files)
