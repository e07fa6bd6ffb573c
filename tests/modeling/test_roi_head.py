"""The region head alone: samples, losses, suppression."""

import pytest
import torch

from detect.d2 import Boxes, Instances
from detect.modeling.results import rank_within_class
from detect.modeling.roi_head import ActionROIHead, grown


# ------------------------------------------------------------------------------------------------ the region head
def head(**overrides) -> ActionROIHead:
    options = dict(
        tail=torch.nn.Sequential(), channels=4, stride=16, num_classes=2, pooler_resolution=7, sampling_ratio=1,
        max_pool=False, dropout=0.0, batch_size_per_image=8, positive_fraction=0.25, iou_threshold=0.5, append_gt=True,
        bbox_reg_weights=(10.0, 10.0, 5.0, 5.0), smooth_l1_beta=1.0, cls_loss_weight=1.0, bbox_reg_loss_weight=2.0,
        score_thresh=0.0, nms_thresh=0.6, detections_per_class=100, detections_per_image=300,
    )  # fmt: skip
    return ActionROIHead(**{**options, **overrides})


def test_sampled_regions_carry_class_and_target():
    gt = Instances(
        (100, 100),
        gt_boxes=Boxes(torch.tensor([[0.0, 0.0, 20.0, 20.0], [50.0, 50.0, 90.0, 90.0]])),
        gt_classes=torch.tensor([1, 0]),
    )
    boxes = torch.tensor([[0.0, 0.0, 20.0, 16.0], [60.0, 0.0, 80.0, 20.0], [50.0, 50.0, 90.0, 80.0]])
    proposals = Instances((100, 100), proposal_boxes=Boxes(boxes), objectness_logits=torch.zeros(3))
    sampled = head(positive_fraction=1.0, append_gt=False).sample_proposals(proposals, gt)
    found = {
        tuple(b.tolist()): (int(c), t.tolist())
        for b, c, t in zip(sampled.proposal_boxes.tensor, sampled.gt_classes, sampled.gt_boxes.tensor, strict=True)
    }
    assert found == {
        (0.0, 0.0, 20.0, 16.0): (1, [0.0, 0.0, 20.0, 20.0]),  # IoU 0.8
        (50.0, 50.0, 90.0, 80.0): (0, [50.0, 50.0, 90.0, 90.0]),  # IoU 0.75
        (60.0, 0.0, 80.0, 20.0): (2, [60.0, 0.0, 80.0, 20.0]),  # background
    }
    assert len(head(positive_fraction=1.0).sample_proposals(proposals, gt)) == 5  # with the ground truth itself


def test_surroundings_are_pooled_and_boxes_stay():
    assert grown(torch.tensor([[10.0, 20.0, 30.0, 60.0]]), 2.0, 1.5).tolist() == [[0.0, 10.0, 40.0, 70.0]]
    torch.manual_seed(0)
    context, box = torch.randn(1, 4, 2, 8, 8), torch.tensor([[32.0, 32.0, 64.0, 96.0]])
    around = head(surroundings=(2.0, 1.5))
    plain = head()
    plain.load_state_dict(around.state_dict())
    found = around.predict(context, [box])
    expected = plain.predict(context, [torch.tensor([[16.0, 16.0, 80.0, 112.0]])])
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert not torch.equal(found[0], plain.predict(context, [box])[0])


def test_losses_by_hand():
    # two regions, classes 0 and background (2); uniform logits: cross-entropy log 3 each; the positive's target
    # is half its width further right: dx = 10 * 0.5 = 5, smooth L1 = 4.5, times 2 over 2 regions
    sampled = Instances(
        (100, 100),
        proposal_boxes=Boxes(torch.tensor([[0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0]])),
        gt_boxes=Boxes(torch.tensor([[5.0, 0.0, 15.0, 10.0], [50.0, 50.0, 60.0, 60.0]])),
        gt_classes=torch.tensor([0, 2]),
    )
    losses = head().losses(torch.zeros(2, 3), torch.zeros(2, 8), [sampled])
    assert float(losses["loss_cls"]) == pytest.approx(1.098612)
    assert float(losses["loss_box_reg"]) == pytest.approx(4.5)


def test_suppression_is_by_class_and_capped():
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 9.0], [50.0, 50.0, 60.0, 60.0]])
    logits = torch.tensor([[4.0, 0.0, 0.0], [3.0, 1.0, 0.0], [2.0, 0.0, 0.0]])
    found = head(score_thresh=0.05).select(boxes, logits, torch.zeros(3, 8), (100, 100))
    # class 0: the second box (IoU 0.9) falls to the first; class 1: of both the better, and none of the rest above 0.05
    assert sorted(zip(found.pred_classes.tolist(), found.pred_boxes.tensor[:, 0].tolist(), strict=True)) == [
        (0, 0.0),
        (0, 50.0),
        (1, 0.0),
        (1, 50.0),
    ]
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    assert len(head(detections_per_class=1).select(boxes, logits, torch.zeros(3, 8), (100, 100))) == 2
    assert len(head(detections_per_image=1).select(boxes, logits, torch.zeros(3, 8), (100, 100))) == 1
    assert rank_within_class(torch.tensor([0, 1, 0, 0, 1]), 2).tolist() == [0, 0, 1, 2, 1]


def test_boxes_without_area_are_dropped():
    outside = torch.tensor([[200.0, 10.0, 220.0, 20.0]])  # clipped to the border of a 100 x 100 frame
    assert len(head().select(outside, torch.zeros(1, 3), torch.zeros(1, 8), (100, 100))) == 0
