import pickle

import numpy as np
import pytest

from detect.data.act_pickle import load_act_dataset
from detect.data.checks import AnnotationError
from detect.data.ucf24 import load_ucf24


def content(**changes):
    rows = np.array([[3, 10, 20, 30, 40], [4, 11, 21, 31, 41]], np.float32)  # frames 3 and 4, counted from 1
    made = {
        "labels": ["jump", "wave"],
        "gttubes": {"wave/v": {1: [rows], 0: [rows[:1]]}, "jump/w": {0: [rows]}},
        "nframes": {"wave/v": 5, "jump/w": 4},
        "resolution": {"wave/v": (240, 320), "jump/w": (120, 160)},
        "train_videos": [["wave/v"], ["jump/w"]],
        "test_videos": [["jump/w", "jump/gone"], ["wave/v"]],
    }
    return {**made, **changes}


def read(tmp_path, made, split=0, subset="train"):
    path = tmp_path / "X-GT.pkl"
    path.write_bytes(pickle.dumps(made, protocol=2))
    return load_act_dataset(path, split, subset, media_root=tmp_path, media=("Frames/{name}",), name="x")


def test_frames_become_0_based_and_pixels_stay(tmp_path):
    dataset = read(tmp_path, content())
    (video,) = dataset.videos
    assert (video.name, video.num_frames, video.height, video.width) == ("wave/v", 5, 240, 320)
    assert dataset.classes == ("jump", "wave")
    assert video.annotated_frames().tolist() == [2, 3]
    boxes, labels = video.boxes_at(2)
    assert boxes.tolist() == [[10, 20, 30, 40]] * 2 and labels.tolist() == [1, 0]


def test_splits(tmp_path):
    assert [video.name for video in read(tmp_path, content(), 1, "train").videos] == ["jump/w"]
    test = read(tmp_path, content(), 0, "test")
    assert [video.name for video in test.videos] == ["jump/w"]
    assert any("1 listed videos skipped, they have no annotation: jump/gone" in note for note in test.notes)
    with pytest.raises(AnnotationError, match="X-GT.pkl: no split 3; it has 1 to 2"):
        read(tmp_path, content(), 2)


def test_damaged_content_names_file_and_video(tmp_path):
    without = content()
    del without["nframes"]
    with pytest.raises(AnnotationError, match="X-GT.pkl: not an ACT ground-truth file, it has no nframes"):
        read(tmp_path, without)
    with pytest.raises(AnnotationError, match="X-GT.pkl: cannot read wave/v"):
        read(tmp_path, content(resolution={}))
    with pytest.raises(AnnotationError, match="X-GT.pkl: wave/v: unknown class 1; there are 1 classes"):
        read(tmp_path, content(labels=["jump"]))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"gttubes": []}, "gttubes is a list, expected a dict"),
        ({"labels": 3}, "labels is a int, expected a list"),
        ({"train_videos": 1}, "train_videos is a int"),
        ({"train_videos": [7]}, "the split 1 of train_videos is not a list"),
        ({"nframes": {"wave/v": 5.5}}, "cannot read wave/v .*5.5 is not a whole number"),
        ({"nframes": 5}, "cannot read wave/v"),
        ({"resolution": {"wave/v": (240,)}}, "cannot read wave/v"),
        ({"gttubes": {"wave/v": []}}, "cannot read wave/v"),
        ({"gttubes": {"wave/v": {0.5: [np.ones((1, 5))]}}}, "cannot read wave/v .*0.5 is not a whole number"),
        ({"gttubes": {"wave/v": {0: [np.full((1, 5), 1.5)]}}}, "cannot read wave/v .*frame's number is not whole"),
        ({"gttubes": {"wave/v": {0: [np.full((1, 5), np.nan)]}}}, "cannot read wave/v .*frame's number is not whole"),
    ],
)
def test_wrong_types_name_file_and_key(tmp_path, changes, message):
    with pytest.raises(AnnotationError, match=f"X-GT.pkl: {message}"):
        read(tmp_path, content(**changes))


def test_ucf101v2_file_is_read_where_pyannot_is_not_there(tmp_path):
    (tmp_path / "UCF101v2-GT.pkl").write_bytes(pickle.dumps(content(), protocol=2))
    assert [video.name for video in load_ucf24(tmp_path, "train").videos] == ["wave/v"]
