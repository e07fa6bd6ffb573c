"""Which part of a detector falls short on a few keyframes."""

import numpy as np
import pytest
import torch

from detect.d2 import Boxes, Instances
from detect.data.records import ActionDataset, Tube, VideoRecord
from detect.evaluation.overfit_measures import measure

A, B = (0.0, 0.0, 20.0, 20.0), (30.0, 0.0, 50.0, 20.0)


@pytest.fixture
def dataset():
    """Two keyframes: run at A and jump at B in one, run at A in the other."""

    def video(name, *truths):
        tubes = tuple(Tube(label, np.array([3]), np.float32([box])) for label, box in truths)
        return VideoRecord(name, "", 8, 48, 64, tubes)

    return ActionDataset("own", ("run", "jump"), (video("v", (0, A), (1, B)), video("w", (0, A))), "hash")


def output(*detections, proposals=(A, B)):
    """detections: (label, score, box)."""
    labels, scores, boxes = zip(*detections, strict=True) if detections else ((), (), ())
    found = {"pred_boxes": Boxes(torch.tensor(boxes).reshape(-1, 4)), "scores": torch.tensor(scores)}
    proposed = {"proposal_boxes": Boxes(torch.tensor(proposals).reshape(-1, 4))}
    return {
        "instances": Instances((48, 64), **found, pred_classes=torch.tensor(labels, dtype=torch.int64)),
        "proposals": Instances((48, 64), **proposed, objectness_logits=torch.zeros(len(proposals))),
    }


ITEMS = [{"video": "v", "frame_index": 3}, {"video": "w", "frame_index": 3}]


def test_all_found(dataset):
    found = measure(dataset, ITEMS, [output((0, 0.9, A), (1, 0.8, B)), output((0, 0.7, A), (1, 0.2, A))], "voc")
    assert (found.frame_map, found.loose_map, found.recall, found.label_right, found.overlap) == (1, 1, 1, 1, 1)
    assert found.confused == () and found.line().startswith("frame-mAP@0.5 1.000, @0.1 1.000; boxes that the RPN")


def test_places_are_off(dataset):
    off = (10.0, 0.0, 30.0, 20.0)  # half of A: IoU 1/3
    found = measure(dataset, ITEMS, [output((0, 0.9, off), (1, 0.8, B)), output((0, 0.9, off))], "voc")
    assert (found.frame_map, found.loose_map) == (0.5, 1.0)
    assert found.overlap == pytest.approx((1 / 3 + 1 + 1 / 3) / 3) and found.recall == 1


def test_labels_are_wrong(dataset):
    found = measure(dataset, ITEMS, [output((1, 0.9, A), (0, 0.3, A), (1, 0.8, B)), output((1, 0.7, A))], "voc")
    assert found.confused == ((0, 1), (0, 1)) and found.label_right == pytest.approx(1 / 3)
    assert found.frame_map < 1 and found.recall == 1


def test_proposals_are_lacking(dataset):
    outputs = [output(proposals=(A,)), output(proposals=())]
    found = measure(dataset, ITEMS, outputs, "voc")
    assert found.recall == pytest.approx(1 / 3)
    assert (found.frame_map, found.label_right, found.overlap, found.confused) == (0, 0, 0, ())
