"""The same numbers on a GPU as on the CPU."""

import copy

import pytest
import torch

import backbones
from backbones.layers import MaxPool
from detect.d2 import Boxes, Instances
from detect.modeling import build_model, inference_copy
from detect.modeling.cuda_graphs import SIZES, record
from detect.modeling.roi_pool3d import roi_pool3d
from detect.modeling.rpn import grid_anchors
from tests.tiny import clip_item, tiny_cfg

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


@pytest.fixture(autouse=True)
def exact():
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize("name", ["i3d", "s3dg", "i2d"])
def test_every_endpoint(name):
    net = backbones.build(name, width=0.25, conv_std=0.0).eval()
    x = torch.randn(1, 3, 13, 40, 56)
    with torch.no_grad():
        cpu = net.endpoints(x)
        gpu = net.cuda().endpoints(x.cuda())
    for endpoint, value in cpu.items():
        torch.testing.assert_close(gpu[endpoint].cpu(), value, rtol=1e-3, atol=1e-4 * float(value.std() + 1))


def test_roi_pooling():
    features, boxes = torch.randn(2, 8, 5, 20, 25), [torch.tensor([[3.0, 5.0, 190.0, 177.0]]), torch.zeros(0, 4)]
    gpu = roi_pool3d(features.cuda(), [b.cuda() for b in boxes], 7, 1 / 16, 2)
    torch.testing.assert_close(gpu.cpu(), roi_pool3d(features, boxes, 7, 1 / 16, 2), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_a_training_step_and_detections(dtype):
    cfg = tiny_cfg("MODEL.DEVICE", "cuda")
    model = build_model(cfg)
    with torch.autocast("cuda", dtype, enabled=dtype is not None):
        losses = model([clip_item(cfg), clip_item(cfg, (), (), seed=1)])
    sum(losses.values()).backward()
    assert all(torch.isfinite(v) for v in losses.values())
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    assert len(model.eval()([clip_item(cfg)])[0]["instances"].to("cpu"))


@pytest.mark.parametrize("kernel, stride", [((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (2, 2, 2)), ((3, 3, 3), (1, 1, 1)),
                                            ((2, 2, 2), (2, 2, 2)), ((2, 1, 1), (2, 1, 1))])  # fmt: skip
def test_max_pools(kernel, stride):
    pool, x = MaxPool(kernel, stride), torch.randn(2, 5, 7, 9, 12).contiguous(memory_format=torch.channels_last_3d)
    cpu, gpu = x.clone().requires_grad_(), x.cuda().requires_grad_()
    expected, found = pool(cpu), pool(gpu)
    assert torch.equal(found.cpu(), expected)
    for y in (expected, found):
        y.square().sum().backward()
    torch.testing.assert_close(gpu.grad.cpu(), cpu.grad)


@pytest.mark.parametrize("compiled", [False, True])
def test_recorded_networks_give_what_unrecorded_ones_give(compiled):
    cfg = tiny_cfg("MODEL.DEVICE", "cuda")
    torch.manual_seed(0)
    model = build_model(cfg)
    recorded, plain = inference_copy(model, compiled=compiled), inference_copy(model, graphs=False)
    for seed in range(5):
        batch = [clip_item(cfg, seed=seed)] * (1 + seed % 2)  # two sizes of batch, each three or two times
        for mode in (torch.inference_mode, torch.no_grad):
            with mode():
                for ours, theirs in zip(recorded(batch), plain(batch), strict=True):
                    for name in ("pred_boxes", "scores", "pred_classes"):
                        values = [getattr(found["instances"].get(name), "tensor", found["instances"].get(name))
                                  for found in (ours, theirs)]  # fmt: skip
                        torch.testing.assert_close(*values)
    assert len(recorded.context.forward._graphs) == 2 and not hasattr(plain.context.forward, "_graphs")
    copied = copy.deepcopy(recorded)
    with torch.no_grad():
        assert len(copied(batch)[0]["instances"]) == len(recorded(batch)[0]["instances"])


def test_no_more_sizes_are_recorded_than_memory_is_meant_for():
    network = record(torch.nn.Linear(4, 4).cuda())
    with torch.no_grad():
        for rows in range(1, 9):
            for _ in range(3):
                x = torch.randn(rows, 4, device="cuda")
                torch.testing.assert_close(network(x), torch.nn.functional.linear(x, network.weight, network.bias))
    assert len(network.forward._graphs) == SIZES


def test_matching_sampling_and_losses_do_not_wait_for_the_gpu():
    cfg = tiny_cfg("MODEL.DEVICE", "cuda")
    model = build_model(cfg).train()
    rpn, head, size = model.proposal_generator, model.roi_heads, tuple(cfg.INPUT.SIZE)
    gt = [clip_item(cfg)["instances"].to("cuda"), clip_item(cfg, (), ())["instances"].to("cuda")]
    cells = (size[0] // 16, size[1] // 16)
    anchors = grid_anchors(rpn.cell_anchors, *cells, 16)
    logits = torch.randn(2, len(anchors), device="cuda", requires_grad=True)
    deltas = torch.randn(2, len(anchors), 4, device="cuda", requires_grad=True)
    boxes = torch.tensor([[8.0, 8, 40, 40], [0, 0, 20, 20], [9, 9, 38, 42]], device="cuda")
    proposals = [Instances(size, proposal_boxes=Boxes(boxes)) for _ in range(2)]
    context = torch.randn(2, head.cls_score.in_features, 2, *cells, device="cuda")
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        losses = rpn.losses(anchors, logits, deltas, gt)
        sampled = [head.sample_proposals(p, of_image) for p, of_image in zip(proposals, gt, strict=True)]
        pooled = roi_pool3d(context, [s.proposal_boxes.tensor for s in sampled], 7, 1 / 16, 2, max_pool=True)
        features = pooled.mean((2, 3, 4))
        losses |= head.losses(head.cls_score(features), head.bbox_pred(features), sampled)
        sum(losses.values()).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(torch.isfinite(loss) for loss in losses.values())
    # of 8 at most 2 positives; 3 are among 3 proposals and the ground truth itself, beside 1 negative; then 3 negatives
    assert [int((s.gt_classes >= 0).sum()) for s in sampled] == [3, 3]


def test_a_loss_is_that_of_the_cpu():
    """Where every region is taken the samples are the same."""
    cfg = tiny_cfg("MODEL.ROI_HEADS.POSITIVE_FRACTION", 1.0)
    head, size = build_model(cfg).roi_heads, tuple(cfg.INPUT.SIZE)
    gt, boxes = clip_item(cfg)["instances"], torch.tensor([[8.0, 8, 40, 40], [0, 0, 20, 20], [9, 9, 38, 42]])
    found = []
    for device in ("cpu", "cuda"):
        head.to(device)
        sampled = head.sample_proposals(Instances(size, proposal_boxes=Boxes(boxes.to(device))), gt.to(device))
        features = sampled.proposal_boxes.tensor.sum(1, keepdim=True).expand(-1, head.cls_score.in_features) / 100
        losses = head.losses(head.cls_score(features), head.bbox_pred(features), [sampled])
        found.append({name: float(loss) for name, loss in losses.items()})
    assert found[1] == pytest.approx(found[0], rel=1e-4)
