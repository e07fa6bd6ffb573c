"""Bad pickles and MATLAB files: a message that names file, place and value, and never a crash."""

import pickle

import numpy as np
import pytest
import scipy.io
from dialect_set import dataset, refused, table, tube, video

from detect.data.annotation_files import read_annotations, write_annotations
from detect.utils.errors import UserError

WHERE = "wave/a"


# --- pickles ---------------------------------------------------------------------------------------------------------


def pyannot(tmp_path, **changes):
    entry = {
        "numf": 5,
        "label": 0,
        "annotations": [{"label": 0, "sf": 0, "ef": 2, "boxes": np.ones((2, 4)), **changes}],
    }
    (tmp_path / "pyannot.pkl").write_bytes(pickle.dumps({WHERE: entry}, 3))
    return tmp_path / "pyannot.pkl"


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"label": 99}, "wave/a: unknown class 99; there are 24 classes, 0 to 23"),
        ({"sf": 1.5}, r"cannot read wave/a \(ValueError: 1.5 is not a whole number"),
        ({"ef": 3}, "wave/a: a tube has 3 frames but 2 boxes"),
        ({"boxes": np.ones(3)}, r"cannot read wave/a \(ValueError: cannot reshape"),
        ({"boxes": "x"}, "cannot read wave/a"),
    ],
)
def test_pyannot(tmp_path, changes, message):
    refused(pyannot(tmp_path, **changes), message)


def test_boxes_that_are_nan_or_reversed_are_counted_and_shown(tmp_path):
    boxes = np.array([[10, 10, np.nan, 5], [10, 10, -5, 5], [300, 10, 50, 5], [1, 1, 5, 5]])
    read = read_annotations(pyannot(tmp_path, ef=4, boxes=boxes))
    assert [row[1] for row in table(read)] == [2, 3]
    assert read.notes == (
        "1 boxes dropped, not finite: wave/a frame 0 [10.0, 10.0, nan, 15.0] in 320 x 240",
        "1 boxes dropped, no area inside the image: wave/a frame 1 [10.0, 10.0, 5.0, 15.0] in 320 x 240",
        "1 boxes clamped to the image: wave/a frame 2 [300.0, 10.0, 350.0, 15.0] in 320 x 240",
    )


class Bomb:
    def __reduce__(self):
        return (eval, ("1/0",))


@pytest.mark.parametrize("format", ["pyannot", "act"])
def test_pickles_that_run_code_are_refused(tmp_path, format):
    words = {"annotations": 1, "numf": 2, "gttubes": 3, "nframes": 4, "labels": 5}
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({**words, "x": Bomb()}, 2))
    refused(path, "refused to load the global .*eval", format=format)
    refused(path, "refused to load the global .*eval")
    path.write_bytes(path.read_bytes()[:-9])
    refused(path, "not a readable pickle", format=format)
    path.write_bytes(pickle.dumps([1], 2))
    refused(path, "expected a dict of videos|not an ACT ground-truth file", format=format)


def test_act_says_which_key_lacks_and_needs_no_list_that_is_not_asked_for(tmp_path):
    """MultiSports' sample in MMAction2 has no train_videos."""
    write_annotations(dataset(video(tubes=[tube()])), tmp_path / "A-GT.pkl")
    content = pickle.loads((tmp_path / "A-GT.pkl").read_bytes(), encoding="latin1")
    del content["train_videos"]
    path = tmp_path / "B-GT.pkl"
    path.write_bytes(pickle.dumps(content, 2))
    assert len(read_annotations(path).videos) == len(read_annotations(path, subset="test").videos) == 1
    refused(path, "not an ACT ground-truth file, it has no train_videos", subset="train")
    refused(path, "no split 2; it has 1 to 1", subset="test", split=2)
    refused_value = "subset is 'val'; legal values are 'train' and 'test'"
    with pytest.raises(UserError, match=refused_value):
        read_annotations(path, subset="val")


# --- MATLAB ----------------------------------------------------------------------------------------------------------


def final_annots(tmp_path, **changes):
    tubes = np.empty((1, 1), [(name, object) for name in ("ef", "sf", "class", "boxes")])
    values = {"ef": 2.0, "sf": 1.0, "class": 1.0, "boxes": np.ones((2, 4)), **changes}
    tubes[0, 0] = tuple(values[name] for name in tubes.dtype.names)
    annot = np.empty((1, 1), [(name, object) for name in ("num_imgs", "name", "tubes")])
    annot[0, 0] = (values.get("num_imgs", 5.0), values.get("name", WHERE), tubes)
    scipy.io.savemat(tmp_path / "finalAnnots.mat", {"annot": annot})
    return tmp_path / "finalAnnots.mat"


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"class": 0.0}, "wave/a: class 0, first frame 1; both count from 1 in this file"),
        ({"sf": 0.0}, "wave/a: class 1, first frame 0; both count from 1"),
        ({"class": 25.0}, "wave/a: unknown class 24; there are 24 classes"),
        ({"ef": 9.0}, "wave/a: a tube has 9 frames but 2 boxes"),
        ({"sf": 1.5}, "cannot read wave/a"),
        ({"sf": np.nan}, "cannot read wave/a"),
        ({"sf": "one"}, "cannot read wave/a"),
        ({"num_imgs": -3.0}, "cannot read wave/a"),
        ({"name": 7.0}, "the video 1 has no name but"),
        ({"boxes": np.ones((3, 5))}, "cannot read wave/a"),
    ],
)
def test_final_annots(tmp_path, changes, message):
    refused(final_annots(tmp_path, **changes), message)


def test_other_and_damaged_mat_files(tmp_path):
    path = final_annots(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    refused(path, "it may be cut off")
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(600))
    refused(path, "MATLAB 7.3", format="final_annots")
    scipy.io.savemat(path, {"annot": {"other": 1}})
    refused(path, r"annot has the fields \('other',\); expected num_imgs, name, tubes", format="final_annots")
    refused(path, "annot is not one struct with the fields action, video_id", format="gkioxari")
    scipy.io.savemat(path, {"other": 1})
    refused(path, "no annot in it", format="gkioxari")


def gkioxari(tmp_path, action="wave", frame=1.0, bound=(1.0, 1.0, 5.0, 5.0), rows=2):
    cells = np.empty((2, 2), object)
    cells[:, 0], cells[:, 1] = action, "a"
    annot = {"action": cells[:, :1], "video_id": cells[:, 1:], "frame": np.array([[frame], [2.0]])}
    annot["bound"] = np.array([bound] * rows)
    scipy.io.savemat(tmp_path / "jhmdb_annot.mat", {"annot": annot})
    return tmp_path / "jhmdb_annot.mat"


def test_gkioxari(tmp_path):
    read = read_annotations(gkioxari(tmp_path, bound=(2.0, 3.0, 5.0, 7.0)))
    assert [row[3:] for row in table(read)] == [(1, 2, 5, 8)] * 2  # 2 - 1, 3 - 1, 1 + 5 - 1, 2 + 7 - 1
    refused(gkioxari(tmp_path, action="fly"), "row 1: the action 'fly' is none of JHMDB's 21")
    refused(gkioxari(tmp_path, frame=0.0), "row 1: a: frame 0.0; frames count from 1 in this file")
    refused(gkioxari(tmp_path, frame=np.nan), "row 1: a: frame nan")
    refused(gkioxari(tmp_path, rows=3), "2 frames, 3 bounds")
