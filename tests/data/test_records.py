import pickle

import numpy as np
import pytest

from detect.data.records import ActionDataset, KeyframeDataset, Tube, VideoRecord


def tube(label, frames):
    """A tube with the box (frame, label, frame + 10, label + 10)."""
    frames = np.array(frames, np.int64)
    corner = np.stack([frames, np.full_like(frames, label)], 1)
    return Tube(label, frames, np.hstack([corner, corner + 10]).astype(np.float32))


@pytest.fixture
def dataset():
    videos = (
        VideoRecord("A/x", "/x.avi", 6, 24, 32, (tube(1, [1, 2, 4]), tube(0, [2, 3]))),
        VideoRecord("A/none", "/none.avi", 3, 24, 32, ()),
        VideoRecord("B/y", "/y.avi", 2, 48, 64, (tube(1, [0, 1]),)),
    )
    return ActionDataset("toy", ("a", "b"), videos, "hash")


def test_boxes_at(dataset):
    video = dataset.videos[0]
    boxes, labels = video.boxes_at(2)
    assert boxes.tolist() == [[2, 1, 12, 11], [2, 0, 12, 10]] and labels.tolist() == [1, 0]
    assert boxes.dtype == np.float32 and labels.dtype == np.int64
    for frame in (0, 5, 99):
        boxes, labels = video.boxes_at(frame)
        assert boxes.shape == (0, 4) and labels.shape == (0,)


def test_annotated_frames(dataset):
    assert [video.annotated_frames().tolist() for video in dataset.videos] == [[1, 2, 3, 4], [], [0, 1]]


def test_ground_truth_table_is_sorted_by_video_and_frame(dataset):
    table = dataset.ground_truth_table()
    rows = zip(table["video"].tolist(), table["frame"].tolist(), table["label"].tolist(), strict=True)
    assert list(rows) == [(0, 1, 1), (0, 2, 1), (0, 2, 0), (0, 3, 0), (0, 4, 1), (2, 0, 1), (2, 1, 1)]
    assert table["boxes"][2].tolist() == [2, 0, 12, 10] and table["boxes"].dtype == np.float64
    tubes = [tube for video in dataset.videos for tube in video.tubes]
    assert [tubes[i].label for i in dataset.tube_of_boxes()] == table["label"].tolist()


def test_nothing_annotated():
    dataset = ActionDataset("toy", ("a",), (VideoRecord("A/none", "/none.avi", 3, 24, 32, ()),), "hash")
    assert dataset.ground_truth_table()["boxes"].shape == (0, 4)
    assert len(KeyframeDataset(dataset)) == 0 and KeyframeDataset(dataset)[:] == []
    assert len(KeyframeDataset(dataset, "all")) == 3


def test_keyframes(dataset):
    def ids(frames):
        return [sample["image_id"] for sample in KeyframeDataset(dataset, frames)]

    assert ids("annotated") == ["A/x#1", "A/x#2", "A/x#3", "A/x#4", "B/y#0", "B/y#1"]
    assert ids("all") == [f"A/x#{i}" for i in range(6)] + [f"A/none#{i}" for i in range(3)] + [
        "B/y#0",
        "B/y#1",
    ]
    assert dataset.num_frames == 11
    with pytest.raises(ValueError, match="'some'"):
        KeyframeDataset(dataset, "some")


def test_keyframe_dict(dataset):
    keyframes = KeyframeDataset(dataset)
    assert keyframes[1] == {
        "file_name": "/x.avi",
        "flow_folder": "",
        "video": "A/x",
        "frame_index": 2,
        "image_id": "A/x#2",
        "height": 24,
        "width": 32,
        "num_frames": 6,
        "annotations": [
            {"bbox": [2, 1, 12, 11], "bbox_mode": 0, "category_id": 1},
            {"bbox": [2, 0, 12, 10], "bbox_mode": 0, "category_id": 0},
        ],
    }
    assert keyframes[-1]["image_id"] == "B/y#1"
    assert [sample["frame_index"] for sample in keyframes[3:5]] == [4, 0]
    for index in (6, -7):
        with pytest.raises(IndexError):
            keyframes[index]
    assert pickle.loads(pickle.dumps(keyframes))[4]["image_id"] == "B/y#0"


def test_a_video_is_listed_once(dataset):
    with pytest.raises(ValueError, match="A/x occurs twice"):
        ActionDataset("toy", ("a", "b"), dataset.videos[:1] * 2, "hash")
