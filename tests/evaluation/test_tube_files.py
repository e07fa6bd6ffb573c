"""Files of tubes: what comes back, and what is said of a wrong one."""

import gzip
import json

import numpy as np
import pytest

from detect.evaluation.files.tube_files import is_tube_list, read_tubes, write_tubes
from detect.evaluation.tables import TableError

GOOD = {"video": "b", "label": "run", "score": 0.5, "start": 3, "boxes": [[0, 0, 10, 10], None, [1, 1, 11, 11]]}


def written(folder, *entries, name="tubes.json"):
    (folder / name).write_text(json.dumps(list(entries)))
    return folder / name


def test_names_are_sorted_and_tubes_keep_their_order(tmp_path):
    listed = read_tubes(written(tmp_path, GOOD, {**GOOD, "video": "a", "label": "jump"}))
    assert (listed.videos, listed.labels) == (["a", "b"], ["jump", "run"])
    assert (listed.tubes.video.tolist(), listed.tubes.label.tolist()) == ([1, 0], [1, 0])
    assert listed.tubes.start.tolist() == [3, 3] and listed.tubes.length.tolist() == [3, 3]
    assert np.isnan(listed.tubes.boxes_of(0)).any(1).tolist() == [False, True, False]


@pytest.mark.parametrize("label", [7, "7"])
def test_numbered_classes_stay_numbers(tmp_path, label):
    listed = read_tubes(written(tmp_path, {**GOOD, "label": label}))
    assert listed.labels is None and listed.tubes.label.tolist() == [7]


@pytest.mark.parametrize("name", ["t.json", "t.json.gz"])
def test_what_is_written_is_read(tmp_path, name):
    listed = read_tubes(written(tmp_path, GOOD, {**GOOD, "score": 1 / 3}))
    write_tubes(tmp_path / name, listed.tubes, listed.videos, listed.labels)
    again = read_tubes(tmp_path / name)
    assert again.labels == listed.labels and is_tube_list(tmp_path / name)
    for field in vars(listed.tubes):
        np.testing.assert_allclose(getattr(again.tubes, field), getattr(listed.tubes, field), atol=1e-9)


def test_no_tubes(tmp_path):
    assert len(read_tubes(written(tmp_path)).tubes) == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"video": 3}, r"tube 1 \(3\): video is 3, not a name"),
        ({"label": None}, "label is None, neither a name nor a number from 0"),
        ({"label": -1}, "label is -1"),
        ({"score": float("nan")}, r"tube 1 \('b'\): score is nan, not a finite number"),
        ({"score": "high"}, "score is 'high'"),
        ({"start": 1.5}, "start is 1.5, not a frame number"),
        ({"boxes": []}, "boxes is not a list of one or more boxes"),
        ({"boxes": [[0, 0, 10]]}, r"box \[0, 0, 10\] is not four finite numbers"),
        ({"boxes": [[0, 0, 10, 10], [0, 0, float("inf"), 1]]}, r"box \[0, 0, inf, 1\]"),
        ({"boxes": [None, [0, 0, 1, 1]]}, "its first or last box is null"),
        ({"boxes": [["a", 0, 1, 1]]}, "tube 1"),
    ],
)
def test_a_wrong_tube_is_named(tmp_path, change, said):
    with pytest.raises(TableError, match=said):
        read_tubes(written(tmp_path, GOOD, {**GOOD, **change}))


@pytest.mark.parametrize("key", GOOD)
def test_a_missing_entry_is_named(tmp_path, key):
    with pytest.raises(TableError, match=f"tube 0 .*: has no '{key}'; expected a list of"):
        read_tubes(written(tmp_path, {name: value for name, value in GOOD.items() if name != key}))


def test_ground_truth_needs_no_score_and_no_reversed_box(tmp_path):
    entry = {name: value for name, value in GOOD.items() if name != "score"}
    assert read_tubes(written(tmp_path, entry), scored=False).tubes.score.tolist() == [1.0]
    turned = {**GOOD, "boxes": [[10, 0, 0, 10]]}
    assert read_tubes(written(tmp_path, turned)).reversed_boxes == 1
    with pytest.raises(TableError, match="a box has a negative side"):
        read_tubes(written(tmp_path, turned), scored=False)


def test_files_that_are_none(tmp_path):
    for name, content, said in (
        ("a.json", b"{}", "holds a dict; expected a list"),
        ("b.json", b"[{", "not JSON"),
        ("c.json.gz", gzip.compress(b"[]")[:-4], "damaged gzip"),
        ("d.json", b"\xff\xfe", "not JSON"),
        ("e.json", b"[" * 100_000, "nested too deep"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(TableError, match=said):
            read_tubes(tmp_path / name)
    with pytest.raises(TableError, match="No such file"):
        read_tubes(tmp_path / "f.json")
    assert not is_tube_list(tmp_path / "f.json") and not is_tube_list(tmp_path / "a.json")
