"""A picture of each class, chosen by a rule."""

import numpy as np
import pytest

from detect.data.records import ActionDataset, Tube, VideoRecord
from detect.utils.errors import UserError
from detect.video.readers import FrameReadError
from detect.visualization import class_pictures as module
from detect.visualization.class_pictures import class_pictures
from tests.data.tiny_set import draw, write_frames


def video(tmp_path, name, label, frames):
    write_frames(tmp_path / name, draw(8, label))
    tube = Tube(label, np.array(frames), np.tile(np.float32([2, 3, 12, 14]), (len(frames), 1)))
    return VideoRecord(name, str(tmp_path / name), 8, 24, 32, (tube,))


def nothing(video, frame):
    return np.empty((0, 4)), np.empty(0, int), np.empty(0)


def test_the_first_video_of_each_class_at_its_middle_frame(tmp_path, monkeypatch):
    videos = (video(tmp_path, "b", 0, [1, 2, 3]), video(tmp_path, "a", 0, [4, 5, 6]), video(tmp_path, "c", 2, [7]))
    dataset = ActionDataset("set", ("x", "none", "z"), videos, "")
    drawn = []
    monkeypatch.setattr(
        module, "side_by_side",
        lambda frame, shown, boxes, labels, classes: drawn.append(
            (frame.copy(), shown.pred_classes.tolist(), labels.tolist())
        ) or np.stack([frame, frame]),
    )  # fmt: skip
    def shown(video, frame):
        one = np.array([[1.0, 1, 9, 9]]), np.array([2]), np.array([0.9])
        return one if (video, frame) == (1, 5) else nothing(video, frame)

    picture = class_pictures(dataset, shown)
    assert picture.dtype == np.uint8 and picture.ndim == 3
    # a, before b by name, at frame 5 of 4, 5, 6, with its one detection; then c; no video of "none"
    assert [(shown, labels) for _, shown, labels in drawn] == [([2], [0]), ([], [2])]
    assert np.array_equal(drawn[0][0], draw(8, 0)[5]) and np.array_equal(drawn[1][0], draw(8, 2)[7])


def test_nothing_to_draw(tmp_path):
    tube = Tube(0, np.array([1]), np.ones((1, 4), np.float32))
    gone = VideoRecord("gone", str(tmp_path / "gone"), 8, 24, 32, (tube,))
    with pytest.raises(UserError, match="set: no boxes"):
        class_pictures(ActionDataset("set", ("x",), (), ""), nothing)
    with pytest.raises(FrameReadError):
        class_pictures(ActionDataset("set", ("x",), (gone,), ""), nothing)
