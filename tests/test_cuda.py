"""The same numbers on a GPU as on the CPU."""

import pytest
import torch

import backbones
from detect.modeling import build_model
from detect.modeling.roi_pool3d import roi_pool3d
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
