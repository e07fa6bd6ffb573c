"""The graphs, as modules in PyTorch, against the detector that they are of."""

import pytest
import torch

from detect.config import get_cfg
from detect.d2 import Boxes
from detect.export.graphs import ContextPart, KeyframePart, part_graph, random_inputs, random_regions
from detect.modeling import build_model, fold_for_inference
from detect.modeling.roi_pool3d import roi_pool3d
from detect.modeling.roi_pool_matrix import matrix_roi_pool3d
from detect.utils.errors import UserError
from tests.export.lively import OPEN_GATES, lively
from tests.modeling.test_roi_pool3d import random_boxes
from tests.tiny import tiny_cfg

RGB_AND_FLOW = ("MODEL.STREAMS", ("rgb", "flow"))


def detector(*overrides):
    cfg = tiny_cfg(*OPEN_GATES, *overrides)
    torch.manual_seed(0)
    model = build_model(cfg)
    with torch.no_grad():
        for name, value in lively(model.state_dict()).items():
            model.state_dict()[name].copy_(value)
    return fold_for_inference(model), cfg


def item_of(inputs, cfg):
    """The batch item, of a frame of the input's size, so that boxes stay."""
    height, width = cfg.INPUT.SIZE
    return {**{name: value[0] for name, value in inputs.items()}, "height": height, "width": width}


@pytest.mark.parametrize("size, ratio", [(7, 2), (14, 1), (3, 3), (1, 1)])
def test_pooling_by_matrices_is_roi_pooling(size, ratio):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn((1, 6, 5, 20, 25), generator=generator, dtype=torch.float64)
    boxes = [random_boxes(40, generator)]
    expected = roi_pool3d(features, boxes, size, 1 / 16, ratio)
    torch.testing.assert_close(matrix_roi_pool3d(features, boxes, size, 1 / 16, ratio), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("h, w", [(1, 1), (1, 7), (6, 1)])
def test_pooling_of_maps_of_one_row_or_column(h, w):
    features = torch.randn(1, 2, 3, h, w, dtype=torch.float64)
    boxes = [torch.tensor([[0.0, 0.0, 16.0 * w, 16.0 * h], [2.0, 1.0, 9.0, 9.0]], dtype=torch.float64)]
    expected = roi_pool3d(features, boxes, 3, 1 / 16, 2)
    torch.testing.assert_close(matrix_roi_pool3d(features, boxes, 3, 1 / 16, 2), expected)


@pytest.mark.parametrize(
    "overrides, regions",
    [
        ((), 12),
        ((), 500),  # more than there are
        (("MODEL.PROPOSAL_GENERATOR.MIN_SIZE", 20), 60),  # small ones are left out before the suppression
        (("MODEL.RPN.SCORE_THRESH_TEST", 0.505), 40),
        (("MODEL.RPN.SCORE_THRESH_TEST", 0.99), 40),  # the best one stays
        (("MODEL.PROPOSAL_GENERATOR.MIN_SIZE", 1000), 5),  # none is left
        (("INPUT.FORMAT", "BGR", "MODEL.RPN.NMS_THRESH_TEST", 0.3), 60),
    ],
)
@torch.no_grad()
def test_the_regions_are_the_proposals(overrides, regions):
    model, cfg = detector("MODEL.RPN.POST_NMS_TOPK_TEST", regions, *overrides)
    inputs = random_inputs(cfg)
    keyframe = inputs["clip"][:, cfg.INPUT.NUM_FRAMES // 2]
    images = model.keyframes(inputs["clip"], [{}])
    (proposals,), _ = model.proposal_generator(images, model.backbone(images.tensor))
    logits, deltas, found, real = KeyframePart(model, regions)(keyframe)
    assert len(logits) == len(deltas) == 3 * 4 * 6 and found.shape == (regions, 4)  # 3 x 4 cells, 6 anchors
    assert real.tolist() == [True] * len(proposals) + [False] * (regions - len(proposals))
    torch.testing.assert_close(found[real], proposals.proposal_boxes.tensor)
    assert not found[~real].any()
    expected = {0.99: 1}.get(cfg.MODEL.RPN.SCORE_THRESH_TEST)
    assert expected is None or len(proposals) == expected


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("MODEL.ROI_BOX_HEAD.MAX_POOL", False, "MODEL.ROI_BOX_HEAD.SURROUNDINGS", (2.0, 1.5)),
        ("MODEL.CONTEXT.NAME", "i3d", "INPUT.NUM_FRAMES", 9),
        RGB_AND_FLOW,
        ("MODEL.CONTEXT.TAP", "mixed_5c"),  # no tail
    ],
)
@torch.no_grad()
def test_the_whole_is_the_detector(overrides):
    model, cfg = detector(*overrides)
    graph, inputs = part_graph(model, cfg, "whole", regions=12)
    boxes, scores, regions, real, objectness = graph(*inputs.values())
    (expected,) = model([item_of(inputs, cfg)])
    proposals = expected["proposals"]
    torch.testing.assert_close(regions[real], proposals.proposal_boxes.tensor, rtol=0, atol=1e-3)
    torch.testing.assert_close(objectness[real], proposals.objectness_logits, rtol=0, atol=1e-5)
    context = model.context_maps(inputs["clip"], [item_of(inputs, cfg)])
    logits, deltas = model.roi_heads.predict(context, [regions[real]])
    wanted, probabilities = model.roi_heads.refined(regions[real], logits, deltas, tuple(cfg.INPUT.SIZE))
    torch.testing.assert_close(boxes[real], wanted, rtol=0, atol=1e-3)
    torch.testing.assert_close(scores[real], probabilities, rtol=0, atol=1e-4)
    assert probabilities.std() > 0.05  # the comparison says something


