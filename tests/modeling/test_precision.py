"""Inference in bf16: near fp32, with fp32 where it matters; the model that was copied stays as it was."""

import pytest
import torch
from torch import nn

import backbones
from backbones.layers import Conv
from detect.classification.model import ActionClassifier
from detect.classification.model import inference_copy as classifier_copy
from detect.config import check_values
from detect.modeling import build_model, fold_for_inference, inference_copy, precision
from detect.modeling.precision import inference_dtype, lower_convolutions
from detect.utils.errors import UserError
from tests.tiny import clip_item, tiny_cfg

CPU = torch.device("cpu")


def detector(*overrides):
    torch.manual_seed(0)
    cfg = tiny_cfg(*overrides)
    return cfg, build_model(cfg).eval()


def dtypes(module):
    return {p.dtype for p in module.parameters()}


def convolutions(model):
    return [m for m in model.modules() if isinstance(m, (Conv, nn.Conv2d))]


@torch.no_grad()
def outputs(model, cfg):
    """The context map, the class logits and the box deltas of three boxes, fp32."""
    item = clip_item(cfg)
    context = model.context_maps(model.stack([item], "clip"), [item])
    boxes = [torch.tensor([[0.0, 0.0, 64.0, 64.0], [10.0, 20.0, 50.0, 90.0], [60.0, 0.0, 128.0, 96.0]])]
    return [t.float() for t in (context, *model.roi_heads.predict(context, boxes))]


@pytest.mark.parametrize("name", ["s3dg", "i3d", "fast_s3d"])
def test_bf16_is_near_fp32(name):
    cfg, model = detector("MODEL.CONTEXT.NAME", name)
    for whole, lower in zip(outputs(model, cfg), outputs(inference_copy(model, "bf16"), cfg), strict=True):
        assert whole.shape == lower.shape and not torch.equal(whole, lower)
        assert (whole - lower).pow(2).mean().sqrt() < 0.03 * whole.std()  # 2^-9 a rounding, some dozens of them


def test_what_stays_in_fp32():
    _, model = detector("MODEL.CONTEXT.NAME", "s3dg")
    lower = inference_copy(model, "bf16")
    head = lower.roi_heads
    gates = [m for m in lower.modules() if isinstance(m, backbones.layers.Gate)]
    rpn = lower.proposal_generator.rpn_head
    for kept in (*gates, head.cls_score, head.bbox_pred, rpn.objectness_logits, rpn.anchor_deltas):
        assert dtypes(kept) == {torch.float32}
    others = [c for c in convolutions(lower) if c not in (rpn.objectness_logits, rpn.anchor_deltas)]
    assert gates and len(others) > 50 and all(dtypes(c) == {torch.bfloat16} for c in others)


def test_the_copied_model_is_untouched():
    cfg, model = detector()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    inference_copy(model, "bf16")
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.context.parameters())
    assert set(model.train()([clip_item(cfg)])) == {"loss_rpn_cls", "loss_rpn_loc", "loss_cls", "loss_box_reg"}


def test_detections_in_bf16():
    cfg, model = detector("MODEL.CONTEXT.NAME", "s3dg")
    with torch.no_grad():
        found = [m([clip_item(cfg)])[0]["instances"] for m in (model, inference_copy(model, "bf16"))]
    for one in found:
        assert one.scores.dtype == one.pred_boxes.tensor.dtype == torch.float32
    assert found[1].scores.mean() == pytest.approx(float(found[0].scores.mean()), abs=0.01)


def test_spans_and_two_streams():
    cfg, model = detector("MODEL.STREAMS", ("rgb", "flow"))
    item = {**clip_item(cfg), "flow": torch.full((cfg.INPUT.NUM_FRAMES, *cfg.INPUT.SIZE, 2), 128, dtype=torch.uint8)}
    with torch.no_grad():
        found = [m([item])[0]["instances"] for m in (model, inference_copy(model, "bf16"))]
    assert found[1].scores.mean() == pytest.approx(float(found[0].scores.mean()), abs=0.01)


def test_the_classifier():
    torch.manual_seed(0)
    network = backbones.build("s3dg", num_classes=5, width=0.25)
    model = ActionClassifier(network, (127.5,) * 3, (127.5,) * 3).eval()
    clip = torch.randint(0, 256, (16, 64, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        whole, folded, lower = (
            m([{"clip": clip}]) for m in (model, classifier_copy(model), classifier_copy(model, "bf16"))
        )
    torch.testing.assert_close(folded, whole, rtol=1e-3, atol=1e-5)
    assert lower.dtype == torch.float32 and (lower - whole).abs().max() < 0.1 * whole.std()
    assert dtypes(model.network) == {torch.float32} and network.logits.weight.dtype == torch.float32


def test_auto_is_what_was_measured(monkeypatch):
    for faster, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(precision, "_faster_in_bf16", lambda device, faster=faster: faster)
        assert inference_dtype("auto", CPU) == expected
        assert inference_dtype("bf16", CPU) == torch.bfloat16 and inference_dtype("fp32", CPU) == torch.float32


def test_auto_measures(monkeypatch):
    times = {torch.float32: 1.0, torch.bfloat16: 0.95}
    monkeypatch.setattr(precision, "_seconds", lambda layer, inputs: times[inputs.dtype])
    for lower, expected in ((0.95, False), (0.5, True), (2.0, False)):
        times[torch.bfloat16] = lower
        assert precision._faster_in_bf16.__wrapped__(CPU) is expected
    monkeypatch.undo()
    assert precision._faster_in_bf16.__wrapped__(CPU) in (False, True)


def test_lower_convolutions_of_a_detectron2_like_module():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Linear(4, 4))
    lower_convolutions(module, torch.bfloat16)
    assert dtypes(module[0]) == {torch.bfloat16} and dtypes(module[1]) == {torch.float32}


def test_the_config_key():
    with pytest.raises(UserError, match="MODEL.PRECISION.*fp16.*fp32.*bf16.*auto"):
        check_values(tiny_cfg("MODEL.PRECISION", "fp16"))
    _, model = detector()
    assert dtypes(fold_for_inference(model).context) == {torch.float32}
