"""The region proposal network: anchors, targets, losses, selection; torchvision and Detectron2 as references."""

import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList as TorchvisionImageList

from detect.d2 import HAS_DETECTRON2, PROPOSAL_GENERATOR_REGISTRY, Boxes, EventStorage, ImageList, Instances, ShapeSpec
from detect.modeling.rpn import KeyframeRPN, cell_anchors, grid_anchors
from tests.tiny import tiny_cfg

SHAPE = {"res4": ShapeSpec(channels=8, stride=16)}


def rpn(*overrides, training=False) -> KeyframeRPN:
    torch.manual_seed(0)
    return KeyframeRPN(tiny_cfg(*overrides), SHAPE).train(training)


def images(count=1, height=48, width=64) -> ImageList:
    return ImageList(torch.zeros(count, 3, height, width), [(height, width)] * count)


def truth(*boxes) -> Instances:
    return Instances(
        (48, 64),
        gt_boxes=Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)),
        gt_classes=torch.zeros(len(boxes), dtype=torch.int64),
    )


def test_cell_anchors_by_hand():
    # size 32: aspect 1 is 32 x 32; aspect 4 (height / width) at the same area is 16 wide and 64 high
    torch.testing.assert_close(
        cell_anchors([32.0], [1.0, 4.0]), torch.tensor([[-16.0, -16.0, 16.0, 16.0], [-8.0, -32.0, 8.0, 32.0]])
    )
    anchors = cell_anchors([64.0, 128.0], [0.5, 1.0, 2.0])
    assert len(anchors) == 6 and float(anchors[0, 2] - anchors[0, 0]) == pytest.approx(64 * 2**0.5)
    areas = (anchors[:, 2] - anchors[:, 0]) * (anchors[:, 3] - anchors[:, 1])
    torch.testing.assert_close(areas, torch.tensor([64.0**2] * 3 + [128.0**2] * 3))


def test_grid_is_torchvisions_grid():
    cells = AnchorGenerator.generate_anchors(None, [32, 64], [0.5, 1.0, 2.0])  # only the grid counts
    generator = AnchorGenerator(((32, 64),), ((0.5, 1.0, 2.0),))
    reference = generator(TorchvisionImageList(torch.zeros(1, 3, 48, 64), [(48, 64)]), [torch.zeros(1, 8, 3, 4)])[0]
    torch.testing.assert_close(grid_anchors(cells, 3, 4, 16), reference)


def test_losses_are_sums_over_the_sampling_size():
    # without ground truth 32 anchors are sampled, all negative; with logits 0 each costs log 2
    model = rpn(training=True)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    _, losses = model(images(), {"res4": torch.randn(1, 8, 3, 4)}, [truth()])
    assert float(losses["loss_rpn_cls"]) == pytest.approx(0.693147, rel=1e-5)
    assert float(losses["loss_rpn_loc"]) == 0.0


def test_box_loss_by_hand():
    # 3 x 4 cells, one 32-anchor each; the ground truth is the anchor at cell (1, 1) moved right by 3.2 pixels:
    # dx = 0.1, IoU 0.82; the L1 loss 0.1, weight 2, over 32 samples
    model = rpn("MODEL.ANCHOR_GENERATOR.SIZES", [[32]], "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", [[1.0]], training=True)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    _, losses = model(images(), {"res4": torch.randn(1, 8, 3, 4)}, [truth([3.2, 0.0, 35.2, 32.0])])
    assert float(losses["loss_rpn_loc"]) == pytest.approx(2 * 0.1 / 32, rel=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_proposals_are_inside_ranked_and_not_redundant(training):
    from torchvision.ops import box_iou

    model = rpn(training=training)
    proposals, losses = model(images(2), {"res4": torch.randn(2, 8, 3, 4) * 30}, [truth([0, 0, 32, 32]), truth()])
    assert bool(losses) == training
    for found in proposals:
        boxes, logits = found.proposal_boxes.tensor, found.objectness_logits
        assert 0 < len(boxes) <= (20 if training else 12)
        assert (boxes[:, :2] >= 0).all() and (boxes[:, 2] <= 64).all() and (boxes[:, 3] <= 48).all()
        assert logits.tolist() == sorted(logits.tolist(), reverse=True)
        assert float((box_iou(boxes, boxes) - torch.eye(len(boxes))).max()) <= 0.7 + 1e-6
        assert not boxes.requires_grad


def test_a_missing_feature_is_named():
    with pytest.raises(ValueError, match=r"MODEL.RPN.IN_FEATURES is \['res5'\].*res4"):
        rpn("MODEL.RPN.IN_FEATURES", ["res5"])


@pytest.mark.skipif(not HAS_DETECTRON2, reason="Detectron2 is not installed")
def test_detectron2s_rpn_with_our_weights_gives_our_proposals_and_losses():
    # every anchor sampled (32 of the 3 * 4 * 3 positives and negatives would be random), so that the losses compare
    options = ("MODEL.RPN.BATCH_SIZE_PER_IMAGE", 1000, "MODEL.RPN.POSITIVE_FRACTION", 1.0)
    ours = rpn(*options, training=True)
    theirs = PROPOSAL_GENERATOR_REGISTRY.get("RPN")(tiny_cfg(*options), SHAPE).train()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    features, gt = (
        {"res4": torch.randn(2, 8, 3, 4) * 10},
        [truth([0, 0, 32, 32], [20, 10, 60, 44]), truth([5, 5, 30, 30])],
    )
    with EventStorage():  # Detectron2's counts anchors in it
        (a, a_losses), (b, b_losses) = (m(images(2), features, gt) for m in (ours, theirs))
    for name in ("loss_rpn_cls", "loss_rpn_loc"):
        torch.testing.assert_close(a_losses[name], b_losses[name])
    for x, y in zip(a, b, strict=True):
        torch.testing.assert_close(x.proposal_boxes.tensor, y.proposal_boxes.tensor)
        torch.testing.assert_close(x.objectness_logits, y.objectness_logits)