@torch.no_grad()
def test_the_parts_make_the_whole():
    model, cfg = detector()
    whole, inputs = part_graph(model, cfg, "whole", regions=12)
    boxes, scores, regions, real, _ = whole(*inputs.values())
    keyframe, _ = part_graph(model, cfg, "keyframe", regions=12)
    *_, found, real_too = keyframe(inputs["clip"][:, cfg.INPUT.NUM_FRAMES // 2])
    context, _ = part_graph(model, cfg, "context", regions=12)
    head, given = part_graph(model, cfg, "head", regions=12)
    assert given["regions"].shape == (12, 4) and list(given) == ["context", "regions"]
    torch.testing.assert_close(found, regions)
    assert torch.equal(real, real_too) and real.all()
    for one, other in zip(head(context(*inputs.values()), found), (boxes, scores), strict=True):
        torch.testing.assert_close(one, other)


def test_exporting_leaves_the_model_as_it_was():
    model, cfg = detector()
    before = [type(module) for module in model.modules()]
    part_graph(model, cfg, "head", regions=4)
    assert [type(module) for module in model.modules()] == before and model.roi_heads.pool is roi_pool3d


def test_random_boxes_lie_in_the_image():
    boxes = random_regions(50, (48, 64))
    clipped = Boxes(boxes.clone())
    clipped.clip((48, 64))
    assert torch.equal(boxes, clipped.tensor) and (boxes[:, 2:] >= boxes[:, :2]).all()


def test_what_cannot_be_exported_is_refused():
    model, cfg = detector()
    with pytest.raises(UserError, match="the part is 'tail'; choose one of keyframe, context, head, whole"):
        part_graph(model, cfg, "tail", regions=4)
    with pytest.raises(UserError, match="the model is a Linear"):
        part_graph(torch.nn.Linear(1, 1), get_cfg(), "whole", regions=4)
    model.proposal_generator = torch.nn.Identity()
    with pytest.raises(UserError, match="proposal_generator is a Identity; only a KeyframeRPN can be exported"):
        part_graph(model, cfg, "whole", regions=4)


def test_flow_is_the_second_input_of_the_context_part():
    model, cfg = detector(*RGB_AND_FLOW)
    graph, inputs = part_graph(model, cfg, "context", regions=4)
    assert list(inputs) == ["clip", "flow"] and inputs["flow"].shape == (1, 8, 48, 64, 2)
    with torch.no_grad():
        expected = model.context_maps(inputs["clip"], [item_of(inputs, cfg)])
        torch.testing.assert_close(graph(*inputs.values()), expected, rtol=0, atol=1e-5)
    assert isinstance(graph, ContextPart)
