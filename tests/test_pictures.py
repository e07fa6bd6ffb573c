"""Pictures of results: the right boxes on the right frames, and only as much run as is drawn."""

import cv2
import numpy as np
import pytest
import torch

from detect import pictures
from detect.d2 import Boxes, Instances
from detect.data.clip_mapper import ClipMapper
from detect.data.records import ActionDataset, KeyframeDataset, Tube, VideoRecord
from detect.visualize import save_video


class Finder(torch.nn.Module):
    """One box in every keyframe; counts them."""

    seen = 0

    def forward(self, batch):
        self.seen += len(batch)
        boxes = Boxes(torch.tensor([[4.0, 4.0, 20.0, 20.0]]))
        found = {"pred_boxes": boxes, "scores": torch.tensor([0.9]), "pred_classes": torch.tensor([0])}
        return [{"instances": Instances((item["height"], item["width"]), **found)} for item in batch]


def dataset(tmp_path, lengths, sizes):
    videos = []
    for i, (length, (h, w)) in enumerate(zip(lengths, sizes, strict=True)):
        path = tmp_path / f"{i}.avi"
        save_video(path, [np.full((h, w, 3), 90, np.uint8)] * length)
        tube = Tube(0, np.arange(length), np.tile(np.float32([4, 4, 20, 20]), (length, 1)))
        videos.append(VideoRecord(f"v{i}", str(path), length, h, w, (tube,)))
    return KeyframeDataset(ActionDataset("toy", ("act",), tuple(videos), "hash"), "all")


def test_grid_and_film(tmp_path):
    data, model = dataset(tmp_path, [30, 12, 400], [(48, 64), (48, 64), (60, 40)]), Finder()
    mapper = ClipMapper(4, (24, 32), is_train=False)
    paths = pictures.draw_results(model, data, mapper, tmp_path / "out", 3)
    assert model.seen == 30 + 12 + 8  # the third video only around its middle
    capture, count = cv2.VideoCapture(paths["video"]), 0
    while capture.grab():
        count += 1
    assert count == 30 + 12
    assert cv2.imread(paths["grid"]).shape[0] > 2 * 300  # two rows: three pictures in two columns


def test_unreadable_videos_are_left_out(tmp_path, caplog):
    data = dataset(tmp_path, [8, 8], [(48, 64), (48, 64)])
    (tmp_path / "0.avi").unlink()
    mapper = ClipMapper(4, (24, 32), is_train=False)
    assert pictures.draw_results(Finder(), data, mapper, tmp_path / "out", 2).keys() == {"grid", "video"}
    assert "0.avi: there is no such video" in caplog.text
    (tmp_path / "1.avi").unlink()
    assert pictures.draw_results(Finder(), data, mapper, tmp_path / "none", 2) == {}


@pytest.mark.parametrize("shape", [(10, 40, 3), (60, 10, 3)])
def test_fit_cuts_and_fills(shape):
    assert pictures._fit(np.full(shape, 200, np.uint8), (30, 20, 3)).shape == (30, 20, 3)
