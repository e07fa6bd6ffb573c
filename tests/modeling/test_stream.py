"""Streaming detection: the keyframe contract without knowing the length, bounded memory."""

import numpy as np
import pytest
import torch

from detect.d2 import Boxes, Instances
from detect.data.keyframe_mapper import KeyframeMapper
from detect.modeling.stream import detect_stream

MAPPER = KeyframeMapper(4, (6, 8), is_train=False)


class Recorder(torch.nn.Module):
    """Finds one box whose position is the keyframe's first pixel."""

    def __init__(self):
        super().__init__()
        self.keys = []

    def forward(self, batch):
        values = [float(item["clip"][len(item["clip"]) // 2, 0, 0, 0]) for item in batch]
        self.keys += values
        return [
            {
                "instances": Instances(
                    (item["height"], item["width"]),
                    pred_boxes=Boxes(torch.tensor([[v, 0, v + 1, 1]])),
                    scores=torch.ones(1),
                    pred_classes=torch.zeros(1, dtype=torch.int64),
                )
            }
            for v, item in zip(values, batch, strict=True)
        ]


@pytest.mark.parametrize("every, batch", [(1, 1), (1, 4), (3, 2)])
def test_detections_belong_to_their_frames(every, batch):
    frames = (np.full((6, 8, 3), i, np.uint8) for i in range(11))
    model = Recorder()
    found = list(detect_stream(model, frames, MAPPER, every=every, batch_size=batch))
    assert [k for k, _, _ in found] == list(range(11)) and [int(f[0, 0, 0]) for _, f, _ in found] == list(range(11))
    # these boxes never overlap: each frame has those of the nearer keyframe, the last ones those of the last
    nearer = [0, 0, 3, 3, 3, 6, 6, 6, 9, 9, 9] if every == 3 else list(range(11))
    assert [float(d.pred_boxes.tensor[0, 0]) for _, _, d in found] == nearer
    assert model.keys == list(range(0, 11, every))


def test_nothing_in_nothing_out():
    assert list(detect_stream(Recorder(), iter(()), MAPPER)) == []


def test_a_frame_of_another_size_has_boxes_in_its_own_pixels():
    frames = [np.zeros((6, 8, 3), np.uint8), np.zeros((12, 4, 3), np.uint8), np.zeros((6, 8, 3), np.uint8)]
    found = list(detect_stream(Recorder(), frames, MAPPER))
    assert [detections.image_size for _, _, detections in found] == [(6, 8), (12, 4), (6, 8)]
