"""Tables, tubes and truth numbered alike; frames that nobody labelled; a table as a dataset."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detect.data.records import ActionDataset, Tube, VideoRecord
from detect.evaluation.case import join_tubes, make_case
from detect.evaluation.files.formats import write_table
from detect.evaluation.files.tube_files import read_tubes
from detect.evaluation.linking.linker import by_number
from detect.evaluation.tables import Detections, GroundTruth, TableError
from detect.evaluation.truth import read_truth, truth_of
from detect.evaluation.tubes import make_tubes

BOX = np.array([1, 2, 11, 22], np.float32)


def boxes(count):
    return np.tile(BOX, (count, 1))


def video(name, label, frames, labelled=None):
    tube = Tube(label, np.arange(frames), boxes(frames))
    return VideoRecord(name, name, 10, 40, 30, (tube,), labelled=None if labelled is None else np.array(labelled))


def detections(*rows):
    """(video, frame, label) of each."""
    columns = np.array(rows, np.int64).reshape(-1, 3).T
    return Detections(*columns, np.full(len(rows), 0.5), boxes(len(rows)))


@pytest.fixture
def case(tmp_path):
    """Sets of three videos, the second labelled in frames 0 to 2, the third in none but frame 9."""
    videos = video("c", 0, 4), video("a", 1, 3, [0, 1, 2]), video("b", 0, 10, [9])
    truth = truth_of(ActionDataset("own", ("run", "jump"), videos, "0" * 64), {"dataset": "own"})
    found = detections((0, 0, 0), (0, 9, 1), (1, 2, 1), (1, 3, 1), (2, 8, 0), (2, 9, 0), (1, 0, 0))
    write_table(tmp_path / "found.npz", found, ["c", "a", "b"])
    return make_case(truth, [str(tmp_path / "found.npz")])


def test_detections_on_unlabelled_frames_are_left_out(case):
    assert case.videos == ["a", "b", "c"] and len(case.all_detections[0]) == 7 and case.unlabelled(0) == 2
    kept = sorted(zip(case.found[0].video.tolist(), case.found[0].frame.tolist(), strict=True))
    assert kept == [(0, 0), (0, 2), (1, 9), (2, 0), (2, 9)]


def test_tubes_are_cut_to_labelled_frames(case):
    tubes = make_tubes([(0, 1, 0.9, 1, boxes(4)), (2, 0, 0.8, 0, boxes(10)), (1, 0, 0.7, 8, boxes(2))])
    cut = case.unlabelled_cut(tubes)
    assert [(~np.isnan(cut.boxes_of(i)[:, 0])).tolist() for i in range(3)] == [
        [True, True, False, False], [True] * 10, [False, True],
    ]  # fmt: skip
    assert len(case.unlabelled_cut(tubes.take(np.zeros(0, int)))) == 0
    whole = tubes.take(np.array([1]))
    assert case.unlabelled_cut(whole) is whole  # nothing to cut


def test_a_table_as_a_dataset(tmp_path):
    gt = GroundTruth(np.array([1, 0, 1]), np.array([4, 2, 0]), np.array([3, 7, 3]), boxes(3) + np.arange(3)[:, None])
    write_table(tmp_path / "gt.npz", gt, ["a", "b"])
    write_table(tmp_path / "found.npz", detections((1, 6, 3), (2, 8, 3)), ["a", "b", "c"])
    case = make_case(read_truth(path=str(tmp_path / "gt.npz")), [str(tmp_path / "found.npz")])
    assert case.unmatched == [1] and case.classes == ["3", "7"]
    dataset = case.as_dataset()
    assert dataset.classes == ("3", "7") and [one.name for one in dataset.videos] == ["a", "b", "c"]
    assert [one.num_frames for one in dataset.videos] == [3, 7, 9]  # up to the last row of either table
    assert [(one.width, one.height) for one in dataset.videos] == [(12, 23), (13, 24), (1, 1)]
    of_b = [(tube.label, tube.frames.tolist(), tube.boxes.tolist()) for tube in dataset.videos[1].tubes]
    assert of_b == [(0, [4], [[1, 2, 11, 22]]), (0, [0], [[3, 4, 13, 24]])]
    table = dataset.ground_truth_table()
    assert table["video"].tolist() == [0, 1, 1] and dataset.videos[2].tubes == ()


def listed(path, *tubes, scored=True):
    rows = [{"video": name, "label": label, "start": 0, "boxes": [BOX.tolist()] * 2} for name, label in tubes]
    path.write_text(json.dumps([{**row, "score": 0.5} if scored else row for row in rows]))
    return str(path)


def test_tubes_are_joined_by_name(tmp_path):
    truth = read_truth(path=listed(tmp_path / "truth.json", ("b", "run"), ("a", "jump"), scored=False))
    path = listed(tmp_path / "tubes.json", ("c", "jump"), ("a", "run"))
    annotated, found, videos, classes = join_tubes(truth, read_tubes(path), path)
    assert videos == ["a", "b", "c"]
    for tubes, expected in ((annotated, [("b", "run"), ("a", "jump")]), (found, [("c", "jump"), ("a", "run")])):
        named = zip(tubes.video.tolist(), tubes.label.tolist(), strict=True)
        assert [(videos[v], classes[label]) for v, label in named] == expected
    (tmp_path / "classes.txt").write_text("swim\njump\nrun\n")
    annotated, found, _, classes = join_tubes(truth, read_tubes(path), path, str(tmp_path / "classes.txt"))
    assert classes == ["swim", "jump", "run"] and annotated.label.tolist() == [2, 1] and found.label.tolist() == [1, 2]


def test_a_tube_that_cannot_be_joined(tmp_path, case):
    truth = truth_of(case.dataset, {"dataset": "own"})
    path = listed(tmp_path / "tubes.json", ("z", "run"))
    with pytest.raises(TableError, match="tubes.json: the video 'z' is none of the 3 of own"):
        join_tubes(truth, read_tubes(path), path)
    path = listed(tmp_path / "tubes.json", ("a", "swim"))
    with pytest.raises(TableError, match="tubes.json: has the class 'swim'; the classes are run, jump"):
        join_tubes(truth, read_tubes(path), path)


def test_no_tubes_to_join(tmp_path, case):
    path = listed(tmp_path / "tubes.json")
    annotated, found, videos, classes = join_tubes(truth_of(case.dataset, {"dataset": "own"}), read_tubes(path), path)
    assert len(annotated) == 3 and len(found) == 0 and videos == ["a", "b", "c"] and classes == ["run", "jump"]


@given(st.lists(st.sampled_from([0, 1, 2, 65535, 65536, 65537, 2**31, 2**40 + 1]), max_size=20))
def test_by_number_is_a_stable_argsort(values):
    numbers = np.array(values, np.int64)
    assert by_number(numbers).tolist() == np.argsort(numbers, kind="stable").tolist()
