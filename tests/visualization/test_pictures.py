"""Pictures of results: the right boxes on the right frames, and only as much kept as is drawn."""

import cv2
import numpy as np
import pytest
import torch

from detect.d2 import Boxes, Instances
from detect.data.records import ActionDataset, KeyframeDataset, Tube, VideoRecord
from detect.video.writer import save_video
from detect.visualization import pictures


def dataset(tmp_path, lengths, sizes):
    videos = []
    for i, (length, (h, w)) in enumerate(zip(lengths, sizes, strict=True)):
        path = tmp_path / f"{i}.avi"
        save_video(path, [np.full((h, w, 3), 90, np.uint8)] * length)
        tube = Tube(0, np.arange(length), np.tile(np.float32([4, 4, 20, 20]), (length, 1)))
        videos.append(VideoRecord(f"v{i}", str(path), length, h, w, (tube,)))
    return KeyframeDataset(ActionDataset("toy", ("act",), tuple(videos), "hash"), "all")


def detect_all(drawer, data):
    """One box in every keyframe of the set, as an evaluation would give them."""
    for index, keyframes in enumerate(data.keyframes):
        for k in keyframes.tolist():
            item = data.sample(index, k)
            found = {"pred_boxes": Boxes(torch.tensor([[4.0, 4.0, 20.0, 20.0], [0.0, 0.0, 9.0, 9.0]]))}
            found |= {"scores": torch.tensor([0.9, 0.1]), "pred_classes": torch.tensor([0, 0])}
            drawer.process([item], [{"instances": Instances((item["height"], item["width"]), **found)}])


def test_grid_and_film(tmp_path):
    data = dataset(tmp_path, [30, 12, 400], [(48, 64), (48, 64), (60, 40)])
    drawer = pictures.PictureDrawer(data, tmp_path / "out", 3)
    detect_all(drawer, data)
    assert len(drawer._found) == 30 + 12 + 1  # of the third video only the middle frame is kept
    assert all(len(found) == 1 for found in drawer._found.values())  # weak detections are not drawn
    assert drawer.evaluate() == {}  # no scores: Detectron2 averages whatever an evaluator returns
    capture, count = cv2.VideoCapture(drawer.written["video"]), 0
    while capture.grab():
        count += 1
    assert count == 30 + 12
    assert cv2.imread(drawer.written["grid"]).shape[0] > 2 * 300  # two rows: three pictures in two columns


def test_a_box_is_drawn_where_it_was_found(tmp_path):
    """The frame is grey (90) and 48 x 64, drawn 8 times as large (360 / 48) below a caption of 26 rows: the box's left
    edge x = 4 is column 32, its middle row 12 is row 26 + 96; the class colour stands on both halves.
    """
    data = dataset(tmp_path, [5], [(48, 64)])
    drawer = pictures.PictureDrawer(data, tmp_path / "out", 1)
    detect_all(drawer, data)
    drawer.evaluate()
    picture = cv2.imread(drawer.written["grid"])[:, :, ::-1][6:, 6:]  # the grid's gap is 6
    left, right = picture[26 + 96, 30:35].astype(int), picture[26 + 96, 512 + 30 : 512 + 35].astype(int)
    assert np.ptp(left, axis=1).max() > 100  # coloured
    assert right.max() == 255 and np.ptp(right, axis=1).max() < 30  # ground truth is white
    assert np.ptp(picture[26 + 96, 60:140].astype(int), axis=1).max() < 30  # inside (columns 32 to 160) is the frame


def test_nothing_is_drawn_without_detections_or_videos(tmp_path, caplog):
    data = dataset(tmp_path, [8, 8], [(48, 64), (48, 64)])
    drawer = pictures.PictureDrawer(data, tmp_path / "none", 0)
    detect_all(drawer, data)
    drawer.evaluate()
    assert drawer.written == {} and not (tmp_path / "none").exists()
    (tmp_path / "0.avi").unlink()
    drawer = pictures.PictureDrawer(data, tmp_path / "out", 2)
    detect_all(drawer, data)
    drawer.evaluate()
    assert drawer.written.keys() == {"grid", "video"} and "0.avi: there is no such video" in caplog.text
    (tmp_path / "1.avi").unlink()
    drawer.evaluate()
    drawer.reset()
    drawer.evaluate()
    assert drawer.written == {}


@pytest.mark.parametrize(
    ("shape", "drawn"),
    [((10, 40), (slice(12, 17), slice(0, 20))), ((60, 10), (slice(0, 30), slice(7, 12))), ((30, 20), ...)],
)
def test_fit_shows_the_whole_picture(shape, drawn):
    """10 x 40 on 30 x 20 is scaled by 1/2 to 5 x 20, 60 x 10 to 30 x 5, in the middle of a dark canvas."""
    fitted = pictures._fit(np.full((*shape, 3), 200, np.uint8), (30, 20))
    assert fitted.shape == (30, 20, 3) and (fitted[drawn] == 200).all()
    fitted[drawn] = pictures.BACKGROUND
    assert (fitted == pictures.BACKGROUND).all()


def test_every_cell_of_the_grid_is_of_one_size(tmp_path):
    """Halves of 360 x 480 (180 x 240 enlarged), 360 x 640 and 640 x 360: cells of the medians, 360 x 480."""
    data = dataset(tmp_path, [5, 5, 5], [(180, 240), (360, 640), (640, 360)])
    drawer = pictures.PictureDrawer(data, tmp_path / "out", 3)
    detect_all(drawer, data)
    drawer.evaluate()
    height, width = 6 + 2 * (26 + 360 + 6), 6 + 2 * (2 * 480 + 6)
    assert cv2.imread(drawer.written["grid"]).shape == (height, width, 3)
