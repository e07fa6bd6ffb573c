"""Every frame is evaluated, whatever the number of keyframes."""

import numpy as np
import pytest
import torch

from detect.d2 import Boxes, Instances
from detect.data.records import ActionDataset, KeyframeDataset, Tube, VideoRecord
from detect.tasks.every_frame import EveryFrame, every_nth

SIZE = (48, 64)


class Noted:
    """An evaluator that keeps what it is given."""

    def reset(self):
        self.given = {}

    def process(self, inputs, outputs):
        for item, output in zip(inputs, outputs, strict=True):
            key = (item["video"], item["frame_index"])
            assert key not in self.given and (item["height"], item["width"]) == SIZE
            self.given[key] = output

    def evaluate(self):
        return {"frames": len(self.given)}


def video(name, length, annotated=None):
    frames = np.arange(length) if annotated is None else np.array(annotated, np.int64)
    tube = Tube(0, frames, np.tile(np.array([[1, 1, 9, 9]], np.float32), (len(frames), 1)))
    return VideoRecord(name, f"/{name}.avi", length, *SIZE, (tube,))


def dataset(*videos, frames="all"):
    return KeyframeDataset(ActionDataset("set", ("a", "b"), videos, "hash"), frames)


def output(x):
    """A box at x, wide enough to be linked across 8 frames of one pixel each."""
    found = Instances(
        SIZE, pred_boxes=Boxes(torch.tensor([[x, 0.0, x + 30, 20]])), scores=torch.tensor([0.5]),
        pred_classes=torch.tensor([1]),
    )  # fmt: skip
    proposals = Instances(SIZE, proposal_boxes=Boxes(torch.tensor([[x, 0.0, x + 30, 20]])))
    return {"instances": found, "proposals": proposals}


def run(wanted, stride, lacking=()):
    noted = Noted()
    every = EveryFrame(wanted, stride, [noted])
    every.reset()
    looked = every_nth(wanted, stride)
    for sample in looked:
        if (sample["video"], sample["frame_index"]) not in lacking:
            every.process([sample], [output(float(sample["frame_index"]))])
    return every.evaluate(), noted.given, [(s["video"], s["frame_index"]) for s in looked]


@pytest.mark.parametrize("stride", [1, 2, 4, 7, 50])
def test_every_frame_gets_its_detections_once(stride):
    wanted = dataset(video("x", 20), video("y", 1), video("z", 9))
    result, given, looked = run(wanted, stride)
    assert result == {"frames": 30} and given.keys() == {(s["video"], s["frame_index"]) for s in wanted}
    assert looked == [(v, k) for v, n in (("x", 20), ("y", 1), ("z", 9)) for k in range(0, n, stride)]
    for (name, frame), one in given.items():
        last = (dict(x=20, y=1, z=9)[name] - 1) // stride * stride
        x = float(one["instances"].pred_boxes.tensor[0, 0])
        if frame > last:
            assert x == last  # after the last keyframe it stays
        elif stride < 20:
            assert x == pytest.approx(frame)  # moves along
        assert float(one["proposals"].proposal_boxes.tensor[0, 0]) % stride == 0


def test_only_keyframes_beside_annotated_frames():
    wanted = dataset(video("x", 40, annotated=[5, 6, 24, 39]), frames="annotated")
    _, given, looked = run(wanted, 8)
    assert [k for _, k in looked] == [0, 8, 24, 32] and sorted(k for _, k in given) == [5, 6, 24, 39]


def test_a_keyframe_that_could_not_be_read():
    wanted = dataset(video("x", 20))
    result, given, _ = run(wanted, 4, lacking={("x", 8)})
    # 8 itself is missing; 5 to 7 repeat 4, 9 to 11 repeat 12
    assert result == {"frames": 19} and ("x", 8) not in given
    positions = [float(given["x", k]["instances"].pred_boxes.tensor[0, 0]) for k in (5, 6, 7, 9, 10, 11)]
    assert positions == [4, 4, 4, 12, 12, 12]
    assert run(wanted, 4, lacking={("x", 8), ("x", 12)})[0] == {"frames": 20 - 5}  # 8 to 12 have no neighbour but 9-11
