"""Tables as typed columns: round trips, what other programs write, and damage."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detect.evaluation.files.formats import find_table, read_table_files, read_tables, write_beside, write_table
from detect.evaluation.files.typed_tables import read_typed, typed_suffix
from detect.evaluation.tables import Detections, GroundTruth, TableError
from detect.utils.errors import MissingExtraError

KINDS = (".parquet", ".npz")
NAMES = ["Dive/a, b", "z", "ä!"]  # sorted


def random_tables(seed: int, count: int, dtype=np.float32):
    rng = np.random.default_rng(seed)
    columns = [rng.integers(0, high, count) for high in (len(NAMES), 1000, 5)]
    boxes = rng.uniform(0, 300, (count, 4)).astype(dtype)
    truth = np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])
    return GroundTruth(*columns, truth), Detections(*columns, rng.random(count).astype(dtype), boxes)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(0, 40), dtype=st.sampled_from([np.float32, np.float64]))
def test_round_trip_is_exact(tmp_path_factory, kind, seed, count, dtype):
    folder = tmp_path_factory.mktemp("typed")
    for table in random_tables(seed, count, dtype):
        path = folder / f"table{kind}"
        write_table(path, table, NAMES, ["one", "two"], {"seed": 3})
        ((back,), names, classes) = read_table_files([(path, type(table))])
        assert classes == ["one", "two"]
        assert [names[v] for v in back.video] == [NAMES[v] for v in table.video]
        for name in vars(table):
            if name != "video":
                np.testing.assert_array_equal(getattr(back, name), getattr(table, name))
        assert back.boxes.dtype == dtype
        assert read_typed(path, kind, isinstance(table, Detections)).facts == {"seed": 3}


def test_all_ways_of_writing_say_the_same(tmp_path):
    truth, found = random_tables(1, 50)
    write_table(tmp_path / "truth.csv", truth, NAMES)
    tables = []
    for suffix in (*KINDS, ".csv", ".csv.gz"):
        write_table(tmp_path / f"found{suffix}", found, NAMES)
        tables.append(read_tables(tmp_path / "truth.csv", tmp_path / f"found{suffix}")[1])
    for other in tables[1:]:
        for name in vars(found):
            one, two = getattr(tables[0], name), getattr(other, name)
            np.testing.assert_array_equal(one.astype(np.float32), two.astype(np.float32))


def test_equal_tables_are_equal_bytes(tmp_path):
    for kind in KINDS:
        for name in ("a", "b"):
            write_table(tmp_path / f"{name}{kind}", random_tables(2, 20)[1], NAMES, ["x"])
        assert (tmp_path / f"a{kind}").read_bytes() == (tmp_path / f"b{kind}").read_bytes()


def test_many_groups_of_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("detect.evaluation.files.typed_tables._ROWS", 7)
    truth, found = random_tables(4, 60)
    write_table(tmp_path / "t.parquet", truth, NAMES)
    write_table(tmp_path / "d.parquet", found, NAMES)
    back = read_tables(tmp_path / "t.parquet", tmp_path / "d.parquet")[1]
    np.testing.assert_array_equal(back.boxes, found.boxes)
    np.testing.assert_array_equal(back.video, found.video)


def test_what_pandas_would_write_is_read(tmp_path):
    import pyarrow
    import pyarrow.parquet

    columns = {"frame": [1, 2], "label": [0, 0], "score": [0.5, 1.0], "x1": [0.0, 1.0], "y1": [0.0, 1.0]}
    columns |= {"x2": [5.0, 6.0], "y2": [5.0, 6.0], "video": ["b", "a"], "other": [1, 2]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "p.parquet")
    ((found,), names, classes) = read_table_files([(tmp_path / "p.parquet", Detections)])
    assert (names, found.video.tolist(), classes, found.boxes[1].tolist()) == (["a", "b"], [1, 0], None, [1, 1, 6, 6])


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_at_every_length(tmp_path, kind):
    whole, cut = tmp_path / f"whole{kind}", tmp_path / f"cut{kind}"
    write_table(whole, random_tables(0, 30)[1], NAMES)
    data = whole.read_bytes()
    for length in {4, 5, 60, len(data) // 2, len(data) - 9, len(data) - 1}:
        cut.write_bytes(data[:length])
        with pytest.raises(TableError, match=f"cut{kind}"):
            read_table_files([(cut, Detections)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("score", np.nan, "row 3: score nan is not finite"),
        ("boxes", np.inf, r"row 3: boxes \[inf"),
        ("frame", -1, r"row 3: frame -1 is out of range \(0 to 2147483647\)"),
        ("label", -7, "row 3: label -7 is out of range"),
    ],
)
def test_bad_values_name_their_row(tmp_path, kind, name, value, said):
    _, found = random_tables(0, 5)
    getattr(found, name)[3] = value
    path = tmp_path / f"bad{kind}"
    write_table(path, found, NAMES)
    with pytest.raises(TableError, match=said):
        read_table_files([(path, Detections)])


def test_reversed_truth_and_missing_columns(tmp_path):
    truth, _ = random_tables(0, 5)
    truth.boxes[2, 2] = truth.boxes[2, 0] - 1
    for kind in KINDS:
        path = tmp_path / f"truth{kind}"
        write_table(path, truth, NAMES)
        with pytest.raises(TableError, match="row 2: ground-truth box .* has a negative side"):
            read_table_files([(path, GroundTruth)])
        with pytest.raises(TableError, match="no column score"):
            read_table_files([(path, Detections)])


def test_a_strangers_npz(tmp_path):
    np.savez(tmp_path / "a.npz", video=np.zeros(2, int), frame=np.zeros(2, int))
    with pytest.raises(TableError, match="no array `videos`"):
        read_table_files([(tmp_path / "a.npz", Detections)])
    columns = {"frame": np.zeros(2, int), "label": np.zeros(2, int), "score": np.zeros(2), "boxes": np.zeros((2, 4))}
    np.savez(tmp_path / "b.npz", video=np.array([0, 5]), videos=np.array(["x"]), **columns)
    with pytest.raises(TableError, match="none of its 1 videos"):
        read_table_files([(tmp_path / "b.npz", Detections)])


def test_files_of_different_classes_do_not_meet(tmp_path):
    truth, found = random_tables(0, 5)
    write_table(tmp_path / "t.npz", truth, NAMES, ["a", "b"])
    write_table(tmp_path / "d.npz", found, NAMES, ["b", "a"])
    with pytest.raises(TableError, match=r"d.npz: has the classes \['b', 'a'\], .*t.npz has \['a', 'b'\]"):
        read_tables(tmp_path / "t.npz", tmp_path / "d.npz")


def test_without_pyarrow(tmp_path, monkeypatch):
    import sys

    write_table(tmp_path / "d.parquet", random_tables(0, 3)[1], NAMES)
    assert typed_suffix() == ".parquet"
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert typed_suffix() == ".npz"
    for use in (
        lambda: read_table_files([(tmp_path / "d.parquet", Detections)]),
        lambda: write_table(tmp_path / "e.parquet", random_tables(0, 3)[1], NAMES),
    ):
        with pytest.raises(MissingExtraError, match=r"action-detection\[parquet\]"):
            use()
    # one written another way before is replaced
    assert write_beside(tmp_path, "d", random_tables(0, 3)[1], NAMES) == tmp_path / "d.npz" == find_table(tmp_path, "d")
    assert not (tmp_path / "d.parquet").exists()


def test_unknown_suffix(tmp_path):
    with pytest.raises(TableError, match="ends in .parquet, .npz, .csv.gz, .csv"):
        write_table(tmp_path / "d.json", random_tables(0, 1)[1], NAMES)


def test_metadata_that_are_not_ours(tmp_path):
    columns = {"frame": np.zeros(2, int), "label": np.zeros(2, int), "score": np.zeros(2), "boxes": np.zeros((2, 4))}
    about = np.array(json.dumps({"classes": [1, 2]}))
    np.savez(tmp_path / "c.npz", video=np.zeros(2, int), videos=np.array(["x"]), about=about, **columns)
    with pytest.raises(TableError, match="metadata"):
        read_table_files([(tmp_path / "c.npz", Detections)])


@pytest.mark.parametrize(
    ("videos", "message"),
    [
        ([1, 2], "column video is of type int64; expected text, the names of the videos"),
        ([None, None], "column video is of type null; expected text"),
        (["a", None], "column video has 1 empty cells; expected a value in every row"),
    ],
)
@pytest.mark.parametrize("encoded", [True, False])
def test_parquet_of_others_whose_videos_are_no_names(tmp_path, videos, message, encoded):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    names = pyarrow.array(videos)
    names = names.dictionary_encode() if encoded and any(videos) else names
    sides = {side: [0.0, 1.0] for side in ("x1", "y1", "x2", "y2")}
    columns = pyarrow.table({"video": names, "frame": [0, 1], "label": [0, 1], **sides})
    parquet.write_table(columns, tmp_path / "t.parquet")
    with pytest.raises(TableError, match=f"t.parquet: not a readable parquet table of boxes: {message}"):
        read_tables(tmp_path / "t.parquet", tmp_path / "t.parquet")
